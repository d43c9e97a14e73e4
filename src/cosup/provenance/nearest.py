"""The samples that lie nearest to each by their features, of as many samples as a page shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cosup.utils.slices import slices
from cosup.utils.validation import FloatArray, IntArray, check_features

__all__ = ["COMPARED", "NEAREST", "find_nearest"]

NEAREST = 5
"""Neighbours that are kept of a sample."""

COMPARED = 20_000
"""Samples that are compared with each other; time grows with their square."""

DIRECTIONS = 64
"""Principal directions in which neighbours are sought."""

GROUP = 128
"""Samples of which the nearest is found first."""

BLOCK_BYTES = 1 << 26
"""Distances that are held together."""


def find_nearest(X: ArrayLike, order: IntArray | None = None) -> tuple[IntArray, FloatArray]:
    """Find the `NEAREST` samples around each.

    They are sought in the features' first `DIRECTIONS` principal directions; distances are those in all features.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
    order : ndarray of shape (n_samples,), int, optional
        The samples, most important first. Of more than `COMPARED`, the first are compared with each other, and nothing
        is known of the rest.

    Returns
    -------
    places : ndarray of shape (n_samples, NEAREST), int32
        Positions, the nearest first; -1: none.
    distances : ndarray of shape (n_samples, NEAREST), float32
        Euclidean, in units of the median distance between a sample and its nearest; NaN: none.

    Examples
    --------
    >>> places, distances = find_nearest([[0.0], [1.0], [2.0], [9.0]])
    >>> places[:, 0].tolist(), distances[:, 0].round(3).tolist()
    ([1, 0, 1, 2], [1.0, 1.0, 1.0, 7.0])
    """
    X = check_features(np.asarray(X))
    n = len(X)
    places = np.full((n, NEAREST), -1, dtype=np.int32)
    distances = np.full((n, NEAREST), np.nan, dtype=np.float32)
    rows = np.arange(n) if n <= COMPARED else np.sort((np.arange(n) if order is None else order)[:COMPARED])
    k = min(NEAREST, len(rows) - 1)
    if k < 1:
        return places, distances
    Z = _centred(X[rows])
    few = _project(Z)
    step = max(1, BLOCK_BYTES // (4 * max(len(rows), k * Z.shape[1])))
    for block in slices(len(rows), step):
        near = _nearest(few, block.start, step, k)
        far = np.sqrt(np.square(Z[near] - Z[block, None]).sum(axis=2))
        # Among equally distant samples, the first in the file comes first.
        best = np.lexsort((near, far), axis=1)
        places[rows[block], :k] = rows[np.take_along_axis(near, best, axis=1)]
        distances[rows[block], :k] = np.take_along_axis(far, best, axis=1)
    usual = float(np.median(distances[rows, 0]))
    return places, distances / np.float32(usual if usual > 0 else 1)


def _centred(X: FloatArray) -> FloatArray:
    """Centre the features, in single precision whatever their size."""
    size = float(np.abs(X).max())
    Z = np.asarray(X / size if size > 0 else X, dtype=np.float32)
    return np.asarray(Z - Z.mean(axis=0))


def _project(Z: FloatArray) -> FloatArray:
    """Project the features, centred, on the directions of their greatest variance."""
    n, d = Z.shape
    if d <= DIRECTIONS:
        return Z
    from scipy.linalg import eigh

    few = n < d
    gram = (Z @ Z.T if few else Z.T @ Z).astype(np.float64)
    size = len(gram)
    values, vectors = eigh(gram, subset_by_index=(max(0, size - DIRECTIONS), size - 1))
    if few:  # the coordinates themselves: Z = U S V', and Z V = U S
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0)), dtype=np.float32)
    return np.asarray(Z @ vectors.astype(np.float32))


def _nearest(few: FloatArray, start: int, step: int, k: int) -> IntArray:
    """Find the k nearest samples to those of a block: positions in no order, (n_block, k)."""
    mine, n = few[start : start + step], len(few)
    groups = -(-n // GROUP)
    apart = np.full((len(mine), groups * GROUP), np.inf, dtype=np.float32)
    np.matmul(mine, -2 * few.T, out=apart[:, :n])
    apart[:, :n] += np.square(few).sum(axis=1)
    own = np.arange(len(mine))
    apart[own, start + own] = np.inf  # a sample is not its own neighbour
    # The k nearest lie in the k groups whose nearest are the nearest: the others need not be sorted.
    grouped = apart.reshape(len(mine), groups, GROUP)
    best = np.argpartition(grouped.min(axis=2), min(k, groups) - 1, axis=1)[:, :k]
    inside = np.take_along_axis(grouped, best[:, :, None], axis=1).reshape(len(mine), -1)
    place = np.argpartition(inside, k - 1, axis=1)[:, :k]
    return np.asarray(np.take_along_axis(best, place // GROUP, axis=1) * GROUP + place % GROUP)
