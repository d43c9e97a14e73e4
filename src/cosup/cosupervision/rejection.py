"""Rejection: which annotations contradict a student, and are not trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from cosup.cosupervision.local_students import LocalStudents
from cosup.utils.losses import TINY, cross_entropy
from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = [
    "NEEDS_LOCAL", "REJECTORS", "Evidence", "class_balanced", "local_global", "margin", "small_loss", "teacher_student",
]  # fmt: skip

KEEP = 0.7
"""Share that the rules by margin keep; the best of a few on the development tasks was not the same everywhere."""


@dataclass(frozen=True)
class Evidence:
    """What rejection goes by: vectors of n_samples.

    Attributes
    ----------
    said : ndarray of int
        The most probable class of the believed annotation, -1 where nobody was assigned.
    named : ndarray of int
        The latest global student's most probable class.
    probability : ndarray
        Which it gives to the class that was said.
    rank : ndarray of int
        How many classes it finds more probable than the one that was said.
    margin : ndarray
        That probability less the largest of the other classes.
    loss : ndarray
        Its cross-entropy against the annotation, in nats; infinite where nobody was assigned.
    local : LocalStudents or None
    """

    said: IntArray
    named: IntArray
    probability: FloatArray
    rank: IntArray
    margin: FloatArray
    loss: FloatArray
    local: LocalStudents | None

    @classmethod
    def of(
        cls,
        said: IntArray,
        student: Iterable[tuple[slice, FloatArray]],
        *,
        soft: Callable[[slice], FloatArray] | None = None,
        local: LocalStudents | None = None,
    ) -> Evidence:
        """Compare annotations with the student's probabilities, block by block.

        Parameters
        ----------
        said : ndarray of shape (n_samples,)
        student : iterable of (rows, probabilities)
            Probabilities (n_rows, n_classes).
        soft : callable, optional
            From rows to the annotations' probabilities (n_rows, n_classes), where these are soft.
        local : LocalStudents, optional
        """
        named, rank = np.empty_like(said), np.empty_like(said)
        probability, margin, loss = np.empty(len(said)), np.empty(len(said)), np.empty(len(said))
        for rows, p in student:
            of_said = p[np.arange(len(p)), said[rows]]
            named[rows] = p.argmax(axis=1)
            rank[rows] = (p > of_said[:, None]).sum(axis=1)
            probability[rows] = of_said
            two = np.partition(p, -2, axis=1)[:, -2:]
            margin[rows] = of_said - np.where(rank[rows] == 0, two[:, 0], two[:, 1])
            loss[rows] = -np.log(np.maximum(of_said, TINY)) if soft is None else cross_entropy(soft(rows), p)
        loss[said < 0] = np.inf
        return cls(said, named, probability, rank, margin, loss, local)


def teacher_student(evidence: Evidence) -> BoolArray:
    """Keep where the local student names the class that its teacher named (check a, pi_km -> theta_km)."""
    local = evidence.local
    assert local is not None
    return np.asarray((local.named == evidence.said) | ~local.trained)


def local_global(evidence: Evidence) -> BoolArray:
    """Keep where the local student and the global one name the same class (check b, theta_km -> theta_k)."""
    local = evidence.local
    assert local is not None
    return np.asarray((local.named == evidence.named) | ~local.trained)


def small_loss(evidence: Evidence, top: int) -> BoolArray:
    """Keep the samples of smallest cross-entropy, as large a share as are annotated within the student's `top` classes.

    The released code's rejection: rho is that share, and the rho * N samples with the smallest loss are kept.
    """
    quota = int((evidence.rank[evidence.said >= 0] < top).sum())
    keep = np.zeros(len(evidence.said), dtype=bool)
    keep[np.argsort(evidence.loss, kind="stable")[:quota]] = True
    return keep


def margin(evidence: Evidence) -> BoolArray:
    """Keep the 70 % of the annotations with the largest margin."""
    return _best(evidence.margin, evidence.said >= 0)


def class_balanced(evidence: Evidence) -> BoolArray:
    """Keep the 70 % of every class's annotations with the largest margin: a quota of all starves the hard classes."""
    keep = np.zeros(len(evidence.said), dtype=bool)
    for c in np.unique(evidence.said[evidence.said >= 0]):
        keep |= _best(evidence.margin, evidence.said == c)
    return keep


def _best(score: FloatArray, among: BoolArray) -> BoolArray:
    keep = np.zeros(len(score), dtype=bool)
    rows = np.flatnonzero(among)
    keep[rows[np.argsort(-score[rows], kind="stable")[: round(KEEP * len(rows))]]] = True
    return keep


Rejector = Callable[[Evidence], BoolArray]

REJECTORS: dict[str, Rejector] = {
    "teacher-student": teacher_student,
    "local-global": local_global,
    "margin": margin,
    "class-balanced": class_balanced,
    "top1": partial(small_loss, top=1),
    "top2": partial(small_loss, top=2),
    "top3": partial(small_loss, top=3),
}

NEEDS_LOCAL = frozenset({"teacher-student", "local-global"})
