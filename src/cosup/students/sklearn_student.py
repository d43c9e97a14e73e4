"""Any scikit-learn classifier as a student."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.base import clone

from cosup.students.cross_fitting import CrossFit, cross_fit
from cosup.students.protocol import BlockFit, Fit
from cosup.students.targets import Targets
from cosup.utils.row_blocks import predicted, take, widen
from cosup.utils.validation import BoolArray, CosupError, FloatArray, IntArray, check_positive

__all__ = ["SklearnStudent"]


@dataclass(frozen=True)
class SklearnStudent:
    """A scikit-learn classifier, trained on the most probable class of the targets and cross-fitted.

    Parameters
    ----------
    estimator : classifier
        With ``predict_proba`` (or else ``predict``, read as certain). It is cloned for every training; a
        ``random_state`` parameter of its own is set from the method's.
    folds : int
        Of the cross-fitting that out-of-sample predictions ask for.
    """

    estimator: Any
    folds: int = 5

    def __post_init__(self) -> None:
        if not (hasattr(self.estimator, "fit") and hasattr(self.estimator, "predict")):
            raise CosupError(f"a student needs fit and predict, {type(self.estimator).__name__} has not")
        check_positive(self.folds, "folds of SklearnStudent", integer=True)
        if self.folds < 2:
            raise CosupError(f"folds of SklearnStudent must be at least 2, got {self.folds}")

    def prepare(self, X: FloatArray) -> SklearnTrainer:
        """Tie the classifier to features (n_samples, n_features)."""
        return SklearnTrainer(self, X)


@dataclass(frozen=True)
class SklearnTrainer:
    """A `SklearnStudent` tied to features."""

    student: SklearnStudent
    X: FloatArray

    def like(self, fit: Fit) -> SklearnTrainer:
        """The same: nothing is calibrated here."""
        return self

    def train(
        self,
        targets: FloatArray | IntArray,
        *,
        train_mask: BoolArray | None = None,
        random_state: int = 0,
        alpha: float | None = None,
        n_classes: int | None = None,
    ) -> SklearnFit:
        """Train on the most probable class of `targets`; see `cosup.students.Trainer`."""
        checked = Targets.of(targets, train_mask, n_classes, len(self.X))
        return SklearnFit(self, checked.predicted_class(slice(None)), checked.n_classes, checked.members, random_state)

    def run(self, named: IntArray, n_classes: int, rows: IntArray, random_state: int) -> SklearnHead:
        """One training on the samples at `rows`."""
        present = np.unique(named[rows])
        if len(present) == 1:
            return SklearnHead(None, present, n_classes)
        model = clone(self.student.estimator)
        if "random_state" in model.get_params():
            model.set_params(random_state=random_state)
        return SklearnHead(model.fit(widen(take(self.X, rows)), named[rows]), present, n_classes)


@dataclass(frozen=True)
class SklearnHead:
    """A fitted classifier whose classes are some of 0 .. n_classes - 1."""

    model: Any
    present: IntArray
    n_classes: int

    def predict_proba(self, X: FloatArray) -> FloatArray:
        """Class probabilities, (n_samples, n_classes); zeros for classes that training did not show."""
        out = np.zeros((len(X), self.n_classes))
        if self.model is None:
            out[:, self.present[0]] = 1.0
        elif hasattr(self.model, "predict_proba"):
            out[:, self.present] = self.model.predict_proba(widen(X))
        else:
            out[np.arange(len(X)), self.model.predict(widen(X))] = 1.0
        return out


@dataclass(frozen=True)
class SklearnFit(BlockFit):
    """What `SklearnTrainer.train` gives; see `cosup.students.Fit`. Trains when first asked."""

    _trainer: SklearnTrainer
    _named: IntArray
    _n_classes: int
    _members: IntArray
    _random_state: int
    alpha: None = None
    takes_soft: bool = False

    @cached_property
    def head(self) -> SklearnHead:
        """The trained classifier."""
        return self._trainer.run(self._named, self._n_classes, self._members, self._random_state)

    @cached_property
    def _folds(self) -> CrossFit:
        return cross_fit(
            lambda rows: self._trainer.run(self._named, self._n_classes, rows, self._random_state),
            len(self._trainer.X), self._members, self._n_classes, self._trainer.student.folds, self._random_state,
        )  # fmt: skip

    def blocks(self, out_of_sample: bool, rows_per_block: int | None = None) -> Iterator[tuple[slice, FloatArray]]:
        """By the trained classifier itself, or cross-fitted; see `cosup.students.Fit.blocks`."""
        X = self._trainer.X
        if out_of_sample:
            return self._folds.blocks(X, rows_per_block)
        return predicted(self.head.predict_proba, X, self._n_classes, rows_per_block)
