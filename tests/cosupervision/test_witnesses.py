"""Flat teachers as witnesses: what systematic mistakes of a few do to the names of the classes."""

import numpy as np
import pytest

from cosup import CoSupervisedClassifier, TeacherLabels, make_method
from cosup.cosupervision import CSLConfig, co_supervise


def flat(seed, wrong, n_classes=3, n=180):
    """Features of well separated classes, and teachers who name the next class at the rates `wrong`."""
    rng = np.random.default_rng(seed)
    y = np.tile(np.arange(n_classes), n // n_classes)
    X = rng.normal(size=(n, 2 * n_classes)) + 3 * np.eye(n_classes, 2 * n_classes)[y]
    annotations = np.stack([np.where(rng.random(n) < p, (y + 1) % n_classes, y) for p in wrong], axis=1)
    return X, annotations, y


@pytest.mark.parametrize("seed", range(4))
def test_mistakes_that_two_of_three_share_do_not_exchange_the_classes(seed):
    X, annotations, y = flat(seed, (0.3, 0.1, 0.6))
    annotations[y == 2, 1] = -1  # the best teacher does not know the last class
    model = CoSupervisedClassifier(random_state=0).fit(X, TeacherLabels(annotations, n_classes=3))
    assert (model.predict(X) == y).mean() > 0.9


def test_classes_bear_the_names_that_teachers_give_them_beside_many_permuted_answers():
    X, annotations, y = flat(0, (0.2, 0.2, 0.2, 0.2), n_classes=4, n=240)
    rng = np.random.default_rng(1)
    annotations[rng.random(annotations.shape) < 0.5] = -1  # who is right speaks half as often
    liars = np.stack(
        [(np.where(rng.random(240) < 0.8, y, rng.integers(4, size=240)) + k) % 4 for k in (1, 2, 3)], axis=1
    )
    model = CoSupervisedClassifier(random_state=0).fit(X, TeacherLabels(np.c_[annotations, liars], n_classes=4))
    assert (model.predict(X) == y).mean() > 0.9


def test_an_annotator_of_a_single_sample_exchanges_no_names():
    rng = np.random.default_rng(0)
    y = rng.integers(5, size=800)
    X = rng.normal(size=(5, 12))[y] * 0.4 + rng.normal(size=(800, 12))
    annotations = np.stack([np.where(rng.random(800) < 0.85, y, (y + 1) % 5) for _ in range(3)], axis=1)
    annotations[1:, 2] = -1
    for named in range(5):
        annotations[0, 2] = named
        model = CoSupervisedClassifier(random_state=0).fit(X, TeacherLabels(annotations, n_classes=5))
        assert not any("exchanged names" in note for h in model.history_ for note in h["notes"])


def annotators(seed, most=60):
    """Many annotators with habits of their own and few features: the posterior may be worse than the votes."""
    rng = np.random.default_rng([seed, 77])
    classes, n, d, workers = (int(rng.integers(*r)) for r in ((2, 9), (500, 2500), (10, 60), (5, most)))
    y = rng.choice(classes, size=n + 2000, p=rng.dirichlet(np.full(classes, 3.0)))
    centres = rng.normal(size=(classes, d))
    centres *= rng.uniform(1.0, 2.2) / np.linalg.norm(centres, axis=1, keepdims=True)
    X = centres[y] + rng.normal(size=(n + 2000, d))
    votes, annotations = rng.uniform(3, 8), np.full((n, workers), -1)
    for worker in range(workers):
        accuracy, speaks = rng.uniform(0.6, 0.95), rng.random(n) < min(1, votes / workers)
        habits = rng.dirichlet(np.ones(classes), size=classes)
        wrong = np.array([rng.choice(classes, p=habits[c]) for c in y[:n]])
        annotations[speaks, worker] = np.where(rng.random(n) < accuracy, y[:n], wrong)[speaks]
    return X[:n], TeacherLabels(annotations, n_classes=classes), X[n:], y[n:]


def test_the_answer_is_the_consensus_student_where_that_explains_the_annotations_better():
    X, labels, X_test, y_test = annotators(12)
    model = CoSupervisedClassifier(random_state=0).fit(X, labels)
    assert model.history_[-1]["outcome"] == "fell back"
    assert "explains the annotations better" in model.history_[-1]["notes"][-1]
    assert np.isnan(model.estimates_.student).all(), "what was not believed gives no estimate"
    stubborn = co_supervise(X, labels, config=CSLConfig(fall_back=0.0))
    assert stubborn.history[-1]["outcome"] == "trained"
    majority = make_method("majority", random_state=0).fit(X, labels)
    assert model.score(X_test, y_test) > majority.score(X_test, y_test) - 0.01
    assert (model.predict(X_test) != stubborn.head.predict_proba(X_test).argmax(axis=1)).any()


@pytest.mark.parametrize("seed", [0, 1])
def test_the_answer_is_the_last_student_where_the_annotations_bear_it_out(seed):
    X, annotations, _ = flat(seed, (0.3, 0.1, 0.6))
    model = CoSupervisedClassifier(random_state=0).fit(X, TeacherLabels(annotations, n_classes=3))
    assert model.history_[-1]["outcome"] == "trained"
