"""Any scikit-learn classifier as a student."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from cosup.students.costs import copied_bytes
from cosup.students.cross_fitting import check_folds
from cosup.students.head_student import HeadTrainer
from cosup.utils.row_blocks import is_half, widen
from cosup.utils.validation import CosupError, FloatArray, IntArray

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
        Folds of the cross-fitting that gives out-of-sample predictions.
    """

    estimator: Any
    folds: int = 5

    def __post_init__(self) -> None:
        if not (hasattr(self.estimator, "fit") and hasattr(self.estimator, "predict")):
            raise CosupError(f"a student needs fit and predict, {type(self.estimator).__name__} has not")
        check_folds(self.folds, "SklearnStudent")

    def prepare(self, X: FloatArray) -> HeadTrainer:
        """Tie the classifier to features (n_samples, n_features)."""
        return HeadTrainer(self._train, self.folds, X)

    def peak_bytes(self, X: Any, n_classes: int) -> int:
        """Count bytes at the most, beside features and targets; see `cosup.students.peak_bytes`."""
        return copied_bytes(len(X), int(X.shape[1]), n_classes, 4 if is_half(X) else 8)

    def _train(self, X: FloatArray, y: IntArray, n_classes: int, random_state: int) -> SklearnHead:
        present = np.unique(y)
        if len(present) == 1:
            return SklearnHead(None, present, n_classes)
        model = clone(self.estimator)
        if "random_state" in model.get_params():
            model.set_params(random_state=random_state)
        return SklearnHead(model.fit(X, y), present, n_classes)


@dataclass(frozen=True)
class SklearnHead:
    """A fitted classifier whose classes are some of 0 .. n_classes - 1."""

    model: Any
    present: IntArray
    n_classes: int

    def predict_proba(self, X: FloatArray) -> FloatArray:
        """Predict class probabilities, (n_samples, n_classes); zeros for classes that training did not show."""
        out = np.zeros((len(X), self.n_classes))
        if self.model is None:
            out[:, self.present[0]] = 1.0
        elif hasattr(self.model, "predict_proba"):
            out[:, self.present] = self.model.predict_proba(widen(X))
        else:
            out[np.arange(len(X)), self.model.predict(widen(X))] = 1.0
        return out
