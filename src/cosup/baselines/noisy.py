"""The generalists' labels as noisy labels: smooth, select, weigh or relabel them, then train a student."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from cosup.baselines.consensus import (
    Consensus,
    agreement,
    check_fraction,
    check_keep_rate,
    first_fit,
    floored,
    generalists,
    gradient_supervision,
    pooled,
    suited,
    supervision,
    train_once,
)
from cosup.estimators.base import TeacherSupervised
from cosup.estimators.supervision import Supervision
from cosup.labels import TeacherLabels
from cosup.students import Fit, Trainer
from cosup.utils.losses import cross_entropy
from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import BoolArray, CosupError, FloatArray, IntArray, check_choice, check_positive

__all__ = [
    "CoTeaching",
    "ConfidentLearning",
    "NeighbourSmoothing",
    "ReliabilityWeighting",
    "SelfDistillation",
    "SmallLoss",
    "neighbours_mean",
    "reliability",
    "small_loss",
]


def neighbours_mean(X: FloatArray, probabilities: FloatArray, k: int) -> FloatArray:
    """Average the rows of each sample's k nearest neighbours that have one.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Nearest by the angle between centred rows.
    probabilities : ndarray of shape (n_samples, n_classes)
        Rows of zeros are left out: they are no sample's neighbour.
    k : int
        The sample itself, where it has a row, among them.

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
    """
    Z = np.asarray(X - X.mean(axis=0, dtype=np.float64), dtype=np.float32)
    Z /= np.maximum(np.linalg.norm(Z, axis=1, keepdims=True), 1e-12)
    rows = np.flatnonzero(probabilities.sum(axis=1) > 0)
    search = NearestNeighbors(n_neighbors=min(k, len(rows)), algorithm="brute").fit(Z[rows])
    near = search.kneighbors(Z, return_distance=False)
    out = np.zeros_like(probabilities)
    for column in near.T:
        out += probabilities[rows[column]]
    return np.asarray(out / near.shape[1])


class NeighbourSmoothing(TeacherSupervised):
    """The student on the generalists' labels, smoothed over k nearest neighbours in the student's features.

    Wilson's editing (1972, *Asymptotic properties of nearest neighbor rules using edited data*) in its soft form;
    samples on which the generalists abstain get their neighbours' consensus. k = 30 is what our prototypes used.

    Parameters
    ----------
    student : name of a student (see `as_student`), Student or scikit-learn classifier
    k : int
        Neighbours, the sample itself among them.
    soft : bool
        Train on the smoothed probabilities rather than on their most probable class.
    random_state : int, RandomState or None
    """

    def __init__(self, student: Any = "ridge", *, k: int = 30, soft: bool = False, random_state: Any = None) -> None:
        self.student = student
        self.k = k
        self.soft = soft
        self.random_state = random_state

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        check_positive(self.k, "k", integer=True)
        consensus = generalists(labels)
        smooth = pooled(consensus.columns, neighbours_mean(X, consensus.vote, self.k))
        return train_once(self.student, X, labels, smooth, seed, soft=self.soft)


def small_loss(losses: FloatArray, candidates: BoolArray, share: float) -> BoolArray:
    """Mask of the ``ceil(share * n)`` of n candidates with the smallest losses."""
    quota = int(np.ceil(share * candidates.sum() - 1e-9))
    order = np.argsort(np.where(candidates, losses, np.inf), kind="stable")
    mask = np.zeros(len(losses), dtype=bool)
    mask[order[:quota]] = True
    return mask


class SmallLoss(TeacherSupervised):
    """The student on the share of the generalists' labels with the smallest out-of-sample loss.

    The small-loss trick (Arpit et al. 2017, *A closer look at memorization*; Jiang et al. 2018, *MentorNet*), with
    losses by students that were not trained on the sample.

    Parameters
    ----------
    student : name of a student (see `as_student`), Student or scikit-learn classifier
    keep_rate : float, optional
        In (0, 1]. None: how often the student, out of sample, agrees with the generalists.
    random_state : int, RandomState or None
    """

    def __init__(self, student: Any = "ridge", *, keep_rate: float | None = None, random_state: Any = None) -> None:
        self.student = student
        self.keep_rate = keep_rate
        self.random_state = random_state

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        check_keep_rate(self.keep_rate)
        started = time.perf_counter()
        consensus = generalists(labels)
        targets = consensus.targets(soft=False)
        trainer, fit = first_fit(self.student, X, consensus, seed)
        rate = agreement(fit, consensus) if self.keep_rate is None else self.keep_rate
        kept = small_loss(cross_entropy(targets, fit.out_of_sample), consensus.has_label, rate)
        fit, kept, notes = _train_on(trainer, fit, consensus, kept, seed)
        return supervision(
            fit, labels, consensus, targets=targets, kept=kept, reason="large loss", started=started, notes=notes
        )


def _train_on(
    trainer: Trainer, first: Fit, consensus: Consensus, kept: BoolArray, seed: int
) -> tuple[Fit, BoolArray, list[str]]:
    """Train on the samples that were selected; everything is kept, and `first`, where they show less than two classes.

    Returns
    -------
    fit : Fit
    kept : ndarray of shape (n_samples,), bool
        Samples that it was trained on.
    notes : list of str
    """
    if len(np.unique(consensus.predicted_class[kept])) < 2:
        return first, consensus.has_label, ["the selection leaves fewer than two classes: everything is kept"]
    return trainer.train(consensus.targets(soft=False), train_mask=kept, random_state=seed), kept, []


class ConfidentLearning(TeacherSupervised):
    """The student on the generalists' labels without those that confident learning finds wrong (Northcutt et al. 2021).

    *Confident learning: estimating uncertainty in dataset labels*, by cleanlab's ``find_label_issues`` (prune by noise
    rate) on out-of-sample probabilities. Needs the extra ``noisy``.

    Parameters
    ----------
    student : name of a student (see `as_student`), Student or scikit-learn classifier
    filter_by : {"prune_by_noise_rate", "prune_by_class", "both", "confident_learning"}
        cleanlab's rule.
    random_state : int, RandomState or None
    """

    def __init__(
        self, student: Any = "ridge", *, filter_by: str = "prune_by_noise_rate", random_state: Any = None
    ) -> None:
        self.student = student
        self.filter_by = filter_by
        self.random_state = random_state

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        rules = ("prune_by_noise_rate", "prune_by_class", "both", "confident_learning")
        check_choice(self.filter_by, rules, "filter_by")
        cleanlab = import_extra("cleanlab.filter", extra="noisy", purpose="confident learning")
        started = time.perf_counter()
        consensus = generalists(labels)
        targets = consensus.targets(soft=False)
        trainer, fit = first_fit(self.student, X, consensus, seed)
        rows = np.flatnonzero(consensus.has_label)
        probabilities = floored(fit.out_of_sample[rows], 1e-6)
        # cleanlab counts classes from the labels: those that no teacher names are left out.
        present, ids = np.unique(consensus.predicted_class[rows], return_inverse=True)
        kept = consensus.has_label.copy()
        if len(present) > 1:
            inside = probabilities[:, present]
            inside /= inside.sum(axis=1, keepdims=True)
            kept[rows] = ~cleanlab.find_label_issues(ids, inside, filter_by=self.filter_by, n_jobs=1)
        fit, kept, notes = _train_on(trainer, fit, consensus, kept, seed)
        return supervision(
            fit, labels, consensus, targets=targets, kept=kept, reason="label issue", started=started, notes=notes
        )


class CoTeaching(TeacherSupervised):
    """Two linear students that teach each other their small-loss samples (Han et al. 2018, *Co-teaching*).

    In every mini-batch each student selects the share R of samples with the smallest loss, and the other one is trained
    on them; R falls from 1 to 1 - noise over the first part of the training (their algorithm 1; 10 of 200 epochs).
    The answer is the mean of both students' logits. They differ in their random start only, and a linear student
    forgets its start: expect little from the exchange.

    Parameters
    ----------
    noise : float, optional
        In [0, 1). None: how often a ridge student, out of sample, disagrees with the generalists.
    warmup : float
        Share of the training over which R falls, in [0, 1].
    alpha, random_state
        As for `ConfidenceLoss`.
    """

    def __init__(
        self,
        *,
        noise: float | None = None,
        warmup: float = 0.05,
        alpha: float | None = None,
        random_state: Any = None,
    ) -> None:
        self.noise = noise
        self.warmup = warmup
        self.alpha = alpha
        self.random_state = random_state

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        from cosup.baselines import objectives

        if self.noise is not None:
            check_fraction(self.noise, "noise", high=0.99)
        check_fraction(self.warmup, "warmup")
        consensus = generalists(labels)
        noise = self.noise
        if noise is None:
            noise = 1.0 - agreement(first_fit("ridge", X, consensus, seed)[1], consensus)
        return gradient_supervision(
            lambda: objectives.CoTeaching(noise=noise, warmup=self.warmup), X, labels, consensus, seed,
            targets=consensus.targets(soft=False), alpha=self.alpha, width=2, fold_width=2,
            notes=[f"share of a batch kept: {1.0 - noise:.2f}"],
        )  # fmt: skip


class SelfDistillation(TeacherSupervised):
    """The student, again and again on its own out-of-sample predictions (Furlanello et al. 2018; Mobahi et al. 2020).

    *Born-again neural networks*; *Self-distillation amplifies regularization in Hilbert space*. A student that is not
    calibrated on soft targets (plain ridge scores, scikit-learn classifiers) is retrained on its most probable class.

    Parameters
    ----------
    student : name of a student (see `as_student`), Student or scikit-learn classifier
    rounds : int
        Retrainings.
    random_state : int, RandomState or None
    """

    def __init__(self, student: Any = "ridge", *, rounds: int = 3, random_state: Any = None) -> None:
        self.student = student
        self.rounds = rounds
        self.random_state = random_state

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        check_positive(self.rounds, "rounds", integer=True)
        started = time.perf_counter()
        consensus = generalists(labels)
        trainer, fit = first_fit(self.student, X, consensus, seed)
        for _ in range(self.rounds):
            targets = suited(fit, fit.out_of_sample)
            fit = trainer.train(targets, train_mask=consensus.has_label, random_state=seed)
        return supervision(fit, labels, consensus, targets=targets, started=started, rounds=self.rounds)


def reliability(labels: TeacherLabels, predicted: IntArray, student: FloatArray) -> FloatArray:
    """Measure how far others agree with the generalists' class, (n_samples,) in [0, 1].

    The mean of the student's probability of that class and of one vote of each specialist that speaks and whose
    specialty (if known) covers the class: 1 if it names it, 0 if not. 0 where the generalists are silent.

    Parameters
    ----------
    labels : TeacherLabels
    predicted : ndarray of shape (n_samples,)
        The generalists' class, -1 where they abstain.
    student : ndarray of shape (n_samples, n_classes)
        Out-of-sample probabilities.
    """
    rows = np.arange(len(predicted))
    total = student[rows, np.maximum(predicted, 0)].astype(np.float64)
    voices = np.ones(len(predicted))
    annotated = labels.hard()
    for t in np.flatnonzero(labels.levels > 0):
        specialty = labels.specialties[t]
        asked = annotated[:, t] >= 0
        if specialty is not None:
            asked &= np.isin(predicted, specialty)
        total += asked & (annotated[:, t] == predicted)
        voices += asked
    return np.asarray(np.where(predicted >= 0, total / voices, 0.0))


class ReliabilityWeighting(TeacherSupervised):
    """A linear student on the generalists' labels, samples weighted by how reliable their labels look.

    After Guo & Yang (2024, *Improving weak-to-strong generalization with reliability-aware alignment*, arXiv
    2406.19032), who ask a weak model repeatedly and weigh samples by the consistency of its answers. Ours: teachers
    answer once, so the weight is the share of specialists and of an out-of-sample student that agree, see
    `reliability`.

    Parameters
    ----------
    student : name of a student (see `as_student`), Student or scikit-learn classifier
        The one that is compared with the labels, out of sample; a linear head is trained on them.
    alpha, random_state
        As for `ConfidenceLoss`.
    """

    def __init__(self, student: Any = "ridge", *, alpha: float | None = None, random_state: Any = None) -> None:
        self.student = student
        self.alpha = alpha
        self.random_state = random_state

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        from cosup.baselines import objectives

        consensus = generalists(labels)
        _, fit = first_fit(self.student, X, consensus, seed)
        weights = reliability(labels, consensus.predicted_class, fit.out_of_sample)
        if not weights[consensus.has_label].sum() > 0:
            raise CosupError("no label has any support: weights of all samples are 0")
        mean = weights[consensus.has_label].mean()
        return gradient_supervision(
            objectives.CrossEntropy, X, labels, consensus, seed,
            targets=consensus.vote, alpha=self.alpha, weights=weights / mean, notes=[f"mean weight {mean:.2f}"],
        )  # fmt: skip
