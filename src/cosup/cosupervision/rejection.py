"""Rejection: rules that find the annotations that contradict a student, which are not trained on.

A rule maps `Evidence` to a mask of the samples whose annotation is kept. `register_rejection` adds one under a name,
with the reason that provenance, ``cosup explain`` and the explorer give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from cosup.cosupervision.local_students import LocalStudents
from cosup.utils.losses import TINY, cross_entropy
from cosup.utils.registry import Registry
from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = ["REJECTIONS", "Evidence", "Rejection", "register_rejection"]

Rule = Callable[["Evidence"], BoolArray]
AnyRule = TypeVar("AnyRule", bound=Rule)

KEPT_SHARE = 0.7
"""Share of the annotations that the rules by margin keep."""


@dataclass(frozen=True)
class Rejection:
    """A rejection rule.

    Attributes
    ----------
    keep : callable
        A function from `Evidence` to a bool mask (n_samples,) of the annotations that are kept.
    reason : str
        Why an annotation was rejected, as a clause: "its margin is among the smallest".
    needs_local : bool
        Whether local students are trained for it; else `Evidence.local` is None.
    """

    keep: Rule
    reason: str
    needs_local: bool = False


REJECTIONS: Registry[Rejection] = Registry("rejection rule")
"""Rejection rules by name."""


def register_rejection(name: str, *, reason: str, needs_local: bool = False) -> Callable[[AnyRule], AnyRule]:
    """Register the decorated function as a rejection rule.

    Parameters
    ----------
    name : str
        The name in ``reject=(...)``.
    reason : str
        Why an annotation was rejected, as a clause: it stands in provenance and in explanations.
    needs_local : bool
        Whether the rule needs local students, which are only trained then.

    Returns
    -------
    decorator
        For a function from `Evidence` to a bool ndarray (n_samples,): True where the annotation is kept.

    Raises
    ------
    CosupError
        If the name is taken.

    Examples
    --------
    >>> from cosup import register_rejection
    >>> @register_rejection("confident", reason="the student finds it improbable")  # doctest: +SKIP
    ... def confident(evidence):
    ...     return evidence.probability > 0.2
    """
    return REJECTIONS.decorator(name, lambda rule: Rejection(rule, reason, needs_local))


@dataclass(frozen=True)
class Evidence:
    """Comparison of annotations with students, by which rules reject: vectors of n_samples.

    Where `annotation` is -1, `probability`, `rank` and `margin` mean nothing.

    Attributes
    ----------
    annotation : ndarray of int
        The most probable class of the assigned teacher's annotation, -1 where none is assigned.
    predicted : ndarray of int
        The latest global student's most probable class.
    probability : ndarray
        The global student's probability of the annotated class.
    rank : ndarray of int
        Number of classes that the global student finds more probable than the annotated one.
    margin : ndarray
        The probability of the annotated class less the largest one of another class.
    loss : ndarray
        The global student's cross-entropy against the annotation, in nats; infinite where none is assigned.
    local : LocalStudents or None
        The local students, where a rule needs them.
    """

    annotation: IntArray
    predicted: IntArray
    probability: FloatArray
    rank: IntArray
    margin: FloatArray
    loss: FloatArray
    local: LocalStudents | None

    @classmethod
    def of(
        cls,
        annotation: IntArray,
        student: Iterable[tuple[slice, FloatArray]],
        *,
        soft: Callable[[slice], FloatArray] | None = None,
        local: LocalStudents | None = None,
    ) -> Evidence:
        """Compare annotations with the student's probabilities, block by block.

        Parameters
        ----------
        annotation : ndarray of shape (n_samples,)
        student : iterable of (rows, probabilities)
            Probabilities (n_rows, n_classes).
        soft : callable, optional
            A function from rows to the annotations' probabilities (n_rows, n_classes), where these are soft.
        local : LocalStudents, optional
        """
        predicted, rank = np.empty_like(annotation), np.empty_like(annotation)
        probability, margin, loss = np.empty(len(annotation)), np.empty(len(annotation)), np.empty(len(annotation))
        for rows, p in student:
            of_annotation = p[np.arange(len(p)), annotation[rows]]
            predicted[rows] = p.argmax(axis=1)
            rank[rows] = (p > of_annotation[:, None]).sum(axis=1)
            probability[rows] = of_annotation
            two = np.partition(p, -2, axis=1)[:, -2:]
            margin[rows] = of_annotation - np.where(rank[rows] == 0, two[:, 0], two[:, 1])
            loss[rows] = -np.log(np.maximum(of_annotation, TINY)) if soft is None else cross_entropy(soft(rows), p)
        loss[annotation < 0] = np.inf
        return cls(annotation, predicted, probability, rank, margin, loss, local)


@register_rejection(
    "teacher-student",
    reason="the teacher's own local student contradicts it",
    needs_local=True,
)
def teacher_student(evidence: Evidence) -> BoolArray:
    """Keep where the local student predicts the class that its teacher annotated (check a, pi_km -> theta_km)."""
    return _local_predicts(evidence, evidence.annotation)


@register_rejection(
    "local-global",
    reason="the teacher's local student and the global student predict different classes",
    needs_local=True,
)
def local_global(evidence: Evidence) -> BoolArray:
    """Keep where local and global student predict one class (check b, theta_km -> theta_k)."""
    return _local_predicts(evidence, evidence.predicted)


def _local_predicts(evidence: Evidence, classes: IntArray) -> BoolArray:
    """Mark where the local student predicts `classes`; where none was trained, nothing contradicts the annotation."""
    local = evidence.local
    assert local is not None
    return np.asarray((local.predicted == classes) | ~local.trained)


def small_loss(evidence: Evidence, top: int) -> BoolArray:
    """Keep the rho * N samples with the smallest loss (the released code's rejection).

    rho is the share of the samples whose annotated class is among the student's `top` most probable ones.
    """
    quota = int((evidence.rank[evidence.annotation >= 0] < top).sum())
    keep = np.zeros(len(evidence.annotation), dtype=bool)
    keep[np.argsort(evidence.loss, kind="stable")[:quota]] = True
    return keep


@register_rejection(
    "margin",
    reason="its margin over the student's other classes is among the smallest",
)
def margin(evidence: Evidence) -> BoolArray:
    """Keep the 70 % of the annotations with the largest margin."""
    return _best(evidence.margin, evidence.annotation >= 0)


@register_rejection(
    "class-balanced",
    reason="its margin over the student's other classes is among the smallest of its class",
)
def class_balanced(evidence: Evidence) -> BoolArray:
    """Keep the 70 % of every class's annotations with the largest margin; of hard classes `margin` keeps hardly any."""
    keep = np.zeros(len(evidence.annotation), dtype=bool)
    for c in np.unique(evidence.annotation[evidence.annotation >= 0]):
        keep |= _best(evidence.margin, evidence.annotation == c)
    return keep


def _best(score: FloatArray, among: BoolArray) -> BoolArray:
    keep = np.zeros(len(score), dtype=bool)
    rows = np.flatnonzero(among)
    keep[rows[np.argsort(-score[rows], kind="stable")[: round(KEPT_SHARE * len(rows))]]] = True
    return keep


_QUOTAS = {1: "that the student predicts", 2: "among the student's two best", 3: "among the student's three best"}
for _top, _which in _QUOTAS.items():
    _why = f"the student's loss on it is among the largest (quota: annotations {_which})"
    register_rejection(f"top{_top}", reason=_why)(partial(small_loss, top=_top))
REJECTIONS.mark_shipped()
