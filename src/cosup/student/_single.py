"""Products of tall matrices in float32, where their error is far under that of what they are for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from cosup._validation import FloatArray
from cosup.student._adam_steps import linear_into, onednn_linear

__all__ = ["moments", "product", "turned"]

PANEL = 256
"""Columns of a panel: only panels on and above the diagonal are computed."""


def moments(blocks: Iterable[tuple[FloatArray, FloatArray]], d: int, c: int) -> tuple[FloatArray, FloatArray]:
    """``Z.T @ Z`` (d, d) and ``Z.T @ T`` (d, c) of blocks of rows.

    Parameters
    ----------
    blocks : iterable of (Z, T)
        Shapes (rows, d) and (rows, c), float32, a thousand or two rows each: their products are summed in float32, the
        blocks' sums in float64, which leaves an error of about 3e-7 of the mean diagonal.
    d, c : int
    """
    square, cross = np.zeros((d, d)), np.zeros((d, c))
    if onednn_linear() is None:
        for Z, T in blocks:
            square += Z.T @ Z  # NumPy sees that half of it will do
            cross += Z.T @ T
        return square, cross
    linear = linear_into("cpu")
    panels = range(0, d, PANEL)
    with torch.no_grad():
        for Z, T in blocks:
            # Contiguous copies: oneDNN falls back to plain loops for a slice's strides.
            turned = torch.from_numpy(Z).T.contiguous()
            for start in panels:
                end = min(start + PANEL, d)
                found = linear(turned[start:end], turned[start:], None, torch.empty(end - start, d - start))
                square[start:end, start:] += found.numpy()
            cross += linear(turned, torch.from_numpy(T).T.contiguous(), None, torch.empty(d, c)).numpy()
    for start in panels:
        end = min(start + PANEL, d)
        square[end:, start:end] = square[start:end, end:].T
    return square, cross


def product(A: FloatArray, turned: Any) -> Any:
    """``A @ turned.T`` in float32, a tensor; A (n, k) float32 in C order, `turned` a tensor (c, k)."""
    with torch.no_grad():
        return linear_into("cpu")(torch.from_numpy(A), turned, None, torch.empty(len(A), len(turned)))


def turned(B: FloatArray) -> Any:
    """What `product` takes for B (k, c)."""
    return torch.from_numpy(B).T
