"""Small planted data for tests of students and teachers."""

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


def corners(n=240, n_classes=6, noise=0.3, seed=0):
    """Features around the corners of a simplex, a corner a class, float32; true classes."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    return (np.eye(n_classes)[y] + rng.normal(0, noise, (n, n_classes))).astype(np.float32), y
