"""Students by name, shared, averaged; what all of them have in common."""

import gc
import weakref

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from blobs import blobs
from cosup import AdamProbe, CosupError, LogisticProbe, RidgeProbe, SklearnStudent
from cosup.students import LinearHead, MeanHead, Student, as_student, average_heads, shared
from cosup.students.caching import SharedStudent


@pytest.mark.parametrize(
    "student", [SklearnStudent(GaussianNB()), AdamProbe(epochs=1), LogisticProbe()], ids=lambda s: type(s).__name__
)
def test_cross_fitting_needs_as_many_samples_as_folds(student):
    X, _, T = blobs(20, 3, 2)
    with pytest.raises(CosupError, match="5-fold cross-fitting needs at least 5 samples, got 4"):
        _ = student.prepare(X).train(T, train_mask=np.arange(20) < 4).out_of_sample


@pytest.mark.parametrize(("name", "made"), [("ridge", RidgeProbe), ("logistic", LogisticProbe), ("adam", AdamProbe)])
def test_students_by_name(name, made):
    assert as_student(name) == made()


def test_as_student_takes_students_and_classifiers():
    probe = RidgeProbe(alpha=2.0)
    assert as_student(probe) is probe
    wrapped = as_student(GaussianNB())
    assert isinstance(wrapped, SklearnStudent)
    assert isinstance(wrapped, Student)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("rigde", "'ridge'"),
        (RidgeProbe, r"RidgeProbe\(\) instead of RidgeProbe"),
        (3, "got 3"),
        (None, "got None"),
    ],
    ids=["near name", "class", "number", "nothing"],
)
def test_as_student_refuses(wrong, message):
    with pytest.raises(CosupError, match=message):
        as_student(wrong)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RidgeProbe(alpha=0), "alpha of RidgeProbe"),
        (lambda: RidgeProbe(alpha=float("nan")), "alpha of RidgeProbe"),
        (lambda: RidgeProbe(calibration="score"), "'scores'"),
        (lambda: LogisticProbe(alpha=-1), "alpha of LogisticProbe"),
        (lambda: LogisticProbe(folds=1), "folds of LogisticProbe"),
        (lambda: AdamProbe(learning_rate=0), "learning_rate of AdamProbe"),
        (lambda: AdamProbe(epochs=2.5), "epochs of AdamProbe"),
        (lambda: AdamProbe(folds=1), "folds of AdamProbe"),
        (lambda: SklearnStudent(GaussianNB(), folds=1), "folds of SklearnStudent"),
        (lambda: SklearnStudent(object()), "needs fit and predict"),
    ],
)
def test_impossible_students_are_refused_when_made(make, message):
    with pytest.raises(CosupError, match=message):
        make()


class Counting:
    def __init__(self):
        self.prepared = []

    def prepare(self, X):
        self.prepared.append(X)
        return RidgeProbe().prepare(X)


def test_shared_prepares_once_for_the_same_features():
    counting = Counting()
    student = shared(counting)
    X, _, T = blobs(30, 3, 2)
    first = student.prepare(X)
    assert student.prepare(X) is first
    assert student.prepare(X.copy()) is first
    assert len(counting.prepared) == 1
    other = student.prepare(X + 1)
    assert other is not first
    assert len(counting.prepared) == 2
    np.testing.assert_array_equal(first.train(T).out_of_sample, RidgeProbe().prepare(X).train(T).out_of_sample)


def test_shared_remembers_the_last_trainings():
    student = shared(RidgeProbe())
    X, y, T = blobs(30, 3, 2)
    trainer = student.prepare(X)
    fit = trainer.train(T)
    assert student.spared == 0
    assert trainer.train(T.copy()) is fit
    assert student.spared > 0
    others = [
        trainer.train(T, alpha=0.1),
        trainer.train(T, train_mask=np.arange(30) < 20),
        trainer.train(y),
        trainer.train(1 - y),
    ]
    assert all(other is not fit for other in others)
    np.testing.assert_allclose(others[0].out_of_sample, RidgeProbe(0.1).prepare(X).train(T).out_of_sample)
    assert trainer.train(1 - y) is others[-1]
    assert trainer.train(T) is not fit  # forgotten


def test_shared_remembers_what_followed_on_a_training_that_it_remembers():
    student = shared(RidgeProbe())
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y = (X[:, 0] > 0).astype(int)
    X[:, 0] += 4 * y
    trainer = student.prepare(X)
    first, other = trainer.train(y), trainer.train(rng.integers(0, 2, 60))
    assert first.inverse_temperature != other.inverse_temperature
    train_mask = np.arange(60) < 40
    fit = trainer.like(first).train(1 - y, train_mask=train_mask)
    assert trainer.like(first).train(1 - y, train_mask=train_mask) is fit
    assert student.spared > 0
    assert trainer.like(other).train(1 - y, train_mask=train_mask).inverse_temperature == other.inverse_temperature
    assert trainer.train(1 - y, train_mask=train_mask) is not fit
    of_nobody = RidgeProbe().prepare(X).train(y)
    assert trainer.like(of_nobody).train(1 - y, train_mask=train_mask) is not fit


def test_one_student_builds_on_anothers_preparation_of_the_features():
    student = shared(RidgeProbe())
    X, _, T = blobs(30, 3, 2)
    whole = student.prepare(X)._trainer._whole
    found = SharedStudent(RidgeProbe(1e-4), student).prepare(X)
    assert found._trainer._whole.sample.features is whole.sample.features
    np.testing.assert_array_equal(found.train(T).out_of_sample, RidgeProbe(1e-4).prepare(X).train(T).out_of_sample)


def test_shared_lets_go_of_features_that_it_has_left():
    """At once, by reference counts: what refers to itself waits for the collector, and features are large."""
    student = shared(RidgeProbe())
    X, _, T = blobs(30, 3, 2)
    gc.disable()
    try:
        trainer = student.prepare(X)
        trainer.train(T).out_of_sample  # noqa: B018
        trainer.train(T, train_mask=np.arange(30) < 20, alpha=0.1).out_of_sample  # noqa: B018
        left, former = weakref.ref(X), weakref.ref(trainer)
        del trainer
        X = X + 1
        student.prepare(X)
        assert former() is None
        assert left() is None
    finally:
        gc.enable()


def test_averages_of_heads():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(10, 4))
    a, b = (LinearHead(rng.normal(size=(4, 3)), rng.normal(size=3)) for _ in range(2))
    mean = average_heads([a, b])
    assert isinstance(mean, LinearHead)
    np.testing.assert_allclose(mean.logits(X), (a.logits(X) + b.logits(X)) / 2)
    assert average_heads([a]) is a
    mixed = average_heads([a, MeanHead((b,))])
    np.testing.assert_allclose(mixed.predict_proba(X), (a.predict_proba(X) + b.predict_proba(X)) / 2)
    with pytest.raises(CosupError, match="no head"):
        average_heads([])
