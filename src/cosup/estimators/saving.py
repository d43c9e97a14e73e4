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
| ``sha256`` | optional: of ``model.safetensors`` |

A fine-tuned network lies in a folder beside ``model.json``, which ``inputs`` names as ``model:FOLDER``.

The arrays are ``weight`` (n_features, n_classes) and ``bias`` (n_classes,), float64: probabilities are the softmax of
``X @ weight + bias``. Readers ignore keys that they do not know, so keys may be added within a version.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from cosup.utils.atomic_files import make_writable, write_whole
from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import CosupError, FloatArray

__all__ = ["BESIDE", "META", "SCHEMA", "WEIGHTS", "beside", "onnx_of", "read_saved", "version", "write_saved"]

SCHEMA = 1
WEIGHTS, META = "model.safetensors", "model.json"

BESIDE = "model:"
"""What stands before the name of a folder beside ``model.json`` in ``inputs``: a fine-tuned network's."""

OPSET, IR_VERSION = 13, 8
"""Of ONNX: from 2021, so that serving need not be of today."""


def version() -> str:
    """The version of cosup; it is whole by the time that anything is saved."""
    return str(sys.modules["cosup"].__version__)


def write_saved(folder: str | Path, arrays: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """Write a model's two files into a folder, which is made.

    Parameters
    ----------
    folder : path
    arrays : mapping of str to ndarray
    content : mapping
        What goes into ``model.json`` beside ``schema``, ``cosup`` and ``sha256``.
    """
    folder = Path(folder)
    make_writable(folder)
    weights = save({key: np.ascontiguousarray(value) for key, value in arrays.items()})
    write_whole(folder / WEIGHTS, weights)
    # Last: a folder whose model.json fits its arrays is a whole model.
    whole = {"schema": SCHEMA, "cosup": version(), **content, "sha256": hashlib.sha256(weights).hexdigest()}
    write_whole(folder / META, json.dumps(whole, indent=1) + "\n")


def read_saved(folder: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read what `write_saved` wrote, or any earlier release.

    Returns
    -------
    arrays : dict of str to ndarray
    content : dict
        Of ``model.json``.

    Raises
    ------
    CosupError
        When a file is missing, broken, of a later format, or the two don't belong together.
    """
    folder = Path(folder)
    for name in (META, WEIGHTS):
        if not (folder / name).is_file():
            raise CosupError(f"{folder} holds no model: {name} is missing; make one with 'cosup fit --out {folder}'")
    try:
        content = json.loads((folder / META).read_bytes())
    except ValueError as error:
        raise CosupError(f"{folder / META} is not JSON ({error}); fit the model again") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else None
        newer = isinstance(found, int) and found > SCHEMA
        raise CosupError(
            f"{folder / META} has schema {found!r}, this version of cosup reads {SCHEMA}; "
            + ("upgrade cosup, or fit the model again" if newer else "fit the model again")
        )
    weights = (folder / WEIGHTS).read_bytes()
    if content.get("sha256", hashlib.sha256(weights).hexdigest()) != hashlib.sha256(weights).hexdigest():
        raise CosupError(
            f"{folder / WEIGHTS} is damaged, or of another model than {META}: its checksum is another one; fit the "
            "model again"
        )
    try:
        arrays = load(weights)
    except SafetensorError as error:
        raise CosupError(f"{folder / WEIGHTS} is damaged ({error}); fit the model again") from error
    names, n_features, meta = (content.get(key) for key in ("class_names", "n_features", "meta"))
    good = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not (good and isinstance(n_features, int) and isinstance(meta, dict)):
        raise CosupError(f"{folder / META} lacks class names, features or meta; fit the model again")
    return arrays, content


def beside(inputs: Mapping[str, str], folder: str | Path) -> dict[str, str]:
    """The ``inputs`` of a model in `folder`, with the folders beside it by their paths, as backbones know them."""
    where = Path(folder).resolve()
    return {
        kind: f"hf:{where / name.removeprefix(BESIDE)}" if name.startswith(BESIDE) else name
        for kind, name in inputs.items()
    }


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
        Of the computation in between.
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
