"""Losses between class probabilities and targets, as functions of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosup.utils.validation import FloatArray

__all__ = ["cross_entropy", "log_softmax", "row_max", "row_sum", "softmax"]

NARROW = 32
"""Columns up to which a row is reduced a column at a time: NumPy takes three times as long for short rows."""

TINY = 1e-12
"""Stands in for zero inside a logarithm."""


def row_max(values: FloatArray) -> FloatArray:
    """Find the largest entry of every row, (..., 1), of values (..., n_columns)."""
    if values.shape[-1] > NARROW:
        return np.asarray(values.max(axis=-1, keepdims=True))
    out = values[..., :1].copy()
    for column in range(1, values.shape[-1]):
        np.maximum(out, values[..., column : column + 1], out=out)
    return out


def row_sum(values: FloatArray) -> FloatArray:
    """Sum every row, (..., 1), of values (..., n_columns)."""
    if values.shape[-1] > NARROW:
        return np.asarray(values.sum(axis=-1, keepdims=True))
    return np.asarray(values @ np.ones((values.shape[-1], 1), dtype=values.dtype))


def log_softmax(logits: FloatArray) -> NDArray[np.float64]:
    """Compute the logarithm of the softmax over the last axis, without overflow.

    Parameters
    ----------
    logits : ndarray of shape (..., n_classes)

    Returns
    -------
    ndarray of the same shape, float64
    """
    shifted: Any = logits - row_max(logits)
    return np.asarray(shifted - np.log(row_sum(np.exp(shifted))), dtype=np.float64)


def softmax(logits: FloatArray) -> NDArray[np.float64]:
    """Compute the softmax over the last axis, without overflow; shapes as for `log_softmax`."""
    out: Any = np.exp(logits - row_max(logits), dtype=np.float64)
    out /= row_sum(out)
    return np.asarray(out)


def cross_entropy(targets: FloatArray, probabilities: FloatArray, floor: float = TINY) -> NDArray[np.float64]:
    """Cross-entropy of every sample's probabilities against its (hard or soft) target, in nats.

    Parameters
    ----------
    targets, probabilities : ndarray of shape (n_samples, n_classes)
    floor : float
        Probabilities below it count as this much: a specialist restricted to its classes gives zeros.

    Returns
    -------
    ndarray of shape (n_samples,)
    """
    return np.asarray(-(targets * np.log(np.maximum(probabilities, floor))).sum(axis=1))
