"""Estimate the accuracies of the student and of every teacher, without a label.

Two things tell whether an annotation is right: its probability in the posterior, and whether the student, on samples
that it was not trained on, predicts it. Both err where teachers share their mistakes, which nothing shows without
labels. So the intervals hold more than the sampling error: also how far the estimate depends on quantities that are
not known, the class shares above all. benchmarks/studies/default.md has the coverage that was measured.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cosup.cosupervision.class_priors import ClassPrior
from cosup.cosupervision.hierarchy import Hierarchy
from cosup.cosupervision.marginals import hold_marginals
from cosup.estimators.accuracy import Estimates
from cosup.estimators.supervision import one_hot
from cosup.utils.row_store import Rows, RowStore
from cosup.utils.validation import FloatArray, IntArray

__all__ = ["estimate_accuracies"]

SAMPLING = 1.645
"""Standard errors of sampling in half of a 90 % interval."""

PRIOR = 3.0
"""Half of a teacher's interval, in units of how far its estimate moves if all classes are held equally frequent."""

SHARES = 5.0
"""Half of a teacher's interval, in units of ``p (1 - p)`` times the total variation between the student's class shares
and uniform ones: a weak generalist's shares are nearer to uniform than the truth, and everything is held at them."""

MODEL_ERROR = 0.3
"""Half of a teacher's interval, in units of ``p (1 - p)``: mistakes that teachers and student share, which nothing
shows. Planted tasks are covered without it, real ones less."""

STUDENT_ERROR, UNKNOWN = 1.2, 0.4
"""Half of the student's interval, in units of ``p (1 - p)``, and of the share of the class prior that is unknown."""


def estimate_accuracies(hierarchy: Hierarchy, posterior: Rows, student_proba: Rows, unknown: float) -> Estimates:
    """Estimate the accuracies of the student and of every teacher, overall and by class.

    A teacher's accuracy is how often the student, on samples that it was not trained on, predicts the class that the
    teacher annotates; annotations that leave several classes open are not counted. Half of its interval is the root of
    a sum of squares: of the sampling error, of the distance to the posterior's estimate, of how far the estimate moves
    when the student's marginals are held uniform, and of a term for unequal class shares. The student's accuracy is the
    posterior's mean probability of the class that it predicts; its interval is wider where less of the class prior is
    known.

    Parameters
    ----------
    hierarchy : Hierarchy
    posterior : Rows of shape (n_samples, n_classes)
        The last round's pooled posterior, before it was hardened.
    student_proba : Rows of shape (n_samples, n_classes)
        The student's out-of-sample probabilities, as they are: held marginals would repeat the posterior's mistake.
    unknown : float
        Share of the class prior that is unknown, see `cosup.cosupervision.class_priors.ClassPrior`.

    Returns
    -------
    Estimates
    """
    labels, active = hierarchy.labels, hierarchy.active
    n_teachers, n_classes = labels.n_teachers, len(active)
    place = np.full(labels.n_classes + 1, -1)
    place[active] = np.arange(n_classes)
    student_class = np.empty(student_proba.shape[0], dtype=np.int64)

    def noted() -> Iterator[tuple[slice, FloatArray]]:
        for rows, p in student_proba.blocks():
            student_class[rows] = p.argmax(axis=1)
            yield rows, p

    balanced = RowStore.of(noted(), *student_proba.shape)
    hold_marginals(balanced, ClassPrior(np.full(n_classes, 1 / n_classes)))
    # By teacher and class: mass of the annotated class, and of all; for the posterior, student, balanced student.
    right, mass = np.zeros((3, n_teachers, n_classes)), np.zeros((3, n_teachers, n_classes))
    shares, count = np.zeros(n_classes), np.zeros(n_teachers, dtype=np.int64)
    of_student = 0.0
    for (rows, q), (_, even) in zip(posterior.blocks(), balanced.blocks(), strict=True):
        predicted = student_class[rows]
        shares += np.bincount(predicted, minlength=n_classes)
        of_student += float(q[np.arange(len(predicted)), predicted].sum())
        annotated_ids = [labels.predicted_class(t, rows) for t in range(n_teachers)]
        single_class = np.stack(annotated_ids) >= 0
        count += single_class.sum(axis=1)
        sources = (q, one_hot(predicted, n_classes), one_hot(even.argmax(axis=1), n_classes))
        for which, probabilities in enumerate(sources):
            mass[which] += single_class.astype(np.float64) @ probabilities
        for t in range(n_teachers):
            annotated = place[annotated_ids[t]]
            speaking = np.flatnonzero(annotated >= 0)
            for which, probabilities in enumerate(sources):
                given = probabilities[speaking, annotated[speaking]]
                right[which, t] += np.bincount(annotated[speaking], weights=given, minlength=n_classes)
    n = posterior.shape[0]
    uneven = float(np.abs(shares / n - 1 / n_classes).sum() / 2)
    teachers = _interval(right.sum(axis=2) / np.maximum(count, 1), count, uneven)
    teachers[count == 0] = np.nan
    by_class = np.full((n_teachers, labels.n_classes, 3), np.nan)
    never = right[0] <= 0
    # One right and one wrong annotation more: a class that the student hardly predicts tells little.
    right[1:] += 1.0
    mass[1:] += 2.0
    intervals = _interval(right / np.maximum(mass, 1e-9), mass[:2].min(axis=0), uneven)
    intervals[never] = np.nan
    by_class[:, active] = intervals
    middle = of_student / n
    spread = middle * (1 - middle)
    model = (STUDENT_ERROR * spread) ** 2 + (UNKNOWN * unknown) ** 2
    student = _ends(np.array(middle), np.sqrt(_sampling(np.array(spread), np.array(n)) + model))
    return Estimates(student, teachers, by_class, tuple(labels.names))


def _interval(shares: FloatArray, counts: FloatArray | IntArray, uneven: float) -> FloatArray:
    """Add an interval to estimates, (..., 3): estimate, lower and upper end.

    Parameters
    ----------
    shares : ndarray of shape (3, ...)
        The estimates by posterior, student and balanced student.
    counts : ndarray of shape (...)
        Numbers of samples that they rest on.
    uneven : float
        Total variation between the student's class shares and uniform ones.
    """
    posterior, middle, even = shares
    spread = middle * (1 - middle)
    general = (MODEL_ERROR**2 + (SHARES * uneven) ** 2) * spread**2
    model = (posterior - middle) ** 2 + (PRIOR * (even - middle)) ** 2 + general
    return _ends(middle, np.sqrt(_sampling(spread, counts) + model))


def _sampling(spread: FloatArray, counts: FloatArray | IntArray) -> FloatArray:
    """Square the sampling error of half an interval; never zero, however certain an estimate is."""
    return np.asarray(SAMPLING**2 * np.maximum(spread, 0.01) / np.maximum(counts, 1.0))


def _ends(middle: FloatArray, half: FloatArray) -> FloatArray:
    return np.clip(np.stack([middle, middle - half, middle + half], axis=-1), 0.0, 1.0)
