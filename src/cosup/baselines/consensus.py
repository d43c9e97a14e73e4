"""Serve all rivals: the generalists' consensus, one training of a student, the record that it leaves."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cosup.cosupervision import joint_posterior
from cosup.estimators.supervision import LevelRecord, Supervision, one_hot, provenance_rows
from cosup.labels import TeacherLabels
from cosup.students import Fit, Trainer, as_student
from cosup.utils.losses import cross_entropy
from cosup.utils.validation import BoolArray, CosupError, FloatArray, IntArray, check_choice, check_positive

if TYPE_CHECKING:
    from cosup.baselines.objectives import Objective

__all__ = [
    "FLOOR", "Consensus", "agreement", "check_fraction", "check_keep_rate", "consensus_of", "distinct", "every_teacher",
    "first_fit", "floored", "generalists", "gradient_supervision", "pooled", "suited", "supervision", "train_once",
]  # fmt: skip

FLOOR = 0.01
"""Share of the uniform distribution in a floored one."""


@dataclass(frozen=True)
class Consensus:
    """The joint annotation of some teachers.

    Attributes
    ----------
    columns : ndarray of int
        The teachers.
    vote : ndarray of shape (n_samples, n_classes), float64
        Mean probabilities of those that speak, rows of zeros where none does.
    has_label : ndarray of shape (n_samples,), bool
    predicted_class : ndarray of shape (n_samples,), int64
        Most probable class of the vote, -1 where none speaks.
    assigned : ndarray of shape (n_samples,), int64
        The teacher's column where there is but one and it speaks, else -1.
    """

    columns: IntArray
    vote: FloatArray
    has_label: BoolArray
    predicted_class: IntArray
    assigned: IntArray

    def targets(self, *, soft: bool) -> FloatArray:
        """Return the vote, or one-hot rows of its most probable class."""
        return self.vote if soft else one_hot(self.predicted_class, self.vote.shape[1])


def generalists(labels: TeacherLabels) -> Consensus:
    """Combine the distinct teachers of level 0; `CosupError` where they are silent throughout."""
    columns = distinct(labels, labels.at_level(0))
    vote = labels.vote(columns)
    if not (vote.sum(axis=1) > 0).any():
        raise CosupError("no teacher of level 0 speaks in these samples")
    return _consensus(columns, vote)


def every_teacher(labels: TeacherLabels) -> Consensus:
    """Combine all teachers of all levels; `CosupError` where they are silent throughout."""
    columns = np.arange(labels.n_teachers)
    vote = labels.vote(columns)
    if not (vote.sum(axis=1) > 0).any():
        raise CosupError("no teacher speaks in these samples")
    return _consensus(columns, vote)


def consensus_of(labels: TeacherLabels, teachers: str) -> Consensus:
    """Call `every_teacher` for "all", `generalists` for "generalists"."""
    check_choice(teachers, ("all", "generalists"), "teachers")
    return every_teacher(labels) if teachers == "all" else generalists(labels)


def pooled(columns: IntArray, pool: FloatArray) -> Consensus:
    """Make a `Consensus` of probabilities that were pooled from several teachers, (n_samples, n_classes)."""
    return _consensus(columns, pool, several=True)


def _consensus(columns: IntArray, vote: FloatArray, *, several: bool = False) -> Consensus:
    has_label = vote.sum(axis=1) > 0
    predicted = np.where(has_label, vote.argmax(axis=1), -1)
    single = len(columns) == 1 and not several
    return Consensus(columns, vote, has_label, predicted, np.where(has_label & single, columns[0], -1))


def distinct(labels: TeacherLabels, columns: IntArray) -> IntArray:
    """Leave out those of `columns` that repeat an earlier one."""
    out: list[int] = []
    for t in columns:
        if not any(labels.repeats(int(t), u) for u in out):
            out.append(int(t))
    return np.array(out)


def floored(probabilities: FloatArray, floor: float = FLOOR) -> FloatArray:
    """Mix rows with the uniform distribution, of which they take the share `floor`; rows of zeros become uniform."""
    rows = probabilities / np.maximum(probabilities.sum(axis=1, keepdims=True), 1e-300)
    silent = probabilities.sum(axis=1, keepdims=True) == 0
    uniform = 1.0 / probabilities.shape[1]
    return np.asarray(np.where(silent, uniform, (1.0 - floor) * rows + floor * uniform))


def first_fit(student: Any, X: FloatArray, consensus: Consensus, seed: int) -> tuple[Trainer, Fit]:
    """Train a student on the consensus's most probable classes, for methods that go on from there."""
    trainer = as_student(student).prepare(X)
    return trainer, trainer.train(consensus.targets(soft=False), train_mask=consensus.has_label, random_state=seed)


def agreement(fit: Fit, consensus: Consensus) -> float:
    """Measure how often the student, out of sample, predicts the consensus's class."""
    return float((fit.out_of_sample.argmax(axis=1) == consensus.predicted_class)[consensus.has_label].mean())


def suited(fit: Fit, targets: FloatArray) -> FloatArray:
    """Return soft targets for the next training, hardened where the student is not calibrated (`Fit.takes_soft`)."""
    return targets if fit.takes_soft else one_hot(targets.argmax(axis=1), targets.shape[1])


def supervision(
    fit: Fit,
    labels: TeacherLabels,
    consensus: Consensus,
    *,
    targets: FloatArray,
    started: float,
    kept: BoolArray | None = None,
    reason: str = "abstained",
    rounds: int = 1,
    notes: list[str] | None = None,
) -> Supervision:
    """Make the result of a method of one level: its student, its record and its provenance.

    `targets` (n_samples, n_classes) are what was trained on, `kept` (n_samples,) marks the samples that were (default:
    all annotated ones); the annotated ones among the others get `reason`. The record's objective is the mean
    cross-entropy of the out-of-sample predictions of kept samples.
    """
    kept = consensus.has_label if kept is None else kept
    predicted = fit.out_of_sample
    has_target = targets.sum(axis=1) > 0
    same = (predicted.argmax(axis=1) == targets.argmax(axis=1))[has_target]
    record = LevelRecord(
        level=int(labels.levels[consensus.columns[0]]),
        teachers=consensus.columns,
        assigned=consensus.assigned,
        kept=kept,
        alpha=fit.alpha,
        agreement=float(same.mean()) if same.size else float("nan"),
        objective=float(cross_entropy(targets[kept], predicted[kept]).mean()),
        rounds=rounds,
        seconds=time.perf_counter() - started,
        notes=notes or [],
    )
    why = np.where(consensus.has_label, reason, "abstained")
    probability = predicted[np.arange(len(predicted)), consensus.predicted_class]
    rows = provenance_rows(consensus.assigned, consensus.predicted_class, kept, why, probability)[:, None]
    return Supervision(fit.head, (fit.head,), [record.to_dict()], rows)


def train_once(
    student: Any,
    X: FloatArray,
    labels: TeacherLabels,
    consensus: Consensus,
    seed: int,
    *,
    soft: bool = False,
    notes: list[str] | None = None,
) -> Supervision:
    """Train a student on a consensus where there is one."""
    started = time.perf_counter()
    targets = consensus.targets(soft=soft)
    fit = as_student(student).prepare(X).train(targets, train_mask=consensus.has_label, random_state=seed)
    return supervision(fit, labels, consensus, targets=targets, started=started, notes=notes)


def gradient_supervision(
    objective: Callable[[], Objective],
    X: FloatArray,
    labels: TeacherLabels,
    consensus: Consensus,
    seed: int,
    *,
    targets: FloatArray,
    alpha: float | None,
    describe: Callable[[FloatArray, float], str] | None = None,
    notes: list[str] | None = None,
    **options: Any,
) -> Supervision:
    """Train linear heads on a loss of `cosup.baselines.objectives`; see `fit_gradient` there for the options.

    `targets` (n_samples, ..., n_classes) are what the loss takes; the record compares with the consensus's vote.
    `describe` makes a note of what the objective learned and of its setting.
    """
    from cosup.baselines.gradient import fit_gradient  # imports torch, which takes a second

    if alpha is not None:
        check_positive(alpha, "alpha")
    started = time.perf_counter()
    fit = fit_gradient(
        objective, X, targets, consensus.has_label, lambda: joint_posterior(X, labels, seed), seed=seed, alpha=alpha,
        **options,
    )  # fmt: skip
    learned = [*(notes or []), fit.described]
    if describe is not None and fit.learned is not None:
        learned.append(describe(fit.learned, fit.setting))
    return supervision(fit, labels, consensus, targets=consensus.vote, started=started, notes=learned)


def check_keep_rate(value: float | None) -> None:
    """Raise `CosupError` unless `value` is a share in (0, 1], or None."""
    if value is not None:
        check_fraction(value, "keep_rate", low=1e-6)


def check_fraction(value: float, what: str, *, low: float = 0.0, high: float = 1.0) -> None:
    """Raise `CosupError` unless `value` is a number from `low` to `high`."""
    check_positive(value, what, allow_zero=True)
    if not low <= value <= high:
        raise CosupError(f"{what} must be from {low:g} to {high:g}, got {value!r}")
