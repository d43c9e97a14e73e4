"""Costs of students: operations of the kernels that a training runs, and memory beside features and targets.

A student counts both itself, from the constants that its training goes by: `peak_bytes` of a probe, and `costs`, whose
`Operations` `cosup.planning` multiplies by measured rates. docs/reference/memory.md has the formulas.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from cosup.utils.row_blocks import BLOCK_BYTES

__all__ = ["CountsMemory", "Operations", "peak_bytes"]


@dataclass(frozen=True)
class Operations:
    """Operations of one kernel.

    Attributes
    ----------
    what : str
        A description; operations of one description are added up in a plan's table.
    kernel : str
        The name that its rate is measured under.
    count : float
    x, y : int
        The size that the kernel's rate is looked up at.
    spread : bool
        Whether it grows with the samples.
    large : bool
        Whether products are torch's in single precision.
    """

    what: str
    kernel: str
    count: float
    x: int = 1
    y: int = 1
    spread: bool = True
    large: bool = False

    def times(self, factor: float) -> Operations:
        """Multiply their number."""
        return replace(self, count=self.count * factor)


@runtime_checkable
class CountsMemory(Protocol):
    """A student that counts the memory it takes."""

    def peak_bytes(self, X: Any, n_classes: int) -> int:
        """Count bytes at the most, beside features and targets."""
        ...


def peak_bytes(student: Any, X: Any, n_classes: int) -> int:
    """Count the bytes that training and predicting in blocks take at the most, beside features and targets.

    Parameters
    ----------
    student : Student
        One that does not count them itself counts as a copy of the features.
    X : ndarray of shape (n_samples, n_features)
    n_classes : int
    """
    if isinstance(student, CountsMemory):
        return student.peak_bytes(X, n_classes)
    n, d = (int(length) for length in X.shape)
    return copied_bytes(n, d, n_classes, 4)


def copied_bytes(n: int, d: int, c: int, itemsize: int) -> int:
    """Count the bytes of a student that works on a copy of the features, and of a part of them."""
    return 2 * itemsize * n * d + 8 * n * c + 4 * BLOCK_BYTES
