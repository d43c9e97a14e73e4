"""A student that is one function: it trains a head on some samples, and everything else is done here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cosup.students.cross_fitting import check_folds
from cosup.students.heads import Head
from cosup.students.targets import Targets
from cosup.students.uncalibrated import UncalibratedTrainer
from cosup.utils.row_blocks import take, widen
from cosup.utils.validation import FloatArray, IntArray

__all__ = ["HeadStudent", "HeadTrainer"]

TrainHead = Callable[[FloatArray, IntArray, int, int], Head]
"""A function of features (n, d), class ids (n,), the number of classes and a seed: a head over all classes."""


@dataclass(frozen=True)
class HeadStudent:
    """A student given by the function that trains its head, on the most probable class of the targets.

    Parameters
    ----------
    train : callable
        ``train(X, y, n_classes, random_state)`` returns a `Head` over all ``n_classes``; some of them may not occur in
        ``y``. `LinearHead` can be saved, exported and averaged.
    folds : int
        Folds of the cross-fitting that gives out-of-sample predictions.
    """

    train: TrainHead
    folds: int = 5

    def __post_init__(self) -> None:
        check_folds(self.folds, "HeadStudent")

    def prepare(self, X: FloatArray) -> HeadTrainer:
        """Tie the function to features (n_samples, n_features)."""
        return HeadTrainer(self.train, self.folds, X)


class HeadTrainer(UncalibratedTrainer):
    """A function that trains heads, tied to features."""

    def __init__(self, train_head: TrainHead, folds: int, X: FloatArray) -> None:
        super().__init__(X, folds, takes_soft=False)
        self._train_head = train_head

    def run(self, targets: Targets, members: IntArray, random_state: int) -> Head:
        """Train one head, on the most probable classes of the samples at `members`."""
        X = widen(take(self.X, members))
        return self._train_head(X, targets.predicted_class(members), targets.n_classes, random_state)
