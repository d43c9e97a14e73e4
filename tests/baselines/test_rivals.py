"""Every rival wears the same face: it runs on hard, soft and abstaining labels, and says why.

That each repeats itself and can be saved is tested with all methods, see tests/estimators/test_base.py.
"""

import importlib
import importlib.util
import re

import numpy as np
import pytest

from cosup import CosupError, TeacherLabels, list_methods, make_method
from cosup.baselines import gradient
from cosup.students.held_out_choice import GRID, choose
from cosup.tasks import make_hierarchy
from cosup.utils.optional_imports import import_extra
from fits import few_steps, method

OURS = ("co-supervised", "csl", "csl-published", "csl-published-tuned")
RIVALS = [name for name in list_methods() if name not in (*OURS, "oracle")]
EXTRAS = {
    "dawid-skene": "crowdkit", "glad": "crowdkit", "mace": "crowdkit", "confident-learning": "cleanlab",
    "crowdlab": "cleanlab", "snorkel": "snorkel",
}  # fmt: skip
KINDS = {"hard": {}, "soft": {"soft": True}, "abstaining": {"abstain": 0.3}}


def rival(name, **parameters):
    needs = EXTRAS.get(name)
    if needs is not None and importlib.util.find_spec(needs) is None:
        pytest.skip(f"{needs} is not installed")
    return method(name, **parameters)


@pytest.fixture(scope="module")
def tasks():
    return {
        kind: make_hierarchy(
            240, 300, n_features=10, n_classes=4, teachers_per_level=(1, 2), accuracy=(0.6, 0.8), **options
        )
        for kind, options in KINDS.items()
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", RIVALS)
def test_a_rival_learns_and_keeps_the_books(name, kind, tasks):
    task = tasks[kind]
    # Among all candidates those on hard labels choose; books are kept the same way however long a training is.
    with few_steps(100, gradient.SCHEDULES) if kind == "hard" else few_steps():
        model = rival(name).fit(task.X_train, task.labels)
    assert model.score(task.X_test, task.truth.y_test) > 0.35  # chance is 0.25
    proba = model.predict_proba(task.X_test)
    assert proba.shape == (300, 4)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)
    (record,) = model.history_
    assert record["assigned"].shape == record["kept"].shape == (240,)
    assert record["keep_rate"] == pytest.approx(record["kept"].mean())
    assert 0 < record["agreement"] <= 1
    assert np.isfinite(record["objective"])
    rows = model.provenance_[:, 0]
    assert rows.shape == (240,)
    np.testing.assert_array_equal(rows["kept"], record["kept"])
    assert (rows["reason"][~rows["kept"]] != "").all()
    assert ((rows["annotation"] >= 0) | ~rows["kept"]).all()
    named = rows["annotation"] >= 0
    assert ((rows["probability"] >= 0) & (rows["probability"] <= 1))[named].all()
    assert model.level_predict(task.X_test).shape == (1, 300)


@pytest.mark.parametrize("name", RIVALS)
def test_a_plain_vector_is_one_generalist(name, tasks):
    task = tasks["hard"]
    named = task.labels.hard()[:, 0]
    with few_steps():
        model = rival(name).fit(task.X_train, np.array(list("abcd"))[named])
    assert set(model.predict(task.X_test)) <= set("abcd")


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("confidence-loss", {"variant": "logcon"}, "Did you mean 'logconf'"),
        ("confidence-loss", {"weight": 1.5}, "weight must be from 0 to 1"),
        ("confidence-loss", {"warmup": -0.1}, "warmup must be"),
        ("confidence-loss", {"alpha": 0}, "alpha must be"),
        ("adaptive-confidence", {"temperature": 0.0}, "temperature must be"),
        ("reverse-kl", {"floor": 0.0}, "floor must be"),
        ("reverse-ce", {"floor": 2.0}, "floor must be"),
        ("convex-mixture", {"heads": 1}, "heads must be"),
        ("convex-mixture", {"divergence": "both"}, "unknown divergence"),
        ("simplex-weights", {"teachers": "some"}, "unknown teachers"),
        ("simplex-weights", {"rate": 0}, "rate must be"),
        ("simplex-weights", {"warmup": 1.0}, "warmup must be"),
        ("evidential", {"coefficient": -1.0}, "coefficient must be"),
        ("ensemble-boost", {"rounds": 0}, "rounds must be"),
        ("log-pool", {"floor": 0}, "floor must be"),
        ("dawid-skene", {"n_iter": 0}, "n_iter must be"),
        ("glad", {"n_iter": 0.5}, "n_iter must be"),
        ("mace", {"n_iter": 0}, "n_iter must be"),
        ("knn-smooth", {"k": 0}, "k must be"),
        ("small-loss", {"keep_rate": 0.0}, "keep_rate must be"),
        ("co-teaching", {"noise": 1.0}, "noise must be"),
        ("co-teaching", {"warmup": 2.0}, "warmup must be"),
        ("confident-learning", {"filter_by": "hope"}, "unknown filter_by"),
        ("self-distillation", {"rounds": 0}, "rounds must be"),
        ("raykar", {"n_iter": 0}, "n_iter must be"),
        ("raykar", {"smoothing": 0.0}, "smoothing must be"),
        ("raykar", {"abstentions": "answers"}, "Did you mean 'answer'"),
        ("crowd-layer", {"alpha": -1.0}, "alpha must be"),
        ("lol", {"alpha": 0}, "alpha must be"),
        ("liger", {"parts": 0}, "parts must be"),
        ("fable", {"n_subtypes": 0}, "n_subtypes must be"),
        ("selective", {"threshold": 1.5}, "threshold must be"),
        ("selective", {"k": 0}, "k must be"),
        ("two-stage", {"keep_rate": 0.0}, "keep_rate must be"),
        ("log-odds", {"weight": -1.0}, "weight must be"),
        ("coherence", {"steps": 0}, "steps must be"),
        ("coherence", {"share": 0.0}, "share must be"),
        ("majority", {"student": "rigde"}, "there is no student"),
    ],
)
def test_a_parameter_out_of_range_is_named(name, wrong, message, tasks):
    task = tasks["hard"]
    with pytest.raises(CosupError, match=message):
        make_method(name, **wrong).fit(task.X_train, task.labels)


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("dawid-skene", "crowdkit.aggregation.classification", "crowd"),
        ("confident-learning", "cleanlab.filter", "noisy"),
        ("crowdlab", "cleanlab.multiannotator", "noisy"),
    ],
)
def test_a_missing_extra_is_named(name, module, extra, tasks, monkeypatch):
    def missing(wanted):
        raise ModuleNotFoundError(f"No module named {wanted!r}", name=module.split(".")[0])

    task, method = tasks["hard"], make_method(name)
    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(CosupError, match=rf"pip install 'cosup\[{extra}\]'"):
        method.fit(task.X_train, task.labels)


def test_a_broken_extra_is_not_taken_for_a_missing_one(monkeypatch):
    def broken(wanted):
        raise ModuleNotFoundError("No module named 'attr'", name="attr")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="attr"):
        import_extra("crowdkit.aggregation", extra="crowd", purpose="it")


@pytest.mark.parametrize("name", ["reverse-kl", "vanilla", "small-loss"])
def test_silent_generalists_are_an_error(name):
    said = np.array([[-1, 0], [-1, 1], [0, 1], [1, 0]] * 5)
    labels = TeacherLabels(said, levels=[0, 1])[said[:, 0] < 0]
    with pytest.raises(CosupError, match="no teacher of level 0 speaks"):
        make_method(name).fit(np.eye(10), labels)


def test_too_few_samples_to_cross_fit_are_an_error():
    with pytest.raises(CosupError, match="cross-fits in 5 folds"):
        make_method("reverse-kl").fit(np.eye(4), TeacherLabels([[0], [1], [0], [1]]))


# -- the choice that all rivals share that are trained by steps ---------------------------------------------


def test_the_candidate_whose_held_out_classes_are_most_probable_is_chosen():
    posterior = np.tile([0.9, 0.1], (500, 1))
    candidates = np.arange(5.0)[:, None]
    asked = []

    def predictions(tried, sees):
        asked.append((tried, sees))
        out = np.zeros((len(tried), 500), dtype=int)
        held = np.flatnonzero(~sees[:, 0])
        for row, wrong in zip(out, [40, 3, 2, 2, 5], strict=True):
            row[held[:wrong]] = 1
        # What is predicted of samples that were trained on does not count.
        out[2:, sees[:, 0]] = 1
        return out

    assert choose(predictions, posterior, 3, candidates) == [2]  # of equals the first
    ((tried, sees),) = asked  # one hold-out, whatever the method
    np.testing.assert_array_equal(tried, candidates)
    assert (~sees).sum() == 100


def chosen(name, X, labels, **parameters):
    """The note of what was chosen: shares of the full steps and of the learning rate, and the penalty."""
    notes = make_method(name, random_state=0, **parameters).fit(X, labels).history_[0]["notes"]
    found = re.search(r"for (\S+) of the full steps at (\S+) of the learning rate, L2 (\S+)", " ".join(notes))
    return tuple(map(float, found.groups()))


@pytest.mark.parametrize("name", ["reverse-kl", "crowd-layer"])
def test_where_training_ends_in_the_teachers_mistakes_few_steps_are_chosen(name):
    task = make_hierarchy(
        300, 100, n_features=32, n_classes=8, teachers_per_level=(1, 2), accuracy=(0.35, 0.6), separation=4.0
    )
    steps, rate, _ = chosen(name, task.X_train, task.labels)
    assert steps * rate < 1 / 10


@pytest.mark.parametrize("name", ["reverse-kl", "adaptive-confidence"])
def test_where_the_signal_is_small_many_steps_are_chosen(name):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 40))
    X[:, 0] *= 0.05
    y = (X[:, 0] > 0).astype(int)
    steps, _, alpha = chosen(name, X, y)
    assert steps == 1
    assert alpha <= GRID[-2]


def test_a_penalty_that_is_given_is_trained_in_full(tasks):
    task = tasks["hard"]
    assert chosen("reverse-kl", task.X_train, task.labels, alpha=0.3) == (1, 1, 0.3)


def test_out_of_sample_probabilities_come_from_heads_that_did_not_see_the_sample(tasks):
    # A label that nothing predicts is believed by a weakly regularised head that trained on it, not by the others.
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 100)), rng.integers(0, 2, 60)
    model = make_method("reverse-kl", alpha=1e-3, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.95
    assert model.history_[0]["agreement"] < 0.75


def test_the_trainer_ends_at_the_regularised_optimum(tasks):
    import torch

    from cosup.baselines.objectives import CrossEntropy
    from cosup.students import LogisticProbe

    task = tasks["hard"]
    targets = np.eye(4)[task.labels.hard()[:, 0]]
    features = gradient.Features(task.X_train)
    weight, bias = gradient.run(
        CrossEntropy(), features.Z, torch.tensor(targets, dtype=torch.float32), torch.ones(240, 2),
        np.array([1.0, 0.03]), seed=0,
    )  # fmt: skip
    for h, alpha in enumerate([1.0, 0.03]):
        exact = LogisticProbe(alpha=alpha).prepare(task.X_train).train(targets).head
        ours = features.head(weight[h, 0], bias[h, 0])
        np.testing.assert_allclose(ours.predict_proba(task.X_test), exact.predict_proba(task.X_test), atol=0.03)


def test_a_sample_of_weight_zero_is_not_seen():
    import torch

    from cosup.baselines.objectives import CrossEntropy

    X = torch.tensor([[1.0], [-1.0], [1.0]])
    targets = torch.eye(2)[[0, 1, 1]]
    args = {"seed": 0, "alphas": np.array([0.1])}
    with_it = gradient.run(CrossEntropy(), X, targets, torch.tensor([[1.0], [1.0], [0.0]]), **args)
    without = gradient.run(CrossEntropy(), X[:2], targets[:2], torch.ones(2, 1), **args)
    for a, b in zip(with_it, without, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
