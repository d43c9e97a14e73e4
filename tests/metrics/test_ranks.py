"""Ranks over tasks and contrasts of designs, on cases whose answer is known by hand or from a textbook."""

import numpy as np
import pytest
from scipy import stats

from cosup.metrics import (
    bootstrap_contrasts,
    bootstrap_pgr,
    compare_with,
    critical_difference,
    mean_ranks,
    paired_difference,
)
from cosup.utils.validation import CosupError

# Demšar 2006, table 6: AUC of four classifiers on 14 data sets; his mean ranks, F and critical difference.
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970],
    ]
)  # fmt: skip


def test_ranks_are_those_of_the_textbook():
    found = mean_ranks(DEMSAR)
    np.testing.assert_allclose(found.ranks, [3.143, 2.000, 2.893, 1.964], atol=2e-3)
    assert found.critical == pytest.approx(1.25, abs=0.01)
    # F = 3.69 with 3 and 39 degrees of freedom.
    assert 0.015 < found.p_value < 0.025
    assert mean_ranks(DEMSAR, alpha=0.1).critical == pytest.approx(2.291 * np.sqrt(4 * 5 / (6 * 14)), abs=0.01)


def test_a_method_that_always_wins_has_rank_one_and_certainty():
    found = mean_ranks(np.arange(12.0).reshape(4, 3))
    np.testing.assert_array_equal(found.ranks, [3, 2, 1])
    assert found.p_value == 0.0


def test_ties_share_their_ranks_and_floating_point_does_not_break_them():
    found = mean_ranks([[0.1 + 0.2, 0.3, 0.0], [0.3, 0.1 + 0.2, 0.0]])
    np.testing.assert_array_equal(found.ranks, [1.5, 1.5, 3.0])


def test_one_method_with_every_other_is_the_textbooks_test_stepped_down_by_holm():
    first, second, third = compare_with(DEMSAR, 3)
    assert (first.wins, first.ties, first.losses) == (11, 1, 2)
    plain = [stats.wilcoxon(DEMSAR[:, 3] - DEMSAR[:, other], zero_method="zsplit").pvalue for other in range(3)]
    # Smallest times three, next times two, last as it is, and never below one before it.
    order = np.argsort(plain)
    expected = np.maximum.accumulate(
        [min(1.0, plain[place] * times) for place, times in zip(order, (3, 2, 1), strict=True)]
    )
    found = [(first, second, third)[place].p_value for place in order]
    np.testing.assert_allclose(found, expected)


def test_what_is_said_of_two_methods_hangs_on_no_third_but_for_the_correction():
    rng = np.random.default_rng(0)
    table = rng.normal([0.8, 0.0, 0.0, 0.0], size=(30, 4))
    alone = compare_with(table[:, :2], 0)[0]
    among = compare_with(table, 0)[0]
    assert (alone.method, alone.wins, alone.difference) == (among.method, among.wins, among.difference)
    assert alone.p_value <= among.p_value <= 3 * alone.p_value
    turned = compare_with(-table, -4)[0]
    assert (turned.wins, turned.losses, turned.p_value) == (among.losses, among.wins, among.p_value)


def test_equal_methods_have_p_one():
    (same,) = compare_with([[0.5, 0.5], [0.1 + 0.2, 0.3]], 1)
    assert (same.ties, same.p_value) == (2, 1.0)


@pytest.mark.parametrize("scores", [[[1.0, 2.0]], [[1.0], [2.0]], [1.0, 2.0], [[1.0, np.nan], [1.0, 2.0]]])
def test_ranks_need_whole_tables(scores):
    with pytest.raises(CosupError, match="ranks need"):
        mean_ranks(scores)
    with pytest.raises(CosupError, match="ranks need"):
        compare_with(scores, 0)
    with pytest.raises(CosupError, match="ranks need"):
        critical_difference(1, 3)


@pytest.fixture
def runs():
    rng = np.random.default_rng(0)
    ceiling = [rng.random(400) < 0.9 for _ in range(4)]
    weak = [rng.random(400) < 0.5 for _ in range(4)]
    correct = [np.stack([rng.random(400) < p for p in (0.6, 0.7, 0.8)]) for _ in range(4)]
    return correct, weak, ceiling


def test_contrasts_are_pgr_and_paired_differences(runs):
    correct, weak, ceiling = runs
    one, difference = bootstrap_contrasts(correct, [[0, 0, 1], [-1, 0, 1]], weak, ceiling)
    pgr = bootstrap_pgr([c[2] for c in correct], weak, ceiling)
    paired = paired_difference([c[2] for c in correct], [c[0] for c in correct], weak, ceiling)
    assert one.estimate == pytest.approx(pgr.estimate)
    assert difference.estimate == pytest.approx(paired.estimate)
    # Both are bootstraps of the same thing: the ends agree but for the resamples' luck.
    np.testing.assert_allclose(one[1:3], pgr[1:3], atol=0.03)
    np.testing.assert_allclose(difference[1:3], paired[1:3], atol=0.03)


def test_contrasts_of_the_same_runs_are_zero(runs):
    correct, weak, ceiling = runs
    (nothing,) = bootstrap_contrasts([c[[0, 0]] for c in correct], [[1, -1]], weak, ceiling)
    assert nothing[:3] == (0.0, 0.0, 0.0)


def test_contrasts_that_do_not_fit_are_refused(runs):
    correct, weak, ceiling = runs
    with pytest.raises(CosupError, match="one weight a run"):
        bootstrap_contrasts(correct, [[1, -1]], weak, ceiling)
    with pytest.raises(CosupError, match="one array a seed"):
        bootstrap_contrasts(correct, [[1, -1, 0]], weak[:2], ceiling)
    with pytest.raises(CosupError, match="no gap"):
        bootstrap_contrasts(correct, [[1, -1, 0]], ceiling, weak)
    with pytest.raises(CosupError, match="test samples"):
        bootstrap_contrasts(correct, [[1, -1, 0]], [w[:5] for w in weak], ceiling)
