"""The class prior that the default holds, and generalists read as witnesses: planted truth."""

import numpy as np
import pytest

from cosup import CoSupervisedClassifier, TeacherLabels, make_method
from cosup.cosupervision.class_priors import estimate_class_prior
from cosup.cosupervision.hierarchy import Hierarchy
from cosup.cosupervision.witnesses import Witnesses
from cosup.utils.row_store import RowStore


def estimated(said, n_classes, proba):
    labels = TeacherLabels(said, n_classes=n_classes)
    hierarchy = Hierarchy.of(labels)
    return estimate_class_prior(hierarchy.levels[0], RowStore.holding(proba), hierarchy.consensus).shares


def test_a_lone_generalist_whom_the_student_repeats_is_counted():
    said = np.repeat([0, 1, 2], [60, 30, 10])
    assert estimated(said[:, None], 3, np.eye(3)[said]) == pytest.approx([0.6, 0.3, 0.1])


def test_what_nobody_bears_out_may_be_of_any_class():
    said = np.repeat([0, 1, 2], [60, 30, 10])
    free = (2 / 3) ** 2
    expected = (1 - free) * np.array([0.6, 0.3, 0.1]) + free / 3
    assert estimated(said[:, None], 3, np.full((100, 3), 1 / 3)) == pytest.approx(expected)


def test_samples_that_nobody_annotates_may_be_of_any_class():
    said = np.repeat([0, 1, 2, -1], [60, 30, 10, 300])
    proba = np.where(said[:, None] >= 0, np.eye(3)[said], 1 / 3)
    expected = 0.25 * np.array([0.6, 0.3, 0.1]) + 0.75 / 3
    assert estimated(said[:, None], 3, proba) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_rules_that_reach_more_of_one_class_do_not_make_it_larger(seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=2000)
    X = rng.normal(size=(2, 20))[y] * 0.8 + rng.normal(size=(2000, 20))
    said = np.full((1000, 6), -1)
    for rule in range(6):
        own = rule % 2
        said[(y[:1000] == own) & (rng.random(1000) < (0.4, 0.06)[own]), rule] = own
        said[(y[:1000] != own) & (rng.random(1000) < 0.01), rule] = own
    model = CoSupervisedClassifier(random_state=0).fit(X[:1000], TeacherLabels(said, n_classes=2))
    assert abs((model.predict(X[1000:]) == 0).mean() - (y[1000:] == 0).mean()) < 0.1


def catch_all(seed, truth_of_the_rest):
    """A rule that names class 0 wherever it speaks, on two thirds of all; rules of class 1 to 3, right, on a third."""
    rng = np.random.default_rng(seed)
    shares = np.array([truth_of_the_rest, *[(1 - truth_of_the_rest) / 3] * 3])
    y = rng.choice(4, size=4000, p=shares)
    said = np.full((4000, 7), -1)
    said[rng.random(4000) < 0.66, 0] = 0
    for rule in range(6):
        own = 1 + rule % 3
        said[(y == own) & (rng.random(4000) < 0.3), 1 + rule] = own
    return y, said


def test_a_rule_that_always_speaks_is_found_out_by_those_who_contradict_it():
    y, said = catch_all(0, 0.25)
    votes = np.bincount(np.where(said[:, 0] == 0, 0, said.max(axis=1))[(said >= 0).any(axis=1)], minlength=4)
    truth = np.bincount(y, minlength=4) / len(y)
    prior = estimated(said, 4, np.full((4000, 4), 0.25))
    assert np.abs(prior - truth).sum() < np.abs(votes / votes.sum() - truth).sum() / 2


def test_the_prior_of_several_is_held_as_far_as_a_second_teacher_confirms_it_and_that_of_a_lone_one_in_full():
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=900)
    wrong = rng.integers(3, size=(900, 3))
    said = [np.where(rng.random((900, 3)) < right, y[:, None], wrong) for right in (0.99, 0.5)]
    said[1][np.arange(900), rng.integers(3, size=900)] = -1
    uncertain = RowStore.holding(np.full((900, 3), 1 / 3))
    weights = []
    for annotations in (said[0], said[1], said[1][:, :1]):
        hierarchy = Hierarchy.of(TeacherLabels(annotations, n_classes=3))
        weights.append(estimate_class_prior(hierarchy.levels[0], uncertain, hierarchy.consensus).weight)
    assert weights[0] > 0.95 > weights[1] > 0.5
    assert weights[2] == 1


def blobs(seed, n_classes=3, n=1500, distance=2.5):
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=2 * n)
    X = distance * rng.normal(size=(n_classes, 12))[y] / 3 + rng.normal(size=(2 * n, 12))
    return rng, X[:n], y[:n], X[n:], y[n:]


def test_a_class_does_not_vanish_because_its_only_rule_names_nothing_else():
    rng, X, y, X_test, _ = blobs(0)
    y = np.where(rng.random(len(y)) < 0.75, 0, y)
    said = np.full((len(y), 3), -1)
    said[rng.random(len(y)) < 0.95, 0] = 0
    for rule in (1, 2):
        said[(y == rule) & (rng.random(len(y)) < 0.7), rule] = rule
    model = CoSupervisedClassifier().fit(X, TeacherLabels(said, n_classes=3))
    assert (model.predict(X_test) == 0).mean() > 0.2


def crowd(rng, y, n_classes, n_workers, accuracy, votes):
    said = np.full((len(y), n_workers), -1)
    for worker in range(n_workers):
        speaks = rng.random(len(y)) < votes / n_workers
        right = rng.random(len(y)) < accuracy
        said[speaks, worker] = np.where(right, y, rng.integers(n_classes, size=len(y)))[speaks]
    return said


@pytest.mark.parametrize("seed", range(4))
def test_annotators_who_are_better_than_the_student_are_not_spoilt(seed):
    rng, X, y, X_test, y_test = blobs(seed, n_classes=4, distance=1.2)
    labels = TeacherLabels(crowd(rng, y, 4, 12, 0.8, 6), n_classes=4)
    ours, theirs = (make_method(m).fit(X, labels).score(X_test, y_test) for m in ("co-supervised", "majority"))
    assert ours > theirs - 0.01


@pytest.mark.parametrize("kind", ["random", "constant", "rare"])
def test_bad_teachers_among_witnesses_do_no_harm(kind):
    rng, X, y, X_test, y_test = blobs(5)
    said = crowd(rng, y, 3, 10, 0.7, 3)
    noise = rng.integers(3, size=(len(y), 6))
    bad = {
        "random": noise,
        "constant": noise[:1].repeat(len(y), 0),
        "rare": np.where(rng.random(noise.shape) < 0.1, noise, -1),
    }
    clean, dirty = (
        CoSupervisedClassifier().fit(X, TeacherLabels(a, n_classes=3)).score(X_test, y_test)
        for a in (said, np.concatenate([said, bad[kind]], axis=1))
    )
    assert dirty > clean - 0.02


def test_confusions_are_learnt_and_copies_are_no_new_witnesses():
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=3000)
    said = crowd(rng, y, 3, 5, 0.6, 5)
    said[:, 4] = np.where(rng.random(3000) < 0.9, (y + 1) % 3, said[:, 4])  # renames the classes, reliably
    copies = np.where(rng.random((3000, 4)) < 0.95, said[:, [0]], rng.integers(3, size=(3000, 4)))
    prior, truth = np.full(3, 1 / 3), RowStore.holding(np.eye(3)[y])
    alone, copied = (
        Witnesses(Hierarchy.of(TeacherLabels(a, n_classes=3)).levels[0], truth, prior)
        for a in (said, np.concatenate([said, copies], axis=1))
    )
    likelihood = alone.of(slice(0, 3000))
    assert likelihood.max(axis=1) == pytest.approx(np.ones(3000))
    assert (likelihood.argmax(axis=1) == y).mean() > 0.93
    assert alone.independence > 0.9
    assert copied.independence < 0.75


def test_the_order_of_teachers_and_the_names_of_classes_do_not_matter():
    rng, X, y, X_test, _ = blobs(7)
    said = crowd(rng, y, 3, 8, 0.7, 3)
    turn, names = rng.permutation(8), np.array([2, 0, 1])
    ours = CoSupervisedClassifier().fit(X, TeacherLabels(said, n_classes=3)).predict_proba(X_test)
    moved = CoSupervisedClassifier().fit(X, TeacherLabels(said[:, turn], n_classes=3)).predict_proba(X_test)
    renamed = np.where(said >= 0, names[said], -1)
    other = CoSupervisedClassifier().fit(X, TeacherLabels(renamed, n_classes=3)).predict_proba(X_test)
    assert moved == pytest.approx(ours, abs=1e-6)
    assert other[:, names] == pytest.approx(ours, abs=1e-6)


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
    assert model.score(X_test, y_test) > make_method("vanilla").fit(X, labels).score(X_test, y_test) + 0.05


@pytest.mark.parametrize("seed", range(2))
def test_nearly_equal_shares_of_calibrated_teachers_do_no_harm_either_way(seed):
    X, labels, X_test, y_test = looks([0.3, 0.4, 0.3], [0.3, 0.4, 0.3], seed)
    model = CoSupervisedClassifier(random_state=0).fit(X, labels)
    assert model.score(X_test, y_test) > make_method("vanilla").fit(X, labels).score(X_test, y_test) - 0.01


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
