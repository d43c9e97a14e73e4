"""Learn the student and every teacher's errors together: models that see features and several teachers at once."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from cosup.baselines.aggregation import majority
from cosup.baselines.consensus import (
    every_teacher,
    first_fit,
    gradient_supervision,
    pooled,
    suited,
    supervision,
    train_once,
)
from cosup.baselines.gaussian_process import fable_posterior
from cosup.estimators.base import TeacherSupervised
from cosup.estimators.supervision import Supervision
from cosup.labels import TeacherLabels
from cosup.utils.losses import softmax
from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import CosupError, FloatArray, IntArray, check_choice, check_positive

__all__ = [
    "CrowdLayer", "Crowdlab", "Fable", "LossesOverLabels", "Raykar", "answered", "confusions", "posterior",
]  # fmt: skip

ABSTENTIONS = ("auto", "answer", "missing")

STILL = 1e-3
"""EM stops when no posterior moves further."""


def confusions(annotated: IntArray, q: FloatArray, smoothing: float, n_answers: int | None = None) -> FloatArray:
    """Estimate confusion matrices of all teachers, expected under a posterior.

    Parameters
    ----------
    annotated : ndarray of shape (n_samples, n_teachers)
        Class ids, -1 where a teacher abstains.
    q : ndarray of shape (n_samples, n_classes)
        Posterior over the true class.
    smoothing : float
        Samples that are added to every entry.
    n_answers : int, optional
        Default: as many as classes.

    Returns
    -------
    ndarray of shape (n_teachers, n_classes, n_answers)
        Probability of every answer, where the class is the true one and the teacher answers.
    """
    n_classes = q.shape[1]
    out = np.full((annotated.shape[1], n_classes, n_answers or n_classes), smoothing)
    for t, column in enumerate(annotated.T):
        rows = np.flatnonzero(column >= 0)
        np.add.at(out[t].T, column[rows], q[rows])
    return np.asarray(out / out.sum(axis=2, keepdims=True))


def answered(annotated: IntArray, n_classes: int, abstentions: str) -> tuple[IntArray, int]:
    """Prepare annotations for a model of the teachers, and count the different answers.

    Of a teacher that only ever names one class, abstentions are the only other answer: without them, it tells nothing.
    So ``"auto"`` counts an abstention as one more answer (`n_classes`) where most annotations come from
    such teachers, as with rules, and leaves it out elsewhere, as with crowds who were not asked.

    Parameters
    ----------
    annotated : ndarray of shape (n_samples, n_teachers)
    n_classes : int
    abstentions : {"auto", "answer", "missing"}

    Returns
    -------
    annotated : ndarray of shape (n_samples, n_teachers)
    n_answers : int
    """
    if abstentions == "auto":
        counts = np.array([np.bincount(column[column >= 0], minlength=n_classes) for column in annotated.T])
        single = (counts > 0).sum(axis=1) == 1
        abstentions = "answer" if 2 * counts[single].sum() > counts.sum() else "missing"
    if abstentions == "missing":
        return annotated, n_classes
    return np.where(annotated >= 0, annotated, n_classes), n_classes + 1


def posterior(annotated: IntArray, matrices: FloatArray, prior: FloatArray) -> FloatArray:
    """Compute the posterior ``prior_y * prod_j matrices_j[y, annotated_j]`` over the true class, (n_samples, C).

    `prior` (n_samples, n_classes) may differ from sample to sample.
    """
    logits = np.log(np.maximum(prior, 1e-12))
    for t, column in enumerate(annotated.T):
        rows = np.flatnonzero(column >= 0)
        logits[rows] += np.log(matrices[t].T[column[rows]])
    return softmax(logits)


class Raykar(TeacherSupervised):
    """A student and every teacher's confusion matrix, fitted together by EM (Raykar et al. 2010).

    *Learning from crowds*. Starts at the shares of the votes. M step: confusion matrices from the posterior, the
    student trained on it. E step: ``q_i(y) ~ p(y | x_i) prod_j C_j[y, annotation_ij]`` over the teachers that speak.
    Ours: ``p(y | x)`` comes from a student that did not train on the sample (an in-sample one repeats its targets); any
    student serves, not only a logistic one, and is regularised by its own label-free rule.

    Parameters
    ----------
    student : name of a student (see `as_student`), Student or scikit-learn classifier
    n_iter : int
        Iterations of EM at most.
    smoothing : float
        Samples that are added to every entry of a confusion matrix: the paper's Dirichlet prior.
    abstentions : {"auto", "answer", "missing"}
        Whether an abstention is one more answer or says nothing, see `answered`; the paper's teachers all speak.
    random_state : int, RandomState or None
    """

    def __init__(
        self, student: Any = "ridge", *, n_iter: int = 20, smoothing: float = 0.5, abstentions: str = "auto",
        random_state: Any = None,
    ) -> None:  # fmt: skip
        self.student = student
        self.n_iter = n_iter
        self.smoothing = smoothing
        self.abstentions = abstentions
        self.random_state = random_state

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        check_positive(self.n_iter, "n_iter", integer=True)
        check_positive(self.smoothing, "smoothing")
        check_choice(self.abstentions, ABSTENTIONS, "abstentions")
        started = time.perf_counter()
        annotated, everyone = labels.hard(), every_teacher(labels)
        vote = majority(annotated, labels.n_classes)
        answers, n_answers = answered(annotated, labels.n_classes, self.abstentions)
        trainer, fit = first_fit(self.student, X, pooled(everyone.columns, vote), seed)
        # Where no teacher speaks, the first student's predictions stand in for votes.
        q = np.where(everyone.has_label[:, None], vote, fit.out_of_sample)
        rounds = 0
        for _ in range(self.n_iter):
            rounds += 1
            matrices = confusions(answers, q, self.smoothing, n_answers)
            before, q = q, posterior(answers, matrices, fit.out_of_sample)
            fit = trainer.like(fit).train(suited(fit, q), random_state=seed)
            if np.abs(q - before).max() < STILL:
                break
        consensus = pooled(everyone.columns, q * everyone.has_label[:, None])
        return supervision(fit, labels, consensus, targets=q, started=started, rounds=rounds)


class _LossATeacher(TeacherSupervised):
    """Train a linear student on every teacher's own annotations, under the loss `_objective` of `objectives`."""

    _objective: str

    def __init__(self, *, alpha: float | None = None, random_state: Any = None) -> None:
        self.alpha = alpha
        self.random_state = random_state

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        from cosup.baselines import objectives

        return gradient_supervision(
            getattr(objectives, self._objective), X, labels, every_teacher(labels), seed,
            targets=_one_hot_teachers(labels), alpha=self.alpha,
        )  # fmt: skip


class CrowdLayer(_LossATeacher):
    """A linear student under one matrix a teacher (Rodrigues & Pereira 2018, *Deep learning from crowds*).

    The student's probabilities p go through a matrix ``W_j`` of every teacher, which starts as the identity; the loss
    is the cross-entropy of ``softmax(p W_j)`` against the annotation, mean over the teachers that speak (theirs: the
    variant MW, annotations that are missing masked). The matrices are thrown away after training. Trained and
    regularised as all rivals with a loss of their own, the matrices with the same optimiser and no penalty.

    Parameters
    ----------
    alpha : float, optional
        L2 penalty in units of the features' mean variance, trained for in full. None: by `choose`, together with the
        number of steps and the learning rate, as all methods of this kind.
    random_state : int, RandomState or None
    """

    _objective = "CrowdLayer"


class LossesOverLabels(_LossATeacher):
    """A linear student on one loss a teacher (Sam & Kolter 2023, *Losses over Labels*, in its simple form).

    Nothing is aggregated: a teacher's loss is the student's cross-entropy against its annotations where it speaks,
    divided by how many speak about the sample, so that samples count alike; the losses are added up. The paper's
    other half matches the student's input gradients with the inputs that a heuristic reads; embeddings do not say
    which these are, so it is left out, as in the paper's LoL-simple.

    Parameters
    ----------
    alpha, random_state
        As for `CrowdLayer`.
    """

    _objective = "LossesOverLabels"


def _one_hot_teachers(labels: TeacherLabels) -> FloatArray:
    """Encode every teacher's annotation, (n_samples, n_teachers, n_classes) float32; zeros where it abstains."""
    annotated = labels.hard()
    out = np.zeros((*annotated.shape, labels.n_classes), dtype=np.float32)
    rows, columns = np.nonzero(annotated >= 0)
    out[rows, columns, annotated[rows, columns]] = 1.0
    return out


class Crowdlab(TeacherSupervised):
    """The student on CROWDLAB's consensus (Goh, Tkachenko & Mueller 2022), by cleanlab's own implementation.

    A student of the majority predicts every sample out of sample; CROWDLAB weighs it and the teachers by how often
    they agree with the others, and its consensus trains the final student. Samples without an annotation are left
    out. Needs the extra ``noisy``.

    Parameters
    ----------
    student : name of a student (see `as_student`), Student or scikit-learn classifier
    random_state : int, RandomState or None
    """

    def __init__(self, student: Any = "ridge", *, random_state: Any = None) -> None:
        self.student = student
        self.random_state = random_state

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        multiannotator = import_extra("cleanlab.multiannotator", extra="noisy", purpose="CROWDLAB")
        everyone = every_teacher(labels)
        annotated = labels.hard()
        vote = pooled(everyone.columns, majority(annotated, labels.n_classes))
        _, fit = first_fit(self.student, X, vote, seed)
        rows = np.flatnonzero(everyone.has_label)
        speaking = annotated[:, (annotated >= 0).any(axis=0)]
        classes = np.full(len(annotated), -1)
        classes[rows] = vote.predicted_class[rows]
        if speaking.shape[1] > 1:
            # cleanlab counts classes from the labels: those that no teacher names are left out.
            present = np.unique(speaking[speaking >= 0])
            answers = np.where(speaking[rows] >= 0, np.searchsorted(present, speaking[rows]), np.nan)
            probabilities = np.maximum(fit.out_of_sample[rows][:, present], 1e-6)
            probabilities /= probabilities.sum(axis=1, keepdims=True)
            found = multiannotator.get_label_quality_multiannotator(
                answers, probabilities, verbose=False, return_detailed_quality=False, return_annotator_stats=False
            )["label_quality"]
            classes[rows] = present[found["consensus_label"].to_numpy().astype(np.int64)]
        pool = np.zeros((len(classes), labels.n_classes))
        pool[rows, classes[rows]] = 1.0
        return train_once(self.student, X, labels, pooled(everyone.columns, pool), seed)


class Fable(TeacherSupervised):
    """The student on FABLE's posterior (Zhang et al. 2023, *Leveraging instance features for label aggregation*).

    Enhanced Bayesian classifier combination (Li, Rubinstein & Cohn 2019): every class has subtypes, and a teacher a
    row of errors for each; the prior of class and subtype follows the features through Gaussian processes under a
    logistic-softmax likelihood. Mean-field inference with Polya-Gamma variables. Ours: the kernel (Gaussian, its width
    the median distance) is of low rank by `landmarks` samples rather than by Lanczos steps; abstentions are left out;
    class proportions beside the processes are, too, since with both the largest class takes all.

    Parameters
    ----------
    student : name of a student (see `as_student`), Student or scikit-learn classifier
    n_subtypes, n_iter, landmarks : int
    soft : bool
        Train on the posterior rather than on its most probable class.
    random_state : int, RandomState or None
    """

    def __init__(
        self, student: Any = "ridge", *, n_subtypes: int = 3, n_iter: int = 30, landmarks: int = 128,
        soft: bool = False, random_state: Any = None,
    ) -> None:  # fmt: skip
        self.student = student
        self.n_subtypes = n_subtypes
        self.n_iter = n_iter
        self.landmarks = landmarks
        self.soft = soft
        self.random_state = random_state

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        for name in ("n_subtypes", "n_iter", "landmarks"):
            check_positive(getattr(self, name), name, integer=True)
        everyone = every_teacher(labels)
        pool = fable_posterior(
            X, labels.hard(), labels.n_classes, n_subtypes=self.n_subtypes, n_iter=self.n_iter,
            landmarks=self.landmarks, seed=seed,
        )  # fmt: skip
        if not np.isfinite(pool).all():
            raise CosupError("FABLE's posterior is not finite; scale the features, or take fewer subtypes")
        consensus = pooled(everyone.columns, pool * everyone.has_label[:, None])
        return train_once(self.student, X, labels, consensus, seed, soft=self.soft)
