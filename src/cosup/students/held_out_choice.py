"""Choose a regularisation without labels: the rule of the students, and of every rival that is trained by steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = ["GRID", "choose", "strongest"]

GRID = np.array([3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003])
"""Candidate L2 penalties, strongest first, in units of the features' mean variance."""

HELD_OUT = 0.2
NEARLY_BEST = 0.95
"""Share of the best agreement from which a student's regularisation is good enough."""


def strongest(agreement: FloatArray) -> int:
    """Find the first (strongest) candidate whose agreement with the teacher is at least a share of the best.

    The best itself would reward imitating the teacher's predictable mistakes.
    """
    return int(np.flatnonzero(agreement >= NEARLY_BEST * agreement.max())[0])


def choose(
    predictions: Callable[[FloatArray, BoolArray], IntArray], posterior: FloatArray, seed: int, candidates: FloatArray
) -> Any:
    """Choose the candidate whose held-out predictions are most probable under a posterior over classes.

    The mean probability of the predicted classes estimates a candidate's accuracy without a label; of equals the
    first counts. Every method that is trained by steps is judged by the same hold-out of 20 % and the same posterior,
    whatever it is trained on. A teacher's own labels are a poor judge: they reward imitating its mistakes.

    Parameters
    ----------
    predictions : callable
        A function of candidates (S, k) and a mask (n_samples, 1) of the samples that may be trained on: the classes
        (S, n_samples) that heads of these candidates predict.
    posterior : ndarray of shape (n_samples, n_classes)
        Class probabilities that do not come from the candidates.
    seed : int
        The seed of the hold-out.
    candidates : ndarray of shape (S, k)
        The most regularised ones first.

    Returns
    -------
    ndarray of shape (k,)
    """
    n = len(posterior)
    held = np.random.default_rng(seed).permutation(n)[: max(1, round(HELD_OUT * n))]
    sees = np.ones((n, 1), dtype=bool)
    sees[held] = False
    found = predictions(candidates, sees)[:, held]
    return candidates[posterior[held, found].mean(axis=1).argmax()]
