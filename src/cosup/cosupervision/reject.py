"""Rejection: which annotations contradict a student, and are not trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from cosup._validation import BoolArray, FloatArray, IntArray
from cosup.cosupervision.local import LocalStudents
from cosup.losses import TINY, cross_entropy

__all__ = ["NEEDS_LOCAL", "REJECTORS", "Evidence", "local_global", "small_loss", "teacher_student"]


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
    loss : ndarray
        Its cross-entropy against the annotation, in nats; infinite where nobody was assigned.
    local : LocalStudents or None
    """

    said: IntArray
    named: IntArray
    probability: FloatArray
    rank: IntArray
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
        probability, loss = np.empty(len(said)), np.empty(len(said))
        for rows, p in student:
            of_said = p[np.arange(len(p)), said[rows]]
            named[rows] = p.argmax(axis=1)
            rank[rows] = (p > of_said[:, None]).sum(axis=1)
            probability[rows] = of_said
            loss[rows] = -np.log(np.maximum(of_said, TINY)) if soft is None else cross_entropy(soft(rows), p)
        loss[said < 0] = np.inf
        return cls(said, named, probability, rank, loss, local)


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


Rejector = Callable[[Evidence], BoolArray]

REJECTORS: dict[str, Rejector] = {
    "teacher-student": teacher_student,
    "local-global": local_global,
    "top1": partial(small_loss, top=1),
    "top2": partial(small_loss, top=2),
    "top3": partial(small_loss, top=3),
}

NEEDS_LOCAL = frozenset({"teacher-student", "local-global"})
