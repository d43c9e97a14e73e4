"""A student that is one function: it trains a head on some samples, and everything else is done here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from cosup.students.cross_fitting import CrossFit, check_folds, cross_fit
from cosup.students.heads import Head
from cosup.students.protocol import BlockFit, Fit
from cosup.students.targets import Targets
from cosup.utils.row_blocks import predicted, take, widen
from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = ["HeadStudent", "HeadTrainer"]

TrainHead = Callable[[FloatArray, IntArray, int, int], Head]
"""From features (n, d), class ids (n,), the number of classes and a seed to a head over all classes."""


@dataclass(frozen=True)
class HeadStudent:
    """A student given by the function that trains its head, on the most probable class of the targets.

    Parameters
    ----------
    train : callable
        ``train(X, y, n_classes, random_state)`` returns a `Head` over all ``n_classes``; some of them may not occur in
        ``y``. `LinearHead` can be saved, exported and averaged.
    folds : int
        Of the cross-fitting that out-of-sample predictions ask for.
    """

    train: TrainHead
    folds: int = 5

    def __post_init__(self) -> None:
        check_folds(self.folds, "HeadStudent")

    def prepare(self, X: FloatArray) -> HeadTrainer:
        """Tie the function to features (n_samples, n_features)."""
        return HeadTrainer(self.train, self.folds, X)


@dataclass(frozen=True)
class HeadTrainer:
    """A function that trains heads, tied to features."""

    train_head: TrainHead
    folds: int
    X: FloatArray

    def like(self, fit: Fit) -> HeadTrainer:
        """Return itself: nothing is calibrated here."""
        return self

    def train(
        self,
        targets: FloatArray | IntArray,
        *,
        train_mask: BoolArray | None = None,
        random_state: int = 0,
        alpha: float | None = None,
        n_classes: int | None = None,
    ) -> HeadFit:
        """Train on the most probable class of `targets`; see `cosup.students.Trainer`."""
        checked = Targets.of(targets, train_mask, n_classes, len(self.X))
        return HeadFit(self, checked.predicted_class(slice(None)), checked.n_classes, checked.members, random_state)

    def run(self, y: IntArray, n_classes: int, rows: IntArray, random_state: int) -> Head:
        """Train one head, on the samples at `rows`."""
        return self.train_head(widen(take(self.X, rows)), y[rows], n_classes, random_state)


@dataclass(frozen=True)
class HeadFit(BlockFit):
    """The outcome of `HeadTrainer.train`; see `cosup.students.Fit`. Trains when first asked."""

    _trainer: HeadTrainer
    _y: IntArray
    _n_classes: int
    _members: IntArray
    _random_state: int
    alpha: None = None
    takes_soft: bool = False

    @cached_property
    def head(self) -> Head:
        """The trained head."""
        return self._trainer.run(self._y, self._n_classes, self._members, self._random_state)

    @cached_property
    def _folds(self) -> CrossFit:
        return cross_fit(
            lambda rows: self._trainer.run(self._y, self._n_classes, rows, self._random_state),
            len(self._trainer.X), self._members, self._n_classes, self._trainer.folds, self._random_state,
        )  # fmt: skip

    def blocks(self, out_of_sample: bool, rows_per_block: int | None = None) -> Iterator[tuple[slice, FloatArray]]:
        """By the trained head itself, or cross-fitted; see `cosup.students.Fit.blocks`."""
        X = self._trainer.X
        if out_of_sample:
            return self._folds.blocks(X, rows_per_block)
        return predicted(self.head.predict_proba, X, self._n_classes, rows_per_block)
