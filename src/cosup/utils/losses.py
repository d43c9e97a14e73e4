"""Losses between class probabilities and targets, as functions of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosup.utils.validation import FloatArray

__all__ = ["cross_entropy", "log_softmax", "softmax"]

TINY = 1e-12
"""Stands in for zero inside a logarithm."""


def log_softmax(logits: FloatArray) -> NDArray[np.float64]:
    """Compute the logarithm of the softmax over the last axis, without overflow.

    Parameters
    ----------
    logits : ndarray of shape (..., n_classes)

    Returns
    -------
    ndarray of the same shape, float64
    """
    shifted: Any = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), dtype=np.float64)


def softmax(logits: FloatArray) -> NDArray[np.float64]:
    """Compute the softmax over the last axis, without overflow; shapes as for `log_softmax`."""
    out: Any = np.exp(logits - logits.max(axis=-1, keepdims=True), dtype=np.float64)
    out /= out.sum(axis=-1, keepdims=True)
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
