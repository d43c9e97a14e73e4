"""Let the student overrule its teachers: where it knows, where they are unsure, or where the labels then cohere."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from cosup.baselines.consensus import (
    agreement,
    check_fraction,
    check_keep_rate,
    first_fit,
    floored,
    generalists,
    pooled,
    suited,
    supervision,
)
from cosup.baselines.noisy import neighbours_mean, small_loss
from cosup.estimators.base import TeacherSupervised
from cosup.estimators.supervision import Supervision, one_hot
from cosup.labels import TeacherLabels
from cosup.students import Fit
from cosup.utils.losses import TINY, softmax
from cosup.utils.validation import FloatArray, IntArray, check_positive

__all__ = [
    "Coherence", "Selective", "SpecialistLogOdds", "TwoStage", "mutual_predictability", "shifted",
]  # fmt: skip


class Selective(TeacherSupervised):
    """The student's own label where it knows, else the smoothed weak label (Lang, Huang & Li 2026).

    *Selective weak-to-strong generalization*: a binary classifier P(IK), "I know", picks the samples that the student
    can answer; they get its own labels, the others weak ones, smoothed over a graph of similar samples. Ours: P(IK)
    learns, from the features, whether the student's out-of-sample prediction is the generalists' (the paper has true
    labels), and the graph is that of the nearest neighbours.

    Parameters
    ----------
    student : name of a student (see `as_student`), Student or scikit-learn classifier
    threshold : float
        P(IK) from which the student's own label is taken, in [0, 1].
    k : int
        Neighbours in the graph, the sample itself among them.
    random_state : int, RandomState or None
    """

    def __init__(
        self, student: Any = "ridge", *, threshold: float = 0.5, k: int = 10, random_state: Any = None
    ) -> None:
        self.student = student
        self.threshold = threshold
        self.k = k
        self.random_state = random_state

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        check_fraction(self.threshold, "threshold")
        check_positive(self.k, "k", integer=True)
        started = time.perf_counter()
        consensus = generalists(labels)
        trainer, fit = first_fit(self.student, X, consensus, seed)
        own = fit.out_of_sample.argmax(axis=1)
        agrees = (own == consensus.predicted_class).astype(np.int64)
        knows = np.ones(len(own), dtype=bool)
        if len(np.unique(agrees[consensus.has_label])) == 2:
            judge = trainer.train(agrees, train_mask=consensus.has_label, random_state=seed, n_classes=2)
            knows = judge.out_of_sample[:, 1] >= self.threshold
        smooth = neighbours_mean(X, consensus.vote, self.k).argmax(axis=1)
        targets = one_hot(np.where(knows, own, smooth), labels.n_classes)
        fit = trainer.train(targets, random_state=seed)
        return supervision(
            fit, labels, consensus, targets=targets, started=started, rounds=2,
            notes=[f"the student answers {knows.mean():.0%} of the samples itself"],
        )  # fmt: skip


class TwoStage(TeacherSupervised):
    """The student on certain weak labels, then on its own for the uncertain samples (Shi et al. 2025).

    *How to mitigate overfitting in weak-to-strong generalization?*: a first student learns from the labels of which
    the weak model is certain; it labels the samples that were left out, and those of which it is certain join the
    others for the final student. Ours: a label is as certain as the generalists' share (or probability) of their class
    times the student's out-of-sample probability of it; the share kept, in both stages, is how often the student
    agrees with the generalists.

    Parameters
    ----------
    student : name of a student (see `as_student`), Student or scikit-learn classifier
    keep_rate : float, optional
        In (0, 1]. None: see above.
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
        trainer, fit = first_fit(self.student, X, consensus, seed)
        rows, classes = np.arange(len(X)), np.maximum(consensus.predicted_class, 0)
        rate = agreement(fit, consensus) if self.keep_rate is None else self.keep_rate
        certain = consensus.vote[rows, classes] * fit.out_of_sample[rows, classes]
        kept = small_loss(-certain, consensus.has_label, rate)
        if len(np.unique(classes[kept])) < 2:
            kept = consensus.has_label
        targets = consensus.targets(soft=False)
        first = trainer.train(targets, train_mask=kept, random_state=seed)
        relabelled = small_loss(-first.out_of_sample.max(axis=1), ~kept, rate)
        targets = targets.copy()
        targets[relabelled] = np.eye(labels.n_classes)[first.out_of_sample[relabelled].argmax(axis=1)]
        fit = trainer.train(targets, train_mask=kept | relabelled, random_state=seed)
        return supervision(
            fit, labels, consensus, targets=targets, kept=kept, reason="uncertain", started=started, rounds=3,
            notes=[f"{relabelled.sum()} of {(~kept).sum()} uncertain samples relabelled by the student"],
        )  # fmt: skip


def shifted(labels: TeacherLabels, student: FloatArray, weight: float) -> FloatArray:
    """Multiply the student's probabilities with (specialists / generalists) ** `weight`, level by level.

    A level's specialists are mixed by the student's mass on their specialties (equal ones where these are unknown),
    all with a floor; where a level or the generalists are silent, nothing is shifted.

    Parameters
    ----------
    labels : TeacherLabels
    student : ndarray of shape (n_samples, n_classes)
    weight : float

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
    """
    general = labels.vote(labels.at_level(0))
    base, logits = np.log(floored(general)), np.log(np.maximum(student, TINY))
    for level in range(1, labels.n_levels):
        mix = np.zeros_like(student)
        for t in labels.at_level(level):
            gate = student[:, labels.covers(int(t))].sum(axis=1)
            mix += gate[:, None] * labels.probabilities(int(t))
        speaks = (mix.sum(axis=1) > 0) & (general.sum(axis=1) > 0)
        logits += weight * speaks[:, None] * (np.log(floored(mix)) - base)
    return softmax(logits)


class SpecialistLogOdds(TeacherSupervised):
    """The student, shifted by the specialists' log-odds against the generalists, and trained on the result.

    On-policy weak-to-strong distillation rewards a strong model with the log-odds of a tuned weak model against an
    untuned one, under a KL penalty (generalised on-policy distillation, Yang et al. 2026, with the reward's scale
    `weight`; decoding with the same difference: proxy tuning, Liu et al. 2024). For a classifier the optimum is in
    closed form: ``student * (specialists / generalists) ** weight``, see `shifted`. The student is that of the
    generalists, out of sample; without specialists it is distilled from itself.

    Parameters
    ----------
    student : name of a student (see `as_student`), Student or scikit-learn classifier
    weight : float
        The factor of the log-odds.
    random_state : int, RandomState or None
    """

    def __init__(self, student: Any = "ridge", *, weight: float = 1.0, random_state: Any = None) -> None:
        self.student = student
        self.weight = weight
        self.random_state = random_state

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        check_positive(self.weight, "weight", allow_zero=True)
        started = time.perf_counter()
        consensus = generalists(labels)
        trainer, fit = first_fit(self.student, X, consensus, seed)
        targets = suited(fit, shifted(labels, fit.out_of_sample, self.weight))
        fit = trainer.like(fit).train(targets, random_state=seed)
        notes = [] if labels.n_levels > 1 else ["no specialists: nothing is shifted"]
        return supervision(fit, labels, consensus, targets=targets, started=started, rounds=2, notes=notes)


def mutual_predictability(fit: Fit, classes: IntArray) -> float:
    """Sum of the log-probabilities of every label given all the others, by a fit trained on these labels."""
    return float(np.log(np.maximum(fit.out_of_sample[np.arange(len(classes)), classes], TINY)).sum())


class Coherence(TeacherSupervised):
    """The student on the labels that predict one another best (Wen et al. 2025, internal coherence maximisation).

    *Unsupervised elicitation of language models*: labels are sought by simulated annealing whose mutual predictability,
    ``sum_i log p(y_i | x_i, all other samples and labels)``, is largest. A ridge student has every term in closed form:
    its leave-one-out prediction. Ours: the search starts at the generalists' labels rather than at random ones, so
    that classes keep their meaning; a move offers a batch of random samples the classes that the others predict; the
    regularisation and temperature are those of the first student throughout (labels of one's own making would sharpen
    them without end). Labels of a classification cannot contradict one another, so the paper's term of consistency
    has nothing to say.

    Parameters
    ----------
    student : name of a student (see `as_student`), Student or scikit-learn classifier
    steps : int
        Moves.
    share : float
        Share of the samples in a move, in (0, 1].
    random_state : int, RandomState or None
    """

    def __init__(
        self, student: Any = "ridge", *, steps: int = 40, share: float = 0.1, random_state: Any = None
    ) -> None:
        self.student = student
        self.steps = steps
        self.share = share
        self.random_state = random_state

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        check_positive(self.steps, "steps", integer=True)
        check_fraction(self.share, "share", low=1e-6)
        started = time.perf_counter()
        rng = np.random.default_rng(seed)
        consensus = generalists(labels)
        trainer, fit = first_fit(self.student, X, consensus, seed)
        classes = np.where(consensus.has_label, consensus.predicted_class, fit.out_of_sample.argmax(axis=1))
        trainer, alpha = trainer.like(fit), fit.alpha

        def trained(classes: IntArray) -> Fit:
            return trainer.train(classes, random_state=seed, alpha=alpha, n_classes=labels.n_classes)

        fit = trained(classes)
        coherence, taken = mutual_predictability(fit, classes), 0
        size = max(1, round(self.share * len(classes)))
        for step in range(self.steps):
            rows = rng.permutation(len(classes))[:size]
            moved = classes.copy()
            moved[rows] = fit.out_of_sample[rows].argmax(axis=1)
            if (moved == classes).all():
                continue
            other = trained(moved)
            gain = mutual_predictability(other, moved) - coherence
            # The paper's schedule: from 10 down to 0.01.
            temperature = max(0.01, 10.0 / (1.0 + 0.99 * np.log1p(step)))
            if gain > 0 or rng.random() < np.exp(gain / temperature):
                classes, fit, coherence, taken = moved, other, coherence + gain, taken + 1
        consensus = pooled(consensus.columns, one_hot(classes, labels.n_classes) * consensus.has_label[:, None])
        return supervision(
            fit, labels, consensus, targets=one_hot(classes, labels.n_classes), started=started, rounds=self.steps,
            notes=[f"{taken} of {self.steps} moves taken"],
        )  # fmt: skip
