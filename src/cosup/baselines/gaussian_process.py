"""Infer classes from annotations and features by Gaussian processes: the model of FABLE."""

from __future__ import annotations

import numpy as np
from scipy.special import digamma, expit

from cosup.baselines.aggregation import majority
from cosup.utils.losses import softmax
from cosup.utils.validation import FloatArray, IntArray

__all__ = ["fable_posterior", "logistic_softmax_step", "nystrom_features"]

RIGHT, WRONG = 4.0, 1.0
"""Dirichlet prior of a row of a teacher's errors: the true class, and any other (EBCC's values)."""

STILL = 1e-2
"""Inference stops when no posterior moves further."""

MEDIAN_ROWS = 500
"""Samples whose distances give the kernel's width."""


def nystrom_features(X: FloatArray, landmarks: int, seed: int) -> FloatArray:
    """Make features whose inner products are a Gaussian kernel's low-rank approximation, (n_samples, rank).

    The kernel's width is the median distance. Landmarks are drawn from the samples.
    """
    rng = np.random.default_rng(seed)
    Z = np.asarray(X, dtype=np.float64) - X.mean(axis=0, dtype=np.float64)
    squares = (Z**2).sum(axis=1)

    def distances(rows: IntArray) -> FloatArray:
        return np.asarray(np.maximum(squares[:, None] + squares[rows] - 2.0 * Z @ Z[rows].T, 0.0))

    some = rng.permutation(len(Z))[:MEDIAN_ROWS]
    between = distances(some)[some]
    width = max(float(np.median(between[~np.eye(len(some), dtype=bool)])) if len(some) > 1 else 1.0, 1e-12)
    chosen = rng.permutation(len(Z))[: min(landmarks, len(Z))]
    kernel = np.exp(-distances(chosen) / width)
    values, vectors = np.linalg.eigh(kernel[chosen])
    large = values > 1e-8 * values.max()
    return np.asarray(kernel @ (vectors[:, large] / np.sqrt(values[large])))


def logistic_softmax_step(
    features: FloatArray, counts: FloatArray, mean: FloatArray, variance: FloatArray, shape: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Make one mean-field update of Gaussian processes with a logistic-softmax likelihood (Galy-Fajou et al. 2020).

    Parameters
    ----------
    features : ndarray of shape (n_samples, rank)
        Their inner products are the kernel.
    counts : ndarray of shape (n_samples, R)
        Expected outcomes.
    mean, variance : ndarray of shape (n_samples, R)
        Mean and variance of the processes at the samples.
    shape : ndarray of shape (n_samples,)
        The shape of the Gamma variables that stand for the normaliser.

    Returns
    -------
    mean, variance, shape
    """
    n_outcomes = counts.shape[1]
    tilt = np.sqrt(mean**2 + variance)
    # Poisson means: exp(E log lambda) E[sigma(-f)], written without overflow.
    wrong = np.exp(digamma(shape))[:, None] / n_outcomes * np.exp(-0.5 * (mean + tilt)) * expit(tilt)
    shape = 1.0 + wrong.sum(axis=1)
    curvature = (counts + wrong) * np.tanh(0.5 * tilt) / np.maximum(2.0 * tilt, 1e-9)
    mean, variance = np.empty_like(mean), np.empty_like(variance)
    for r in range(n_outcomes):
        precision = np.eye(features.shape[1]) + features.T @ (features * curvature[:, r : r + 1])
        half = np.linalg.solve(np.linalg.cholesky(precision), features.T)
        mean[:, r] = half.T @ (half @ (0.5 * (counts[:, r] - wrong[:, r])))
        variance[:, r] = (half**2).sum(axis=0)
    return mean, variance, shape


def fable_posterior(
    X: FloatArray,
    annotated: IntArray,
    n_classes: int,
    *,
    n_subtypes: int,
    n_iter: int,
    landmarks: int,
    seed: int,
) -> FloatArray:
    """Compute the posterior over classes under the model of `cosup.baselines.Fable`, (n_samples, n_classes)."""
    rng = np.random.default_rng(seed)
    n = len(annotated)
    features = nystrom_features(X, landmarks, seed)
    vote = majority(annotated, n_classes)
    vote = np.where(vote.sum(axis=1, keepdims=True) > 0, vote, 1.0 / n_classes)
    q = vote[:, :, None] * rng.dirichlet(np.ones(n_subtypes), (n, n_classes))
    mean: FloatArray = np.zeros((n, n_classes * n_subtypes))
    variance = np.repeat((features**2).sum(axis=1)[:, None], n_classes * n_subtypes, axis=1)
    shape: FloatArray = np.ones(n)
    spoken = [np.flatnonzero(column >= 0) for column in annotated.T]
    for _ in range(n_iter):
        before = q.sum(axis=2)
        mean, variance, shape = logistic_softmax_step(features, q.reshape(n, -1), mean, variance, shape)
        # No class proportions beside the processes: with both, the largest class takes all.
        logits = np.log(expit(mean)).reshape(n, n_classes, n_subtypes)
        for rows, column in zip(spoken, annotated.T, strict=True):
            counts = WRONG + (RIGHT - WRONG) * np.repeat(np.eye(n_classes)[:, None], n_subtypes, axis=1)
            named = column[rows]
            for c in range(n_classes):
                counts[:, :, c] += q[rows[named == c]].sum(axis=0)
            errors = digamma(counts) - digamma(counts.sum(axis=2, keepdims=True))
            logits[rows] += np.moveaxis(errors, 2, 0)[named]
        q = softmax(logits.reshape(n, -1)).reshape(q.shape)
        if np.abs(q.sum(axis=2) - before).max() < STILL:
            break
    return np.asarray(q.sum(axis=2))
