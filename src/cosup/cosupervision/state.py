"""The state between rounds, grouped by the step that writes it, and the outcomes of rounds and levels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from cosup.cosupervision.config import CSLConfig
from cosup.cosupervision.hierarchy import Hierarchy
from cosup.students import Fit, Trainer
from cosup.utils.row_store import Rows, RowStore
from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = [
    "ABSTAINED", "OVERRULED", "REJECTED", "Annotations", "Assignment", "Outcome", "Setup", "State",
    "TrainingTargets",
]  # fmt: skip

ABSTAINED, OVERRULED, REJECTED = 1, 2, 3
"""Codes of `Assignment.reason`: positions in `Setup.reasons`. A rejection rule's is `REJECTED` and its place in
`CSLConfig.reject`."""


class Outcome(StrEnum):
    """The outcome of a round or a level, as ``history_`` has it beside the notes."""

    TRAINED = "trained"
    """A global student was trained in every round."""
    INITIAL_STUDENT = "initial student"
    """The level is a single generalist: its student is the initial one."""
    SILENT = "silent level"
    """No teacher of the level annotates a sample; the student of the level above stays."""
    NOTHING_KEPT = "nothing kept"
    """Every annotation was rejected; the student of the round before stays."""
    TOO_FEW_KEPT = "too few kept"
    """Too few annotations, or of one class only, were kept to train on; the student of the round before stays."""
    FELL_BACK = "fell back"
    """The final student contradicts its own targets out of sample, so that the initial one is the answer."""


@dataclass(frozen=True)
class Setup:
    """The inputs that stay the same from round to round.

    Attributes
    ----------
    hierarchy : Hierarchy
    trainer : Trainer
        The student tied to the features.
    config : CSLConfig
    included : bool ndarray of shape (n_teachers,)
        The teachers that screening left in.
    support : ndarray of shape (n_teachers,), optional
        How far the others agree with each, where teachers were screened; see `cosup.cosupervision.teacher_screening`.
    """

    hierarchy: Hierarchy
    trainer: Trainer
    config: CSLConfig
    included: BoolArray
    support: FloatArray | None

    @property
    def n_classes(self) -> int:
        """Number of classes that anyone names."""
        return len(self.hierarchy.active)

    def reads_as_witnesses(self, k: int) -> bool:
        """Tell whether a level's teachers all speak of the same class: several generalists, where there is a pool."""
        level = self.hierarchy.levels[k]
        return self.config.pool and k == 0 and level is not None and len(level.columns) > 1

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why an annotation may not count; `Assignment.reason` holds positions in this."""
        return ("", "abstained", "overruled", *self.config.reject)

    def student_proba(self, fit: Fit) -> Iterator[tuple[slice, FloatArray]]:
        """Yield the predictions that assignment and rejection go by, a block of samples at a time."""
        return fit.blocks(self.config.out_of_sample, self.hierarchy.slices[0].stop)

    def train(
        self, targets: FloatArray | IntArray, train_mask: BoolArray, seed: int, alpha: float | None = None
    ) -> Fit:
        """Train a global student, of a regularisation that is given or its own choice."""
        return self.trainer.train(
            targets, train_mask=train_mask, random_state=seed, alpha=alpha, n_classes=self.n_classes
        )


@dataclass(frozen=True)
class Assignment:
    """The teacher z(x_i) of every sample, and whether its annotation stands; vectors of n_samples.

    Written by assignment; rejection and pooling take annotations out.

    Attributes
    ----------
    teacher : ndarray of int
        The teacher's column, -1 for none.
    annotation : ndarray of int
        Its most probable class, in positions of `Hierarchy.active`; -1 for none. Several generalists speak as one.
    kept : bool ndarray
    reason : ndarray of uint8
        Why it was not kept, a position in `Setup.reasons`.
    """

    teacher: IntArray
    annotation: IntArray
    kept: BoolArray
    reason: IntArray

    def without(self, dropped: BoolArray, reason: int) -> Assignment:
        """Take out what is `dropped`, for `reason`, a position in `Setup.reasons`."""
        newly = self.kept & dropped
        return replace(self, kept=self.kept & ~dropped, reason=np.where(newly, np.uint8(reason), self.reason))


@dataclass(frozen=True)
class Annotations:
    """The assigned teachers' annotations pi_km(x_i): class positions, and probabilities where these are trained on."""

    hard: IntArray
    soft: RowStore | None

    @property
    def targets(self) -> FloatArray | IntArray:
        """Targets of a student: (n_samples, n_classes) probabilities or (n_samples,) classes."""
        return self.hard if self.soft is None else self.soft.whole()


@dataclass(frozen=True)
class TrainingTargets:
    """Targets of a global student. Written by pooling.

    Attributes
    ----------
    targets : ndarray of shape (n_samples,) or (n_samples, n_classes)
    train_mask : bool ndarray of shape (n_samples,)
    objective : float
        Mean log-likelihood of the pooled posterior, NaN without a pool.
    posterior : Rows of shape (n_samples, n_classes), optional
        The pooled posterior that targets were made of.
    notes : tuple of str
    """

    targets: FloatArray | IntArray
    train_mask: BoolArray
    objective: float = float("nan")
    posterior: Rows | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """The state that a round hands to the next.

    Attributes
    ----------
    fit : Fit
        The latest global student.
    training : TrainingTargets
        Which it was trained on.
    assignment : Assignment
        The latest, also where no student could be trained on it.
    class_prior : ndarray of shape (n_classes,)
        The marginals that predictions and posterior are held at; see `cosup.cosupervision.class_priors`.
    objective : float
        Of the latest training.
    level : int
        The level that the student was trained at; -1 for the initial one.
    """

    fit: Fit
    training: TrainingTargets
    assignment: Assignment
    class_prior: FloatArray
    objective: float
    level: int = -1
