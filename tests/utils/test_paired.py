"""Some samples speak for all only where they leave no doubt."""

import numpy as np

from cosup.utils.paired import evenly_spaced, sure_sign, surely_positive


def test_few_samples_are_all_asked():
    assert evenly_spaced(399, 100) is None


def test_spaced_positions_reach_from_the_first_to_near_the_last():
    at = evenly_spaced(1234, 100)
    assert at[0] == 0
    assert at[-1] > 1200
    assert len(set(np.diff(at))) == 1
    assert len(at) >= 100


def test_a_difference_is_sure_from_six_standard_deviations_of_its_sum():
    one = np.ones(100)
    assert surely_positive(one)
    assert not surely_positive(-one)
    assert not surely_positive(np.empty(0))
    noise = np.resize([4.0, -3.0], 100)  # a sum of 50, whose standard deviation is 35
    assert surely_positive(np.stack([one, noise, -noise], axis=1)).tolist() == [True, False, False]


def test_a_sign_is_told_only_where_it_is_sure():
    one, noise = np.ones(100), np.resize([4.0, -3.0], 100)
    assert sure_sign(one) is True
    assert sure_sign(-one) is False
    assert sure_sign(noise) is None
    assert sure_sign(np.empty(0)) is None
