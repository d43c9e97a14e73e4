"""The logistic probe: gradients, alphas, folds."""

import numpy as np
import pytest

from blobs import blobs
from cosup import LogisticProbe
from cosup.students.logistic import lbfgs
from cosup.students.logistic.probe import GRID as LOGISTIC_GRID


@pytest.mark.parametrize("soft", [False, True])
def test_logistic_ends_where_the_gradient_is_nothing(soft):
    X, _, T = blobs(200, 5, 3)
    if soft:
        T = 0.7 * T + 0.1
    alpha = 0.1
    fit = LogisticProbe(alpha=alpha).prepare(X).train(T)
    Z = X - X.mean(axis=0)
    residual = (fit.head.predict_proba(X) - T) / len(X)
    of_weight = Z.T @ residual + alpha * np.mean(Z**2) * fit.head.weight
    assert np.abs(of_weight).max() < 2e-4
    assert np.abs(residual.sum(axis=0)).max() < 2e-4
    assert np.abs(fit.head.weight).max() > 0.05


@pytest.mark.parametrize("seed", [1, 2, 5])  # where shares of 90, 95 and 100 % choose differently
def test_logistic_takes_the_strongest_within_95_percent_of_the_best_agreement(seed):
    X, _, T = blobs(200, 10, 5, distance=1.5, seed=seed)
    named = T.argmax(axis=1)

    def agreement(alpha):
        fit = LogisticProbe(alpha=alpha).prepare(X).train(T, random_state=seed)
        return (fit.out_of_sample.argmax(axis=1) == named).mean()

    found = np.array([agreement(s) for s in LOGISTIC_GRID])
    strongest = {share: LOGISTIC_GRID[found >= share * found.max()].max() for share in (0.9, 0.95, 1.0)}
    assert len(set(strongest.values())) == 3
    assert LogisticProbe().prepare(X).train(T, random_state=seed).alpha == strongest[0.95]


def test_logistic_out_of_sample_is_not_in_sample():
    X, _y, T = blobs(80, 40, 3, noise=0.5)
    fit = LogisticProbe(alpha=1e-3).prepare(X).train(T)
    named = T.argmax(axis=1)
    inside = (fit.in_sample.argmax(axis=1) == named).mean()
    outside = (fit.out_of_sample.argmax(axis=1) == named).mean()
    assert inside > outside + 0.2
    np.testing.assert_allclose(fit.out_of_sample.sum(axis=1), 1)


def test_logistic_ignores_the_targets_of_samples_left_out():
    X, _, T = blobs(100, 5, 3)
    train_mask = np.arange(100) % 4 > 0
    changed = T.copy()
    changed[~train_mask] = np.nan
    a = LogisticProbe(alpha=0.1).prepare(X).train(T, train_mask=train_mask)
    b = LogisticProbe(alpha=0.1).prepare(X).train(changed, train_mask=train_mask)
    np.testing.assert_array_equal(a.out_of_sample, b.out_of_sample)
    np.testing.assert_allclose(a.out_of_sample.sum(axis=1), 1)


def test_a_trainer_like_an_earlier_fit_starts_near_and_ends_at_the_same_place():
    X, _, T = blobs(200, 8, 4)
    trainer = LogisticProbe(alpha=0.01).prepare(X)
    first = trainer.train(T, random_state=1)
    changed = T.copy()
    changed[:4] = np.roll(T[:4], 1, axis=1)
    far = trainer.train(changed, random_state=1)
    near = trainer.like(first).train(changed, random_state=1)
    assert near.iterations < far.iterations
    assert near.gradient_norm <= 1e-4
    np.testing.assert_allclose(near.out_of_sample, far.out_of_sample, atol=5e-3)
    np.testing.assert_allclose(near.in_sample, far.in_sample, atol=5e-3)


def test_a_trainer_like_a_fit_of_other_classes_starts_afresh():
    X, _, T = blobs(100, 5, 3)
    trainer = LogisticProbe(alpha=0.1).prepare(X)
    first = trainer.train(T)
    two = np.eye(2)[T.argmax(axis=1) % 2]
    np.testing.assert_array_equal(trainer.like(first).train(two).in_sample, trainer.train(two).in_sample)


@pytest.mark.parametrize("soft", [False, True])
def test_where_steps_are_taken_in_bfloat16_the_end_is_the_same(soft, monkeypatch):
    X, _, T = blobs(400, 12, 5)
    T = 0.8 * T + 0.04 if soft else T
    probe = LogisticProbe(alpha=0.01)
    plain = probe.prepare(X).train(T)
    monkeypatch.setattr(lbfgs, "_multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(lbfgs, "ROUGH_ROWS", 1)
    monkeypatch.setattr(lbfgs, "ROUGH_WORK", 1)
    rough = probe.prepare(X).train(T)
    assert rough.gradient_norm <= 1e-4
    assert not np.array_equal(rough.in_sample, plain.in_sample)
    np.testing.assert_allclose(rough.in_sample, plain.in_sample, atol=5e-3)
    np.testing.assert_allclose(rough.out_of_sample, plain.out_of_sample, atol=5e-3)
