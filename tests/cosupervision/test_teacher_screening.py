"""Who is believed: bad teachers change next to nothing and are named, honest ones stay, order does not matter."""

import numpy as np
import pytest

from cosup import TeacherLabels, TopK, make_method
from cosup.cosupervision.teacher_screening import screen_teachers
from cosup.tasks import make_hierarchy

CLASSES = 8


@pytest.fixture(scope="module")
def task():
    return make_hierarchy(800, 500, n_features=32, n_classes=CLASSES, teachers_per_level=(1, 2, 4), random_state=1)


@pytest.fixture(scope="module")
def score(task):
    return fitted(task, task.labels).score(task.X_test, task.truth.y_test)


def fitted(task, labels):
    return make_method("co-supervised", random_state=0).fit(task.X_train, labels)


def joined(labels, columns, levels, specialties=None):
    """The labels, and hard columns more."""
    extra = np.stack(columns, axis=1)
    return TeacherLabels(
        np.concatenate([labels.hard(), extra], axis=1), levels=[*labels.levels, *levels],
        specialties=[*labels.specialties, *(specialties or [None] * len(levels))],
        names=[*labels.names, *(f"bad {i}" for i in range(len(levels)))], n_classes=labels.n_classes,
    )  # fmt: skip


def bad(kind, task, i):
    """What the i-th bad teacher says."""
    rng = np.random.default_rng([i, len(kind)])
    y = task.truth.y_train
    if kind == "constant":
        return np.full(len(y), i % CLASSES)
    if kind == "random":
        return rng.integers(CLASSES, size=len(y))
    truthful = np.where(rng.random(len(y)) < 0.8, y, rng.integers(CLASSES, size=len(y)))
    return (truthful + 1 + i % (CLASSES - 1)) % CLASSES


def left_out(model):
    return {note.split("'")[1] for entry in model.history_ for note in entry["notes"] if "is left out" in note}


@pytest.mark.parametrize("kind", ["constant", "random", "permuted"])
@pytest.mark.parametrize("number", [1, 4])
def test_bad_teachers_at_every_level_change_nothing_and_are_named(task, score, kind, number):
    levels = [k for k in range(3) for _ in range(number)]
    labels = joined(task.labels, [bad(kind, task, i) for i in range(len(levels))], levels)
    model = fitted(task, labels)
    assert model.score(task.X_test, task.truth.y_test) == pytest.approx(score, abs=0.01)
    assert left_out(model) == {f"bad {i}" for i in range(len(levels))}


def test_without_trust_they_are_heard(task, score):
    labels = joined(task.labels, [bad("constant", task, i // 3) for i in range(12)], [0, 1, 2] * 4)
    model = make_method("co-supervised", random_state=0, teacher_screening=False).fit(task.X_train, labels)
    assert not left_out(model)
    assert model.score(task.X_test, task.truth.y_test) < score - 0.1


@pytest.mark.parametrize(
    "options",
    [{}, {"soft": True}, {"abstain": 0.4}, {"overlap": 1}, {"imbalance": 10.0}, {"teachers_per_level": (1, 4, 8)}],
    ids=str,
)
def test_where_all_are_honest_nobody_is_left_out(options):
    for seed in range(3):
        keep, _ = screen_teachers(make_hierarchy(1000, 10, n_classes=CLASSES, random_state=seed, **options).labels)
        assert keep.all(), (options, seed)


def test_a_specialist_of_a_domain_stays_though_it_is_mostly_wrong_elsewhere(monkeypatch):
    """As PACS's sketch specialist: outside its domain it knows three classes of seven and confuses the others."""
    rng = np.random.default_rng(0)
    n = 3000
    y, own = rng.integers(7, size=n), rng.integers(8, size=n) == 0
    said = np.where(rng.random((n, 5)) < 0.6, y[:, None], rng.integers(7, size=(n, 5)))
    said[:, 4] = np.where(own, said[:, 4], np.array([0, 1, 2, 6, 3, 4, 5])[y])
    labels = TeacherLabels(said, levels=[0, 1, 1, 1, 1], n_classes=7)
    assert screen_teachers(labels)[0].all()
    monkeypatch.setattr("cosup.cosupervision.teacher_screening.CERTAIN", np.inf)
    assert screen_teachers(labels)[0].tolist() == [True] * 4 + [False]


def test_a_bad_specialist_with_a_specialty_is_left_out(task):
    said = np.random.default_rng(0).integers(4, size=len(task.labels))
    keep, support = screen_teachers(joined(task.labels, [said], [1], [range(4)]))
    assert keep.tolist() == [True] * 7 + [False]
    assert support[7] < support[:7].min()


def test_who_repeats_another_has_no_vote(task):
    """Six copies of one who permutes classes are still one."""
    said = bad("permuted", task, 0)
    keep, _ = screen_teachers(joined(task.labels, [said] * 6, [0, 0, 1, 1, 2, 2]))
    assert keep.tolist() == [True] * 7 + [False] * 6


def test_a_repeated_honest_teacher_is_kept(task):
    keep, _ = screen_teachers(joined(task.labels, [task.labels.hard()[:, 0]], [0]))
    assert keep.all()


def with_one_bad(task):
    return joined(task.labels, [bad("permuted", task, 0), bad("random", task, 1)], [0, 1])


def test_order_of_samples_does_not_matter(task):
    labels = with_one_bad(task)
    order = np.random.default_rng(0).permutation(len(labels))
    for one, other in zip(screen_teachers(labels), screen_teachers(labels[order]), strict=True):
        np.testing.assert_allclose(one, other)


def test_order_of_teachers_does_not_matter(task):
    labels = with_one_bad(task)
    order = np.random.default_rng(0).permutation(labels.n_teachers)
    other = TeacherLabels(
        labels.annotations[:, order], levels=labels.levels[order], specialties=[labels.specialties[t] for t in order],
        n_classes=CLASSES,
    )  # fmt: skip
    keep, support = screen_teachers(labels)
    keep_other, support_other = screen_teachers(other)
    np.testing.assert_array_equal(keep[order], keep_other)
    np.testing.assert_allclose(support[order], support_other)


def test_soft_hard_and_sparse_annotations_give_the_same(task):
    labels = with_one_bad(task)
    hard = labels.hard()
    soft = 0.6 * np.eye(CLASSES)[hard] + 0.4 / CLASSES
    kinds = (soft, TopK(hard[:, :, None], np.full((*hard.shape, 1), 0.6), n_classes=CLASSES))
    keep, support = screen_teachers(labels)
    for annotations in kinds:
        other = TeacherLabels(annotations, levels=labels.levels, specialties=labels.specialties, n_classes=CLASSES)
        np.testing.assert_array_equal(screen_teachers(other)[0], keep)
        np.testing.assert_allclose(screen_teachers(other)[1], support)


@pytest.mark.parametrize("kind", ["constant", "random", "permuted"])
def test_the_lone_generalist_is_always_kept(task, kind):
    """Even the worst: there is nobody else to begin with."""
    said = np.where(np.arange(len(task.labels)) < 2, [0, 1] + [0] * (len(task.labels) - 2), bad(kind, task, 0))
    labels = TeacherLabels(
        np.column_stack([said, task.labels.hard()[:, 1:]]), levels=task.labels.levels,
        specialties=task.labels.specialties, n_classes=CLASSES,
    )  # fmt: skip
    assert screen_teachers(labels)[0][0]


def test_where_nobody_can_be_compared_everybody_is_kept():
    rng = np.random.default_rng(0)
    said = np.column_stack([rng.integers(2, size=100) + 2 * t for t in range(4)])
    labels = TeacherLabels(said, specialties=[(2 * t, 2 * t + 1) for t in range(4)], n_classes=8)
    keep, support = screen_teachers(labels)
    assert keep.all()
    assert np.isnan(support).all()


@pytest.mark.parametrize("abstain", [0.0, 0.4])
def test_specialists_of_a_single_class_cannot_be_compared_and_are_kept(abstain):
    for seed in range(3):
        labels = make_hierarchy(
            800, 10, n_classes=4, teachers_per_level=(1, 4), accuracy=(0.6, 0.8), abstain=abstain, random_state=seed
        ).labels
        assert screen_teachers(labels)[0].all()


def test_one_teacher_alone_is_believed():
    keep, support = screen_teachers(TeacherLabels(np.arange(50)[:, None] % 3))
    assert keep.all()
    assert np.isnan(support).all()
