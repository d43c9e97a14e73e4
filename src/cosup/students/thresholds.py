"""Hardening at thresholds at which every class is named as often as it should be."""

from __future__ import annotations

import math

import torch

__all__ = ["hardened", "matching_offsets"]

Tensor = torch.Tensor

TINY = 1e-12

SWEEPS = 3
"""Passes over the classes; shares are then right to a few per mille."""

MANY_CLASSES = 50
"""With more of them, one class at a time takes too long."""

INVERSE_TEMPERATURES = (1.0, 3.0, 10.0, 30.0, 100.0)
"""Annealing of the Sinkhorn steps towards the hard assignment, in units of the spread of the scores."""


def matching_offsets(log_p: Tensor, shares: Tensor) -> Tensor:
    """Find offsets b such that ``argmax(log_p + b)`` predicts every class as often as `shares` say.

    For two classes this is the quantile of Burns et al. (2023, appendix A.4). For more, every class in turn gets
    the offset at which it wins its share of the samples, the other offsets held: coordinate ascent on the dual of the
    transport problem from samples to classes (Bertsekas's auction). Beyond 50 classes, Sinkhorn steps of rising
    inverse temperature.

    Parameters
    ----------
    log_p : Tensor of shape (N, H, C)
    shares : Tensor of shape (C,)

    Returns
    -------
    Tensor of shape (H, C)
    """
    n, n_heads, n_classes = log_p.shape
    b = torch.zeros(n_heads, n_classes)
    if n_classes > MANY_CLASSES:
        spread = log_p.std(dim=(0, 2))[:, None].clamp(min=1e-3)
        scaled = log_p / spread
        wanted = torch.log(shares.clamp(min=0.5 / n))
        for inverse_temperature in INVERSE_TEMPERATURES:
            for _ in range(10):
                here = torch.softmax(inverse_temperature * (scaled + b), dim=2).mean(0)
                b = b + (wanted - torch.log(here + TINY)) / inverse_temperature
        return b * spread
    counts = [round(float(s) * n) for s in shares]
    for _ in range(1 if n_classes == 2 else SWEEPS):
        for c, count in enumerate(counts):
            others = log_p + b
            others[:, :, c] = -math.inf
            margin = (log_p[:, :, c] - others.amax(2)).sort(dim=0, descending=True).values
            # Between the last sample that it is to win and the first that it is not.
            wins = margin[count - 1] if count > 0 else margin[0] + 2.0
            loses = margin[count] if count < n else margin[-1] - 2.0
            b[:, c] = -0.5 * (wins + loses)
            if n_classes == 2:
                break
    return b


def hardened(log_p: Tensor, offsets: Tensor) -> Tensor:
    """Return one-hot rows of the class with the largest ``log_p + offsets``; shapes (B, H, C) and (H, C)."""
    named = (log_p + offsets).argmax(2)
    return torch.nn.functional.one_hot(named, log_p.shape[2]).to(log_p.dtype)
