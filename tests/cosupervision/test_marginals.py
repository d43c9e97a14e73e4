"""Marginals held at the class prior."""

import numpy as np
import pytest

from cosup.cosupervision.class_priors import ClassPrior
from cosup.cosupervision.marginals import HELD, hold_marginals, match_marginals
from cosup.utils.row_store import RowStore


def near(prior, n):
    """How far marginals may lie beside the prior, in total variation: below the standard error of class counts."""
    return HELD * np.sqrt(prior / n).sum() / 2


def sinkhorn(q, prior, rounds=20_000):
    """The textbook's iteration, to the end."""
    column = np.ones(len(prior))
    for _ in range(rounds):
        column = prior * len(q) / ((1 / (q @ column)) @ q)
    matched = q * column
    return matched / matched.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(5))
def test_matching_holds_both_marginals_and_is_idempotent(seed):
    rng = np.random.default_rng(seed)
    q, prior = rng.dirichlet(np.ones(5), size=300), rng.dirichlet(5 * np.ones(5))
    before = q.copy()
    matched = match_marginals(q, prior)
    np.testing.assert_array_equal(q, before)
    np.testing.assert_allclose(matched.sum(axis=1), 1, atol=1e-6)
    assert np.abs(matched.mean(axis=0) - prior).sum() / 2 < near(prior, 300)
    assert matched.min() >= 0
    np.testing.assert_allclose(match_marginals(matched, prior), matched, atol=1e-3)


def test_matching_what_matches_changes_nothing():
    rng = np.random.default_rng(0)
    q = rng.dirichlet(np.ones(4), size=200)
    np.testing.assert_allclose(match_marginals(q, q.mean(axis=0)), q, atol=1e-6)


@pytest.mark.parametrize(("concentration", "n", "n_classes"), [(1.0, 300, 4), (0.1, 2_000, 10), (0.02, 20_000, 5)])
def test_marginals_are_those_of_sinkhorns_iteration_at_its_end(concentration, n, n_classes):
    rng = np.random.default_rng(n)
    q = np.maximum(rng.dirichlet(np.full(n_classes, concentration), size=n), 1e-6)
    prior = rng.dirichlet(np.full(n_classes, 3.0))
    matched = match_marginals(q, prior)
    assert np.abs(matched.mean(axis=0) - prior).sum() / 2 < near(prior, n)
    assert np.abs(matched - sinkhorn(q, prior)).sum(axis=1).mean() / 2 < 2 * near(prior, n)


def test_a_handful_of_passes_holds_marginals_of_confident_samples():
    class Counted(RowStore):
        passes = 0

        def blocks(self):
            Counted.passes += 1
            yield from super().blocks()

    rng = np.random.default_rng(3)
    q = np.maximum(rng.dirichlet(np.full(10, 0.05), size=50_000), 1e-8)
    store = Counted(*q.shape)
    for rows in store.slices:
        store.put(rows, q[rows])
    hold_marginals(store, ClassPrior(rng.dirichlet(np.full(10, 2.0))))
    assert Counted.passes <= 6


def test_a_class_that_hardly_any_sample_has_gets_its_share():
    rng = np.random.default_rng(4)
    q = rng.dirichlet(np.ones(3), size=500)
    q = np.column_stack([q, np.full(500, 1e-9)])
    prior = np.array([0.3, 0.3, 0.3, 0.1])
    assert np.abs(match_marginals(q, prior).mean(axis=0) - prior).sum() / 2 < near(prior, 500)


def test_matching_survives_certainty():
    q = np.eye(3)[[0, 0, 0, 0, 1, 2]]
    matched = match_marginals(q, np.ones(3) / 3)
    assert np.isfinite(matched).all()
    np.testing.assert_allclose(matched.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.8])
def test_matching_in_part_is_the_smallest_sum_of_both_divergences(weight):
    rng = np.random.default_rng(1)
    q, prior = rng.dirichlet(np.ones(4), size=200), np.array([0.7, 0.1, 0.1, 0.1])

    def divergences(p):
        mean = p.mean(axis=0)
        from_q = (p * np.log(p / q)).sum(axis=1).mean()
        return from_q + weight / (1 - weight) * (mean * np.log(mean / prior)).sum()

    matched = match_marginals(q, prior, weight=weight)
    np.testing.assert_allclose(matched.sum(axis=1), 1, atol=1e-6)
    if weight == 0:
        np.testing.assert_allclose(matched, q, rtol=1e-5)
    for _ in range(20):
        other = matched * rng.uniform(0.9, 1.1, size=4) ** rng.choice([0.1, 1.0])
        assert divergences(other / other.sum(axis=1, keepdims=True)) >= divergences(matched) - 1e-8
