"""Sharing one factorisation between methods that train on the same features."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cosup._validation import BoolArray, CosupError, FloatArray, IntArray
from cosup.student._adam import AdamProbe
from cosup.student._logistic import LogisticProbe
from cosup.student._mlp import GradientProbe, MixtureProbe, MlpProbe
from cosup.student._protocol import Fit, Student, Trainer
from cosup.student._ridge import RidgeProbe
from cosup.student._sklearn import SklearnStudent

__all__ = ["SharedStudent", "as_student", "shared"]


REMEMBERED = 4
"""Trainings that are remembered: a study's methods nearly all start with the student of the generalists."""


class SharedTrainer:
    """A trainer that remembers the last trainings it was asked for; those of `like` are not remembered.

    Attributes
    ----------
    spared : float
        Seconds that trainings took which were asked for again: what methods would have taken each for itself.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._fits: OrderedDict[bytes, tuple[Fit, float]] = OrderedDict()
        self.spared = 0.0

    def train(
        self,
        targets: FloatArray | IntArray,
        *,
        keep: BoolArray | None = None,
        random_state: int = 0,
        strength: float | None = None,
        n_classes: int | None = None,
    ) -> Fit:
        """See `cosup.student.Trainer`."""
        sums = hashlib.blake2b(repr((random_state, strength, n_classes)).encode())
        for array in (targets, keep):
            given = np.ascontiguousarray(array) if array is not None else np.empty(0)
            sums.update(f"{given.dtype.str}{given.shape}".encode())
            sums.update(given.data)
        key = sums.digest()
        if key in self._fits:
            self._fits.move_to_end(key)
            fit, seconds = self._fits[key]
            self.spared += seconds
            return fit
        started = time.perf_counter()
        fit = self._trainer.train(targets, keep=keep, random_state=random_state, strength=strength, n_classes=n_classes)
        self._fits[key] = fit, time.perf_counter() - started
        while len(self._fits) > REMEMBERED:
            self._fits.popitem(last=False)
        return fit

    def like(self, fit: Fit) -> Trainer:
        """See `cosup.student.Trainer`."""
        return self._trainer.like(fit)


@dataclass
class SharedStudent:
    """A student that remembers its last preparation; see `shared`."""

    student: Student
    _X: FloatArray | None = field(default=None, repr=False)
    _trainer: SharedTrainer | None = field(default=None, repr=False)

    def prepare(self, X: FloatArray) -> SharedTrainer:
        """Tie to `X`, or give back the trainer of the last call when the features are the same."""
        same = self._X is not None and (X is self._X or (X.shape == self._X.shape and np.array_equal(X, self._X)))
        if self._trainer is None or not same:
            self._X, self._trainer = X, SharedTrainer(self.student.prepare(X))
        return self._trainer

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


NAMED = {
    "ridge": RidgeProbe,
    "logistic": LogisticProbe,
    "adam": AdamProbe,
    "gradient": GradientProbe,
    "mixture": MixtureProbe,
    "mlp": MlpProbe,
}


def as_student(student: Any) -> Student:
    """Make a student of a name, a `Student`, or a scikit-learn classifier.

    Parameters
    ----------
    student : {"ridge", "logistic", "adam", "gradient", "mixture", "mlp"}, Student or scikit-learn classifier

    Returns
    -------
    Student

    Raises
    ------
    CosupError
        For anything else.
    """
    if isinstance(student, str) and student in NAMED:
        made: Student = NAMED[student]()
        return made
    if isinstance(student, type):
        raise CosupError(f"student must be an instance: {student.__name__}() instead of {student.__name__}")
    if isinstance(student, Student):
        return student
    if hasattr(student, "fit") and hasattr(student, "predict"):
        return SklearnStudent(student)
    raise CosupError(f"student must be one of {sorted(NAMED)}, a Student or a scikit-learn classifier, got {student!r}")
