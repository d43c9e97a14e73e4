"""Tell from some samples what all of them would say, where these leave no doubt."""

from __future__ import annotations

import numpy as np

from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = ["SOME", "evenly_spaced", "sure_sign", "surely_positive"]

SOME = 1 << 14
"""Samples that are asked first, where there are at least four times as many."""

CERTAIN = 6.0
"""Standard deviations of a sum of differences over samples by which it must lie above zero."""


def evenly_spaced(n_samples: int, some: int = SOME) -> IntArray | None:
    """Return positions of evenly spaced samples, `some` or a few more; None where all are hardly more."""
    return np.arange(0, n_samples, n_samples // some) if n_samples >= 4 * some else None


def surely_positive(differences: FloatArray, deviations: float = CERTAIN) -> BoolArray:
    """Tell which columns of some samples' differences (n_samples, ...) surely have a positive mean over all samples."""
    return np.asarray(differences.sum(axis=0) > deviations * np.sqrt(np.square(differences).sum(axis=0)))


def sure_sign(differences: FloatArray) -> bool | None:
    """Tell from some samples' differences whether the mean of all is positive; None where these leave a doubt."""
    sure = surely_positive(differences) or surely_positive(-differences)
    return float(differences.sum()) > 0 if sure else None
