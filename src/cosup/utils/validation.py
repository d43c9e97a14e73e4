"""Checks of arrays and numbers that run before any work starts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosup.utils.errors import CosupError, check_choice, suggest
from cosup.utils.slices import rows_within, slices

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
UInt8Array = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]

__all__ = [
    "BoolArray",
    "CosupError",
    "FloatArray",
    "IntArray",
    "UInt8Array",
    "check_choice",
    "check_features",
    "check_positive",
    "first_bad",
    "is_bfloat16",
    "not_finite",
    "some",
    "suggest",
]

BLOCK = 1 << 22
"""Features that are looked at together: what is memory-mapped is never in memory as a whole."""


def check_positive(value: float, what: str, *, integer: bool = False, allow_zero: bool = False) -> None:
    """Raise `CosupError` unless `value` is a finite positive number (an integer if asked)."""
    kinds = (int, np.integer) if integer else (int, float, np.integer, np.floating)
    good = isinstance(value, kinds) and not isinstance(value, bool) and bool(np.isfinite(value))
    if not good or value < 0 or (value == 0 and not allow_zero):
        kind = "integer" if integer else "number"
        low = "of at least 0" if allow_zero else "above 0"
        raise CosupError(f"{what} must be a finite {kind} {low}, got {value!r}")


def first_bad(mask: BoolArray) -> str:
    """Say where the first True of `mask` is: 'row 3, column 7 (12 in all)'."""
    where = np.argwhere(mask)
    axes = ("row", "column", "class")
    place = ", ".join(f"{a} {int(i)}" for a, i in zip(axes, where[0], strict=False))
    return f"{place} ({len(where)} in all)"


def check_features(X: ArrayLike, *, n_samples: int | None = None, name: str = "X") -> FloatArray:
    """Validate a feature matrix.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Any real dtype. Floating arrays pass through unchanged (no copy), memory-mapped ones, too; the rest becomes
        float64. bfloat16 is what has a dtype of that name, or one whose only field has it.
    n_samples : int, optional
        The number of rows that is required.
    name : str
        The name in messages.

    Returns
    -------
    ndarray of shape (n_samples, n_features), floating
        The same values, floating.

    Raises
    ------
    CosupError
        If it is not a non-empty matrix of finite numbers, or has another number of rows.
    """
    X = np.asanyarray(X)
    if X.dtype.kind not in "fiub" and not is_bfloat16(X):
        raise CosupError(f"{name} must hold numbers, got dtype {X.dtype}")
    if X.ndim != 2:
        raise CosupError(f"{name} must have shape (n_samples, n_features), got {X.shape}")
    if X.shape[0] == 0 or X.shape[1] == 0:
        raise CosupError(f"{name} is empty: shape {X.shape}")
    if n_samples is not None and X.shape[0] != n_samples:
        raise CosupError(
            f"{name} has {X.shape[0]} rows but the labels have {n_samples} samples; they must describe the same samples"
        )
    if X.dtype.kind in "iub":
        X = X.astype(np.float64)
    blocks = slices(len(X), rows_within(BLOCK, X.shape[1]))
    for rows in blocks:
        bad = not_finite(X[rows])
        if bad is not None:
            row, column = (int(i) for i in np.argwhere(bad)[0])
            rest = (not_finite(X[later]) for later in blocks)
            count = int(bad.sum() + sum(part.sum() for part in rest if part is not None))
            raise CosupError(
                f"{name} has NaN or infinite values, first at row {rows.start + row}, column {column} "
                f"({count} in all); impute or drop these samples before fitting"
            )
    return X


def is_bfloat16(X: np.ndarray[Any, Any]) -> bool:
    """Tell whether an array declares its 16-bit words to be bfloat16, for which numpy has no dtype."""
    # The width is told first: numpy composes a dtype's name anew every time.
    return bool(X.dtype.itemsize == 2 and (X.dtype.name == "bfloat16" or X.dtype.names == ("bfloat16",)))


def not_finite(block: np.ndarray[Any, Any]) -> BoolArray | None:
    """Describe where there are NaN or infinite values; None where there are none."""
    if is_bfloat16(block):
        # Infinity and NaN are the numbers whose exponent is all ones.
        bad = (np.ascontiguousarray(block).view(np.uint16) & 0x7F80) == 0x7F80
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            if block.dtype != np.float16 and np.isfinite(block.sum()):
                return None  # a sum of finite values is finite, unless it overflows, which is checked below
        bad = ~np.isfinite(block)
    return bad if bad.any() else None


def some(names: Iterable[str], what: str = "ids") -> str:
    """Count names and show the first: '7 ids (a, b, c, d, e, ...)'."""
    listed = list(names)
    shown = ", ".join(listed[:5])
    return f"{len(listed)} {what} ({shown}{', ...' if len(listed) > 5 else ''})"
