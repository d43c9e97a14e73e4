"""Results that are computed once for equal arguments, while somebody compares methods."""

import numpy as np
import pytest

from cosup import TeacherLabels
from cosup.cosupervision import joint_posterior
from cosup.utils.shared_results import REMEMBERED, SharedResults, shared_result


class Counting:
    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return self.calls


def test_nothing_is_remembered_unless_results_are_shared():
    count = Counting()
    assert [shared_result(count, np.ones(3)) for _ in range(2)] == [1, 2]


def test_equal_arguments_are_computed_once(tmp_path):
    count, results, X = Counting(), SharedResults(), np.arange(6.0).reshape(3, 2)
    np.save(tmp_path / "X.npy", X)
    with results.active():
        assert shared_result(count, "a", X) == 1
        assert shared_result(count, "a", X.copy()) == 1
        assert shared_result(count, "a", np.load(tmp_path / "X.npy", mmap_mode="r")) == 1
        assert results.spared > 0
        others = [("b", X), ("a", X + 1), ("a", X.astype(np.float32)), ("a", X.reshape(2, 3)), ("a", X[::-1])]
        assert [shared_result(count, *other) for other in others] == [2, 3, 4, 5, 6]
    assert shared_result(count, "a", X) == 7


def test_the_last_results_are_remembered():
    count, results = Counting(), SharedResults()
    with results.active():
        for number in range(REMEMBERED + 1):
            shared_result(count, number)
        assert shared_result(count, REMEMBERED) == REMEMBERED + 1
        assert shared_result(count, 0) == REMEMBERED + 2


def test_what_a_result_was_spared_itself_counts_for_those_that_are_given_it():
    results = SharedResults()

    def inner():
        return sum(range(200_000))

    with results.active():
        shared_result(inner, "inner")
        before = results.spared
        shared_result(lambda: shared_result(inner, "inner"), "outer")
        once = results.spared - before
        shared_result(inner, "outer")
    assert results.spared - before > 2 * once * 0.99
    assert once > 0


def test_an_error_leaves_nothing_shared():
    results = SharedResults()
    with pytest.raises(ZeroDivisionError), results.active():
        shared_result(lambda: 1 / 0, 0)
    assert shared_result(lambda: 5, 0) == 5


def test_methods_that_are_judged_by_one_posterior_share_it():
    rng = np.random.default_rng(0)
    X, labels = rng.normal(size=(60, 3)), TeacherLabels(rng.integers(0, 2, (60, 2)), levels=[0, 1])
    with SharedResults().active():
        first = joint_posterior(X, labels, 0)
        assert joint_posterior(X.copy(), labels, 0) is first
        assert joint_posterior(X, labels, 1) is not first
        assert joint_posterior(X, labels[np.arange(60)], 0) is not first
    np.testing.assert_array_equal(joint_posterior(X, labels, 0), first)
