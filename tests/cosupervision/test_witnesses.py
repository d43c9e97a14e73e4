"""Flat teachers as witnesses: what systematic mistakes of a few do to the names of the classes."""

import numpy as np
import pytest

from cosup import CoSupervisedClassifier, TeacherLabels


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
