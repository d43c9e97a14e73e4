"""Students by name: the shipped ones, and those that plugins register."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from cosup.students.adam.probe import AdamProbe
from cosup.students.logistic.probe import LogisticProbe
from cosup.students.mlp.probe import GradientProbe, MixtureProbe, MlpProbe
from cosup.students.protocol import Student
from cosup.students.ridge.probe import RidgeProbe
from cosup.students.sklearn_student import SklearnStudent
from cosup.utils.registry import Registry
from cosup.utils.validation import CosupError

__all__ = ["STUDENTS", "as_student", "register_student"]

STUDENTS: Registry[Callable[[], Student]] = Registry("student")
"""Students by name, each a class or function that makes one."""

AnyMaker = TypeVar("AnyMaker", bound=Callable[[], Student])


def register_student(name: str) -> Callable[[AnyMaker], AnyMaker]:
    """Register the decorated class or function as a student.

    Parameters
    ----------
    name : str
        The name in ``student="..."``.

    Returns
    -------
    decorator
        For a class that is made without arguments and has `Student.prepare`, or a function that returns such a
        student or a scikit-learn classifier. A student that counts the memory it takes has ``peak_bytes(X, n_classes)``
        too; another counts as a copy of the features.

    Raises
    ------
    CosupError
        If the name is taken.

    Examples
    --------
    >>> from cosup import RidgeProbe, register_student
    >>> @register_student("stiff")  # doctest: +SKIP
    ... def stiff():
    ...     return RidgeProbe(alpha=30.0)
    """
    return STUDENTS.decorator(name, lambda make: make)


for _name, _make in (
    ("ridge", RidgeProbe), ("logistic", LogisticProbe), ("adam", AdamProbe), ("gradient", GradientProbe),
    ("mixture", MixtureProbe), ("mlp", MlpProbe),
):  # fmt: skip
    STUDENTS.add(_name, _make)
STUDENTS.mark_shipped()


def as_student(student: Any) -> Student:
    """Make a student of a name, a `Student`, or a scikit-learn classifier.

    Parameters
    ----------
    student : str, Student or scikit-learn classifier
        A name is one of `STUDENTS`: ``"ridge"``, ``"logistic"``, ``"adam"``, ``"gradient"``, ``"mixture"``, ``"mlp"``
        or a registered one.

    Returns
    -------
    Student
        The student itself, or a new one of that name.

    Raises
    ------
    CosupError
        For anything else.
    """
    if isinstance(student, str):
        return as_student(STUDENTS.find(student)())
    if isinstance(student, type):
        raise CosupError(f"student must be an instance: {student.__name__}() instead of {student.__name__}")
    if isinstance(student, Student):
        return student
    if hasattr(student, "fit") and hasattr(student, "predict"):
        return SklearnStudent(student)
    known = ", ".join(sorted(STUDENTS))
    raise CosupError(f"student must be a name ({known}), a Student or a scikit-learn classifier, got {student!r}")
