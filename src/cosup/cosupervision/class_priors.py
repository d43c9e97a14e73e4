"""The class prior: how frequent each class is, as far as annotations and features support it.

Posterior and student are held at these marginals, as far as several generalists support them. They come from the
generalists in three steps, none of which has a number to set but the weight of a first guess (`GUESS`):

1. *Accuracy of every generalist*: how often the others name its class where they annotate, too. A vote weighs 1 /
   coverage, so that every teacher has one vote to give in all. Where no other teacher annotates, it is how often the
   initial student, out of sample, agrees. So a rule that always speaks is contradicted wherever others speak, and a
   rule that alone names a class is contradicted by no one.
2. *Mean posterior*: of teachers with these accuracies, whose errors are spread evenly over classes. Its log-odds are
   divided by the root of the number of votes (between votes that repeat and votes that add up). A single generalist has
   its mean probabilities.
3. *Shrinkage*: samples that nobody annotates may be of any class, and so may those whose annotations neither the
   features predict nor a second teacher confirms. That part of the prior is uniform. Several generalists' confusions
   tell of the shares as well, so that posterior and student may leave the prior: the unknown part is the inverse of the
   penalty on the divergence from it. Under a lone one only the student could tell, and the prior is held in full.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosup.cosupervision.hierarchy import Level
from cosup.utils.losses import softmax
from cosup.utils.row_store import Rows
from cosup.utils.validation import FloatArray, IntArray

__all__ = ["ClassPrior", "estimate_class_prior"]

GUESS = 5.0
"""Samples that the student's agreement with a teacher counts for, beside those on which other teachers annotate."""


@dataclass(frozen=True)
class ClassPrior:
    """The class prior, and how far marginals are held at it.

    Attributes
    ----------
    shares : ndarray of shape (n_classes,)
        Positive, sums to one.
    weight : float
        One holds the marginals in full, zero not at all; see `cosup.cosupervision.marginals.match_marginals`.
    unknown : float
        Share of the samples whose class neither annotations nor features tell, by which the prior is shrunk to uniform.
    """

    shares: FloatArray
    weight: float = 1.0
    unknown: float = 1.0


def estimate_class_prior(level: Level, student_proba: Rows, consensus: IntArray) -> ClassPrior:
    """Estimate the class prior that marginals are held at.

    Parameters
    ----------
    level : Level
        The generalists.
    student_proba : Rows of shape (n_samples, n_classes)
        The initial student's out-of-sample probabilities, as they are.
    consensus : ndarray of shape (n_samples,)
        The generalists' class, -1 where all abstain.

    Returns
    -------
    ClassPrior
    """
    n_classes = student_proba.shape[1]
    several = level.speaks.shape[1] > 1
    annotated = consensus >= 0
    predicted = 0.0
    for rows, p in student_proba.blocks():
        own = np.flatnonzero(annotated[rows])
        predicted += float(p[own, consensus[rows][own]].sum(dtype=np.float64))
    shares, confirmed = _shares(level, student_proba, n_classes)
    n = int(annotated.sum())
    # Of a lone generalist, only the student can confirm the annotations.
    supported = (confirmed if several else predicted) / n
    # Known: samples that are annotated, by a class that the features predict or a second teacher confirms.
    unknown = 1 - n / len(consensus) * (1 - (1 - predicted / n) * (1 - supported))
    prior = (1 - unknown) * shares / n + unknown / n_classes
    return ClassPrior(prior, 1 / (1 + unknown) if several else 1.0, unknown)


def _shares(level: Level, student_proba: Rows, n_classes: int) -> tuple[FloatArray, float]:
    """Sum the generalists' posterior over samples, (n_classes,), and what several of them confirm."""
    several = level.speaks.shape[1] > 1
    total, confirmed = np.zeros(n_classes), 0.0
    accuracy = _accuracies(level, student_proba) if several else np.ones(1)
    odds = np.log(accuracy * (n_classes - 1) / (1 - accuracy)) if several else accuracy
    for rows, _ in student_proba.blocks():
        score = np.zeros((rows.stop - rows.start, n_classes))
        level.probabilities(rows).add_mixture(score, odds)
        votes = level.speaks[rows].sum(axis=1)
        if not several:
            total += score.sum(axis=0)
            continue
        voted = votes > 0
        posterior = softmax(score[voted] / np.sqrt(votes[voted])[:, None])
        total += posterior.sum(axis=0)
        confirmed += float(posterior.max(axis=1)[votes[voted] > 1].sum())
    return total, confirmed


def _accuracies(level: Level, student_proba: Rows) -> FloatArray:
    """Estimate how often every generalist names the true class where it speaks, between chance and nearly always."""
    n_teachers, n_classes = level.speaks.shape[1], student_proba.shape[1]
    weight = level.vote_weights
    agreed, compared, supported, spoken = (np.zeros(n_teachers) for _ in range(4))
    for rows, p in student_proba.blocks():
        speaks = level.speaks[rows]
        of_all = speaks @ weight
        annotations = level.probabilities(rows)
        votes = np.zeros(p.shape)
        annotations.add_mixture(votes, weight)
        for m, w in enumerate(weight):
            own = np.flatnonzero(speaks[:, m])
            annotated = annotations.dense(m)[own]
            square = np.einsum("ij,ij->i", annotated, annotated)
            supported[m] += np.einsum("ij,ij->", annotated, p[own])
            spoken[m] += square.sum()
            others = of_all[own] - w
            met = speaks[own].sum(axis=1) > 1
            same = np.einsum("ij,ij->i", annotated, votes[own]) - w * square
            agreed[m] += (same[met] / others[met]).sum()
            compared[m] += square[met].sum()
    guess = np.clip(supported / np.maximum(spoken, 1e-12), 0, 1)
    known = (agreed + GUESS * guess) / (compared + GUESS)
    # An annotation without support is right by chance.
    return np.asarray(np.clip(known, 0.0, 0.99) * (1 - 1 / n_classes) + 1 / n_classes)
