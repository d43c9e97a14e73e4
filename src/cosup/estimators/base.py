"""The scikit-learn face that every method wears: validation, classes, prediction, history and provenance."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from cosup.estimators.kept_student import KeptStudent
from cosup.estimators.notebook import History, Provenance
from cosup.estimators.supervision import Supervision
from cosup.labels import ImportedLabels, TeacherLabels
from cosup.students import as_student, materialised, peak_bytes
from cosup.students.scaling import FeatureScaling
from cosup.utils.available_memory import check_memory
from cosup.utils.sparse import densified
from cosup.utils.validation import (
    BoolArray,
    CosupError,
    FloatArray,
    check_features,
    is_bfloat16,
)

__all__ = ["TeacherSupervised"]


def _validated(estimator: Any, *data: Any, **options: Any) -> Any:
    """Validate input as scikit-learn does, with our type of error.

    It would make copies in double precision of what is in half; matrices of numbers are passed by it.
    """
    X = densified(data[0], "X") if issparse(data[0]) else data[0]
    data = (X, *data[1:])
    ready = isinstance(X, np.ndarray) and X.ndim == 2 and (X.dtype.kind == "f" or is_bfloat16(X))
    try:
        if len(data) == 1 and ready and X.size:
            validate_data(estimator, X, skip_check_array=True, **options)
            return X
        return validate_data(estimator, *data, dtype=(np.float64, np.float32), ensure_all_finite=False, **options)
    except CosupError:
        raise
    except TypeError as error:
        raise _WrongTypeError(str(error)) from error
    except (ValueError, OverflowError) as error:
        raise CosupError(str(error)) from error


class _WrongTypeError(CosupError, TypeError):
    """An error of the data's type; scikit-learn's own checks expect a TypeError there."""


def _check_order(X: Any, ids: Sequence[str] | None) -> None:
    """Raise where the index of a data frame holds the labels' ids in another order."""
    index = getattr(X, "index", None)
    if (
        ids is None
        or index is None
        or callable(index)
        or type(index).__name__ == "RangeIndex"
        or len(index) != len(ids)
    ):
        return
    rows = tuple(str(name) for name in index)
    if rows != tuple(ids) and len(set(rows) & set(ids)) * 2 > len(rows):
        raise CosupError(
            "the index of X and the ids of the labels name the same samples in another order, or not all; bring the "
            "labels into the order of X: labels.align([str(name) for name in X.index])"
        )


class TeacherSupervised(KeptStudent, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Base of every method: fits on features and `TeacherLabels`, predicts with its final student.

    A method implements ``_supervise(X, labels, seed) -> Supervision``.
    """

    def fit(self, X: ArrayLike, y: TeacherLabels | ArrayLike) -> Self:
        """Train the student under its teachers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features of the strong pre-trained model.
        y : TeacherLabels, or array-like of shape (n_samples,)
            The teachers' annotations; a plain vector is one generalist's labels (vanilla weak-to-strong training): of
            integers, -1 is unlabelled where there are two classes besides, as in `sklearn.semi_supervised`; of objects,
            None, NaN and blank are. Where labels have class names (`cosup.labels.ImportedLabels`), these are what is
            predicted.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        CosupError
            For invalid features, or labels of another length.
        """
        if isinstance(y, TeacherLabels):
            _check_order(X, y.ids if isinstance(y, ImportedLabels) else None)
            X = _validated(self, X)
            labels = y
            named = labels.class_names if isinstance(labels, ImportedLabels) else None
            self.classes_: Any = range(labels.n_classes) if named is None else np.array(named)
        else:
            X, labels = self._plain(X, y)
        X = check_features(X, n_samples=len(labels))
        check_memory(
            self._peak_bytes(X, labels),
            f"fitting {len(X)} samples of {X.shape[1]} features under {labels.n_teachers} teachers of "
            f"{labels.n_classes} classes",
            "keep features memory-mapped in float16 and annotations as TopK or class ids, or fit fewer samples",
        )
        self.classes_ = np.asarray(self.classes_)
        seed = int(check_random_state(getattr(self, "random_state", None)).randint(2**31 - 1))
        raw = getattr(getattr(self, "student", None), "reads_raw_inputs", False)
        scaling = None if raw else FeatureScaling.of(X, partial(labels.consensus, labels.at_level(0)))
        result = self._supervise(X if scaling is None else scaling.training_features(X), labels, seed)
        # The last student may be trained only now: what is not kept makes room for it.
        result = replace(result, posterior=None)
        if scaling is not None:
            result = _unscaled(result, scaling)
        self.head_ = materialised(result.head)
        self.level_heads_ = result.level_heads
        self.history_: list[dict[str, Any]] = History(result.history, labels.names)
        self.provenance_ = result.provenance.view(Provenance)
        self.estimates_ = result.estimates
        return self

    def _plain(self, X: ArrayLike, y: ArrayLike) -> tuple[FloatArray, TeacherLabels]:
        shape = () if y is None else np.asarray(y).shape
        if len(shape) > 1 and shape[1] > 1:
            raise CosupError(f"y has shape {shape}; the annotations of several teachers go into cosup.TeacherLabels(y)")
        y, unlabelled = _unlabelled(y)
        checked = _validated(self, X, y, order="C")
        features: FloatArray = np.asarray(checked[0])
        y = np.asarray(checked[1])
        if len(features) < 2:
            raise CosupError(f"training needs at least 2 samples, got n_samples = {len(features)}")
        try:
            vector: Any = column_or_1d(y, warn=True)
            check_classification_targets(vector)
            known = np.ones(len(vector), dtype=bool) if unlabelled is None else ~unlabelled
            encoder = LabelEncoder().fit(vector[known])
            ids = np.full(len(vector), -1, dtype=np.int64)
            ids[known] = encoder.transform(vector[known])
        except (ValueError, TypeError) as error:
            raise CosupError(f"y: {error}" if isinstance(error, TypeError) else str(error)) from error
        self.classes_ = encoder.classes_
        return features, TeacherLabels(ids[:, None], names=["y"], n_classes=max(len(self.classes_), 1))

    def _peak_bytes(self, X: FloatArray, labels: TeacherLabels) -> int:
        """Count the bytes that `fit` takes at the most, beside its arguments.

        Unless a method overrides it: its student, and ten matrices of samples by classes.
        """
        student = as_student(getattr(self, "student", "ridge"))
        return peak_bytes(student, X, labels.n_classes) + 80 * len(labels) * labels.n_classes

    def check_parameters(self) -> None:
        """Raise `CosupError` for parameters that `fit` would refuse, whatever the data."""
        as_student(getattr(self, "student", "ridge"))

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the share of samples that are predicted as they truly are.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            The truth.
        sample_weight : array-like of shape (n_samples,), optional

        Raises
        ------
        CosupError
            For teachers' labels in place of the truth.
        """
        if isinstance(y, TeacherLabels):
            raise CosupError(
                "score needs the true classes, (n_samples,), and teachers' labels are none: measure on samples whose "
                "truth is known, or see estimates_, which needs none. cross_val_score(model, X, labels, scoring=...) "
                "takes a function of (model, X, labels) that looks the truth up"
            )
        return float(super().score(X, y, sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        raise NotImplementedError(f"{type(self).__name__} must implement _supervise")

    def _checked(self, X: ArrayLike) -> FloatArray:
        check_is_fitted(self)
        X = _validated(self, X, reset=False)
        return check_features(X)

    def predict_proba(self, X: ArrayLike) -> FloatArray:
        """Predict class probabilities, (n_samples, n_classes), columns in the order of ``classes_``."""
        X = self._checked(X)
        return self.head_.predict_proba(X)

    def predict(self, X: ArrayLike) -> Any:
        """Predict the most probable class of every row of `X`, (n_samples,)."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def level_predict(self, X: ArrayLike) -> Any:
        """Predict by the student after every level, (n_levels, n_samples)."""
        X = self._checked(X)
        return np.stack([self.classes_[h.predict_proba(X).argmax(axis=1)] for h in self.level_heads_])

    def report(
        self, labels: TeacherLabels, X: ArrayLike, path: str | Path | None = None, *, ids: Sequence[str] | None = None,
        images: Any = None, texts: Sequence[str] | None = None,
    ) -> Any:  # fmt: skip
        """Make the explorer of this fit, show it in a notebook, and save it.

        Parameters
        ----------
        labels : TeacherLabels
        X : array-like of shape (n_samples, n_features)
            Both those that it was fitted on.
        path : path, optional
            The page is written there.
        ids, images, texts : optional
            The samples' names, pictures and texts; see `cosup.report.explorer.build_explorer`.

        Returns
        -------
        cosup.report.explorer.Page
            What a notebook shows inline; ``save(path)`` writes it.
        """
        # The report's room is above this one, so that it is imported by name.
        page = importlib.import_module("cosup.report.explorer.notebook").page_of(
            self, labels, X, ids=ids, images=images, texts=texts
        )
        if path is not None:
            page.save(path)
        return page


def _unlabelled(y: Any) -> tuple[Any, BoolArray | None]:
    """Find where a plain vector has no class, and fill these places with a class."""
    array = np.asarray(y)
    if array.ndim != 1 or not array.size:
        return y, None
    if array.dtype.kind in "OU":
        blank = np.array([
            value is None or type(value).__name__ in ("NAType", "NaTType") or value != value
            or (isinstance(value, str) and not value.strip())
            for value in array.tolist()
        ])  # fmt: skip
    elif array.dtype.kind in "if":
        blank = array == -1
        if set(np.unique(array[~blank]).tolist()) <= {1}:  # -1 and 1 are two classes, as scikit-learn has them
            return y, None
    else:
        return y, None
    if not blank.any():
        return y, None
    if blank.all():
        raise CosupError("y names no class at all; training needs at least two")
    filled = array.copy()
    filled[blank] = array[~blank][0]
    # Numbers that stood among None are converted back to numbers.
    numbers = all(isinstance(value, int | float | np.number) for value in filled.tolist())
    return np.array(filled.tolist()) if numbers else filled, blank


def _unscaled(result: Supervision, scaling: FeatureScaling) -> Supervision:
    """Return what was trained on scaled features for features as they come, with a note on it."""
    head = scaling.fold(materialised(result.head))
    levels = (*(scaling.fold(level) for level in result.level_heads[:-1]), head)
    for record in result.history[:1]:
        record["notes"] = [*record["notes"], *scaling.notes]
    return replace(result, head=head, level_heads=levels)
