"""Predictions as files: CSV, npz, npy."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cosup.utils.slices import rows_within, slices

ENTRIES = 1 << 24
"""Probabilities or features that are held together: 128 MB."""


def predictions(path: Path, model: Any, X: Any, ids: Sequence[str] | None) -> bytes:
    """Predict, a block of samples at a time, and encode for the file's extension: csv, npz or npy (class ids)."""
    names: Sequence[str] = model.class_names_
    best, largest, all_of_them = np.empty(len(X), dtype=np.int64), np.empty(len(X)), []
    for rows in slices(len(X), rows_within(ENTRIES, max(len(names), X.shape[1]))):
        with warnings.catch_warnings():
            # Columns were taken by name when they were read.
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
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
