"""Marginals: probabilities whose mean over samples is held at the class prior.

The nearest probabilities to q, in mean Kullback-Leibler divergence, are q scaled by a factor a class, rows normalised:

    p_ij  =  q_ij exp(u_j) / sum_l q_il exp(u_l),     with u such that  u = weight * (log prior - log mean(p) + u)

A weight of one is the constraint mean(p) = prior, and repeating the right-hand side is Sinkhorn & Knopp's iteration
(1967), slow where classes are confused. A smaller weight is a penalty, weight / (1 - weight) times the divergence of
the marginals from the prior. The equation is solved by Newton's method. Its matrix, from how classes share samples, is
taken from evenly spaced samples, which costs a step or two more than that of all.
"""

from __future__ import annotations

import numpy as np

from cosup.cosupervision.class_priors import ClassPrior
from cosup.utils.losses import TINY, row_sum
from cosup.utils.row_store import RowStore
from cosup.utils.validation import FloatArray

__all__ = ["hold_marginals", "match_marginals"]

HELD = 0.1
"""Marginals may lie beside those that are held by this part of what class counts of as many samples drawn from the
prior would: that adds a hundredth to their variance."""

STEPS = 5
"""Newton's steps at the most, where three are usual: samples that are certain are not moved by all means."""

SOME = 4096
"""Samples that the matrix is taken from."""

ROUNDING = 1e-6
"""Added to the matrix's diagonal, which is between 0 and 1."""

LONGEST = 4.0
"""Change of a factor's logarithm in one step at the most."""


def match_marginals(q: FloatArray, prior: FloatArray, weight: float = 1.0) -> FloatArray:
    """Find the nearest probabilities to q, in mean Kullback-Leibler divergence, whose column means are `prior`.

    With a weight under one, a penalty takes the constraint's place: weight / (1 - weight) times the divergence of the
    column means from `prior`.

    Parameters
    ----------
    q : ndarray of shape (n_samples, n_classes)
        Not negative; not changed.
    prior : ndarray of shape (n_classes,)
        Positive, sums to one.
    weight : float
        From 0, which changes nothing but scales rows to one, to 1, which holds the marginals in full.

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
        Rows sum to one; with a weight of one, column means are `prior`, as near as `HELD` says.
    """
    store = RowStore.holding(q)
    hold_marginals(store, ClassPrior(prior, weight))
    return store.whole()


def hold_marginals(store: RowStore, prior: ClassPrior) -> None:
    """`match_marginals` of what is in a store, in place."""
    n = store.shape[0]
    # Twice the total variation between the prior and class counts drawn from it, in the mean.
    near = HELD * prior.weight * np.sqrt(2 / np.pi * prior.shares / n).sum()
    log_factor, sinkhorn, least = np.zeros(store.shape[1]), np.zeros(store.shape[1]), np.inf
    for step in range(STEPS):
        total, shared = _passed(store, np.exp(log_factor), first=step == 0)
        following = prior.weight * np.log(prior.shares * n / total)
        miss = following - log_factor
        if prior.weight == 1:
            miss -= miss @ prior.shares  # a factor that all classes have in common changes nothing
        beside = float(prior.shares @ np.abs(miss))
        if beside <= near:
            break
        if beside < least:
            mean = total * np.exp(log_factor) / n
            log_factor, sinkhorn, least = log_factor + _newton(miss, mean, shared, prior.weight), following, beside
        else:  # too long a step: back to the best place, and on by a step that cannot fail
            log_factor, least = sinkhorn, np.inf
    factor = np.exp(log_factor).astype(np.float32)
    for rows, q in store.blocks():
        out = q * factor
        out /= row_sum(out)
        store.put(rows, out)


def _passed(store: RowStore, factor: FloatArray, *, first: bool) -> tuple[FloatArray, FloatArray]:
    """Sum q over its rows' sums, (n_classes,), and of some samples the products of scaled probabilities."""
    n, n_classes = store.shape
    factor, total = factor.astype(np.float32), np.zeros(n_classes)
    every, some = max(1, n // SOME), []
    for rows, q in store.blocks():
        if first and q.min() < TINY:
            # Written back, so that no later pass has to look.
            q = np.maximum(q, np.float32(TINY))
            store.put(rows, q)
        inverse = 1 / (q @ factor)
        total += inverse @ q
        own = slice(-rows.start % every, None, every)
        some.append(q[own] * inverse[own, None] * factor)
    spaced = np.concatenate(some)
    return total, (spaced.T @ spaced).astype(np.float64)


def _newton(miss: FloatArray, mean: FloatArray, shared: FloatArray, weight: float) -> FloatArray:
    """Solve for the step that Newton's method takes from marginals `mean`, where the equation is off by `miss`."""
    # As probabilities that a sample of one class is of another: bounded, also for classes that hardly any sample has.
    root = np.sqrt(shared.sum(axis=1))
    confused = shared / np.outer(root, root)
    scale = np.sqrt(mean / mean.sum())
    # Solvable, too, where samples are certain: then no factor moves them but a long one.
    matrix = (1 + ROUNDING) * np.eye(len(miss)) - weight * confused
    if weight == 1:
        matrix += np.outer(scale, scale)  # the direction that all classes have in common is not determined
    step = np.linalg.solve(matrix, scale * miss) / scale
    return np.asarray(step * min(1.0, LONGEST / np.abs(step).max()))
