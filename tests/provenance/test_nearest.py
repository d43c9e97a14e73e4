"""Nearest samples: as a search through all of them finds, in any order of magnitude, and written with the account."""

import numpy as np
import pytest

from accounts import small_account
from cosup.provenance import account_files, find_nearest, read_account
from cosup.provenance.nearest import DIRECTIONS, NEAREST


def by_search(X):
    apart = np.sqrt(np.square(X[:, None] - X[None]).sum(axis=2))
    np.fill_diagonal(apart, np.inf)
    places = np.argsort(apart, axis=1, kind="stable")[:, :NEAREST]
    distances = np.take_along_axis(apart, places, axis=1)
    return places, distances / np.median(distances[:, 0])


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e200])
@pytest.mark.parametrize("d", [3, DIRECTIONS + 20])
def test_all_samples_are_compared(d, scale):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(700, 3)) @ rng.normal(size=(3, d)) + 5
    places, distances = find_nearest(X * scale)
    want, far = by_search(X)
    assert (np.sort(places) == np.sort(want)).mean() > 0.995
    np.testing.assert_allclose(distances, far, rtol=1e-3)


@pytest.mark.parametrize("n", [30, DIRECTIONS + 60])
def test_of_fewer_samples_than_features_the_nearest_are_found_too(n):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3)) @ rng.normal(size=(3, 2 * n)) + 0.01 * rng.normal(size=(n, 2 * n))
    places, distances = find_nearest(X)
    want, far = by_search(X)
    np.testing.assert_array_equal(places, want)
    np.testing.assert_allclose(distances, far, rtol=1e-3)


def test_few_samples_have_few_neighbours_and_doubles_are_none_apart():
    places, distances = find_nearest(np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]))
    assert places.tolist() == [[1, 2, -1, -1, -1], [0, 2, -1, -1, -1], [0, 1, -1, -1, -1]]
    assert (distances[:, :2] == 0).all()
    assert np.isnan(distances[:, 2:]).all()
    assert (find_nearest(np.ones((1, 2)))[0] == -1).all()


def test_of_many_samples_those_most_worth_a_look_are_compared(monkeypatch):
    monkeypatch.setattr("cosup.provenance.nearest.COMPARED", 10)
    X = np.arange(40.0)[:, None]
    order = np.roll(np.arange(40), 15)  # 25 to 39 first
    places, _ = find_nearest(X, order)
    assert set(np.flatnonzero(places[:, 0] >= 0)) == set(order[:10])
    assert set(places[places >= 0]) == set(order[:10])


@pytest.mark.parametrize("parquet", [True, False])
def test_the_account_keeps_them(tmp_path, monkeypatch, parquet):
    if parquet:
        pytest.importorskip("pyarrow")
    monkeypatch.setattr("cosup.provenance.account_file.has_parquet", lambda: parquet)
    account = small_account()
    for name, content in account_files(account).items():
        (tmp_path / name).write_bytes(content)
    read, _ = read_account(tmp_path)
    np.testing.assert_array_equal(read.nearest, account.nearest)
    np.testing.assert_allclose(read.distance, account.distance, rtol=1e-5)
    some = read.take(np.arange(0, 60, 2))
    for row, i in enumerate(range(0, 60, 2)):
        there = [j // 2 for j in account.nearest[i] if j % 2 == 0]
        assert [j for j in some.nearest[row] if j >= 0] == there
