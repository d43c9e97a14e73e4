"""What the method knows of itself: estimated accuracies, and when it says that it knows nothing."""

import numpy as np
import pytest

from cosup import CSLConfig, TeacherLabels, co_supervise, make_method
from cosup.tasks import make_hierarchy
from cosup.utils import row_store

CLASSES = 8


@pytest.fixture(scope="module")
def task():
    return make_hierarchy(1500, 800, n_features=32, n_classes=CLASSES, random_state=0)


@pytest.fixture(scope="module")
def model(task):
    return make_method("co-supervised", random_state=0).fit(task.X_train, task.labels)


def truth_of(task, labels=None):
    """True accuracies of all teachers (T,), and by class (T, C) with how many samples each is of."""
    hard, y = (labels or task.labels).hard(), task.truth.y_train
    right, speaks = hard == y[:, None], hard >= 0
    of_class = np.eye(CLASSES)[y]
    count = speaks.T @ of_class
    return right.sum(axis=0) / speaks.sum(axis=0), (right.T @ of_class) / np.maximum(count, 1), count


def holds(intervals, truth):
    return (intervals[..., 1] <= truth) & (truth <= intervals[..., 2])


def test_intervals_hold_the_true_accuracies(task, model):
    known = model.estimates_
    overall, by_class, count = truth_of(task)
    assert holds(known.student, model.score(task.X_test, task.truth.y_test))
    assert holds(known.teachers, overall).all()
    looked_at = ~np.isnan(known.by_class[..., 0]) & (count >= 20)
    assert holds(known.by_class, by_class)[looked_at].mean() >= 0.85
    assert np.abs(known.teachers[:, 0] - overall).max() < 0.1


def test_intervals_are_in_order_and_of_use(model):
    for intervals in (model.estimates_.student[None], model.estimates_.teachers, model.estimates_.by_class):
        known = intervals[~np.isnan(intervals[..., 0])]
        assert (known >= 0).all()
        assert (known <= 1).all()
        assert (np.diff(known[:, [1, 0, 2]], axis=1) >= 0).all()
    assert np.ptp(model.estimates_.teachers[:, 1:], axis=1).max() < 0.4


HARD = {"imbalance": 10.0, "adversarial": 1}


@pytest.mark.slow
@pytest.mark.parametrize("harder", [{}, HARD], ids=["plain", "hard"])
def test_coverage_over_random_planted_hierarchies(harder):
    """A 90 % interval holds the true accuracy in 80 to 100 % of cases; studies/default.md has figures."""
    hits = {"student": [], "teachers": []}
    for seed in range(20):
        rng = np.random.default_rng(seed)
        task = make_hierarchy(
            800, 300, n_features=int(rng.choice([16, 64])), n_classes=CLASSES, random_state=seed,
            accuracy=np.sort(rng.uniform(0.3, 0.9, size=3)), systematic=float(rng.choice([0.0, 0.5, 1.0])), **harder,
        )  # fmt: skip
        model = make_method("co-supervised", random_state=0).fit(task.X_train, task.labels)
        hits["student"].append(holds(model.estimates_.student, model.score(task.X_test, task.truth.y_test)))
        hits["teachers"] += list(holds(model.estimates_.teachers, truth_of(task)[0]))
    assert min(np.mean(hits["student"]), np.mean(hits["teachers"])) >= 0.8, {k: np.mean(v) for k, v in hits.items()}


def test_classes_of_unequal_shares_make_intervals_wider():
    """Nobody without labels knows the shares: held marginals may be wrong, the more the farther they are from equal."""
    widths = []
    for imbalance in (1.0, 10.0):
        task = make_hierarchy(1500, 10, n_features=32, n_classes=CLASSES, imbalance=imbalance, random_state=0)
        known = make_method("co-supervised", random_state=0).fit(task.X_train, task.labels).estimates_
        widths.append(np.ptp(known.teachers[:, 1:], axis=1).mean())
        assert holds(known.teachers, truth_of(task)[0]).all()
    assert widths[1] > 2 * widths[0]


def test_who_is_left_out_is_seen_to_be_bad(task, model):
    rng = np.random.default_rng(0)
    noise = rng.integers(CLASSES, size=(len(task.labels), 2))
    labels = TeacherLabels(
        np.concatenate([task.labels.hard(), noise], axis=1), levels=[*task.labels.levels, 0, 1],
        specialties=[*task.labels.specialties, None, None], n_classes=CLASSES,
    )  # fmt: skip
    known = make_method("co-supervised", random_state=0).fit(task.X_train, labels).estimates_
    assert (known.teachers[-2:, 2] < 0.3).all()
    assert holds(known.teachers[-2:], truth_of(task, labels)[0][-2:]).all()
    np.testing.assert_allclose(known.teachers[:-2], model.estimates_.teachers)


def test_nothing_is_said_of_what_was_never_named(task, model):
    known = model.estimates_.by_class
    assert known.shape == (task.labels.n_teachers, CLASSES, 3)
    for t in range(task.labels.n_teachers):
        never = ~np.isin(np.arange(CLASSES), task.labels.hard()[:, t])
        assert np.isnan(known[t, never]).all()
        assert not np.isnan(known[t, ~never]).any()


def test_a_class_that_nobody_names_and_a_teacher_who_is_silent():
    task = make_hierarchy(500, 10, n_classes=6, n_features=16, teachers_per_level=(1, 2), accuracy=(0.6, 0.8))
    elsewhere = np.where(np.arange(500) < 400, -1, 0)
    hard = np.column_stack([task.labels.hard(), elsewhere])
    labels = TeacherLabels(hard, levels=[0, 1, 1, 1], specialties=[*task.labels.specialties, None], n_classes=9)
    known = make_method("co-supervised", random_state=0).fit(task.X_train[:400], labels[:400]).estimates_
    assert np.isnan(known.teachers[3]).all()
    assert np.isnan(known.by_class[3]).all()
    assert np.isnan(known.by_class[:, 6:]).all()
    assert not np.isnan(known.teachers[:3]).any()


@pytest.mark.parametrize("options", [{}, {"pool": False}, {"hard": False, "rounds": 1}], ids=str)
def test_small_blocks_change_nothing(monkeypatch, task, options):
    def estimates():
        return make_method("co-supervised", random_state=0, **options).fit(task.X_train, task.labels).estimates_

    whole = estimates()
    monkeypatch.setattr(row_store, "BLOCK", CLASSES * 37)
    parts = estimates()
    for name in ("student", "teachers", "by_class"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), atol=1e-3)


def too_hard():
    """Some eight samples a class, and mistakes that look like sense: a student learns next to nothing."""
    return make_hierarchy(
        300, 300, n_features=200, n_classes=40, separation=1.0, teachers_per_level=(1, 2), accuracy=(0.3, 0.4),
        systematic=1.0, soft=True, random_state=0,
    )  # fmt: skip


def test_where_nothing_is_learnt_the_answer_is_vanilla_and_says_so():
    task = too_hard()
    model = make_method("co-supervised", random_state=0).fit(task.X_train, task.labels)
    vanilla = make_method("vanilla", random_state=0).fit(task.X_train, task.labels)
    assert any("fall back to the initial one" in note for note in model.history_[-1]["notes"])
    np.testing.assert_allclose(model.predict_proba(task.X_test), vanilla.predict_proba(task.X_test), atol=1e-6)
    assert np.isnan(model.estimates_.student).all()
    assert np.isnan(model.estimates_.teachers).all()


def test_the_fall_back_can_be_switched_off():
    task = too_hard()
    result = co_supervise(task.X_train, task.labels, config=CSLConfig(fall_back=0.0))
    assert not any("fall back" in note for entry in result.history for note in entry["notes"])
    assert not np.isnan(result.estimates.student).any()


def test_where_something_is_learnt_nothing_falls_back(model):
    assert not any("fall back" in note for entry in model.history_ for note in entry["notes"])
