"""Base of students that calibrate nothing: a training starts anew, and out-of-sample predictions are cross-fitted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from cosup.students.cross_fitting import CrossFit, cross_fit
from cosup.students.heads import Head
from cosup.students.protocol import BlockFit, CheckedTrainer, Fit
from cosup.students.targets import Targets
from cosup.utils.row_blocks import blocks_of, predicted, stacked
from cosup.utils.validation import FloatArray, IntArray

__all__ = ["HELD", "UncalibratedFit", "UncalibratedTrainer"]

HELD = 1 << 26
"""Bytes of a fit's predictions, in sample or out of sample, up to which they are held: a method reads them five times
or more."""


class UncalibratedTrainer(CheckedTrainer["UncalibratedFit"]):
    """Base of the trainers of such students; one that trains head by head implements `run`.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    folds : int
        Folds of the cross-fitting.
    takes_soft : bool
        See `cosup.students.Fit.takes_soft`.
    """

    def __init__(self, X: FloatArray, folds: int, *, takes_soft: bool = True) -> None:
        self.X = X
        self.folds = folds
        self.takes_soft = takes_soft

    def like(self, fit: Fit) -> Self:
        """Return this trainer: there is no calibration to keep."""
        return self

    @property
    def n_samples(self) -> int:
        """Number of prepared samples."""
        return len(self.X)

    def fit(self, targets: Targets, random_state: int, alpha: float | None) -> UncalibratedFit:
        """Make a fit that trains on checked targets when it is first asked."""
        return UncalibratedFit(self, targets, random_state)

    def run(self, targets: Targets, members: IntArray, random_state: int) -> Head:
        """Train one head, on the samples at `members`."""
        raise NotImplementedError(f"{type(self).__name__} must implement run")

    def run_folds(self, targets: Targets, folds: list[IntArray], random_state: int) -> Sequence[Head]:
        """Train a head on the samples of each fold; one after the other, where a trainer has nothing quicker."""
        return [self.run(targets, members, random_state) for members in folds]


@dataclass(frozen=True)
class UncalibratedFit(BlockFit):
    """The fit of an `UncalibratedTrainer`; see `cosup.students.Fit`. Trains when first asked."""

    _trainer: UncalibratedTrainer
    _targets: Targets
    _random_state: int

    @property
    def alpha(self) -> float | None:
        """None, for a student without regularisation."""
        return None

    @property
    def takes_soft(self) -> bool:
        """Whether its probabilities are calibrated."""
        return self._trainer.takes_soft

    @cached_property
    def head(self) -> Head:
        """The trained head."""
        return self._trainer.run(self._targets, self._targets.members, self._random_state)

    @cached_property
    def _folds(self) -> CrossFit:
        trainer, targets, seed = self._trainer, self._targets, self._random_state
        return cross_fit(
            lambda folds: trainer.run_folds(targets, folds, seed),
            len(trainer.X), targets.members, targets.n_classes, trainer.folds, seed,
        )  # fmt: skip

    @cached_property
    def _held(self) -> dict[bool, FloatArray]:
        """Predictions of all rows, out of sample or not, once they were asked for."""
        return {}

    def blocks(self, out_of_sample: bool, rows_per_block: int | None = None) -> Iterator[tuple[slice, FloatArray]]:
        """Predict by the trained head itself, or cross-fitted; see `cosup.students.Fit.blocks`."""
        if 8 * len(self._trainer.X) * self._targets.n_classes > HELD:
            return self._predict(out_of_sample, rows_per_block)
        if out_of_sample not in self._held:
            self._held[out_of_sample] = stacked(self._predict(out_of_sample, None))
        return blocks_of(self._held[out_of_sample], rows_per_block)

    def _predict(self, out_of_sample: bool, rows_per_block: int | None) -> Iterator[tuple[slice, FloatArray]]:
        X = self._trainer.X
        if out_of_sample:
            return self._folds.blocks(X, rows_per_block)
        return predicted(self.head.predict_proba, X, self._targets.n_classes, rows_per_block)
