"""Keep a fitted student on disk and read it again: arrays and plain values, no pickle; and as ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from cosup.estimators.notebook import History, Provenance
from cosup.estimators.saving import onnx_of, saved_files, version, write_saved
from cosup.estimators.supervision import PROVENANCE
from cosup.students import Head, LinearHead
from cosup.utils.atomic_files import write_whole
from cosup.utils.validation import CosupError, check_choice

__all__ = ["KeptStudent"]


class KeptStudent:
    """The part of a method that writes its fitted student and reads it again; for `TeacherSupervised`."""

    head_: Head
    level_heads_: tuple[Head, ...]
    history_: Any
    provenance_: Any
    unsaved_: tuple[str, ...]
    classes_: Any
    n_features_in_: int
    get_params: Any
    set_params: Any

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Write the fitted student as arrays and JSON-able values, for safetensors and JSON.

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
        """Make a fitted estimator of what `to_arrays` returned; it predicts, and has no history.

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

    def save(
        self, folder: str | Path, *, inputs: dict[str, str] | None = None, feature_names: Sequence[str] | None = None
    ) -> None:
        """Write the fitted student to a folder, for `cosup.load` and ``cosup predict``.

        Parameters
        ----------
        folder : path
            Made if it does not exist; it gets ``model.safetensors`` and ``model.json``, see `cosup.estimators.saving`.
        inputs : dict of str to str, optional
            The source of the features, as in ``{"backbone": "lite:efficientnet-lite0"}``: ``cosup predict`` reads it.
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
            The precision of the computation. With float64, features of any scale give what `predict_proba` gives, but
            few runtimes other than onnxruntime's CPU know it.

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


def _is_plain(value: Any) -> bool:
    """Tell whether JSON returns a parameter as it was."""
    if isinstance(value, tuple):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and np.isfinite(value))
