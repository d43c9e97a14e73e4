"""Quick fits of any method, and what every one of them must leave behind."""

import importlib.util
from contextlib import contextmanager

import numpy as np
import pytest

from cosup import list_methods, make_method


def methods_here():
    """Names of the methods that can be fitted with what is installed."""
    missing = {"snorkel"} if importlib.util.find_spec("snorkel") is None else set()
    return sorted(set(list_methods()) - missing)


SMALL = {
    "convex-mixture": {"heads": 6}, "csl-published": {"learning_rate": 0.1, "epochs": 15},
    "dawid-skene": {"n_iter": 10}, "fable": {"landmarks": 32, "n_iter": 10}, "glad": {"n_iter": 1},
    "mace": {"n_iter": 5},
}  # fmt: skip
"""Parameters that keep a test short."""


def method(name, task=None, **parameters):
    """Any method, quick; the oracle is given what only it is given."""
    told = {"truth": task.truth.y_train, "expert": task.truth.expert} if name == "oracle" else {}
    return make_method(name, **{"random_state": 0} | SMALL.get(name, {}) | told | parameters)


@contextmanager
def few_steps(least=30, schedules=((0.25, 1.0), (1.0, 1.0))):
    """Trainings by gradient in a fraction of their steps: for what holds however long a training is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cosup.baselines.gradient.LEAST_STEPS", least)
        patch.setattr("cosup.baselines.gradient.SCHEDULES", schedules)
        patch.setattr("cosup.students.mlp.training.LEAST_STEPS", 20)
        patch.setattr("cosup.cosupervision.tuned_published.CANDIDATES", np.array([[1e-2, 30.0], [1e-2, 60.0]]))
        yield


def check_fit(model, labels, X):
    """What every fit must leave behind, whatever the tree."""
    n = len(labels)
    assert len(model.history_) == labels.n_levels
    assert model.provenance_.shape == (n, labels.n_levels)
    hard = labels.hard()
    for k, h in enumerate(model.history_):
        column = model.provenance_[:, k]
        assert h["level"] == k
        assert h["teachers"] == labels.at_level(k).tolist()
        assert h["assigned"].shape == h["kept"].shape == (n,)
        assert h["kept"].dtype == bool
        np.testing.assert_array_equal(column["teacher"], h["assigned"])
        np.testing.assert_array_equal(column["kept"], h["kept"])
        np.testing.assert_array_equal(column["kept"], column["reason"] == "")
        assert h["keep_rate"] == pytest.approx(h["kept"].mean())
        assert 0 <= h["agreement"] <= 1
        assert h["seconds"] >= 0
        assert isinstance(h["rounds"], int)
        assert all(isinstance(note, str) and note for note in h["notes"])
        assert np.isin(h["assigned"], np.append(np.flatnonzero(labels.levels <= k), -1)).all()
        by = np.flatnonzero(h["assigned"] >= 0)
        np.testing.assert_array_equal(column["annotation"][by], hard[by, h["assigned"][by]])
        silent = column["annotation"] < 0
        assert not column["kept"][silent].any()
        assert np.isnan(column["probability"][silent]).all()
        assert ((column["probability"][~silent] >= 0) & (column["probability"][~silent] <= 1)).all()
    proba = model.predict_proba(X)
    assert proba.shape == (len(X), labels.n_classes)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)
    levels = model.level_predict(X)
    assert levels.shape == (labels.n_levels, len(X))
    np.testing.assert_array_equal(levels[-1], model.predict(X))


def flat(n=240, seed=0, teachers=3, soft=False):
    """Three classes, a few generalists of 70 %."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    X = 3 * np.eye(3, 6)[y] + rng.normal(size=(n, 6))
    said = np.where(rng.random((n, teachers)) < 0.7, y[:, None], rng.integers(3, size=(n, teachers)))
    if soft:
        said = 0.7 * np.eye(3)[said] + 0.1
    return X, y, said
