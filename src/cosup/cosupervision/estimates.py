"""What the method knows about itself: accuracies of the student and of every teacher, without a label.

The posterior says how probable each annotation is, and the student, on samples that it was not trained on, names the
same class or not. Both err where teachers share their mistakes, which no data without labels shows, so the intervals
hold, beside the sampling error, a model error measured on planted hierarchies (docs/default.md has their coverage).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosup._validation import FloatArray
from cosup.cosupervision._problem import Problem
from cosup.cosupervision._store import Rows

__all__ = ["Estimates", "estimate_accuracies"]

STUDENT_ERROR = 1.35
"""Half of the student's 90 % interval, in logits."""

TEACHER_ERROR = 2.4
"""Half of a teacher's 90 % interval, in units of the root of squared model, disagreement and sampling errors."""

MODEL_ERROR = 0.1
"""In logits, where posterior and student name the classes equally often."""

SHARES_ERROR = 2.5
"""In logits, if they had no class in common: what the held marginals get wrong is wrong for every teacher."""

EDGE = 0.005
"""Estimates stay this far from 0 and 1."""


@dataclass(frozen=True, eq=False)
class Estimates:
    """Estimated accuracies, each with a 90 % interval.

    Attributes
    ----------
    student : ndarray of shape (3,)
        Estimate, lower and upper end, of the student on samples that it was not trained on; NaN where it is not known.
    teachers : ndarray of shape (n_teachers, 3)
        Of every teacher on the samples that it speaks of.
    by_class : ndarray of shape (n_teachers, n_classes, 3)
        Of every teacher on the samples of a class; NaN where it never names the class or it is not among those named.
    """

    student: FloatArray
    teachers: FloatArray
    by_class: FloatArray


def estimate_accuracies(problem: Problem, posterior: Rows, seen: Rows) -> Estimates:
    """Estimate what nobody has labels for.

    A teacher's accuracy is the mean, in logits, of the posterior's probability of what it says and of the student's
    agreement with it. How far the two lie apart, the sampling error and a model error make the width of its interval.

    Parameters
    ----------
    problem : Problem
    posterior : Rows of shape (n_samples, n_classes)
        The last round's pooled posterior, before it was hardened.
    seen : Rows of shape (n_samples, n_classes)
        The student's out-of-sample probabilities, as they are: held marginals would repeat the posterior's mistake.

    Returns
    -------
    Estimates
    """
    labels, active = problem.labels, problem.active
    n_teachers, n_classes = labels.n_teachers, len(active)
    speaks = labels.speaks()
    place = np.full(labels.n_classes + 1, -1)
    place[active] = np.arange(n_classes)
    # By teacher and class, once for the posterior and once for the student: mass of what is said, and of all.
    right, mass = np.zeros((2, n_teachers, n_classes)), np.zeros((2, n_teachers, n_classes))
    shares = np.zeros((2, n_classes))
    of_student = 0.0
    for (rows, q), (_, p) in zip(posterior.blocks(), seen.blocks(), strict=True):
        named = p.argmax(axis=1)
        hard = np.zeros_like(q)
        hard[np.arange(len(named)), named] = 1.0
        of_student += float(q[np.arange(len(named)), named].sum())
        heard_of = speaks[rows].T.astype(np.float64)
        for which, probabilities in enumerate((q, hard)):
            mass[which] += heard_of @ probabilities
            shares[which] += probabilities.sum(axis=0)
        for t in range(n_teachers):
            said = place[labels.named(t, rows)]
            heard = np.flatnonzero(said >= 0)
            for which, probabilities in enumerate((q, hard)):
                given = probabilities[heard, said[heard]]
                right[which, t] += np.bincount(said[heard], weights=given, minlength=n_classes)
    apart = float(np.abs(shares[0] - shares[1]).sum() / 2 / posterior.shape[0])
    count = speaks.sum(axis=0)
    teachers = _interval(right.sum(axis=2) / np.maximum(count, 1), np.stack([count, count]), apart)
    teachers[count == 0] = np.nan
    by_class = np.full((n_teachers, labels.n_classes, 3), np.nan)
    never = right[0] <= 0
    # One more of either kind: a class that the student hardly names tells little.
    right[1] += 1.0
    mass[1] += 2.0
    intervals = _interval(right / np.maximum(mass, 1e-9), mass, apart)
    intervals[never] = np.nan
    by_class[:, active] = intervals
    centre = _logit(np.array(of_student / posterior.shape[0]))
    student = _expit(centre + STUDENT_ERROR * np.array([0.0, -1.0, 1.0]))
    return Estimates(student, teachers, by_class)


def _interval(shares: FloatArray, counts: FloatArray, apart: float) -> FloatArray:
    """Estimates and their ends (..., 3) of what posterior and student say (2, ...) on so many samples (2, ...).

    `apart` is the distance in total variation between the class shares of posterior and student.
    """
    logits = _logit(shares)
    centre = logits.mean(axis=0)
    middle = _expit(centre)
    sampling = 1.0 / (np.maximum(counts.min(axis=0), 1.0) * np.maximum(middle * (1 - middle), 0.01))
    model = MODEL_ERROR**2 + (SHARES_ERROR * apart) ** 2
    half = TEACHER_ERROR * np.sqrt(model + (logits[0] - logits[1]) ** 2 + sampling)
    return np.stack([middle, _expit(centre - half), _expit(centre + half)], axis=-1)


def _logit(p: FloatArray) -> FloatArray:
    p = np.clip(p, EDGE, 1 - EDGE)
    return np.asarray(np.log(p / (1 - p)))


def _expit(x: FloatArray) -> FloatArray:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))
