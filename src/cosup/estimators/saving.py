"""Fitted students on disk: safetensors and JSON, nothing pickled; and as ONNX, for serving.

A saved model is a folder with ``model.safetensors`` (arrays) and ``model.json``:

| key | what |
| --- | --- |
| ``schema`` | 1: the version of this format; any later release reads it |
| ``cosup`` | the version that wrote it |
| ``class_names`` | a text a class, in the order of the columns of probabilities |
| ``n_features`` | of one sample |
| ``meta.method`` | name of the estimator's class |
| ``meta.classes`` | its ``classes_``: class ids or names |
| ``meta.parameters`` | optional: those of its parameters that JSON knows |
| ``meta.unsaved`` | optional: names of the others |
| ``inputs`` | optional: what features are made of, as in ``{"backbone": "lite:efficientnet-lite0"}`` |
| ``fit`` | optional: the id of the fit, which stands in all JSON files of its folder |
| ``feature_names`` | optional: names of the features, in their order |
| ``sha256`` | optional: of ``model.safetensors`` |

A fine-tuned network lies in a folder beside ``model.json``, which ``inputs`` names as ``model:FOLDER``.

The arrays are ``weight`` (n_features, n_classes) and ``bias`` (n_classes,), float64: probabilities are the softmax of
``X @ weight + bias``. Readers ignore keys that they do not know, so keys may be added within a version.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from cosup.estimators.fit_folder import once_more
from cosup.utils.atomic_files import committed_files, make_writable, replace_files
from cosup.utils.folder_lock import only_writer
from cosup.utils.json_files import read_json
from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import CosupError, FloatArray

__all__ = [
    "BESIDE", "META", "SCHEMA", "WEIGHTS", "beside", "onnx_of", "read_saved", "saved_files", "version", "write_saved",
]  # fmt: skip

SCHEMA = 1
WEIGHTS, META = "model.safetensors", "model.json"

BESIDE = "model:"
"""Prefix, in ``inputs``, of the name of a folder beside ``model.json``: a fine-tuned network's."""

AGAIN = "fit the model again"

MOST = 1 << 31
"""Features that a model may say it has."""

SPARE = 1 << 20
"""Bytes of a safetensors file's own, and of arrays that a later release adds."""

OPSET, IR_VERSION = 13, 8
"""Versions of ONNX from 2021, so that older runtimes can serve the model."""


def version() -> str:
    """Return the version of cosup, whose package is whole by the time that anything is saved."""
    return str(sys.modules["cosup"].__version__)


def saved_files(arrays: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, bytes]:
    """Encode a model's two files, by name.

    Parameters
    ----------
    arrays : mapping of str to ndarray
    content : mapping
        The content of ``model.json`` beside ``schema``, ``cosup`` and ``sha256``.
    """
    weights = save({key: np.ascontiguousarray(value) for key, value in arrays.items()})
    whole = {"schema": SCHEMA, "cosup": version(), **content, "sha256": hashlib.sha256(weights).hexdigest()}
    return {WEIGHTS: weights, META: (json.dumps(whole, indent=1) + "\n").encode()}


def write_saved(folder: str | Path, files: Mapping[str, bytes], *, remove: Iterable[str] = ()) -> None:
    """Write a model's files into a folder, which is made: all, or none.

    Parameters
    ----------
    folder : path
    files : mapping of str to bytes
        See `saved_files`.
    remove : iterable of str
        Files of an earlier model that are removed.
    """
    folder = Path(folder)
    make_writable(folder)
    with only_writer(folder):
        replace_files(folder, files, remove=remove)


def read_saved(folder: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read what `write_saved` wrote, or any earlier release.

    Returns
    -------
    arrays : dict of str to ndarray
        The arrays that were saved, by name.
    content : dict
        The content of ``model.json``.

    Raises
    ------
    CosupError
        When a file is missing, broken, of a later format, or the two don't belong together; or when weights are not
        finite.
    """
    folder = Path(folder)
    return once_more(folder, lambda: _read(folder))


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    files = committed_files(folder)
    for name in (META, WEIGHTS):
        if name not in files:
            raise CosupError(f"{folder} holds no model: {name} is missing; make one with 'cosup fit --out {folder}'")
    content = read_json(files[META], AGAIN)
    if not isinstance(content, dict) or type(content.get("schema")) is not int or content["schema"] != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else None
        newer = isinstance(found, int) and found > SCHEMA
        raise CosupError(
            f"{folder / META} has schema {found!r}, this version of cosup reads {SCHEMA}; "
            + (f"upgrade cosup, or {AGAIN}" if newer else AGAIN)
        )
    n_features, n_classes = _check_content(folder, content)
    # Checked before it is read: a file that is larger than its arrays is not read into memory.
    if files[WEIGHTS].stat().st_size > 8 * (n_features + 1) * n_classes + SPARE:
        raise CosupError(f"{folder / WEIGHTS} is larger than what {META} says; {AGAIN}")
    weights = files[WEIGHTS].read_bytes()
    digest = hashlib.sha256(weights).hexdigest()
    if content.get("sha256", digest) != digest:
        raise CosupError(
            f"{folder / WEIGHTS} is damaged, or of another model than {META}: its checksum is another one; {AGAIN}"
        )
    try:
        arrays = load(weights)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise CosupError(f"{folder / WEIGHTS} is damaged ({error}); {AGAIN}") from error
    for name, shape in (("weight", (n_features, n_classes)), ("bias", (n_classes,))):
        if name not in arrays or arrays[name].shape != shape or arrays[name].dtype.kind != "f":
            raise CosupError(f"{folder}: {META} and {WEIGHTS} don't belong together: {name} must be {shape}; {AGAIN}")
        if not np.isfinite(arrays[name]).all():
            raise CosupError(
                f"{folder / WEIGHTS} holds a {name} with NaN or infinite values, and predicts nothing; {AGAIN}"
            )
    return arrays, content


def _check_content(folder: Path, content: Mapping[str, Any]) -> tuple[int, int]:
    """Check every field of ``model.json`` that is known; the numbers of features and of classes."""
    meta, names, n_features = (content.get(key) for key in ("meta", "class_names", "n_features"))
    if not isinstance(meta, dict):
        raise CosupError(f"{folder / META} lacks meta; {AGAIN}")
    inputs = content.get("inputs", {})
    checks = {
        "class_names": _are_classes(names, str),
        "n_features": type(n_features) is int and 0 < n_features < MOST,
        "meta.classes": any(_are_classes(meta.get("classes"), kind) for kind in (str, bool, int, float))
        and isinstance(names, list)
        and len(meta["classes"]) == len(names),
        "meta.method": isinstance(meta.get("method", ""), str),
        "meta.parameters": isinstance(meta.get("parameters", {}), dict),
        "meta.unsaved": isinstance(meta.get("unsaved", []), list)
        and all(isinstance(name, str) for name in meta.get("unsaved", [])),
        "inputs": isinstance(inputs, dict)
        and set(inputs) <= {"backbone", "encoder", "module"}
        and all(isinstance(name, str) and _stays(name) for name in inputs.values()),
        "sha256": isinstance(content.get("sha256", ""), str),
        "cosup": isinstance(content.get("cosup", ""), str),
    }
    for field, good in checks.items():
        if not good:
            raise CosupError(f"{folder / META} lacks {field!r}, or holds there what it can't; {AGAIN}")
    assert isinstance(n_features, int)
    assert isinstance(names, list)
    return n_features, len(names)


def _are_classes(value: Any, kind: type[Any]) -> bool:
    """Tell whether a value is a list of distinct classes of one kind, which numpy holds."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(type(item) is kind and (kind is str or abs(item) < 1 << 63) for item in value)
        and len(set(value)) == len(value)
    )


def _stays(name: str) -> bool:
    """Tell whether the name of a folder beside ``model.json`` stays inside; other names are not checked."""
    if not name.startswith(BESIDE):
        return True
    place = name.removeprefix(BESIDE)
    return bool(place) and not place.startswith(".") and not {"/", "\\", "\0"} & set(place)


def beside(inputs: Mapping[str, str], folder: str | Path) -> dict[str, str]:
    """Return the ``inputs`` of a model in `folder`, with the folders beside it by their paths, as backbones know them.

    Raises
    ------
    CosupError
        If such a folder is a link, or its name leads elsewhere.
    """
    where = Path(folder).resolve()
    out = {}
    for kind, name in inputs.items():
        place = name.removeprefix(BESIDE)
        own = name.startswith(BESIDE)
        if not _stays(name) or (
            own and any(path.is_symlink() for path in (where / place, *(where / place).rglob("*")))
        ):
            raise CosupError(f"{where / META} names {name!r}, which is no folder beside it, or holds links; {AGAIN}")
        out[kind] = f"hf:{where / place}" if name.startswith(BESIDE) else name
    return out


def onnx_of(
    weight: FloatArray, bias: FloatArray, class_names: Sequence[str], *, precision: str, producer: str
) -> bytes:
    """Write a linear layer under a softmax as an ONNX graph.

    Its input is ``features``, float32 (n, n_features); its outputs are ``probabilities``, float32 (n, n_classes), and
    ``prediction``, int64 (n,), columns of the former. The model's metadata hold ``class_names`` as JSON.

    Parameters
    ----------
    weight : ndarray of shape (n_features, n_classes)
    bias : ndarray of shape (n_classes,)
    class_names : sequence of str
    precision : {"float32", "float64"}
        The precision of the computation in between.
    producer : str

    Raises
    ------
    CosupError
        If onnx is not installed.
    """
    onnx = import_extra("onnx", extra="onnx", purpose="exporting a model to ONNX")
    helper, kinds = onnx.helper, onnx.TensorProto
    n_features, n_classes = weight.shape
    wide = precision == "float64"
    dtype, kind = (np.float64, kinds.DOUBLE) if wide else (np.float32, kinds.FLOAT)
    nodes = [
        helper.make_node("Cast", ["features"], ["wide"], to=kind) if wide else None,
        helper.make_node("MatMul", ["wide" if wide else "features", "weight"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["exact" if wide else "probabilities"], axis=1),
        helper.make_node("Cast", ["exact"], ["probabilities"], to=kinds.FLOAT) if wide else None,
        helper.make_node("ArgMax", ["probabilities"], ["prediction"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        [node for node in nodes if node is not None],
        "cosup",
        [helper.make_tensor_value_info("features", kinds.FLOAT, ["n", n_features])],
        [
            helper.make_tensor_value_info("probabilities", kinds.FLOAT, ["n", n_classes]),
            helper.make_tensor_value_info("prediction", kinds.INT64, ["n"]),
        ],
        [
            onnx.numpy_helper.from_array(np.ascontiguousarray(weight, dtype=dtype), "weight"),
            onnx.numpy_helper.from_array(np.ascontiguousarray(bias, dtype=dtype), "bias"),
        ],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name=producer
    )
    helper.set_model_props(model, {"class_names": json.dumps(list(class_names))})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
