"""The state between rounds, one class for each step that writes it, and the outcomes of rounds and levels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from cosup.cosupervision.class_priors import ClassPrior
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
    """The outcome of a round or a level, as ``history_`` records it beside the notes."""

    TRAINED = "trained"
    """A global student was trained in every round."""
    INITIAL_STUDENT = "initial student"
    """The level is a single generalist: its student is the initial one."""
    SILENT = "silent level"
    """No teacher of the level annotates any sample; the student of the level above stays."""
    NOTHING_KEPT = "nothing kept"
    """Every annotation was rejected; the student of the round before stays."""
    TOO_FEW_KEPT = "too few kept"
    """Too few annotations, or of one class only, were kept to train on; the student of the round before stays."""
    FELL_BACK = "fell back"
    """The initial student is the answer: the final one contradicts its targets, or explains annotations worse."""


@dataclass(frozen=True)
class Setup:
    """The inputs that are the same in every round.

    Attributes
    ----------
    hierarchy : Hierarchy
    trainer : Trainer
        The student tied to the features.
    config : CSLConfig
    included : bool ndarray of shape (n_teachers,)
        The teachers that screening left in.
    support : ndarray of shape (n_teachers,), optional
        Support of each teacher by the others, where teachers were screened; see
        `cosup.cosupervision.teacher_screening`.
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
        """Tell whether the pool multiplies a level's teachers, rather than mixing them: several generalists."""
        level = self.hierarchy.levels[k]
        return self.config.pool and k == 0 and level is not None and len(level.columns) > 1

    @property
    def reasons(self) -> tuple[str, ...]:
        """Reasons why an annotation is not trained on; `Assignment.reason` holds positions in this."""
        return ("", "abstained", "overruled", *self.config.reject)

    def student_proba(self, fit: Fit) -> Iterator[tuple[slice, FloatArray]]:
        """Yield the predictions that assignment and rejection go by, a block of samples at a time."""
        return fit.blocks(self.config.out_of_sample, self.hierarchy.slices[0].stop)

    def train(
        self, targets: FloatArray | IntArray, train_mask: BoolArray, seed: int, alpha: float | None = None
    ) -> Fit:
        """Train a global student, as regularised as `alpha` says, or as the student itself chooses."""
        return self.trainer.train(
            targets, train_mask=train_mask, random_state=seed, alpha=alpha, n_classes=self.n_classes
        )


@dataclass(frozen=True)
class Assignment:
    """The teacher z(x_i) of every sample, and whether its annotation is kept; vectors of n_samples.

    Assignment writes it; rejection and pooling take annotations out.

    Attributes
    ----------
    teacher : ndarray of int
        The teacher's column, -1 for none.
    annotation : ndarray of int
        The teacher's most probable class, as a position in `Hierarchy.active`; -1 for none. Of the initial student,
        the consensus of several generalists.
    kept : bool ndarray
    reason : ndarray of uint8
        The reason why it is not kept, a position in `Setup.reasons`; 0 where it is.
    """

    teacher: IntArray
    annotation: IntArray
    kept: BoolArray
    reason: IntArray

    def without(self, dropped: BoolArray, reason: int) -> Assignment:
        """Return it without the annotations that are `dropped`, for `reason`, a position in `Setup.reasons`."""
        newly = self.kept & dropped
        return replace(self, kept=self.kept & ~dropped, reason=np.where(newly, np.uint8(reason), self.reason))


@dataclass(frozen=True)
class Annotations:
    """The assigned teachers' annotations pi_km(x_i).

    Attributes
    ----------
    hard : ndarray of shape (n_samples,)
        Positions in `Hierarchy.active`, -1 for none.
    soft : RowStore of shape (n_samples, n_classes), optional
        Probabilities, where students are trained on these.
    """

    hard: IntArray
    soft: RowStore | None

    @property
    def targets(self) -> FloatArray | IntArray:
        """The targets of a student: probabilities (n_samples, n_classes), or classes (n_samples,)."""
        return self.hard if self.soft is None else self.soft.whole()


@dataclass(frozen=True)
class TrainingTargets:
    """Targets of a global student. `pool_targets` writes them.

    Attributes
    ----------
    targets : ndarray of shape (n_samples,) or (n_samples, n_classes)
    train_mask : bool ndarray of shape (n_samples,)
    objective : float
        Free energy of the pool, see `cosup.cosupervision.pooling.pool`; NaN without a pool.
    posterior : Rows of shape (n_samples, n_classes), optional
        The pooled posterior that the targets were made of.
    notes : tuple of str
    moved : float
        Mean total variation between this posterior and that of the round before; NaN without a pool.
    """

    targets: FloatArray | IntArray
    train_mask: BoolArray
    objective: float = float("nan")
    posterior: Rows | None = None
    notes: tuple[str, ...] = ()
    moved: float = float("nan")


@dataclass(frozen=True)
class State:
    """The results of a round that the next one starts from.

    Attributes
    ----------
    fit : Fit
        The latest global student.
    training : TrainingTargets
        The targets that it was trained on.
    assignment : Assignment
        The latest one, also where no student could be trained on it.
    class_prior : ClassPrior
        The marginals that predictions and posterior are held at; see `cosup.cosupervision.class_priors`.
    objective : float
        The free energy of the latest pool; without a pool, the student's mean cross-entropy against its targets.
    level : int
        The level that the student was trained at; -1 for the initial one.
    """

    fit: Fit
    training: TrainingTargets
    assignment: Assignment
    class_prior: ClassPrior
    objective: float
    level: int = -1
