"""Below and above every method: plain weak-to-strong training, and the known right specialist."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from cosup.baselines.consensus import Consensus, distinct, generalists, train_once
from cosup.estimators.base import TeacherSupervised
from cosup.estimators.supervision import LevelRecord, Supervision, one_hot, provenance_rows
from cosup.labels import TeacherLabels
from cosup.students import as_student, peak_bytes
from cosup.utils.losses import TINY
from cosup.utils.row_blocks import row_blocks
from cosup.utils.validation import CosupError, FloatArray, IntArray

__all__ = ["OracleClassifier", "VanillaClassifier"]


class VanillaClassifier(TeacherSupervised):
    """Vanilla weak-to-strong training: the student on the generalists' labels (Burns et al. 2023).

    Levels above 0 are not used. With several generalists, on their mean.

    Parameters
    ----------
    student : name of a student (see `as_student`), Student or scikit-learn classifier
    soft : bool
        Train on the generalists' probabilities rather than on their most probable class.
    random_state : int, RandomState or None
    """

    def __init__(self, student: Any = "ridge", *, soft: bool = False, random_state: Any = None) -> None:
        self.student = student
        self.soft = soft
        self.random_state = random_state

    def _peak_bytes(self, X: FloatArray, labels: TeacherLabels) -> int:
        if self.soft:
            return super()._peak_bytes(X, labels)
        student = peak_bytes(as_student(self.student), X, labels.n_classes)
        # Blocks of annotations are freed before those of the student, which are larger, are made.
        return student + labels.n_samples * (3 * labels.n_teachers + 120)

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        if self.soft:
            return train_once(self.student, X, labels, generalists(labels), seed, soft=True)
        return _train_on_names(self.student, X, labels, seed)


def _train_on_names(student: Any, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
    """Train on the generalists' most probable classes, without any array of samples by classes."""
    started = time.perf_counter()
    columns = distinct(labels, labels.at_level(0))
    predicted = _predicted_class(labels, columns)
    has_label = predicted >= 0
    if not has_label.any():
        raise CosupError("no teacher of level 0 speaks in these samples")
    fit = (
        as_student(student)
        .prepare(X)
        .train(predicted, train_mask=has_label, random_state=seed, n_classes=labels.n_classes)
    )
    same, loss, probability = np.zeros(len(predicted), dtype=bool), np.empty(len(predicted)), np.empty(len(predicted))
    for rows, p in fit.blocks(True):
        annotated = predicted[rows]
        same[rows] = p.argmax(axis=1) == annotated
        probability[rows] = p[np.arange(len(p)), annotated]
        loss[rows] = -np.log(np.maximum(probability[rows], TINY))
    assigned = np.where(has_label & (len(columns) == 1), columns[0], -1)
    record = LevelRecord(
        level=0, teachers=columns, assigned=assigned, kept=has_label, alpha=fit.alpha,
        agreement=float(same[has_label].mean()), objective=float(loss[has_label].mean()),
        seconds=time.perf_counter() - started,
    )  # fmt: skip
    provenance = provenance_rows(assigned, predicted, has_label, "abstained", probability)[:, None]
    return Supervision(fit.head, (fit.head,), [record.to_dict()], provenance)


def _predicted_class(labels: TeacherLabels, columns: IntArray) -> IntArray:
    """Find the most probable class of the mean of `columns` that speak, (n_samples,); -1 where none does."""
    predicted = np.full(labels.n_samples, -1)
    for rows in row_blocks(len(predicted), labels.n_classes):
        predicted[rows] = labels.consensus(columns, rows)
    return predicted


class OracleClassifier(TeacherSupervised):
    """Perfect hard assignment: the student on the annotations of the right specialist, which is given.

    Of the last level, the teacher whose specialty holds the true class is assigned (with unknown specialties and no
    `expert`, one that is right if any is). An upper bound for methods that assign one teacher to a sample; one that
    pools several can pass it. The only method that is given the truth; it measures, it is not for use.

    Parameters
    ----------
    truth : array-like of shape (n_samples,)
        True class of every training sample.
    expert : array-like of shape (n_samples, n_levels), optional
        Column of the right specialist at every level, where the task knows it (a domain, say). -1: none.
    student : name of a student (see `as_student`), Student or scikit-learn classifier
    random_state : int, RandomState or None
    """

    def __init__(
        self, truth: Any = None, *, expert: Any = None, student: Any = "ridge", random_state: Any = None
    ) -> None:
        self.truth = truth
        self.expert = expert
        self.student = student
        self.random_state = random_state

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        if self.truth is None:
            raise CosupError(
                "oracle needs truth=, the true class of every training sample; it measures, it is not for use"
            )
        truth = np.asarray(self.truth)
        if truth.shape != (len(labels),):
            raise CosupError(f"truth must have shape ({len(labels)},), got {truth.shape}")
        if truth.dtype.kind not in "iu" or truth.min() < 0 or truth.max() >= labels.n_classes:
            raise CosupError(f"truth must be class ids from 0 to {labels.n_classes - 1}")
        last = labels.n_levels - 1
        if self.expert is None:
            assigned = _right_specialist(labels, truth, last)
        else:
            expert = np.asarray(self.expert)
            if expert.shape != (len(labels), labels.n_levels):
                raise CosupError(f"expert must have shape ({len(labels)}, {labels.n_levels}), got {expert.shape}")
            known = np.append(labels.at_level(last), -1)
            if expert.dtype.kind not in "iu" or not np.isin(expert[:, last], known).all():
                raise CosupError(
                    f"expert must hold columns of teachers of its level, or -1; level {last} has {known[:-1].tolist()}"
                )
            assigned = expert[:, last]
        hard = labels.hard()
        predicted = np.where(assigned >= 0, hard[np.arange(len(hard)), np.maximum(assigned, 0)], -1)
        # Where the right specialist is missing or abstains, the generalists' consensus is the best there is.
        predicted = np.where(predicted >= 0, predicted, labels.consensus(labels.at_level(0)))
        consensus = Consensus(
            labels.at_level(last), one_hot(predicted, labels.n_classes), predicted >= 0, predicted, assigned
        )
        return train_once(self.student, X, labels, consensus, seed)


def _right_specialist(labels: TeacherLabels, truth: IntArray, level: int) -> IntArray:
    speaks, hard = labels.speaks(), labels.hard()
    out = np.full(len(truth), -1)
    fit = np.zeros(len(truth))
    for t in labels.at_level(level):
        classes = labels.specialties[t]
        covers = np.ones(len(truth), dtype=bool) if classes is None else np.isin(truth, classes)
        # A known specialty decides; among unknown ones, the annotation that is right.
        score = covers * (1.0 if classes is not None else 0.5 + 0.5 * (hard[:, t] == truth)) * speaks[:, t]
        better = score > fit
        out[better], fit[better] = t, score[better]
    return out
