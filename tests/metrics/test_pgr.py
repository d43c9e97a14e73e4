"""Metrics against numbers worked out by hand, and the intervals against a case whose truth is known."""

import math
import time

import numpy as np
import pytest

from cosup.metrics import bootstrap_pgr, paired_difference, performance_gap_recovered, selection_quality
from cosup.utils.validation import CosupError


def planted(rng, n_seeds, n_test, accuracies):
    """Independent right/wrong arrays of the given accuracies: one list of arrays a column."""
    return [[rng.random(n_test) < accuracy for _ in range(n_seeds)] for accuracy in accuracies]


def test_pgr_by_hand():
    assert performance_gap_recovered(0.75, 0.5, 1.0) == pytest.approx(0.5)
    assert performance_gap_recovered(0.6, 0.6, 0.9) == 0.0
    assert performance_gap_recovered(0.9, 0.6, 0.9) == pytest.approx(1.0)
    assert performance_gap_recovered(0.45, 0.6, 0.9) == pytest.approx(-0.5)
    assert performance_gap_recovered(np.float32(0.75), weak=np.float64(0.5), ceiling=1) == pytest.approx(0.5)


@pytest.mark.parametrize("ceiling", [0.6, 0.5])
def test_a_gap_that_is_not_positive_is_never_a_number(ceiling):
    with pytest.raises(CosupError, match="no gap"):
        performance_gap_recovered(0.7, 0.6, ceiling)
    assert math.isnan(performance_gap_recovered(0.7, 0.6, ceiling, undefined="nan"))


@pytest.mark.parametrize("bad", [float("nan"), -0.1, 1.1, float("inf"), "high", None])
@pytest.mark.parametrize("place", ["student", "weak", "ceiling"])
def test_accuracies_out_of_range_are_refused(bad, place):
    values = {"student": 0.7, "weak": 0.5, "ceiling": 0.9, place: bad}
    with pytest.raises(CosupError, match=place):
        performance_gap_recovered(**values)
    with pytest.raises(CosupError):
        performance_gap_recovered(**values, undefined="nan")


def test_percentages_get_a_hint():
    with pytest.raises(CosupError, match="Divide percentages by 100"):
        performance_gap_recovered(75, 50, 90)


def test_undefined_is_checked():
    with pytest.raises(CosupError, match="undefined"):
        performance_gap_recovered(0.7, 0.5, 0.9, undefined="zero")


def test_estimate_is_the_ratio_of_means():
    weak = [np.array([1, 0, 0, 0], bool), np.array([1, 1, 0, 0], bool)]
    student = [np.array([1, 1, 0, 0], bool), np.array([1, 1, 1, 0], bool)]
    ceiling = [np.array([1, 1, 1, 1], bool), np.array([1, 1, 1, 0], bool)]
    interval = bootstrap_pgr(student, weak, ceiling)
    assert interval.estimate == pytest.approx((0.625 - 0.375) / (0.875 - 0.375))
    assert interval.low <= interval.estimate <= interval.high
    assert 0 < interval.dropped < 0.5  # with four samples, some resamples have no gap


def test_interval_is_reproducible_and_widens_with_the_level():
    columns = planted(np.random.default_rng(1), 3, 200, (0.7, 0.5, 0.9))
    first = bootstrap_pgr(*columns, random_state=3)
    assert first == bootstrap_pgr(*columns, random_state=3)
    wide, narrow = bootstrap_pgr(*columns, level=0.99), bootstrap_pgr(*columns, level=0.5)
    assert wide.high - wide.low > narrow.high - narrow.low


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    truth = (0.75 - 0.5) / (0.9 - 0.5)
    covered = 0
    for repeat in range(120):
        interval = bootstrap_pgr(*planted(rng, 6, 150, (0.75, 0.5, 0.9)), n_resamples=300, random_state=repeat)
        covered += interval.low <= truth <= interval.high
    assert 0.82 <= covered / 120 <= 0.99


def test_one_seed_redraws_the_samples_only():
    columns = planted(np.random.default_rng(2), 1, 4000, (0.7, 0.5, 0.9))
    interval = bootstrap_pgr(*columns)
    # Delta method for independent columns: the width of a 90 % interval at n = 4000.
    assert 0.02 < interval.high - interval.low < 0.12


def test_paired_difference_of_a_method_with_itself_is_zero():
    a, weak, ceiling = planted(np.random.default_rng(3), 4, 100, (0.7, 0.5, 0.9))
    assert paired_difference(a, a, weak, ceiling) == (0.0, 0.0, 0.0, 0.0)


def test_paired_difference_is_antisymmetric_and_tighter_than_unpaired():
    rng = np.random.default_rng(4)
    weak, ceiling = planted(rng, 4, 400, (0.5, 0.95))
    a = [rng.random(400) < 0.7 for _ in range(4)]
    b = [array & (rng.random(400) < 0.97) for array in a]  # b loses a few of a's right answers
    forth, back = paired_difference(a, b, weak, ceiling), paired_difference(b, a, weak, ceiling)
    assert forth.estimate == pytest.approx(-back.estimate)
    assert forth.low == pytest.approx(-back.high)
    assert forth.low > 0
    alone = bootstrap_pgr(a, weak, ceiling)
    assert forth.high - forth.low < alone.high - alone.low
    difference = alone.estimate - bootstrap_pgr(b, weak, ceiling).estimate
    assert forth.estimate == pytest.approx(difference)


def test_bootstrap_is_fast_enough_for_a_report():
    columns = planted(np.random.default_rng(5), 5, 1000, (0.7, 0.6, 0.5, 0.9))
    start = time.perf_counter()
    paired_difference(*columns)
    assert time.perf_counter() - start < 1.0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([], [], []), "at least one seed"),
        (([[True]], [[True]], []), "one array a seed"),
        (([[True, False]], [[True]], [[True]]), "same test samples"),
        (([[3, 4]], [[True, False]], [[True, True]]), "y_pred == y_true"),
        (([[0.5]], [[True]], [[True]]), "y_pred == y_true"),
        (([[[True]]], [[True]], [[True]]), "1-d"),
        (([[]], [[]], [[]]), "y_pred == y_true|at least one"),
        (([[True]], [[True]], [[True]]), "no gap"),
    ],
)
def test_bad_arrays_are_refused(columns, message):
    with pytest.raises(CosupError, match=message):
        bootstrap_pgr(*columns)


@pytest.mark.parametrize("options", [{"level": 0}, {"level": 90}, {"n_resamples": 0}, {"n_resamples": 2.5}])
def test_bad_options_are_refused(options):
    with pytest.raises(CosupError):
        bootstrap_pgr([[True, False]], [[False, False]], [[True, True]], **options)


def test_selection_quality_by_hand():
    kept = np.array([True, True, True, False, False])
    right = np.array([True, False, True, True, False])
    assert selection_quality(kept, right) == (pytest.approx(2 / 3), pytest.approx(2 / 3))


def test_selection_quality_of_nothing_is_nan():
    precision, recall = selection_quality([False, False], [True, False])
    assert math.isnan(precision)
    assert recall == 0.0
    precision, recall = selection_quality([True, False], [False, False])
    assert precision == 0.0
    assert math.isnan(recall)
    with pytest.raises(CosupError, match="kept has 1"):
        selection_quality([True], [True, False])
