"""Sharing one factorisation between methods that train on the same features."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cosup.students.protocol import Fit, Student, Trainer
from cosup.students.ridge.probe import RidgeFit, RidgeProbe, RidgeTrainer
from cosup.utils.shared_results import SharedResults, digest
from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = ["SharedStudent", "shared"]


REMEMBERED = 4
"""Trainings that are remembered: a study's methods nearly all start with the student of the generalists."""

LATER, LATER_BYTES = 32, 1 << 26
"""Trainings that are remembered of those that follow on one (`Trainer.like`), where so many are small: ablations share
the first."""


class SharedTrainer:
    """A trainer that remembers the last trainings it was asked for, and the last of those `like` one of these.

    Parameters
    ----------
    trainer : Trainer
    memory : SharedResults
        The trainings that are remembered.
    later : SharedResults or None
        Trainings that follow on one of these (`Trainer.like`); None remembers none.
    after : tuple, optional
        Key of the fit that `trainer` follows on.
    """

    def __init__(
        self,
        trainer: Trainer,
        memory: SharedResults,
        later: SharedResults | None = None,
        after: tuple[Any, ...] | None = None,
    ) -> None:
        self._trainer, self._memory, self._later, self._after = trainer, memory, later, after

    @property
    def spared(self) -> float:
        """Seconds that trainings took which were asked for again: what methods would have taken each for itself."""
        return self._memory.spared + (0.0 if self._later is None else self._later.spared)

    def train(
        self,
        targets: FloatArray | IntArray,
        *,
        train_mask: BoolArray | None = None,
        random_state: int = 0,
        alpha: float | None = None,
        n_classes: int | None = None,
    ) -> Fit:
        """See `cosup.students.Trainer`."""
        arrays = (None if given is None else digest(np.asarray(given)) for given in (targets, train_mask))
        return self._memory.recall(
            (self._after, random_state, alpha, n_classes, *arrays),
            lambda: self._trainer.train(
                targets, train_mask=train_mask, random_state=random_state, alpha=alpha, n_classes=n_classes
            ),
        )

    def like(self, fit: Fit) -> Trainer:
        """See `cosup.students.Trainer`."""
        trainer = self._trainer.like(fit)
        key = self._memory.key_of(fit)
        if self._later is None or key is None or not _small(fit):
            return trainer
        return SharedTrainer(trainer, self._later, after=key)


def _small(fit: Fit) -> bool:
    """Tell whether many fits like it may be remembered: a few vectors a sample and class, and the weights."""
    if not isinstance(fit, RidgeFit):
        return False
    n = len(fit._readout.scores.sample.features.X)
    return LATER * 8 * (n * (3 * len(fit.head.bias) + 4) + 2 * fit.head.weight.size) <= LATER_BYTES


@dataclass
class SharedStudent:
    """A student that remembers its last preparation; see `shared`."""

    student: Student
    of: SharedStudent | None = None
    """Another one, on whose preparation of the features this one may build."""
    _X: FloatArray | None = field(default=None, repr=False)
    _trainer: SharedTrainer | None = field(default=None, repr=False)

    def prepare(self, X: FloatArray) -> SharedTrainer:
        """Tie to `X`, or give back the trainer of the last call when the features are the same."""
        same = self._X is not None and (X is self._X or (X.shape == self._X.shape and np.array_equal(X, self._X)))
        if self._trainer is None or not same:
            self._X, self._trainer = (
                X,
                SharedTrainer(self._prepared(X), SharedResults(REMEMBERED), SharedResults(LATER)),
            )
        return self._trainer

    def _prepared(self, X: FloatArray) -> Trainer:
        known = None if self.of is None else self.of.prepare(X)._trainer
        if isinstance(known, RidgeTrainer) and isinstance(self.student, RidgeProbe):
            return known.by(self.student)
        return self.student.prepare(X)

    @property
    def spared(self) -> float:
        """Seconds of trainings on these features that were asked for again; see `SharedTrainer`."""
        return 0.0 if self._trainer is None else self._trainer.spared


def shared(student: Student) -> SharedStudent:
    """Let several methods that are fitted on the same features share what `student` computes once for them.

    Parameters
    ----------
    student : Student

    Returns
    -------
    SharedStudent
        It holds on to the features, their factorisation and the last trainings until it meets other features or is
        dropped.
    """
    return SharedStudent(student)
