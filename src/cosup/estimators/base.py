"""The scikit-learn face that every method wears: validation, classes, prediction, history and provenance."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
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

from cosup.estimators.notebook import History, Provenance
from cosup.estimators.saving import onnx_of, saved_files, version, write_saved
from cosup.estimators.supervision import PROVENANCE, Supervision
from cosup.labels import ImportedLabels, TeacherLabels
from cosup.students import LinearHead, as_student, materialised, peak_bytes
from cosup.students.scaling import FeatureScaling
from cosup.utils.atomic_files import write_whole
from cosup.utils.available_memory import check_memory
from cosup.utils.sparse import densified
from cosup.utils.validation import (
    BoolArray,
    CosupError,
    FloatArray,
    check_choice,
    check_features,
    is_bfloat16,
)

__all__ = ["TeacherSupervised"]


def _validated(estimator: Any, *data: Any, **options: Any) -> Any:
    """scikit-learn's validation, with our error type.

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
    """Of data whose type is wrong; scikit-learn's own checks expect a TypeError there."""


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


class TeacherSupervised(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
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
        scaling = FeatureScaling.of(X, lambda rows: _consensus(labels, rows))
        result = self._supervise(X if scaling is None else scaling.training_features(X), labels, seed)
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
        """Bytes that `fit` takes at the most, beside its arguments.

        Of a method that says nothing else: its student, and ten matrices of samples by classes.
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
        """Class probabilities of the final student, (n_samples, n_classes), columns in the order of ``classes_``."""
        X = self._checked(X)
        return self.head_.predict_proba(X)

    def predict(self, X: ArrayLike) -> Any:
        """Most probable class of every row of `X`, (n_samples,)."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def level_predict(self, X: ArrayLike) -> Any:
        """What the student after every level predicts, (n_levels, n_samples)."""
        X = self._checked(X)
        return np.stack([self.classes_[h.predict_proba(X).argmax(axis=1)] for h in self.level_heads_])

    # -- on disk: arrays and plain values, no pickle ----------------------------------------------------

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The fitted student as arrays and JSON-able values, for safetensors and JSON.

        Raises
        ------
        CosupError
            If the student is not linear.
        """
        check_is_fitted(self)
        if not isinstance(self.head_, LinearHead):
            raise CosupError(
                f"only linear students can be saved, this one is a {type(self.head_).__name__}; "
                "use student='ridge', 'logistic' or 'adam'"
            )
        arrays = {
            "weight": np.ascontiguousarray(self.head_.weight),
            "bias": np.ascontiguousarray(self.head_.bias),
        }
        parameters = self.get_params(deep=False)
        plain = {name: value for name, value in parameters.items() if _is_plain(value)}
        meta = {
            "method": type(self).__name__,
            "classes": self.classes_.tolist(),
            "parameters": plain,
            "unsaved": sorted(set(parameters) - set(plain)),
        }
        return arrays, meta

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], meta: dict[str, Any]) -> Self:
        """A fitted estimator of what `to_arrays` gave; it predicts, and has no history.

        Raises
        ------
        CosupError
            If the arrays do not belong together.
        """
        missing = {"weight", "bias"} - set(arrays)
        if missing or "classes" not in meta:
            raise CosupError(f"not a saved student: {', '.join(sorted(missing)) or 'classes'} is missing")
        weight, bias = np.asarray(arrays["weight"]), np.asarray(arrays["bias"])
        classes = np.asarray(meta["classes"])
        if weight.ndim != 2 or bias.shape != (weight.shape[1],) or classes.shape != bias.shape:
            raise CosupError(
                f"a saved student's shapes do not fit: weight {weight.shape}, bias {bias.shape}, {len(classes)} classes"
            )
        model = cls()
        own = model.get_params(deep=False)
        # A later release may have dropped a parameter; lists are what JSON makes of tuples.
        known = {name: value for name, value in meta.get("parameters", {}).items() if name in own}
        model.set_params(**{n: tuple(v) if isinstance(v, list) else v for n, v in known.items()})
        model.classes_ = classes
        model.n_features_in_ = weight.shape[0]
        model.head_ = LinearHead(weight, bias)
        model.level_heads_, model.history_, model.provenance_ = (
            (model.head_,),
            History(),
            np.zeros((0, 0), PROVENANCE).view(Provenance),
        )
        model.unsaved_ = tuple(name for name in meta.get("unsaved", ()) if name in own)
        return model

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
        # The report stands above the estimators, and is named here for who has the model at hand.
        page = importlib.import_module("cosup.report.explorer.notebook").page_of(
            self, labels, X, ids=ids, images=images, texts=texts
        )
        if path is not None:
            page.save(path)
        return page

    def save(
        self, folder: str | Path, *, inputs: dict[str, str] | None = None, feature_names: Sequence[str] | None = None
    ) -> None:
        """Write the fitted student to a folder, for `cosup.load` and ``cosup predict``.

        Parameters
        ----------
        folder : path
            Made if it does not exist; it gets ``model.safetensors`` and ``model.json``, see `cosup.estimators.saving`.
        inputs : dict of str to str, optional
            What features are made of, as in ``{"backbone": "lite:efficientnet-lite0"}``: ``cosup predict`` goes by it.
        feature_names : sequence of str, optional
            Names of the features, by which ``cosup predict`` takes columns. Default: those of the data frame that the
            model was fitted on, if it was one.

        Raises
        ------
        CosupError
            If the student is not linear, or the folder cannot be made.
        """
        write_saved(folder, self.to_files(inputs=inputs, feature_names=feature_names))

    def to_files(
        self, *, inputs: dict[str, str] | None = None, feature_names: Sequence[str] | None = None
    ) -> dict[str, bytes]:
        """Encode the files that `save` writes, by name."""
        arrays, meta = self.to_arrays()
        content = {
            "class_names": [str(name) for name in self.classes_.tolist()],
            "n_features": int(self.n_features_in_),
            "meta": meta,
            "inputs": dict(inputs or {}),
        }
        names = feature_names if feature_names is not None else getattr(self, "feature_names_in_", None)
        if names is not None:
            content["feature_names"] = [str(name) for name in names]
        return saved_files(arrays, content)

    def to_onnx(self, path: str | Path, *, precision: str = "float32") -> None:
        """Write the fitted student as an ONNX file, for serving without Python.

        Parameters
        ----------
        path : path
        precision : {"float32", "float64"}
            What is computed in; with float64 features of any scale give what `predict_proba` gives, but few runtimes
            other than onnxruntime's CPU know it.

        Raises
        ------
        CosupError
            If the student is not linear, or onnx (extra ``onnx``) is not installed.
        """
        check_choice(precision, ("float32", "float64"), "precision")
        arrays, meta = self.to_arrays()
        names = [str(name) for name in meta["classes"]]
        content = onnx_of(arrays["weight"], arrays["bias"], names, precision=precision, producer=f"cosup {version()}")
        write_whole(Path(path), content)


def _unlabelled(y: Any) -> tuple[Any, BoolArray | None]:
    """Where a plain vector names no class, and the vector with a class in these places."""
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
    # Numbers among which None stood are numbers again.
    numbers = all(isinstance(value, int | float | np.number) for value in filled.tolist())
    return np.array(filled.tolist()) if numbers else filled, blank


def _unscaled(result: Supervision, scaling: FeatureScaling) -> Supervision:
    """Return what was trained on scaled features for features as they come, with a note on it."""
    head = scaling.fold(materialised(result.head))
    levels = (*(scaling.fold(level) for level in result.level_heads[:-1]), head)
    for record in result.history[:1]:
        record["notes"] = [*record["notes"], *scaling.notes]
    return replace(result, head=head, level_heads=levels)


def _consensus(labels: TeacherLabels, rows: Any) -> Any:
    """Return the generalists' class on some rows, -1 where all abstain."""
    votes = labels.vote(labels.at_level(0), rows)
    return np.where(votes.sum(axis=1) > 0, votes.argmax(axis=1), -1)


def _is_plain(value: Any) -> bool:
    """Whether JSON gives a parameter back as it was."""
    if isinstance(value, tuple):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and np.isfinite(value))
