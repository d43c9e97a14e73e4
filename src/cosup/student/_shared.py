"""Sharing one factorisation between methods that train on the same features."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cosup._validation import CosupError, FloatArray
from cosup.student._adam import AdamProbe
from cosup.student._logistic import LogisticProbe
from cosup.student._mlp import GradientProbe, MixtureProbe, MlpProbe
from cosup.student._protocol import Student, Trainer
from cosup.student._ridge import RidgeProbe
from cosup.student._sklearn import SklearnStudent

__all__ = ["SharedStudent", "as_student", "shared"]


@dataclass
class SharedStudent:
    """A student that remembers its last preparation; see `shared`."""

    student: Student
    _X: FloatArray | None = field(default=None, repr=False)
    _trainer: Trainer | None = field(default=None, repr=False)

    def prepare(self, X: FloatArray) -> Trainer:
        """Tie to `X`, or give back the trainer of the last call when the features are the same."""
        same = self._X is not None and (X is self._X or (X.shape == self._X.shape and np.array_equal(X, self._X)))
        if self._trainer is None or not same:
            self._X, self._trainer = X, self.student.prepare(X)
        return self._trainer


def shared(student: Student) -> SharedStudent:
    """Let several methods that are fitted on the same features share what `student` computes once for them.

    Parameters
    ----------
    student : Student

    Returns
    -------
    SharedStudent
        It holds on to the features and their factorisation until it meets other features or is dropped.
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
