"""Rejection: which annotations contradict a student, and are not trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from cosup._validation import BoolArray, FloatArray
from cosup.cosupervision.local import LocalStudents
from cosup.losses import cross_entropy

__all__ = ["NEEDS_LOCAL", "REJECTORS", "Evidence", "local_global", "small_loss", "teacher_student"]


@dataclass(frozen=True)
class Evidence:
    """What rejection goes by; arrays of shape (n_samples, n_classes) and a mask (n_samples,).

    Attributes
    ----------
    annotations : ndarray
        What the assigned teachers said; zeros where nobody was assigned.
    student : ndarray
        The latest global student's probabilities.
    local : LocalStudents or None
    """

    annotations: FloatArray
    student: FloatArray
    local: LocalStudents | None


def teacher_student(evidence: Evidence) -> BoolArray:
    """Keep where the local student names the class that its teacher named (check a, pi_km -> theta_km)."""
    local = evidence.local
    assert local is not None
    same = local.probabilities.argmax(axis=1) == evidence.annotations.argmax(axis=1)
    return np.asarray(same | ~local.trained)


def local_global(evidence: Evidence) -> BoolArray:
    """Keep where the local student and the global one name the same class (check b, theta_km -> theta_k)."""
    local = evidence.local
    assert local is not None
    same = local.probabilities.argmax(axis=1) == evidence.student.argmax(axis=1)
    return np.asarray(same | ~local.trained)


def small_loss(evidence: Evidence, top: int) -> BoolArray:
    """Keep the samples of smallest cross-entropy, as large a share as are annotated within the student's `top` classes.

    The released code's rejection: rho is that share, and the rho * N samples with the smallest loss are kept.
    """
    said = evidence.annotations.sum(axis=1) > 0
    named = evidence.annotations.argmax(axis=1)
    of_named = evidence.student[np.arange(len(named)), named]
    rank = (evidence.student > of_named[:, None]).sum(axis=1)
    quota = int((rank[said] < top).sum())
    loss = np.where(said, cross_entropy(evidence.annotations, evidence.student), np.inf)
    keep = np.zeros(len(named), dtype=bool)
    keep[np.argsort(loss, kind="stable")[:quota]] = True
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
