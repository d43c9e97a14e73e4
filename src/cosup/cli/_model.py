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
