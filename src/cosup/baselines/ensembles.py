"""Rivals that weigh an ensemble of weak teachers while the student learns."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from cosup.baselines.aggregation import majority
from cosup.baselines.consensus import (
    check_fraction,
    consensus_of,
    every_teacher,
    first_fit,
    generalists,
    gradient_supervision,
    pooled,
    supervision,
)
from cosup.estimators.base import TeacherSupervised
from cosup.estimators.supervision import Supervision, one_hot
from cosup.labels import TeacherLabels
from cosup.utils.validation import BoolArray, FloatArray, IntArray, check_positive

__all__ = ["EnsembleBoost", "EvidentialClassifier", "SimplexWeights", "easy_samples", "samme_weights"]

FEW = 0.05
"""With a smaller share of unanimous samples, the tenth with the most agreement is taken for easy."""

REACHES = (0.3, 1.0, 3.0)
"""Candidate step sizes of the simplex weights, over the number of steps. Like the alphas, the one that keeps the
student closest to where it starts (equal weights) comes first."""


def easy_samples(labels: TeacherLabels, columns: IntArray) -> tuple[BoolArray, str]:
    """Find samples on which the teachers in `columns` agree, and a note that says which these are.

    Unanimous ones; where they are fewer than 5 %, the tenth with the largest share of the teachers behind one class
    (among equals, with the largest mean probability).

    Returns
    -------
    mask : ndarray of shape (n_samples,), bool
    note : str
    """
    annotated = labels.hard()[:, columns]
    speaking = (annotated >= 0).sum(axis=1)
    most = majority(annotated, labels.n_classes).max(axis=1)
    several = speaking >= min(2, int(speaking.max()))
    unanimous = several & (most == 1.0)
    if unanimous.mean() >= FEW:
        return unanimous, f"warm start on the {unanimous.sum()} unanimous samples"
    best = np.lexsort((-labels.vote(columns).max(axis=1), -np.where(several, most, 0.0)))
    mask = np.zeros(len(annotated), dtype=bool)
    mask[best[: max(1, len(annotated) // 10)]] = True
    return mask, f"only {unanimous.sum()} samples are unanimous: warm start on the {mask.sum()} with the most agreement"


class SimplexWeights(TeacherSupervised):
    """A linear student and one weight a teacher, learned together (RAVEN; Jeon et al. 2025, arXiv 2510.21332).

    *Weak-to-strong generalization under distribution shifts*: cross-entropy against ``sum_m w_m weak_m`` with w on the
    simplex, one step on the student and one on w in turn; as in the released code, w takes a plain gradient step,
    is clamped at 1e-6 and scaled to sum one. The first part of the training sees only easy samples, on which all
    teachers agree, with equal weights (the code's disagreement schedule). Ours: where hardly any sample is unanimous
    (specialists of different classes never agree), the tenth with the most agreement is taken; teachers that abstain
    are left out of a sample's sum; both steps use the same batch; and the step size, which the paper tunes on truth, is
    chosen without it.

    The loss is linear in w, so that with many or large steps the teacher that is easiest to imitate takes all: the
    paper's teachers are all generalists, and a specialist that only ever names two classes is easy to imitate. With
    ``teachers="generalists"`` specialists are left out. Nor would another choice of step and regularisation help where
    specialists speak outside their specialty: of six steps and seven alphas the one that is best on the truth gives
    test accuracies of 0.69 and 0.62 on digits-classes and digits-domains (seed 0), the generalists' own in training.

    Parameters
    ----------
    teachers : {"all", "generalists"}
    rate : float, optional
        Step size of the weights; the released value is not known. None: 0.3, 1 or 3 over the full number of steps,
        chosen together with regularisation, steps and learning rate, in the same label-free choice. With 1 over the
        number of steps, a teacher that is one nat easier to imitate all along can just take all.
    warmup : float
        Share of the training on easy samples, in [0, 1).
    alpha, random_state
        As for `ConfidenceLoss`.
    """

    def __init__(
        self, teachers: str = "all", *, rate: float | None = None, warmup: float = 0.1, alpha: float | None = None,
        random_state: Any = None,
    ) -> None:  # fmt: skip
        self.teachers = teachers
        self.rate = rate
        self.warmup = warmup
        self.alpha = alpha
        self.random_state = random_state

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        from cosup.baselines import objectives
        from cosup.baselines.gradient import schedule

        if self.rate is not None:
            check_positive(self.rate, "rate")
        check_fraction(self.warmup, "warmup", high=0.99)
        consensus = consensus_of(labels, self.teachers)
        easy, note = easy_samples(labels, consensus.columns)
        annotated = np.stack([labels.probabilities(int(t)) for t in consensus.columns], axis=1)
        flag = np.repeat(easy.astype(np.float64)[:, None, None], labels.n_classes, axis=2)
        names = [labels.names[t] for t in consensus.columns]
        batches, epochs = schedule(int(consensus.has_label.sum()))
        steps = batches * epochs
        rates = [reach / steps for reach in REACHES] if self.rate is None else [self.rate]

        def describe(weights: FloatArray, rate: float) -> str:
            annotated = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(names, weights, strict=True))
            return f"weights after steps of {rate * steps:.2g}/{steps}: {annotated}"

        return gradient_supervision(
            lambda: objectives.SimplexWeights(*rates, warmup=self.warmup), X, labels, consensus, seed,
            targets=np.concatenate([annotated, flag], axis=1), alpha=self.alpha, notes=[note], describe=describe,
        )  # fmt: skip


class EvidentialClassifier(TeacherSupervised):
    """A linear student of Dirichlet evidence (Cui et al. 2024, *Bayesian WeakS-to-Strong*, arXiv 2406.03199).

    Labels of several weak teachers are draws from a categorical distribution that has a Dirichlet prior with
    parameters ``alpha = 1 + exp(logits)`` (evidence; Sensoy et al. 2018, *Evidential deep learning*). Loss: the
    negative log marginal likelihood ``sum_y weak_y (log sum alpha - log alpha_y)``, mean over the teachers (equation 3
    of Sensoy et al.), plus the KL divergence of ``Dirichlet(weak + (1 - weak) alpha)`` from the uniform one (their
    equation 5), whose coefficient rises linearly. We could not read the paper in full, so the loss is that of Sensoy
    et al. for its setting; its terms for generation and preferences are left out.

    Parameters
    ----------
    teachers : {"generalists", "all"}
        The paper's weak models are generalists; specialists speak outside their specialty, too.
    coefficient : float
        The coefficient of the KL divergence.
    warmup : float
        Share of the training over which it rises, in [0, 1]; Sensoy et al. take 10 epochs.
    alpha, random_state
        As for `ConfidenceLoss`.
    """

    def __init__(
        self, teachers: str = "generalists", *, coefficient: float = 1.0, warmup: float = 0.5,
        alpha: float | None = None, random_state: Any = None,
    ) -> None:  # fmt: skip
        self.teachers = teachers
        self.coefficient = coefficient
        self.warmup = warmup
        self.alpha = alpha
        self.random_state = random_state

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        from cosup.baselines import objectives

        check_positive(self.coefficient, "coefficient", allow_zero=True)
        check_fraction(self.warmup, "warmup")
        consensus = consensus_of(labels, self.teachers)
        return gradient_supervision(
            lambda: objectives.Evidential(coefficient=self.coefficient, warmup=self.warmup),
            X, labels, consensus, seed, targets=consensus.vote, alpha=self.alpha,
        )  # fmt: skip


def samme_weights(annotated: IntArray, reference: IntArray, n_classes: int) -> FloatArray:
    """Weigh fixed classifiers by SAMME (Zhu et al. 2009, algorithm 2), the best first.

    At every turn the teacher with the smallest weighted error e among those left gets ``log((1 - e) / e) +
    log(n_classes - 1)``, and the samples on which it is wrong gain weight. Teachers that are then no better than
    chance get 0. Where a teacher abstains it is neither right nor wrong.

    Parameters
    ----------
    annotated : ndarray of shape (n_samples, n_teachers)
        Class ids, -1 where a teacher abstains.
    reference : ndarray of shape (n_samples,)
        The class that counts as right, -1 for none.
    n_classes : int

    Returns
    -------
    ndarray of shape (n_teachers,), float64
    """
    known = reference >= 0
    speaks = (annotated >= 0) & known[:, None]
    wrong = speaks & (annotated != reference[:, None])
    weight = np.asarray(known / max(known.sum(), 1), dtype=np.float64)
    out = np.zeros(annotated.shape[1])
    left = list(range(annotated.shape[1]))
    while left:
        has_label = weight @ speaks[:, left]
        errors = np.where(has_label > 0, (weight @ wrong[:, left]) / np.maximum(has_label, 1e-12), 1.0)
        error = float(np.clip(errors.min(), 1e-6, 1.0))
        alpha = np.log(max(1.0 - error, 1e-12) / error) + np.log(n_classes - 1.0)
        if alpha <= 0:
            break
        teacher = left.pop(int(errors.argmin()))
        out[teacher] = alpha
        weight *= np.exp(alpha * wrong[:, teacher])
        weight /= weight.sum()
    return out


class EnsembleBoost(TeacherSupervised):
    """A student on a boosted vote of all teachers (Agrawal et al. 2024, *EnsemW2S*, arXiv 2410.04571).

    The paper trains its weak models one after the other by AdaBoost on labelled data, SAMME for many classes, and lets
    their weighted vote teach the student. Here teachers are fixed and nothing is labelled, so (ours): errors are
    taken against the student's out-of-sample predictions, first those of a student of the generalists, then those of
    the student of the vote, `rounds` times in all. (Starting from the majority ends at the same weights.)

    Parameters
    ----------
    student : name of a student (see `as_student`), Student or scikit-learn classifier
    rounds : int
    soft : bool
        Weigh and train on probabilities rather than on votes for the most probable class.
    random_state : int, RandomState or None
    """

    def __init__(
        self, student: Any = "ridge", *, rounds: int = 3, soft: bool = False, random_state: Any = None
    ) -> None:
        self.student = student
        self.rounds = rounds
        self.soft = soft
        self.random_state = random_state

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        check_positive(self.rounds, "rounds", integer=True)
        started = time.perf_counter()
        annotated, everyone = labels.hard(), every_teacher(labels)
        consensus = generalists(labels)
        trainer, fit = first_fit(self.student, X, consensus, seed)
        targets: FloatArray = consensus.targets(soft=False)
        weights: FloatArray = np.zeros(labels.n_teachers)
        for _ in range(self.rounds):
            weights = samme_weights(annotated, fit.out_of_sample.argmax(axis=1), labels.n_classes)
            if not weights.any():
                break
            consensus = pooled(everyone.columns, self._vote(labels, annotated, weights))
            targets = consensus.targets(soft=self.soft)
            fit = trainer.train(targets, train_mask=consensus.has_label, random_state=seed)
        named = [f"{name} {weight:.2f}" for name, weight in zip(labels.names, weights, strict=True)]
        note = "weights: " + ", ".join(named) if weights.any() else "no teacher is better than chance: none is weighed"
        return supervision(
            fit,
            labels,
            consensus,
            targets=targets,
            reason="outvoted",
            started=started,
            rounds=self.rounds,
            notes=[note],
        )

    def _vote(self, labels: TeacherLabels, annotated: IntArray, weights: FloatArray) -> FloatArray:
        pool = np.zeros((len(labels), labels.n_classes))
        for t in np.flatnonzero(weights):
            column = labels.probabilities(int(t)) if self.soft else one_hot(annotated[:, t], labels.n_classes)
            pool += weights[t] * column
        total = pool.sum(axis=1, keepdims=True)
        return np.asarray(pool / np.where(total > 0, total, 1.0))
