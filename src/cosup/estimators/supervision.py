"""The outcome of a fit: the student after every level, a record a level, and provenance a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosup.estimators.accuracy import Estimates
from cosup.students import Head
from cosup.utils.row_store import Rows
from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = ["PROVENANCE", "LevelRecord", "Supervision", "one_hot", "provenance_rows"]

PROVENANCE = np.dtype([("teacher", "i4"), ("annotation", "i4"), ("kept", "?"), ("reason", "O"), ("probability", "f4")])
"""A row of provenance: the teacher assigned (its column, -1: none), its annotation, whether that was kept, or why not,
and the probability that the student, which had not trained on the sample, gave to the annotation. Reasons are
references to a few shared texts of any length."""


@dataclass(frozen=True)
class Supervision:
    """The outcome of a method's training.

    Attributes
    ----------
    head : Head
        The final student.
    level_heads : tuple of Head
        The student after every level.
    history : list of dict
        A record a level, see `LevelRecord`.
    provenance : structured ndarray of shape (n_samples, n_levels), dtype `PROVENANCE`
    estimates : Estimates, optional
        Accuracies that the method estimates without a label.
    posterior : Rows of shape (n_samples, n_classes), optional
        Class probabilities of the training samples by student and teachers together, where the method has such a
        model and its student could learn it.
    """

    head: Head
    level_heads: tuple[Head, ...]
    history: list[dict[str, Any]]
    provenance: Any
    estimates: Estimates | None = None
    posterior: Rows | None = None


def one_hot(ids: IntArray, n_classes: int) -> FloatArray:
    """Make rows of zeros with a one at the class id, (n_samples, n_classes) float64; all zeros for -1."""
    out = np.zeros((len(ids), n_classes))
    rows = np.flatnonzero(ids >= 0)
    out[rows, ids[rows]] = 1.0
    return out


@dataclass(frozen=True, kw_only=True)
class LevelRecord:
    """The record of a level, an entry of ``history_``.

    Attributes
    ----------
    level : int
    teachers : ndarray of int
        Their columns.
    assigned : ndarray of shape (n_samples,)
        The column of the teacher assigned, -1 for none.
    kept : bool ndarray of shape (n_samples,)
        Whether its annotation survived.
    agreement : float
        Share of samples on which the student's predictions (those of a student that did not train on the sample,
        unless the method says otherwise) equal its training targets.
    alpha : float, optional
        The student's regularisation.
    objective : float
    rounds : int
        Rounds in which a student was trained.
    seconds : float
    outcome : str
        One of `cosup.cosupervision.state.Outcome`; ``"trained"`` unless something was out of the ordinary.
    notes : list of str
        The outcome as sentences, and whatever else a user should know.
    """

    level: int
    teachers: IntArray
    assigned: IntArray
    kept: BoolArray
    agreement: float
    alpha: float | None = None
    objective: float = float("nan")
    rounds: int = 1
    seconds: float = 0.0
    outcome: str = "trained"
    notes: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of ``history_``: the attributes, and ``keep_rate``, the share of samples kept."""
        return {
            "level": self.level,
            "teachers": [int(t) for t in self.teachers],
            "assigned": self.assigned,
            "kept": self.kept,
            "keep_rate": float(self.kept.mean()),
            "agreement": float(self.agreement),
            "objective": float(self.objective),
            "rounds": self.rounds,
            "alpha": self.alpha,
            "seconds": self.seconds,
            "outcome": self.outcome,
            "notes": list(self.notes),
        }


def provenance_rows(
    assigned: IntArray, annotation: IntArray, kept: BoolArray, reason: Any, probability: FloatArray
) -> Any:
    """Make one level's column of provenance, (n_samples,) of dtype `PROVENANCE`."""
    out = np.zeros(len(assigned), dtype=PROVENANCE)
    out["teacher"], out["annotation"], out["kept"] = assigned, annotation, kept
    out["reason"] = np.where(kept, "", reason)
    out["probability"] = np.where(annotation >= 0, probability, np.nan)
    return out
