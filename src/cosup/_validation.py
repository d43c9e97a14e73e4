"""Checks that run before any work starts, and the one error type they raise."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
BoolArray = NDArray[np.bool_]

__all__ = ["BoolArray", "CosupError", "FloatArray", "IntArray", "check_features", "check_positive", "suggest"]


class CosupError(ValueError):
    """The input is wrong; the message says what, where, and what to do."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Name the near matches of an unknown name, and all that is known.

    Parameters
    ----------
    name : str
        What was asked for.
    known : iterable of str
        What there is.

    Returns
    -------
    str
        A sentence to append to an error message.
    """
    known = list(known)
    near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return f"{hint} Known: {', '.join(sorted(known))}."


def check_choice(value: str, known: Iterable[str], what: str) -> str:
    """Return `value` if it is one of `known`, else raise `CosupError` with near matches."""
    known = list(known)
    if value not in known:
        raise CosupError(f"unknown {what} {value!r}.{suggest(str(value), known)}")
    return value


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
        Any real dtype. float32 and float64 pass through unchanged (no copy), the rest becomes float64.
    n_samples : int, optional
        The number of rows that is required.
    name : str
        How messages call it.

    Returns
    -------
    ndarray of shape (n_samples, n_features), float32 or float64

    Raises
    ------
    CosupError
        If it is not a non-empty matrix of finite numbers, or has another number of rows.
    """
    X = np.asarray(X)
    if X.dtype.kind not in "fiub":
        raise CosupError(f"{name} must hold numbers, got dtype {X.dtype}")
    if X.ndim != 2:
        raise CosupError(f"{name} must have shape (n_samples, n_features), got {X.shape}")
    if X.shape[0] == 0 or X.shape[1] == 0:
        raise CosupError(f"{name} is empty: shape {X.shape}")
    if n_samples is not None and X.shape[0] != n_samples:
        raise CosupError(
            f"{name} has {X.shape[0]} rows but the labels have {n_samples} samples; they must describe the same samples"
        )
    if X.dtype not in (np.float32, np.float64):
        X = X.astype(np.float64)
    # One pass first: the sum is finite unless something in it is not (or overflows, which the exact check sorts out).
    if not np.isfinite(np.abs(X).sum(dtype=np.float64)) and not np.isfinite(X).all():
        bad = ~np.isfinite(X)
        raise CosupError(
            f"{name} has NaN or infinite values, first at {first_bad(bad)}; impute or drop these samples before fitting"
        )
    return X
