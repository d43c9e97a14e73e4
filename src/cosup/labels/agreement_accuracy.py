"""How often a teacher is right, estimated from who agrees with whom."""

from __future__ import annotations

import numpy as np

from cosup.utils.validation import FloatArray, IntArray

__all__ = ["estimate_accuracies"]

ENOUGH, ENTRIES = 100_000, 1 << 24
"""Samples beyond which more would not move an estimate by half a point; and entries of samples by classes: 128 MB."""

ROUNDS = 50
STILL = 1e-4
"""A round that moves no estimate by more is the last."""


def estimate_accuracies(said: IntArray, n_classes: int) -> FloatArray:
    """Accuracies by expectation-maximisation, if every teacher errs on its own and evenly over the other classes.

    The model of Dawid & Skene (1979) with one number a teacher instead of a matrix. Teachers who copy one another, or
    make the same mistakes, come out too good.

    Parameters
    ----------
    said : ndarray of int, shape (n_samples, n_teachers)
        Class ids, -1 abstains.
    n_classes : int

    Returns
    -------
    ndarray of shape (n_teachers,)
        NaN for all where fewer than three teachers speak, which says nothing of any one; and for teachers who never
        speak together with another.
    """
    said = said[:: -(-len(said) // max(1, min(ENOUGH, ENTRIES // n_classes)))]
    speaks = said >= 0
    together = speaks & (speaks.sum(axis=1, keepdims=True) > 1)
    out = np.full(said.shape[1], np.nan)
    judged = np.flatnonzero(together.any(axis=0))
    if len(judged) < 3:
        return out
    rows = np.flatnonzero(together.any(axis=1))
    votes = [(np.flatnonzero(speaks[rows, t]), said[rows, t][speaks[rows, t]]) for t in judged]
    accuracy = np.full(len(judged), 0.7)
    shares = np.full(n_classes, 1 / n_classes)
    for _ in range(ROUNDS):
        score = np.tile(np.log(shares), (len(rows), 1))
        for (where, ids), a in zip(votes, accuracy, strict=True):
            score[where, ids] += np.log(a * (n_classes - 1) / (1 - a))
        score -= score.max(axis=1, keepdims=True)
        np.exp(score, out=score)
        score /= score.sum(axis=1, keepdims=True)
        before = accuracy
        right = np.array([score[where, ids].sum() for where, ids in votes])
        accuracy = np.clip((right + 1) / (np.array([len(ids) for _, ids in votes]) + 2), 0.01, 0.99)
        shares = (score.sum(axis=0) + 1) / (len(rows) + n_classes)
        if np.abs(accuracy - before).max() < STILL:
            break
    out[judged] = accuracy
    return out
