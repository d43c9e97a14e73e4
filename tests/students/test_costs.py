"""Costs of students: each counts its own, and one that does not counts as a copy of the features."""

import ast
from pathlib import Path

import numpy as np
import pytest

import cosup.planning
from cosup import RidgeProbe
from cosup.students import as_student, peak_bytes

X = np.zeros((1000, 20), dtype=np.float32)


class Frugal:
    """A student of somebody's own."""

    def prepare(self, X):
        raise NotImplementedError

    def peak_bytes(self, X, n_classes):
        return 7 * n_classes


class Silent:
    def prepare(self, X):
        raise NotImplementedError


def test_a_student_of_one_s_own_counts_its_memory_or_is_taken_for_a_copy():
    assert peak_bytes(Frugal(), X, 3) == 21
    assert 2 * X.nbytes < peak_bytes(Silent(), X, 3) < 2 * X.nbytes + (1 << 28)


@pytest.mark.parametrize("name", ["ridge", "adam", "logistic"])
def test_more_samples_and_classes_take_more(name):
    student = as_student(name)
    least = peak_bytes(student, X, 3)
    assert peak_bytes(student, np.zeros((2000, 20), dtype=np.float32), 3) > least
    assert peak_bytes(student, X, 30) > least


def test_a_ridge_on_more_samples_has_more_operations_and_the_same_eigenvectors():
    few, many = (list(RidgeProbe().costs(n, 20, "float32").factor(3)) for n in (1000, 2000))
    assert [one.kernel for one in few] == [one.kernel for one in many]
    for one, other in zip(few, many, strict=True):
        assert other.count == (2 * one.count if one.spread else one.count)


def test_planning_imports_no_constant_of_a_student():
    """It asks `costs`; what it measures are functions and classes."""
    for file in Path(cosup.planning.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cosup.students"):
                constants = {alias.name for alias in node.names if alias.name.isupper()}
                assert constants <= {"GRID"}, f"{file.name} imports {constants} of {node.module}"
