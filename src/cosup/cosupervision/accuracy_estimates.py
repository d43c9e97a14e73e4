"""Estimate the accuracies of the student and of every teacher, without a label.

The posterior says how probable each annotation is, and the student, on samples that it was not trained on, names the
same class or not. Both err where teachers share their mistakes, which no data without labels shows, so the intervals
hold, beside the sampling error, what the estimate depends on that nobody knows: the class shares first of all. The
weights of these were chosen on planted hierarchies and their coverage measured on others (studies/default.md).
"""

from __future__ import annotations

import numpy as np

from cosup.cosupervision.hierarchy import Hierarchy
from cosup.cosupervision.pooling import hold_marginals
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

STUDENT_ERROR, STUDENT_SHARES = 1.2, 1.9
"""Half of the student's interval, in units of ``p (1 - p)``, and of that total variation."""


def estimate_accuracies(hierarchy: Hierarchy, posterior: Rows, seen: Rows) -> Estimates:
    """Estimate what nobody has labels for.

    A teacher's accuracy is how often the student, on samples that it was not trained on, names the class that the
    teacher names. Squares add up to that of half its interval: the sampling error, the distance to what the posterior
    says, how far the estimate moves when the student's class marginals are held uniform, and a term for class shares
    that are not. The student's is the posterior's mean probability of what it names.

    Parameters
    ----------
    hierarchy : Hierarchy
    posterior : Rows of shape (n_samples, n_classes)
        The last round's pooled posterior, before it was hardened.
    seen : Rows of shape (n_samples, n_classes)
        The student's out-of-sample probabilities, as they are: held marginals would repeat the posterior's mistake.

    Returns
    -------
    Estimates
    """
    labels, active = hierarchy.labels, hierarchy.active
    n_teachers, n_classes = labels.n_teachers, len(active)
    speaks = labels.speaks()
    place = np.full(labels.n_classes + 1, -1)
    place[active] = np.arange(n_classes)
    balanced = RowStore.of(seen.blocks(), *seen.shape)
    hold_marginals(balanced, np.full(n_classes, 1 / n_classes))
    # By teacher and class: mass of the annotated class, and of all; for the posterior, student, balanced student.
    right, mass = np.zeros((3, n_teachers, n_classes)), np.zeros((3, n_teachers, n_classes))
    shares = np.zeros(n_classes)
    of_student = 0.0
    for (rows, q), (_, p), (_, even) in zip(posterior.blocks(), seen.blocks(), balanced.blocks(), strict=True):
        named = p.argmax(axis=1)
        shares += np.bincount(named, minlength=n_classes)
        of_student += float(q[np.arange(len(named)), named].sum())
        heard_of = speaks[rows].T.astype(np.float64)
        opinions = (q, one_hot(named, n_classes), one_hot(even.argmax(axis=1), n_classes))
        for which, probabilities in enumerate(opinions):
            mass[which] += heard_of @ probabilities
        for t in range(n_teachers):
            annotated = place[labels.predicted_class(t, rows)]
            speaking = np.flatnonzero(annotated >= 0)
            for which, probabilities in enumerate(opinions):
                given = probabilities[speaking, annotated[speaking]]
                right[which, t] += np.bincount(annotated[speaking], weights=given, minlength=n_classes)
    n = posterior.shape[0]
    uneven = float(np.abs(shares / n - 1 / n_classes).sum() / 2)
    count = speaks.sum(axis=0)
    teachers = _interval(right.sum(axis=2) / np.maximum(count, 1), count, uneven)
    teachers[count == 0] = np.nan
    by_class = np.full((n_teachers, labels.n_classes, 3), np.nan)
    never = right[0] <= 0
    # One more of either kind: a class that the student hardly names tells little.
    right[1:] += 1.0
    mass[1:] += 2.0
    intervals = _interval(right / np.maximum(mass, 1e-9), mass[:2].min(axis=0), uneven)
    intervals[never] = np.nan
    by_class[:, active] = intervals
    middle = of_student / n
    spread = middle * (1 - middle)
    model = (STUDENT_ERROR * spread) ** 2 + (STUDENT_SHARES * uneven) ** 2
    student = _ends(np.array(middle), np.sqrt(_sampling(np.array(spread), np.array(n)) + model))
    return Estimates(student, teachers, by_class, tuple(labels.names))


def _interval(shares: FloatArray, counts: FloatArray | IntArray, uneven: float) -> FloatArray:
    """Estimates and their ends (..., 3).

    Parameters
    ----------
    shares : ndarray of shape (3, ...)
        What posterior, student and balanced student say.
    counts : ndarray of shape (...)
        On how many samples.
    uneven : float
        Total variation between the student's class shares and uniform ones.
    """
    posterior, middle, even = shares
    spread = middle * (1 - middle)
    general = (MODEL_ERROR**2 + (SHARES * uneven) ** 2) * spread**2
    model = (posterior - middle) ** 2 + (PRIOR * (even - middle)) ** 2 + general
    return _ends(middle, np.sqrt(_sampling(spread, counts) + model))


def _sampling(spread: FloatArray, counts: FloatArray | IntArray) -> FloatArray:
    """Square of the sampling error's part of half an interval; never nothing, however sure an estimate is."""
    return np.asarray(SAMPLING**2 * np.maximum(spread, 0.01) / np.maximum(counts, 1.0))


def _ends(middle: FloatArray, half: FloatArray) -> FloatArray:
    return np.clip(np.stack([middle, middle - half, middle + half], axis=-1), 0.0, 1.0)
