"""The grid of regularisations (alpha), and what is read off the hat matrix at each of them."""

from __future__ import annotations

import numpy as np

from cosup.utils.row_blocks import LARGE
from cosup.utils.validation import FloatArray

__all__ = ["GRID", "VAST", "remainder"]

GRID = np.logspace(-4, 3, 22)
"""Candidate alphas, in units of the features' mean variance."""


VAST = 32 * LARGE
"""Multiplications from which a single product is worth the second that it takes to import torch."""


def remainder(leverages: FloatArray) -> FloatArray:
    """Return one less a sample's leverage, kept off zero."""
    return np.asarray(np.maximum(1.0 - leverages, 1e-9))
