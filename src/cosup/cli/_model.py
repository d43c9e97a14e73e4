"""A fitted student on disk: safetensors and JSON, nothing pickled; and what it left behind: CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

import cosup
from cosup._validation import CosupError
from cosup.benchmark import write_whole
from cosup.cosupervision import CoSupervisedClassifier
from cosup.teachers import TeacherLabels

SCHEMA = 1
WEIGHTS, META = "model.safetensors", "model.json"


@dataclass(frozen=True)
class SavedModel:
    """A student read back: it predicts class ids, `class_names` turns them into names."""

    estimator: Any
    class_names: tuple[str, ...]
    n_features: int


def save_model(folder: Path, model: Any, class_names: Sequence[str]) -> None:
    """Write model.safetensors and model.json."""
    arrays, meta = model.to_arrays()
    content = {
        "schema": SCHEMA,
        "cosup": cosup.__version__,
        "class_names": list(class_names),
        "n_features": int(model.n_features_in_),
        "meta": meta,
    }
    write_whole(folder / WEIGHTS, save({key: np.ascontiguousarray(value) for key, value in arrays.items()}))
    # Last: a folder with model.json is a whole model.
    write_whole(folder / META, json.dumps(content, indent=1) + "\n")


def load_model(folder: Path) -> SavedModel:
    """Read a model that `save_model` wrote.

    Raises
    ------
    CosupError
        When a file is missing, broken, or of another schema.
    """
    for name in (META, WEIGHTS):
        if not (folder / name).is_file():
            raise CosupError(f"{folder} holds no model: {name} is missing; make one with 'cosup fit --out {folder}'")
    try:
        content = json.loads((folder / META).read_bytes())
    except ValueError as error:
        raise CosupError(f"{folder / META} is not JSON ({error}); fit the model again") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else None
        raise CosupError(
            f"{folder / META} has schema {found!r}, this version of cosup reads {SCHEMA}; fit the model again"
        )
    try:
        arrays = load((folder / WEIGHTS).read_bytes())
    except SafetensorError as error:
        raise CosupError(f"{folder / WEIGHTS} is damaged ({error}); fit the model again") from error
    names, n_features, meta = (content.get(key) for key in ("class_names", "n_features", "meta"))
    if not (
        isinstance(names, list)
        and all(isinstance(name, str) for name in names)
        and isinstance(n_features, int)
        and isinstance(meta, dict)
    ):
        raise CosupError(f"{folder / META} lacks class names, features or meta; fit the model again")
    estimator = CoSupervisedClassifier.from_arrays(arrays, meta)
    if len(estimator.classes_) != len(names) or estimator.n_features_in_ != n_features:
        raise CosupError(f"{folder}: {META} and {WEIGHTS} don't belong together; fit the model again")
    return SavedModel(estimator, tuple(names), n_features)


def provenance_csv(model: Any, labels: TeacherLabels, class_names: Sequence[str], ids: Sequence[str] | None) -> str:
    """Write, for every sample and level, who was believed, what it said, and whether it was kept."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("row" if ids is None else "id", "level", "teacher", "annotation", "kept", "reason", "probability"))
    levels = [entry["level"] for entry in model.history_]
    for row in range(len(model.provenance_)):
        for place, level in enumerate(levels):
            entry = model.provenance_[row, place]
            writer.writerow(
                (
                    row if ids is None else ids[row],
                    level,
                    labels.names[entry["teacher"]] if entry["teacher"] >= 0 else "",
                    class_names[entry["annotation"]] if entry["annotation"] >= 0 else "",
                    "yes" if entry["kept"] else "no",
                    entry["reason"],
                    "" if math.isnan(entry["probability"]) else f"{entry['probability']:.4f}",
                )
            )
    return buffer.getvalue()


def history_json(history: Sequence[Mapping[str, Any]], labels: TeacherLabels) -> str:
    """Write the history a level, its arrays summed up: how many samples each teacher was believed on."""
    out = []
    for entry in history:
        assigned = np.asarray(entry["assigned"])
        plain = {key: _plain(value) for key, value in entry.items() if key not in ("assigned", "kept", "teachers")}
        teachers = {labels.names[int(t)]: int(np.sum(assigned == t)) for t in entry["teachers"]}
        out.append({**plain, "assigned": teachers, "unassigned": int(np.sum(assigned < 0))})
    return json.dumps(out, indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def predictions(path: Path, probabilities: Any, class_names: Sequence[str], ids: Sequence[str] | None) -> bytes:
    """Encode predictions for the file's extension: csv, npz or npy (class ids)."""
    best = probabilities.argmax(axis=1)
    buffer = io.BytesIO()
    if path.suffix.lower() == ".npy":
        np.save(buffer, best)
    elif path.suffix.lower() == ".npz":
        np.savez(buffer, prediction=best, probabilities=probabilities, class_names=np.array(class_names))
    else:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("row" if ids is None else "id", "prediction", "probability"))
        for row, place in enumerate(best):
            name = row if ids is None else ids[row]
            writer.writerow((name, class_names[place], f"{probabilities[row, place]:.4f}"))
        buffer.write(text.getvalue().encode("utf-8"))
    return buffer.getvalue()
