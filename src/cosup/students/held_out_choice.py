"""Choose a regularisation without labels: the rule of the students, and of every rival that is trained by steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cosup.utils.paired import surely_positive
from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = ["GRID", "choose", "strongest"]

GRID = np.array([3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003])
"""Candidate L2 penalties, strongest first, in units of the features' mean variance."""

HELD_OUT = 0.2
NEARLY_BEST = 0.95
"""Share of the best agreement from which a student's regularisation is good enough."""

WORSE, POINTS = 2.0, 0.02
"""Standard errors, and mean probability, by which a training must be worse than a shorter one for longer ones not
to be tried. Both: a student that is hardly better than a constant may get surely, but little, worse, then better."""


def strongest(agreement: FloatArray) -> int:
    """Find the first (strongest) candidate whose agreement with the teacher is at least a share of the best.

    The best itself would reward imitating the teacher's predictable mistakes.
    """
    return int(np.flatnonzero(agreement >= NEARLY_BEST * agreement.max())[0])


def choose(
    predictions: Callable[[FloatArray, BoolArray], IntArray], posterior: FloatArray, seed: int,
    candidates: FloatArray, *, stages: FloatArray | None = None, paths: FloatArray | None = None,
) -> Any:  # fmt: skip
    """Choose the candidate whose held-out predictions are most probable under a posterior over classes.

    The mean probability of the predicted classes estimates a candidate's accuracy without a label; of equals the
    first counts. Every method that is trained by steps is judged by the same hold-out of 20 % and the same posterior,
    whatever it is trained on. A teacher's own labels are a poor judge: they reward imitating its mistakes.

    Where `stages` and `paths` are given, longer trainings that cannot win are spared: once a path is worse than a
    shorter one by `WORSE` standard errors and `POINTS`, a later stage leaves out all that are as long or longer.

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
    stages : ndarray of shape (S,), optional
        The candidates of one stage are trained by one call, the smallest stage first. Default: all at once.
    paths : ndarray of shape (S,), optional
        How far a candidate's training goes. Not to be given where a method may be worse for a while, and then better.

    Returns
    -------
    ndarray of shape (k,)
    """
    n, s = len(posterior), len(candidates)
    held = np.random.default_rng(seed).permutation(n)[: max(1, round(HELD_OUT * n))]
    sees = np.ones((n, 1), dtype=bool)
    sees[held] = False
    stages = np.zeros(s) if stages is None else stages
    paths = np.zeros(s) if paths is None else paths
    probability = np.zeros((s, len(held)))
    tried = np.zeros(s, dtype=bool)
    for stage in np.unique(stages):
        left = np.flatnonzero((stages == stage) & (paths < _overtaken(probability[tried], paths[tried])))
        if left.size:
            found = predictions(candidates[left], sees)[:, held]
            probability[left] = posterior[held, found]
            tried[left] = True
    return candidates[tried][probability[tried].mean(axis=1).argmax()]


def _overtaken(probability: FloatArray, paths: FloatArray) -> float:
    """Find the shortest path that is certainly worse than a shorter one; infinite if none is."""
    overtaken = [
        longer
        for of_longer, longer in zip(probability, paths, strict=True)
        for of_shorter in probability[paths < longer]
        if (worse := of_shorter - of_longer).mean() > POINTS and surely_positive(worse, WORSE)
    ]
    return float(min(overtaken, default=np.inf))
