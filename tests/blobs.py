"""Small planted data for tests of students."""

import numpy as np


def blobs(n, d, n_classes, distance=2.0, noise=0.2, seed=0):
    """Features, true classes, one-hot noisy targets; every class is shown."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    means = rng.normal(size=(n_classes, d))
    means *= distance / np.linalg.norm(means, axis=1, keepdims=True)
    X = means[y] + rng.normal(size=(n, d)) + 3.0
    named = np.where(rng.random(n) < noise, rng.integers(n_classes, size=n), y)
    return X, y, np.eye(n_classes)[named]
