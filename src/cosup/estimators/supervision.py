"""The outcome of a fit: the student after every level, a record a level, and provenance a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cosup.students import Head
from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = ["PROVENANCE", "Supervision", "level_record", "one_hot", "provenance_rows"]

PROVENANCE = np.dtype(
    [("teacher", "i4"), ("annotation", "i4"), ("kept", "?"), ("reason", "U16"), ("probability", "f4")]
)
"""A row of provenance: the teacher believed (its column, -1: none), what it said, whether that was kept, or why
not, and the probability that the student, who had not trained on the sample, gave to the annotation."""


@dataclass(frozen=True)
class Supervision:
    """What a method's training gives.

    Attributes
    ----------
    head : Head
        The final student.
    level_heads : tuple of Head
        The student after every level.
    history : list of dict
        A record a level, see `level_record`.
    provenance : structured ndarray of shape (n_samples, n_levels), dtype `PROVENANCE`
    estimates : object, optional
        What the method knows about accuracies without a label, see `cosup.cosupervision.accuracy_estimates`.
    """

    head: Head
    level_heads: tuple[Head, ...]
    history: list[dict[str, Any]]
    provenance: Any
    estimates: Any = None


def one_hot(ids: IntArray, n_classes: int) -> FloatArray:
    """Rows of zeros with a one at the class id, (n_samples, n_classes) float64; all zeros for -1."""
    out = np.zeros((len(ids), n_classes))
    rows = np.flatnonzero(ids >= 0)
    out[rows, ids[rows]] = 1.0
    return out


def level_record(
    level: int, teachers: IntArray, assigned: IntArray, kept: BoolArray, *, strength: float | None, agreement: float,
    objective: float, rounds: int, seconds: float, notes: list[str],
) -> dict[str, Any]:  # fmt: skip
    """One entry of ``history_``.

    Returns
    -------
    dict
        ``level``; ``teachers``, their columns; ``assigned`` (n_samples,), the column believed, -1 for none; ``kept``
        (n_samples,), whether its annotation survived; ``keep_rate``; ``agreement`` of the predictions that the method
        goes by (out-of-sample ones unless it says otherwise) with the student's training targets; ``objective``;
        ``rounds``; ``strength``; ``seconds``; ``notes``.
    """
    return {
        "level": level,
        "teachers": [int(t) for t in teachers],
        "assigned": assigned,
        "kept": kept,
        "keep_rate": float(kept.mean()),
        "agreement": float(agreement),
        "objective": float(objective),
        "rounds": rounds,
        "strength": strength,
        "seconds": seconds,
        "notes": notes,
    }


def provenance_rows(
    assigned: IntArray, annotation: IntArray, kept: BoolArray, reason: Any, probability: FloatArray
) -> Any:
    """One level's column of provenance, (n_samples,) of dtype `PROVENANCE`; see there."""
    out = np.zeros(len(assigned), dtype=PROVENANCE)
    out["teacher"], out["annotation"], out["kept"] = assigned, annotation, kept
    out["reason"] = np.where(kept, "", reason)
    out["probability"] = np.where(annotation >= 0, probability, np.nan)
    return out
