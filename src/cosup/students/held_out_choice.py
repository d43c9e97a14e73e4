"""Choose a regularisation without labels: the rule of the students, and of every gradient-based rival."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = ["GRID", "OF_RIVALS", "choose_alpha", "strongest"]

GRID = np.array([3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003])
"""Candidate L2 penalties, strongest first, in units of the features' mean variance."""

HELD_OUT = 0.2
NEARLY_BEST = 0.95
"""Share of the best agreement from which a student's regularisation is good enough."""

OF_RIVALS = 0.97
"""That share for rivals' heads; chosen in `benchmarks/studies/steps.md`."""


def strongest(agreement: FloatArray, share: float = NEARLY_BEST) -> int:
    """Find the first (strongest) candidate whose agreement with the teacher is at least a share of the best.

    The best itself would reward imitating the teacher's predictable mistakes.
    """
    return int(np.flatnonzero(agreement >= share * agreement.max())[0])


def choose_alpha(
    predictions: Callable[[FloatArray, BoolArray], IntArray], generalist: IntArray, seed: int,
    candidates: FloatArray = GRID,
) -> Any:  # fmt: skip
    """Choose the strongest candidate whose held-out agreement with the generalist is at least 97 % of the best.

    Every gradient-based method is judged by the same hold-out of 20 %, the same grid and the same labels, whatever it
    is trained on: so each gets the same number of label-free choices, one.

    Parameters
    ----------
    predictions : callable
        A function of candidates (S, ...) and a mask (n_samples, 1) of the samples that may be trained on: the classes
        (S, n_samples) that heads of these candidates predict.
    generalist : ndarray of shape (n_samples,)
        The generalists' class, -1 where they abstain.
    seed : int
        The seed of the hold-out.
    candidates : ndarray of shape (S,) or (S, k)
        Alphas, or alphas together with another setting; the middle one is taken where there is nobody to agree
        with.

    Returns
    -------
    float or ndarray of shape (k,)
    """
    n = len(generalist)
    order = np.random.default_rng(seed).permutation(n)
    sees = np.ones(n, dtype=bool)
    sees[order[: max(1, round(HELD_OUT * n))]] = False
    judged = ~sees & (generalist >= 0)
    if not judged.any():
        return candidates[len(candidates) // 2]
    found = predictions(candidates, sees[:, None])
    agreement = (found[:, judged] == generalist[judged]).mean(axis=1)
    return candidates[strongest(agreement, OF_RIVALS)]
