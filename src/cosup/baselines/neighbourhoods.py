"""Carry teachers' annotations to neighbours in the student's features, and weigh teachers region by region: Liger."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from cosup.baselines.aggregation import majority
from cosup.baselines.consensus import every_teacher, pooled, train_once
from cosup.estimators.base import TeacherSupervised
from cosup.estimators.supervision import Supervision
from cosup.labels import TeacherLabels
from cosup.utils.losses import softmax
from cosup.utils.row_blocks import row_blocks
from cosup.utils.validation import FloatArray, IntArray, check_positive

__all__ = ["Liger", "extended", "triplet_accuracies", "weighted_vote"]

SIMILARITIES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Candidate cosines above which an annotation is carried to a neighbour, the furthest reach first."""

ENOUGH = 0.95
"""The furthest reach at which carried annotations agree with the other teachers at least so often, as a share of how
often the teachers' own do."""

LEAST_SHARED = 10
"""Two teachers that speak together on fewer samples say nothing about each other."""

MOST_TRIPLETS = 100
"""Pairs of other teachers that a teacher's accuracy is estimated from."""

SURE = 0.95
"""Accuracies are cut off here, on the scale from -1 to 1."""


def nearest(Z: FloatArray, rows: IntArray) -> tuple[FloatArray, IntArray]:
    """Find the nearest other sample among `rows` of unit features `Z`: its cosine and position, both (n_samples,)."""
    best, place = np.full(len(Z), -np.inf), np.full(len(Z), -1)
    own = np.full(len(Z), -1)
    own[rows] = np.arange(len(rows))
    for block in row_blocks(len(Z), len(rows)):
        cosines = Z[block] @ Z[rows].T
        inside = np.flatnonzero(own[block] >= 0)
        cosines[inside, own[block][inside]] = -np.inf
        found = cosines.argmax(axis=1)
        best[block], place[block] = cosines[np.arange(len(found)), found], rows[found]
    return best, place


def extended(X: FloatArray, annotated: IntArray, n_classes: int) -> tuple[IntArray, str]:
    """Carry annotations to samples that a teacher abstains on, from the nearest one that it speaks on.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Nearest by the angle between centred rows.
    annotated : ndarray of shape (n_samples, n_teachers)
        Class ids, -1 where a teacher abstains.
    n_classes : int

    Returns
    -------
    annotated : ndarray of the same shape
        Carried as far as the first of `SIMILARITIES` at which carried annotations agree with the other teachers'
        majority at least 95 % as often as a teacher's own do; as they were, where none does.
    note : str
    """
    Z = np.asarray(X - X.mean(axis=0, dtype=np.float64), dtype=np.float32)
    Z /= np.maximum(np.linalg.norm(Z, axis=1, keepdims=True), 1e-12)
    votes = np.zeros((len(Z), n_classes))
    for column in annotated.T:
        rows = np.flatnonzero(column >= 0)
        votes[rows, column[rows]] += 1.0
    cosines = np.full(annotated.shape, -np.inf)
    carried = np.full(annotated.shape, -1)
    agree = np.zeros(2)
    silent_agreement: list[tuple[FloatArray, FloatArray]] = []
    for t, column in enumerate(annotated.T):
        rows = np.flatnonzero(column >= 0)
        if not len(rows):
            continue
        others = votes[rows].copy()
        others[np.arange(len(rows)), column[rows]] -= 1.0
        told = others.sum(axis=1) > 0
        agree += [(others.argmax(axis=1) == column[rows])[told].sum(), told.sum()]
        silent = column < 0
        if len(rows) < 2 or not silent.any():
            continue
        similarity, place = nearest(Z, rows)
        cosines[silent, t], carried[silent, t] = similarity[silent], column[place[silent]]
        judged = silent & (votes.sum(axis=1) > 0)
        silent_agreement.append((similarity[judged], votes[judged].argmax(axis=1) == column[place[judged]]))
    if not silent_agreement or not agree[1]:
        return annotated, "no annotation is carried to a neighbour"
    similarity, right = (np.concatenate(part) for part in zip(*silent_agreement, strict=True))
    for least in SIMILARITIES:
        reached = similarity >= least
        if reached.any() and right[reached].mean() >= ENOUGH * agree[0] / agree[1]:
            out = np.where(cosines >= least, carried, annotated)
            return out, f"{(out >= 0).sum() - (annotated >= 0).sum()} annotations carried to cosines from {least:g}"
    return annotated, "no annotation is carried to a neighbour"


def triplet_accuracies(signs: FloatArray, seed: int = 0) -> FloatArray:
    """Estimate accuracies ``E[s_j Y]`` of teachers that err independently, without a label (Fu et al. 2020).

    ``E[s_j s_k] = a_j a_k`` gives ``|a_j| = sqrt(|E[s_j s_k] E[s_j s_l] / E[s_k s_l]|)``, median over pairs of others;
    teachers are taken to be better than chance.

    Parameters
    ----------
    signs : ndarray of shape (n_samples, n_teachers)
        1, -1, or 0 where a teacher abstains.

    Returns
    -------
    ndarray of shape (n_teachers,)
        NaN where too few speak together.
    """
    speaks = np.abs(signs)
    together = speaks.T @ speaks
    with np.errstate(invalid="ignore", divide="ignore"):
        moments = np.where(together >= LEAST_SHARED, (signs.T @ signs) / together, np.nan)
    rng = np.random.default_rng(seed)
    out = np.full(signs.shape[1], np.nan)
    for j in range(signs.shape[1]):
        near = np.flatnonzero(np.isfinite(moments[j]) & (np.arange(len(out)) != j))
        pairs = np.array([pair for pair in combinations(near, 2) if np.isfinite(moments[pair])])
        if not len(pairs):
            continue
        k, m = pairs[rng.permutation(len(pairs))[:MOST_TRIPLETS]].T
        with np.errstate(invalid="ignore", divide="ignore"):
            squares = np.abs(moments[j, k] * moments[j, m] / moments[k, m])
        squares = squares[np.isfinite(squares)]
        if len(squares):
            out[j] = np.sqrt(np.median(squares))
    return np.asarray(np.clip(out, -SURE, SURE))


def weighted_vote(annotated: IntArray, accuracies: FloatArray, n_classes: int) -> FloatArray:
    """Compute naive Bayes' posterior, one class against the rest, (n_samples, n_classes); zeros without annotations.

    Parameters
    ----------
    annotated : ndarray of shape (n_samples, n_teachers)
    accuracies : ndarray of shape (n_classes, n_teachers)
        See `triplet_accuracies`.
    n_classes : int
    """
    logits = np.zeros((len(annotated), n_classes))
    weights = np.log((1.0 + accuracies) / (1.0 - accuracies))
    for t, column in enumerate(annotated.T):
        rows = np.flatnonzero(column >= 0)
        signs = np.where(column[rows, None] == np.arange(n_classes), 1.0, -1.0)
        logits[rows] += signs * weights[:, t]
    return np.asarray(softmax(logits) * (annotated >= 0).any(axis=1, keepdims=True))


class Liger(TeacherSupervised):
    """The student on annotations fused with its features (Chen et al. 2022, *Shoring up the foundations*: Liger).

    Annotations are carried to near samples on which a teacher abstains, see `extended`; the features are cut into
    parts by k-means; in every part the teachers' accuracies are estimated from their agreements by triplets (Fu et al.
    2020, *FlyingSquid*), one class against the rest, and weigh their votes. Ours: the paper tunes radii on labels,
    here one cosine is chosen by agreement among the teachers; where a part has too few joint votes, the accuracies of
    all samples stand in, then the median teacher's.

    Parameters
    ----------
    student : name of a student (see `as_student`), Student or scikit-learn classifier
    parts : int
        Number of parts of the features.
    soft : bool
        Train on the posterior rather than on its most probable class.
    random_state : int, RandomState or None
    """

    def __init__(self, student: Any = "ridge", *, parts: int = 4, soft: bool = False, random_state: Any = None) -> None:
        self.student = student
        self.parts = parts
        self.soft = soft
        self.random_state = random_state

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        from sklearn.cluster import KMeans

        check_positive(self.parts, "parts", integer=True)
        everyone = every_teacher(labels)
        annotated, note = extended(X, labels.hard(), labels.n_classes)
        parts = min(self.parts, len(X))
        part = KMeans(parts, n_init=1, random_state=seed).fit_predict(np.asarray(X, dtype=np.float32))
        whole = self._accuracies(annotated, labels.n_classes, seed)
        usual = np.nanmedian(whole) if np.isfinite(whole).any() else 0.5
        pool: FloatArray = np.zeros((len(X), labels.n_classes))
        for place in range(parts):
            rows = np.flatnonzero(part == place)
            own = self._accuracies(annotated[rows], labels.n_classes, seed)
            own = np.where(np.isfinite(own), own, np.where(np.isfinite(whole), whole, usual))
            pool[rows] = weighted_vote(annotated[rows], own, labels.n_classes)
        if labels.n_teachers == 1:
            pool = majority(annotated, labels.n_classes)
        return train_once(self.student, X, labels, pooled(everyone.columns, pool), seed, soft=self.soft, notes=[note])

    @staticmethod
    def _accuracies(annotated: IntArray, n_classes: int, seed: int) -> FloatArray:
        speaks = np.asarray(annotated >= 0, dtype=np.float64)
        return np.stack(
            [triplet_accuracies(speaks * np.where(annotated == c, 1.0, -1.0), seed) for c in range(n_classes)]
        )
