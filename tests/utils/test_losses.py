"""Losses on hand cases."""

import numpy as np

from cosup.utils.losses import cross_entropy, log_softmax, softmax


def test_softmax_does_not_overflow():
    logits = np.array([[1000.0, 999.0, -1000.0], [-1e8, 0.0, 0.0]])
    expected = np.array([[1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1)), 0], [0, 0.5, 0.5]])
    np.testing.assert_allclose(softmax(logits), expected, atol=1e-15)
    np.testing.assert_allclose(np.exp(log_softmax(logits)), expected, atol=1e-15)


def test_cross_entropy_has_a_floor():
    targets = np.array([[1.0, 0.0], [0.5, 0.5], [1.0, 0.0]])
    probabilities = np.array([[0.25, 0.75], [0.5, 0.5], [0.0, 1.0]])
    np.testing.assert_allclose(cross_entropy(targets, probabilities, floor=0.01), [np.log(4), np.log(2), np.log(100)])
    assert np.isfinite(cross_entropy(targets, probabilities)).all()
