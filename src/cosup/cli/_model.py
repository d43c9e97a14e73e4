"""What a fit leaves behind beside its model, and predictions: CSV, JSON and npz."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cosup.teachers import TeacherLabels

ENTRIES = 1 << 24
"""Probabilities or features that are held together: 128 MB."""


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


def predictions(path: Path, model: Any, X: Any, ids: Sequence[str] | None) -> bytes:
    """Predict, a block of samples at a time, and encode for the file's extension: csv, npz or npy (class ids)."""
    names: Sequence[str] = model.class_names_
    best, largest, all_of_them = np.empty(len(X), dtype=np.int64), np.empty(len(X)), []
    for rows in row_slices(len(X), max(len(names), X.shape[1])):
        probabilities = model.predict_proba(X[rows])
        best[rows] = probabilities.argmax(axis=1)
        largest[rows] = probabilities.max(axis=1)
        if path.suffix.lower() == ".npz":
            all_of_them.append(probabilities)
    buffer = io.BytesIO()
    if path.suffix.lower() == ".npy":
        np.save(buffer, best)
    elif path.suffix.lower() == ".npz":
        np.savez(buffer, prediction=best, probabilities=np.concatenate(all_of_them), class_names=np.array(names))
    else:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("row" if ids is None else "id", "prediction", "probability"))
        for row, place in enumerate(best.tolist()):
            writer.writerow((row if ids is None else ids[row], names[place], f"{largest[row]:.4f}"))
        buffer.write(text.getvalue().encode("utf-8"))
    return buffer.getvalue()


def row_slices(n_rows: int, width: int) -> list[slice]:
    """Consecutive blocks of rows."""
    step = max(1, ENTRIES // max(width, 1))
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]
