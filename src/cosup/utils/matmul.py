"""Products of tall matrices in float32, where their error is far under that of what they are for."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cosup.utils.validation import FloatArray

__all__ = ["linear_into", "moments", "onednn_linear", "product", "turned"]

PANEL = 256
"""Columns of a panel: only panels on and above the diagonal are computed."""

ONEDNN_FROM = 1_000_000
"""Multiplications of one product from which oneDNN is faster than BLAS, which takes less time to start, on AMD's."""

Tensor = torch.Tensor


def onednn_linear() -> Callable[..., Tensor] | None:
    """Return oneDNN's ``x @ weight.T + bias``, where this build of torch has it and it is the faster one."""
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return None
    operator: Callable[..., Tensor] = torch.ops.mkldnn._linear_pointwise.default
    return operator


@cache
def is_intel() -> bool:
    """Tell whether Intel made the processor: MKL's products, which are torch's, are the fastest on these."""
    described = Path("/proc/cpuinfo")
    known = described.read_text() if described.exists() else platform.processor()
    return "GenuineIntel" in known


def linear_into(device: str, work: int = ONEDNN_FROM) -> Callable[[Tensor, Tensor, Tensor | None, Tensor], Tensor]:
    """Return a function ``f(x, weight, bias, out) -> x @ weight.T + bias``, in `out` or in a tensor of its own.

    `work` is the number of multiplications. The choice depends on it, on the build of torch and on the processor,
    never on a timing: equal seeds give equal weights.
    """
    dnn = onednn_linear() if device == "cpu" and work >= ONEDNN_FROM and not is_intel() else None
    if dnn is not None:

        def by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor) -> Tensor:
            return dnn(x, weight, bias, "none", [], "")

        return by_onednn

    def by_blas(x: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor) -> Tensor:
        if bias is None:
            return torch.mm(x, weight.T, out=out)
        return torch.addmm(bias, x, weight.T, out=out)

    return by_blas


def moments(blocks: Iterable[tuple[FloatArray, FloatArray]], d: int, c: int) -> tuple[FloatArray, FloatArray]:
    """Compute ``Z.T @ Z`` (d, d) and ``Z.T @ T`` (d, c) of blocks of rows.

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
            square += Z.T @ Z  # NumPy computes half of a symmetric product
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
    """Compute ``A @ turned.T`` in float32, a tensor; A (n, k) float32 in C order, `turned` a tensor (c, k)."""
    # Not by oneDNN: without a bias to add, BLAS takes a fifth less.
    with torch.no_grad():
        return torch.mm(torch.from_numpy(A), turned.T)


def turned(B: FloatArray) -> Any:
    """Return B (k, c) as `product` takes it."""
    return torch.from_numpy(B).T
