"""Any classifier as a student."""

import numpy as np
from sklearn.linear_model import RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

from blobs import blobs
from cosup import SklearnStudent


def test_a_class_that_is_missing_from_a_fold():
    X, y, _ = blobs(40, 4, 2, distance=6.0)
    y = y.copy()
    y[7] = 2  # its fold's student never sees class 2
    fit = SklearnStudent(DecisionTreeClassifier(), folds=4).prepare(X).train(np.eye(4)[y])
    for out in (fit.out_of_sample, fit.in_sample):
        assert out.shape == (40, 4)
        np.testing.assert_allclose(out.sum(axis=1), 1)
    assert fit.out_of_sample[7, 2] == 0
    assert fit.in_sample[7, 2] == 1  # a tree remembers
    assert (fit.in_sample[:, 3] == 0).all()


def test_training_on_one_class_names_it():
    X, _, _ = blobs(20, 3, 2)
    fit = SklearnStudent(GaussianNB()).prepare(X).train(np.eye(3)[np.ones(20, int)])
    np.testing.assert_array_equal(fit.in_sample, np.eye(3)[np.ones(20, int)])


def test_a_classifier_without_probabilities_is_certain():
    X, y, T = blobs(90, 4, 3, distance=6.0, noise=0.0)
    out = SklearnStudent(RidgeClassifier()).prepare(X).train(T).out_of_sample
    assert set(np.unique(out)) == {0.0, 1.0}
    assert (out.argmax(axis=1) == y).mean() > 0.9


def test_a_classifiers_random_state_comes_from_the_method_and_it_is_cloned():
    X, _, T = blobs(60, 6, 3, noise=0.5)
    own = DecisionTreeClassifier(max_features=1)
    trainer = SklearnStudent(own).prepare(X)
    train_mask = np.arange(60) % 2 == 0
    a, b, c = (trainer.train(T, train_mask=train_mask, random_state=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(a.in_sample, b.in_sample)
    assert not np.array_equal(a.in_sample, c.in_sample)
    assert own.random_state is None
    assert not hasattr(own, "tree_")
