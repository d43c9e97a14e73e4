"""The class shares that the default holds: planted truth of unequal classes, rules that leave samples to nobody."""

import numpy as np
import pytest

from cosup import CoSupervisedClassifier, TeacherLabels, make_method
from cosup.tasks import make_hierarchy

SHARES = "class prior"
LEARNT_ON_OTHERS = "class prior counted from the initial student"


def notes(model):
    return [note for record in model.history_ for note in record["notes"]]


def unequal(seed, **options):
    """Three classes, 10 : 1, and teachers who are weak on them."""
    return make_hierarchy(
        n_samples=1500, n_features=32, n_classes=3, teachers_per_level=(1, 2), accuracy=(0.45, 0.6), imbalance=10.0,
        random_state=seed, **options,
    )  # fmt: skip


@pytest.mark.parametrize("soft", [False, True])
def test_unequal_classes_are_learnt_from_a_generalist_who_names_them_equally(soft):
    gains = []
    for seed in range(4):
        task = unequal(seed, soft=soft)
        model = CoSupervisedClassifier(random_state=0).fit(task.X_train, task.labels)
        vanilla = make_method("vanilla").fit(task.X_train, task.labels)
        gains.append(model.score(task.X_test, task.truth.y_test) - vanilla.score(task.X_test, task.truth.y_test))
    assert min(gains) > -0.02
    assert np.mean(gains) > 0.01  # -0.10 and -0.21 at the shares that the generalist names


def test_the_shares_come_near_the_truth_and_are_noted():
    task = unequal(0)
    model = CoSupervisedClassifier(random_state=0).fit(task.X_train, task.labels)
    truth = np.bincount(task.truth.y_train) / len(task.truth.y_train)
    named = np.bincount(model.predict(task.X_train), minlength=3) / len(truth)
    named = named / named.sum()
    generalist = np.bincount(task.labels.hard()[:, 0], minlength=3) / len(task.X_train)
    assert np.abs(named - truth).sum() < np.abs(generalist - truth).sum() / 3
    assert any(SHARES in note for note in notes(model))


@pytest.mark.parametrize("seed", range(3))
def test_equal_classes_stay_as_they_are_counted(seed):
    task = make_hierarchy(random_state=seed)
    model = CoSupervisedClassifier(random_state=0).fit(task.X_train, task.labels)
    assert not any(SHARES in note for note in notes(model))


def looks(shares, taught, seed=0, good=1.2):
    """Samples of three classes of such shares, and two soft teachers, this good, calibrated on the shares `taught`."""
    rng = np.random.default_rng(seed)
    y = rng.choice(3, size=3000, p=shares)
    X = np.eye(3)[y] * 2 + rng.normal(size=(3000, 3))
    p = np.exp(good * (good * np.eye(3)[y[:2000]][:, None] + rng.normal(size=(2000, 2, 3)))) * taught
    return X[:2000], TeacherLabels(p / p.sum(axis=2, keepdims=True), levels=[0, 1]), X[2000:], y[2000:]


@pytest.mark.parametrize("seed", range(2))
def test_probabilities_of_teachers_calibrated_on_the_same_shares_are_counted(seed):
    X, labels, X_test, y_test = looks([0.6, 0.25, 0.15], [0.6, 0.25, 0.15], seed)
    model = CoSupervisedClassifier(random_state=0).fit(X, labels)
    assert not any(LEARNT_ON_OTHERS in note for note in notes(model))
    assert model.score(X_test, y_test) > make_method("vanilla").fit(X, labels).score(X_test, y_test) + 0.05


@pytest.mark.parametrize("seed", range(2))
def test_nearly_equal_shares_of_calibrated_teachers_do_no_harm_either_way(seed):
    X, labels, X_test, y_test = looks([0.3, 0.4, 0.3], [0.3, 0.4, 0.3], seed)
    model = CoSupervisedClassifier(random_state=0).fit(X, labels)
    assert model.score(X_test, y_test) > make_method("vanilla").fit(X, labels).score(X_test, y_test) - 0.01


@pytest.mark.parametrize("seed", range(3))
def test_soft_teachers_who_learnt_on_equal_classes_are_known_by_their_own_shares(seed):
    shares = np.array([0.6, 0.3, 0.1])
    X, labels, X_test, y_test = looks(shares, [1 / 3] * 3, seed, good=1.6)
    model = CoSupervisedClassifier(random_state=0).fit(X, labels)
    assert any(LEARNT_ON_OTHERS in note for note in notes(model))
    assert model.score(X_test, y_test) > make_method("vanilla").fit(X, labels).score(X_test, y_test) - 0.02


def test_teachers_calibrated_on_other_shares_are_overruled():
    shares = np.array([0.8, 0.12, 0.08])
    X, labels, X_test, y_test = looks(shares, [1 / 3] * 3)
    model = CoSupervisedClassifier(random_state=0).fit(X, labels)
    assert any(SHARES in note for note in notes(model))
    assert model.score(X_test, y_test) > make_method("vanilla").fit(X, labels).score(X_test, y_test) - 0.01


def test_few_samples_of_many_classes_are_not_asked():
    task = make_hierarchy(n_samples=200, n_classes=20, imbalance=10.0)
    model = CoSupervisedClassifier(random_state=0).fit(task.X_train, task.labels)
    assert not any(SHARES in note for note in notes(model))


def flat_rules(seed):
    """Five classes from 55 to 3 %; two rules each, right 77 %, that leave half of the samples to nobody."""
    rng = np.random.default_rng(seed)
    shares = np.array([0.55, 0.25, 0.12, 0.05, 0.03])
    y = rng.choice(5, size=3000, p=shares)
    X = rng.normal(size=(5, 30))[y] * 0.6 + rng.normal(size=(3000, 30))
    said = np.full((2000, 10), -1)
    for rule in range(10):
        own = rule % 5
        wrong = 0.25 * shares[own] * 0.3 / (1 - shares[own])
        said[rng.random(2000) < np.where(y[:2000] == own, 0.25, wrong), rule] = own
    return X[:2000], TeacherLabels(said, n_classes=5), X[2000:], y[2000:]


def test_flat_rules_on_unequal_classes_are_no_worse_than_their_majority():
    gains = []
    for seed in range(4):
        X, labels, X_test, y_test = flat_rules(seed)
        assert (labels.hard() < 0).all(axis=1).mean() > 0.3
        scores = [m.fit(X, labels).score(X_test, y_test) for m in (CoSupervisedClassifier(), make_method("vanilla"))]
        gains.append(scores[0] - scores[1])
    assert np.mean(gains) > -0.01, gains


def test_one_rule_against_another_leaves_nobody_out():
    X, labels, _, _ = flat_rules(0)
    said = labels.hard()
    # A bad rule of two classes is all that the good ones of one class each can be compared with.
    bad = np.where(said[:, 0] >= 0, 1, np.where(said[:, 1] >= 0, 0, -1))
    model = CoSupervisedClassifier(random_state=0).fit(
        X, TeacherLabels(np.concatenate([said, bad[:, None]], axis=1), n_classes=5)
    )
    assert not any("is left out" in note and "teacher 0" in note for note in notes(model))
