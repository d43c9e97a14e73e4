"""Count the memory of a student beside features and targets: docs/reference/memory.md's table as a function."""

from __future__ import annotations

from typing import Any

from cosup.students.adam.probe import AdamProbe
from cosup.students.caching import SharedStudent
from cosup.students.logistic.probe import LogisticProbe
from cosup.students.ridge.calibration import HELD
from cosup.students.ridge.gram import KEPT
from cosup.students.ridge.grid import GRID, VAST
from cosup.students.ridge.loo_errors import CURVES, WORTHWHILE
from cosup.students.ridge.probe import RidgeProbe
from cosup.students.sklearn_student import SklearnStudent
from cosup.utils.row_blocks import BLOCK_BYTES, LARGE, is_half, on_disk

__all__ = ["peak_bytes"]

STRENGTHS, PATH = len(GRID), 11
"""Candidates of the ridge, and of the logistic probe."""

TORCH = 1 << 28
"""Bytes that importing torch takes, which the ridge does for large products only."""


def peak_bytes(student: Any, X: Any, n_classes: int) -> int:
    """Bytes that training and predicting in blocks take at the most, beside features and targets.

    Parameters
    ----------
    student : Student
        One of another kind counts as a copy of the features.
    X : ndarray of shape (n_samples, n_features)
    n_classes : int
    """
    n, d = (int(length) for length in X.shape)
    c, block = n_classes, BLOCK_BYTES
    student = student.student if isinstance(student, SharedStudent) else student
    if isinstance(student, RidgeProbe):
        kept = 8 * n * d <= KEPT
        centred = (12 + 8) * n * d if kept else 0  # and coordinates, of all samples and of a subset
        scores = 24 * n * c if kept and c <= d else 0  # of three trainings
        factors = 80 * d * d + 16 * STRENGTHS * n  # of all samples, and of a subset
        if c * STRENGTHS >= WORTHWHILE * min(n, d):
            factors += 12 * CURVES * d * d
        held = min(4 * n * (d + 1), HELD) if d + 1 < c else 0
        library = TORCH if n * d * c >= LARGE or n * d * min(n, d) >= VAST else 0
        held += library + centred + scores + factors
        return held + 8 * (STRENGTHS + 4) * d * c + 32 * c * c + 24 * n + 10 * block
    if isinstance(student, AdamProbe):
        cast = 0 if is_half(X) or on_disk(X) or X.dtype == "float32" else 4 * n * d
        return cast + 16 * (d + 1) * c + 27 * n + 8 * student.folds * (d + 1) * c + 4 * block
    if isinstance(student, LogisticProbe):
        heads = 8 * PATH * student.folds * d * c
        return 4 * n * d + 4 * d * d + 6 * n * d + 22 * n * c + 80 * d * c + heads + 4 * block
    copy = (8 if isinstance(student, SklearnStudent) and not is_half(X) else 4) * n * d
    return 2 * copy + 8 * n * c + 4 * block
