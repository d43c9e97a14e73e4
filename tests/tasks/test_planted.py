"""What make_hierarchy says it plants is what it plants."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier

from cosup.tasks import make_hierarchy
from cosup.utils.validation import CosupError


def inside(task, teacher):
    return np.isin(task.truth.y_train, task.labels.specialties[teacher])


def ranges(task, level):
    return [task.labels.specialties[t].tolist() for t in task.labels.at_level(level)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("teachers_per_level", [(1, 2, 4), (1, 5, 7), (1, 1, 3)])
def test_accuracy_inside_the_range_is_as_planted(seed, teachers_per_level):
    accuracy = (0.5, 0.65, 0.8)
    task = make_hierarchy(6000, 200, teachers_per_level=teachers_per_level, accuracy=accuracy, random_state=seed)
    for teacher, level in enumerate(task.labels.levels):
        rows = inside(task, teacher)
        classes = task.labels.specialties[teacher]
        right = (task.labels.annotations[rows, teacher] == task.truth.y_train[rows]).mean()
        expected = accuracy[level] if len(classes) > 1 else 1.0
        assert abs(right - expected) < 4 * np.sqrt(0.25 / rows.sum())
        assert np.isin(task.labels.annotations[:, teacher], classes).all()


@pytest.mark.parametrize("systematic", [0.0, 0.5, 1.0])
def test_mistakes_are_predictable_from_features_as_often_as_planted(systematic):
    task = make_hierarchy(20000, 10, n_classes=6, teachers_per_level=(1,), accuracy=(0.4,), systematic=systematic)
    X, y = task.X_train, task.truth.y_train
    said = task.labels.annotations[:, 0]
    means = np.stack([X[y == c].mean(axis=0) for c in range(6)])
    distances = ((X[:, None] - means) ** 2).sum(axis=2)
    distances[np.arange(len(y)), y] = np.inf
    wrong = said != y
    nearest = (said == distances.argmin(axis=1))[wrong].mean()
    # The rest is uniform over the five other classes, the nearest among them.
    assert nearest == pytest.approx(systematic + (1 - systematic) / 5, abs=0.03)


def test_outside_its_range_a_teacher_names_the_nearest_class_of_its_range():
    task = make_hierarchy(4000, 10, n_classes=8, teachers_per_level=(1, 2), accuracy=(0.5, 0.9), systematic=1.0)
    X, y = task.X_train, task.truth.y_train
    means = np.stack([X[y == c].mean(axis=0) for c in range(8)])
    rows = y >= 4
    distances = ((X[rows, None] - means[:4]) ** 2).sum(axis=2)
    # The means are estimated here, so that a few close calls differ.
    assert (task.labels.annotations[rows, 1] == distances.argmin(axis=1)).mean() > 0.9


def test_a_linear_student_trained_on_truth_is_right_about_nine_times_in_ten():
    task = make_hierarchy()
    ceiling = RidgeClassifier(10).fit(task.X_train, task.truth.y_train).score(task.X_test, task.truth.y_test)
    assert 0.86 < ceiling < 0.94
    assert abs((task.weak_test == task.truth.y_test).mean() - 0.5) < 0.06


def test_ranges_divide_evenly_even_when_the_number_does_not():
    task = make_hierarchy(n_classes=11, teachers_per_level=(1, 3, 4))
    assert ranges(task, 0) == [list(range(11))]
    assert ranges(task, 1) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert ranges(task, 2) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10]]


def test_overlapping_ranges_keep_one_expert_a_class():
    task = make_hierarchy(n_classes=10, teachers_per_level=(1, 3), accuracy=(0.5, 0.9), overlap=2)
    assert ranges(task, 1) == [[0, 1, 2, 3, 4, 5], [4, 5, 6, 7, 8], [7, 8, 9]]
    expert, y = task.truth.expert[:, 1], task.truth.y_train
    assert {c: set(expert[y == c]) for c in (3, 4, 6, 7)} == {3: {1}, 4: {2}, 6: {2}, 7: {3}}
    # A class in two ranges has two teachers that are good on it.
    for teacher in (1, 2):
        rows = y == 4
        assert (task.labels.annotations[rows, teacher] == 4).mean() > 0.8


def test_uncovered_classes_have_no_expert():
    task = make_hierarchy(n_classes=12, uncovered=3)
    y, expert = task.truth.y_train, task.truth.expert
    assert ranges(task, 1) == [[0, 1, 2, 3, 4], [5, 6, 7, 8]]
    assert (expert[:, 0] == 0).all()
    assert ((expert[:, 1:] == -1) == (y >= 9)[:, None]).all()


def test_experts_own_the_true_class():
    task = make_hierarchy()
    for level in range(task.labels.n_levels):
        for teacher in task.labels.at_level(level):
            assert inside(task, teacher)[task.truth.expert[:, level] == teacher].all()


def test_the_same_random_state_gives_the_same_task_and_another_another():
    first, again, other = (make_hierarchy(200, 100, random_state=s) for s in (3, 3, 4))
    for name in ("X_train", "X_test", "weak_test"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    np.testing.assert_array_equal(first.labels.annotations, again.labels.annotations)
    np.testing.assert_array_equal(first.truth.y_train, again.truth.y_train)
    assert not np.array_equal(first.X_train, other.X_train)
    assert not np.array_equal(first.labels.annotations, other.labels.annotations)


def test_abstentions_are_as_many_as_planted_and_change_nothing_else():
    full, part = make_hierarchy(), make_hierarchy(abstain=0.3)
    withheld = part.labels.annotations == -1
    assert withheld.mean() == pytest.approx(0.3, abs=0.02)
    assert (part.labels.annotations == full.labels.annotations)[~withheld].all()
    np.testing.assert_array_equal(part.X_train, full.X_train)
    np.testing.assert_array_equal(part.weak_test, full.weak_test)


def test_soft_annotations_are_calibrated_inside_the_range():
    hard, soft = make_hierarchy(abstain=0.2), make_hierarchy(abstain=0.2, soft=True)
    assert soft.labels.is_soft
    np.testing.assert_array_equal(soft.labels.hard(), hard.labels.hard())
    p = soft.labels.annotations
    silent = hard.labels.annotations == -1
    assert np.isnan(p[silent]).all()
    assert np.allclose(p[~silent].sum(axis=1), 1)
    assert np.allclose(p[:, 1][~silent[:, 1]].max(axis=1), 0.65)
    assert (p[:, 1, 6:][~silent[:, 1]] == 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_samples": 0}, "n_samples"),
        ({"n_features": 2.5}, "n_features"),
        ({"n_classes": 1}, "at least 2"),
        ({"teachers_per_level": (2, 4), "accuracy": (0.5, 0.6)}, "begin with 1"),
        ({"teachers_per_level": ()}, "begin with 1"),
        ({"teachers_per_level": (1, 2)}, "3 entries for 2 levels"),
        ({"teachers_per_level": (1, 2, 13)}, "13 teachers for 12"),
        ({"uncovered": 12}, "for 0 covered classes"),
        ({"uncovered": -1}, "uncovered"),
        ({"overlap": 0.5}, "overlap"),
        ({"accuracy": (0.5, 0.65, 1.2)}, r"accuracy\[2\]"),
        ({"systematic": 1.5}, "systematic"),
        ({"abstain": 1.0}, "abstain"),
        ({"separation": -1}, "separation"),
        ({"random_state": -1}, "random_state"),
        ({"random_state": 0.5}, "random_state"),
        ({"random_state": True}, "random_state"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(CosupError, match=message):
        make_hierarchy(**options)
