"""What must not matter: the order of samples, the order of teachers within a level, a teacher who is there twice."""

import functools

import numpy as np
import pytest

from cosup import TeacherLabels, make_method
from cosup.tasks import make_hierarchy

METHODS = ("co-supervised", "csl", "vanilla")
N = 400


def labels_of(annotations, levels, specialties, names, n_classes):
    return TeacherLabels(annotations, levels=levels, specialties=specialties, names=names, n_classes=n_classes)


def columns(labels, order):
    """The same teachers in another order; a column may come twice."""
    names = [f"{labels.names[t]} ({i})" for i, t in enumerate(order)]
    return labels_of(
        labels.annotations[:, order],
        labels.levels[order],
        [labels.specialties[t] for t in order],
        names,
        labels.n_classes,
    )


@pytest.fixture(
    scope="module",
    params=[(known, soft) for known in (True, False) for soft in (True, False)],
    ids=lambda p: f"{'known' if p[0] else 'unknown'}-{'soft' if p[1] else 'hard'}",
)
def case(request):
    """A hierarchy of 1/2/3, and what every method predicts on its test samples."""
    known, soft = request.param
    task = make_hierarchy(
        N, 200, n_classes=6, n_features=16, teachers_per_level=(1, 2, 3), soft=soft, abstain=0.1, overlap=1,
        random_state=3,
    )  # fmt: skip
    labels = task.labels
    if not known:
        labels = labels_of(labels.annotations, labels.levels, None, labels.names, labels.n_classes)
    return task.X_train, labels, task.X_test


FITTED = {}
"""Fits that others are compared with, and what they were fitted on: held, so that no other object takes its id."""


def fitted(name, X, labels):
    key = (name, id(X), id(labels))
    if key not in FITTED:
        FITTED[key] = (make_method(name, random_state=0).fit(X, labels), X, labels)
    return FITTED[key][0]


def check_same(name, before, after, X_test):
    """Compare the fits on both pairs."""
    a = fitted(name, *before)
    b = make_method(name, random_state=0).fit(*after)
    np.testing.assert_allclose(a.predict_proba(X_test), b.predict_proba(X_test), atol=1e-6)
    np.testing.assert_array_equal(a.predict(X_test), b.predict(X_test))
    assert [h["rounds"] for h in a.history_] == [h["rounds"] for h in b.history_]
    return a, b


@pytest.mark.parametrize("name", METHODS)
def test_order_of_samples(case, name):
    X, labels, X_test = case
    order = np.random.default_rng(0).permutation(N)
    a, b = check_same(name, (X, labels), (X[order], labels[order]), X_test)
    np.testing.assert_array_equal(a.provenance_["kept"][order], b.provenance_["kept"])
    np.testing.assert_array_equal(a.provenance_["teacher"][order], b.provenance_["teacher"])


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("order", [[0, 2, 1, 5, 3, 4], [5, 1, 4, 0, 2, 3]], ids=["within levels", "all columns"])
def test_order_of_teachers(case, name, order):
    X, labels, X_test = case
    a, b = check_same(name, (X, labels), (X, columns(labels, order)), X_test)
    believed = b.provenance_["teacher"]
    back = np.where(believed >= 0, np.array(order)[believed], -1)
    np.testing.assert_array_equal(a.provenance_["teacher"], back)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("twice", [0, 1, 4])
def test_a_teacher_who_is_there_twice(case, name, twice):
    X, labels, X_test = case
    check_same(name, (X, labels), (X, columns(labels, [*range(6), twice])), X_test)
    check_same(name, (X, labels), (X, columns(labels, [twice, *range(6)])), X_test)


def test_a_repeated_teacher_is_noted():
    task = make_hierarchy(200, 10, n_classes=4, n_features=8, teachers_per_level=(1, 2), accuracy=(0.6, 0.8))
    labels = columns(task.labels, [0, 1, 2, 2])
    model = make_method("csl").fit(task.X_train, labels)
    assert any("repeats another" in note for note in model.history_[1]["notes"])


@functools.cache
def flat_case(soft=False):
    rng = np.random.default_rng(0)
    y = np.arange(240) % 3
    X = 2 * np.eye(3, 6)[y] + rng.normal(size=(240, 6))
    said = np.where(rng.random((240, 3)) < [0.7, 0.5, 0.4], y[:, None], (y[:, None] + 1) % 3)
    return X, TeacherLabels(0.8 * np.eye(3)[said] + 0.2 / 3 if soft else said)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("order", [[2, 0, 1], [0, 1, 2, 1], [2, 0, 1, 2, 2]], ids=["order", "twice", "thrice"])
def test_several_generalists(name, order, soft):
    X, labels = flat_case(soft)
    check_same(name, (X, labels), (X, columns(labels, order)), X)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("specialty", [None, (0, 1, 2)])
def test_teachers_that_name_every_class_as_often_as_each_other(name, specialty):
    """Their class counts cannot tell them apart; the order of columns must not, either."""
    rng = np.random.default_rng(1)
    y = np.arange(240) % 3
    X = 2 * np.eye(3, 6)[y] + rng.normal(size=(240, 6))
    one = np.where(rng.random(240) < 0.7, y, rng.integers(3, size=240))
    other = one.copy()
    for c in range(3):  # as wrong and as often, on other samples
        rows = np.flatnonzero(y == c)
        other[rows] = rng.permutation(one[rows])
    generalist = np.where(rng.random(240) < 0.6, y, (y + 1) % 3)
    labels = TeacherLabels(
        np.column_stack([generalist, one, other]), levels=[0, 1, 1], specialties=[None, specialty, specialty]
    )
    check_same(name, (X, labels), (X, columns(labels, [0, 2, 1])), X)


@pytest.mark.parametrize("name", METHODS)
def test_names_do_not_matter(name):
    X, labels = flat_case()
    renamed = TeacherLabels(labels.annotations, names=["z", "y", "a"])
    check_same(name, (X, labels), (X, renamed), X)
