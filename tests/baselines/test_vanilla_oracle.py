"""The two ends of the scale: vanilla and the oracle; and that nobody but the oracle is told the truth."""

import inspect

import numpy as np
import pytest

from cosup import CosupError, RidgeProbe, TeacherLabels, co_supervise, list_methods, make_method
from cosup.tasks import make_hierarchy
from fits import flat, method


def test_vanilla_is_the_student_on_the_generalists_words():
    task = make_hierarchy(300, 100, n_classes=6, n_features=12)
    model = method("vanilla").fit(task.X_train, task.labels)
    named = task.labels.hard()[:, 0]
    head = RidgeProbe().prepare(task.X_train.astype(float)).train(np.eye(6)[named]).head
    np.testing.assert_allclose(model.predict_proba(task.X_test), head.predict_proba(task.X_test), atol=1e-5)
    np.testing.assert_array_equal(
        method("vanilla").fit(task.X_train, named).predict(task.X_test), model.predict(task.X_test)
    )


def test_vanilla_takes_the_generalists_probabilities_if_asked():
    X, _y, said = flat(soft=True)
    labels = TeacherLabels(said)
    soft = method("vanilla", soft=True).fit(X, labels)
    head = RidgeProbe().prepare(X).train(labels.vote(np.arange(3))).head
    np.testing.assert_allclose(soft.predict_proba(X), head.predict_proba(X), atol=1e-9)


def test_vanilla_leaves_out_where_all_abstain():
    X, _y, said = flat(teachers=1)
    said[:100] = -1
    model = method("vanilla").fit(X, TeacherLabels(said))
    assert model.history_[0]["keep_rate"] == pytest.approx(140 / 240)
    assert (model.provenance_["reason"][:100, 0] == "abstained").all()
    np.testing.assert_allclose(
        model.predict_proba(X), method("vanilla").fit(X[100:], TeacherLabels(said[100:])).predict_proba(X), atol=1e-9
    )


def test_the_oracle_believes_the_expert_it_is_given():
    task = make_hierarchy(400, 50, n_classes=6, n_features=12, uncovered=2)
    model = method("oracle", task).fit(task.X_train, task.labels)
    expert_column = task.truth.expert[:, -1]
    assert (expert_column < 0).any()
    hard = task.labels.hard()
    said = np.where(expert_column >= 0, hard[np.arange(400), np.maximum(expert_column, 0)], hard[:, 0])
    np.testing.assert_array_equal(model.provenance_["annotation"][:, 0], said)
    np.testing.assert_array_equal(model.history_[0]["assigned"], expert_column)


def test_the_oracle_finds_the_expert_by_specialty():
    task = make_hierarchy(400, 50, n_classes=6, n_features=12)
    model = method("oracle", task, expert=None).fit(task.X_train, task.labels)
    np.testing.assert_array_equal(model.history_[0]["assigned"], task.truth.expert[:, -1])


def test_the_oracle_finds_one_that_is_right_if_specialties_are_unknown():
    X, y, said = flat()
    model = make_method("oracle", truth=y).fit(X, TeacherLabels(said))
    right = (said == y[:, None]).any(axis=1)
    np.testing.assert_array_equal(model.provenance_["annotation"][:, 0] == y, right)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "oracle needs truth="),
        ({"truth": [0, 1]}, "truth must have shape"),
        ({"truth": np.full(240, 3)}, "truth must be class ids from 0 to 2"),
        ({"truth": np.full(240, -1)}, "truth must be class ids from 0 to 2"),
        ({"truth": np.zeros(240, int), "expert": np.zeros(240, int)}, "expert must have shape"),
        ({"truth": np.zeros(240, int), "expert": np.full((240, 1), 7)}, "expert must"),
        ({"truth": np.zeros(240, int), "expert": np.full((240, 1), -2)}, "expert must"),
        ({"truth": np.zeros(240, int), "expert": np.zeros((240, 1))}, "expert must"),
    ],
)
def test_the_oracle_checks_what_it_is_told(wrong, message):
    X, _, said = flat()
    with pytest.raises(CosupError, match=message):
        make_method("oracle", **wrong).fit(X, TeacherLabels(said))


def test_no_method_and_no_fit_has_an_argument_for_the_truth():
    truths = {"truth", "expert", "y_true", "y_train", "ground_truth", "target"}
    for name in list_methods():
        method = make_method(name)
        assert list(inspect.signature(type(method).fit).parameters) == ["self", "X", "y"], name
        told = truths & {*inspect.signature(type(method)).parameters, *method.get_params()}
        assert told == ({"truth", "expert"} if name == "oracle" else set()), name


def test_co_supervise_has_no_argument_for_the_truth():
    assert list(inspect.signature(co_supervise).parameters) == ["X", "labels", "student", "config", "random_state"]
