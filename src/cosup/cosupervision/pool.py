"""Pooling: a posterior over classes from the student and the mixtures of all levels, with the marginals held.

The expectation step of the hierarchical mixture. With P the student's out-of-sample probabilities,

    q(y | x)  proportional to  P(y | x) * prod_j mix_j(y | x),   subject to  mean_x q(y | x) = prior(y)

The constraint on the posterior's marginals (posterior regularisation, Ganchev et al. 2010) removes the direction
in which expectation-maximisation collapses: a weak teacher's mistakes pile up in some classes, the student copies
the imbalance and the gate amplifies it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cosup._validation import FloatArray
from cosup.cosupervision._problem import Level
from cosup.cosupervision.assign import FLOOR, uncovered
from cosup.losses import TINY

__all__ = ["expert", "match_marginals", "pool"]

SINKHORN_ROUNDS = 30


def match_marginals(q: FloatArray, prior: FloatArray, rounds: int = SINKHORN_ROUNDS) -> FloatArray:
    """Scale columns to `prior` and rows to one, alternately (Sinkhorn & Knopp 1967).

    Parameters
    ----------
    q : ndarray of shape (n_samples, n_classes)
        Not negative; not changed.
    prior : ndarray of shape (n_classes,)
        Sums to one.
    rounds : int

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
        Rows sum to one; column means are near `prior`.
    """
    # Scaling vectors instead of the matrix: two products a round and no pass that writes.
    q = np.maximum(q, TINY)
    column = np.ones(q.shape[1])
    for _ in range(rounds):
        row = 1.0 / (q @ column)
        column = prior * len(q) / (row @ q)
    out = q * column
    return np.asarray(out / out.sum(axis=1, keepdims=True))


def expert(level: Level, gate: FloatArray, beliefs: FloatArray, prior: FloatArray) -> tuple[FloatArray, bool]:
    """The level's opinion of every sample: its mixture of experts, as they speak or corrected for their confusions.

    ``mix = sum_m g_m pi_m`` takes teachers at their word. The other reading replaces pi_m by what its annotations
    turned out to mean to the student: the posterior under the confusion matrix that teacher and (out-of-sample)
    student show together on the samples given to it. Hard or overconfident annotations need that, calibrated ones
    lose by it, and the student's expected log-likelihood tells which is which without a label.

    Parameters
    ----------
    level : Level
    gate : ndarray of shape (n_samples, n_teachers)
    beliefs : ndarray of shape (n_samples, n_classes)
        The student's out-of-sample probabilities.
    prior : ndarray of shape (n_classes,)

    Returns
    -------
    mixture : ndarray of shape (n_samples, n_classes)
        Positive, rows sum to one; uniform where nobody speaks.
    corrected : bool
        Which reading it is.
    """
    n_classes = beliefs.shape[1]
    nobody = np.maximum(1.0 - gate.sum(axis=1), 0.0)[:, None] * uncovered(level, prior)
    said, meant = nobody.copy(), nobody
    for m, (p, operator) in enumerate(zip(level.probabilities, level.operators, strict=True)):
        weight = gate[:, m, None]
        said += weight * p
        usage = operator.T @ gate[:, m] / max(float(weight.sum()), TINY)
        confusion = (operator.T @ (weight * beliefs)).T + usage
        confusion /= np.maximum(confusion.sum(axis=1, keepdims=True), TINY)
        posterior = operator @ (confusion / np.maximum(usage, TINY)).T * prior
        meant = meant + weight * posterior / np.maximum(posterior.sum(axis=1, keepdims=True), TINY)
    heard = np.asarray(level.speaks.any(axis=1))
    said, meant = (np.where(heard[:, None], (1 - FLOOR) * e, 1 - FLOOR) for e in (said, meant))
    said[~heard] /= n_classes
    meant[~heard] /= n_classes
    said += FLOOR / n_classes
    meant += FLOOR / n_classes
    corrected = bool((beliefs[heard] * np.log(meant[heard])).sum() > (beliefs[heard] * np.log(said[heard])).sum())
    return (meant if corrected else said), corrected


def pool(beliefs: FloatArray, experts: Sequence[FloatArray], prior: FloatArray | None) -> tuple[FloatArray, float]:
    """Log-linear pool of the student and the experts of all levels.

    Parameters
    ----------
    beliefs : ndarray of shape (n_samples, n_classes)
    experts : sequence of ndarray of the same shape
    prior : ndarray of shape (n_classes,), or None
        The marginals to hold; None holds none.

    Returns
    -------
    posterior : ndarray of shape (n_samples, n_classes)
    free_energy : float
        ``-mean log sum_y P(y|x) prod_j mix_j(y|x)`` in nats: how badly student and experts agree.
    """
    product = np.maximum(beliefs, TINY)
    for e in experts:
        product = product * e
    evidence = product.sum(axis=1, keepdims=True)
    posterior = product / evidence
    if prior is not None:
        posterior = match_marginals(posterior, prior)
    return posterior, float(-np.log(evidence).mean())
