"""What rivals make of the teachers' words before a student is trained: by hand, planted, and crowd-kit's own."""

import numpy as np
import pytest

from cosup import TeacherLabels, make_method
from cosup.baselines.aggregation import log_pool, majority


def test_a_majority_by_hand():
    said = np.array([[0, 0, 1], [2, 1, 0], [-1, 2, 2], [-1, -1, -1]])
    np.testing.assert_allclose(majority(said, 3), [[2 / 3, 1 / 3, 0], [1 / 3, 1 / 3, 1 / 3], [0, 0, 1], [0, 0, 0]])
    assert make_method("majority")._pool(TeacherLabels(said), 0)[0][1].argmax() == 0  # a tie: the smallest class


def test_pools_by_hand():
    soft = np.array([[[0.5, 0.5], [0.2, 0.8]], [[0.6, 0.4], [0.6, 0.4]], [[np.nan] * 2, [0.3, 0.7]]])
    labels = TeacherLabels(soft)
    np.testing.assert_allclose(make_method("mean")._pool(labels, 0)[0], [[0.35, 0.65], [0.6, 0.4], [0.3, 0.7]])
    np.testing.assert_allclose(log_pool(labels, 1e-9), [[0.2, 0.8], [9 / 13, 4 / 13], [0.3, 0.7]], atol=1e-6)


def planted_crowd(n=400):
    """Six annotators: five decent ones, and one that swaps classes 0 and 1."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, n)
    said = np.where(rng.random((n, 6)) < 0.65, y[:, None], rng.integers(0, 3, (n, 6)))
    said[:, 5] = np.array([1, 0, 2])[y]
    return y, TeacherLabels(said)


def test_dawid_skene_recovers_a_planted_confusion():
    pytest.importorskip("crowdkit")
    y, labels = planted_crowd()
    posterior = make_method("dawid-skene")._pool(labels, 0)[0]
    # The swapping annotator is never right about 0 and 1, and yet its confusion tells the class: a majority suffers.
    assert (posterior.argmax(axis=1) == y).mean() > 0.98
    assert (majority(labels.hard(), 3).argmax(axis=1) == y).mean() < 0.95


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # crowd-kit's own, with pandas 3.1
# Where some are silent, all that is done where nobody is is done, too.
@pytest.mark.parametrize("silent", [pytest.param(0.0, marks=pytest.mark.slow), 0.4])
@pytest.mark.parametrize(
    ("name", "options", "rounding"),
    # Conjugate gradients make more of rounding than sums do.
    [("GLAD", {"n_iter": 2}, 1e-6), ("MACE", {"n_iter": 20, "n_restarts": 1, "random_state": 3}, 1e-12)],
)
def test_crowd_models_on_arrays_are_crowd_kits(name, options, rounding, silent):
    crowd = pytest.importorskip("crowdkit.aggregation.classification")
    from pandas import DataFrame

    from cosup.baselines.crowd import on_arrays

    _, labels = planted_crowd(n=80)
    rng = np.random.default_rng(1)
    said = np.where(rng.random((80, 6)) < silent, -1, labels.hard()[:, ::-1])
    said[0, 2:] = -1  # teachers and classes are not met in their order
    task, worker = np.nonzero(said >= 0)
    frame = DataFrame({"task": task, "worker": worker, "label": said[task, worker]})
    plain, ours = getattr(crowd, name), on_arrays(getattr(crowd, name))
    assert any(getattr(ours, step) is not getattr(plain, step) for step in ("_e_step", "_m_step"))
    with np.errstate(all="ignore"):
        expected, found = (model(**options).fit(frame.copy()).probas_ for model in (plain, ours))
    assert found.index.equals(expected.index)
    assert found.columns.equals(expected.columns)
    np.testing.assert_allclose(found.to_numpy(), expected.to_numpy(), atol=rounding)


@pytest.mark.parametrize("name", ["glad", "mace"])
def test_crowd_models_are_right_where_all_agree(name):
    pytest.importorskip("crowdkit")
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    said = np.tile(y[:, None], 4)
    said[:, 3] = rng.integers(0, 3, 60)  # one guesses
    said[0] = -1
    X = np.eye(3)[y] + 0.1 * rng.standard_normal((60, 3))
    options = {"glad": {"n_iter": 2}, "mace": {}}[name]
    model = make_method(name, random_state=0, **options).fit(X, TeacherLabels(said))
    np.testing.assert_array_equal(model.provenance_["annotation"][1:, 0], y[1:])
    assert model.provenance_[0, 0]["reason"] == "abstained"
    assert model.score(X, y) == 1
