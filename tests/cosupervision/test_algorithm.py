"""Co-supervision: planted truth, trees that are not regular, and what a fit leaves behind."""

import numpy as np
import pytest

from cosup import CosupError, TeacherLabels, list_methods
from cosup.cosupervision.rejection import REJECTIONS, Rejection
from cosup.tasks import make_hierarchy
from fits import check_fit, flat, method

SEEDS = range(5)
HIERARCHICAL = ("co-supervised", "csl", "csl-published")


# -- planted truth --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planted():
    """Default planted hierarchies and the methods fitted on them: {method: list over seeds of (task, model)}."""
    out = {name: [] for name in ("vanilla", "csl", "co-supervised", "oracle")}
    for seed in SEEDS:
        task = make_hierarchy(random_state=seed)
        for name, fitted in out.items():
            fitted.append((task, method(name, task).fit(task.X_train, task.labels)))
    return out


def by_level(fitted, measure):
    """Mean over seeds of a measure (right, kept) -> number, one a level."""
    values = []
    for task, model in fitted:
        right = model.provenance_["annotation"] == task.truth.y_train[:, None]
        values.append([measure(right[:, k], h["kept"]) for k, h in enumerate(model.history_)])
    return np.mean(values, axis=0)


def accuracy(fitted):
    return np.array([model.score(task.X_test, task.truth.y_test) for task, model in fitted])


@pytest.mark.parametrize("name", ["csl", "co-supervised"])
def test_assigned_annotations_get_better_level_by_level(planted, name):
    right = by_level(planted[name], lambda right, kept: right.mean())
    assert (np.diff(right) > 0.03).all(), right


def test_what_the_default_keeps_gets_more_precise_level_by_level(planted):
    precision = by_level(planted["co-supervised"], lambda right, kept: right[kept].mean())
    assert (np.diff(precision) > 0.02).all(), precision


def test_what_csl_keeps_is_more_precise_than_the_generalist_and_than_what_was_assigned(planted):
    precision = by_level(planted["csl"], lambda right, kept: right[kept].mean())
    assigned = by_level(planted["csl"], lambda right, kept: right.mean())
    assert (precision[1:] > precision[0] + 0.2).all(), precision
    assert (precision[1:] > assigned[1:] + 0.1).all(), (precision, assigned)


def test_csl_keeps_more_right_annotations_level_by_level(planted):
    right_and_kept = by_level(planted["csl"][:], lambda right, kept: (right & kept).mean())[1:]
    recall = by_level(planted["csl"], lambda right, kept: kept[right].mean())[1:]
    assert (np.diff(right_and_kept) > 0.05).all(), right_and_kept
    assert (np.diff(recall) > 0).all(), recall


@pytest.mark.xfail(
    strict=True,
    reason="measured: 0.50, 0.94, 0.92. Level 1 keeps half of the samples, level 2 two thirds: with the checks on, "
    "precision is high at once and then given up for recall",
)
def test_what_csl_keeps_gets_more_precise_at_every_level(planted):
    precision = by_level(planted["csl"], lambda right, kept: right[kept].mean())
    assert (np.diff(precision) > 0).all(), precision


@pytest.mark.parametrize("name", ["csl", "co-supervised"])
def test_co_supervision_beats_vanilla_on_planted_hierarchies(planted, name):
    gain = accuracy(planted[name]) - accuracy(planted["vanilla"])
    assert gain.mean() > 0, gain


def test_the_oracle_is_an_upper_bound_on_assignment(planted):
    said_right = {n: by_level(planted[n], lambda right, kept: right.mean())[-1] for n in planted}
    assert said_right["oracle"] > max(said_right[n] for n in ("vanilla", "csl", "co-supervised")) + 0.03
    assert accuracy(planted["oracle"]).mean() > accuracy(planted["csl"]).mean()
    assert accuracy(planted["oracle"]).mean() > accuracy(planted["vanilla"]).mean()


@pytest.mark.parametrize("name", ["csl", "co-supervised"])
def test_the_last_levels_specialists_go_to_their_own_classes(planted, name):
    found = [(m.history_[-1]["assigned"] == t.truth.expert[:, -1]).mean() for t, m in planted[name]]
    chance = 0.25
    assert min(found) > chance + 0.4, found


# -- trees that are not regular -------------------------------------------------------------------------

TREES = {
    "7 classes in 3 ranges": {"n_classes": 7, "teachers_per_level": (1, 3), "accuracy": (0.5, 0.8)},
    "a level of one": {"teachers_per_level": (1, 1, 3), "n_classes": 6},
    "overlap": {"n_classes": 8, "overlap": 1},
    "missing coverage": {"n_classes": 8, "uncovered": 2},
    "heavy abstention": {"abstain": 0.7, "n_classes": 6},
    "generalist only": {"teachers_per_level": (1,), "accuracy": (0.6,), "n_classes": 5},
    "one class each": {"n_classes": 4, "teachers_per_level": (1, 4), "accuracy": (0.6, 1.0)},
    "one feature": {"n_classes": 4, "n_features": 1, "teachers_per_level": (1, 2), "accuracy": (0.6, 0.8)},
}


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
@pytest.mark.parametrize("tree", TREES)
@pytest.mark.parametrize("name", ["vanilla", "csl", "csl-published", "co-supervised", "oracle"])
def test_irregular_trees(name, tree, soft):
    options = {"teachers_per_level": (1, 2, 4), "accuracy": (0.5, 0.65, 0.8), "n_features": 12} | TREES[tree]
    options["accuracy"] = options["accuracy"][: len(options["teachers_per_level"])]
    task = make_hierarchy(300, 50, soft=soft, separation=4.0, random_state=1, **options)
    model = method(name, task).fit(task.X_train, task.labels)
    if name in HIERARCHICAL:
        check_fit(model, task.labels, task.X_test)
    else:
        assert len(model.history_) == 1
    if "one feature" not in tree:
        chance = np.bincount(task.truth.y_test).max() / 50
        assert model.score(task.X_test, task.truth.y_test) > chance


@pytest.mark.parametrize(("n_features", "n_classes"), [(64, 100), (16, 40), (192, 150)])
def test_many_classes_on_few_features_do_not_collapse(n_features, n_classes):
    """The default once fell from 0.32 to 0.03 here: its student found every class about as likely."""
    task = make_hierarchy(
        3000, 500, n_features=n_features, n_classes=n_classes, accuracy=(0.3, 0.45, 0.6), separation=5.0
    )
    fitted = {n: method(n).fit(task.X_train, task.labels) for n in ("co-supervised", "vanilla")}
    score = {n: m.score(task.X_test, task.truth.y_test) for n, m in fitted.items()}
    assert score["co-supervised"] > score["vanilla"]


def test_the_core_methods_are_there():
    assert {"vanilla", "csl", "csl-published", "co-supervised", "oracle"} <= set(list_methods())


@pytest.mark.parametrize("name", HIERARCHICAL)
def test_where_a_level_is_silent_the_one_above_keeps_its_say(name):
    task = make_hierarchy(
        400, 50, n_classes=6, n_features=12, uncovered=2, separation=5.0, teachers_per_level=(1, 2),
        accuracy=(0.7, 0.9),
    )  # fmt: skip
    model = method(name).fit(task.X_train, task.labels)
    assigned = model.history_[1]["assigned"]
    orphans = task.truth.expert[:, 1] < 0
    assert (assigned[orphans] == 0).mean() > 0.7
    assert (assigned[~orphans] > 0).mean() > 0.7


@pytest.mark.parametrize("name", HIERARCHICAL)
def test_an_abstaining_teacher_is_never_assigned_where_it_is_silent(name):
    task = make_hierarchy(300, 10, n_classes=6, n_features=12, abstain=0.5)
    model = method(name).fit(task.X_train, task.labels)
    silent = task.labels.hard() < 0
    for h in model.history_:
        by = np.flatnonzero(h["assigned"] >= 0)
        assert len(by) > 50
        assert not silent[by, h["assigned"][by]].any()


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("name", ["vanilla", *HIERARCHICAL])
def test_flat_labels(name, soft):
    X, y, said = flat(soft=soft)
    model = method(name).fit(X, TeacherLabels(said))
    assert model.score(X, y) > 0.8
    assert len(model.history_) == 1
    if name != "vanilla":
        check_fit(model, TeacherLabels(said), X)
        assert set(np.unique(model.history_[0]["assigned"])) <= {-1, 0, 1, 2}


@pytest.mark.parametrize("name", ["csl", "co-supervised"])
def test_a_teacher_never_assigned_is_noted(name):
    X, y, said = flat()
    labels = TeacherLabels(
        np.column_stack([said[:, 0], np.minimum(said[:, 1], 2), np.full(len(y), 3)]),
        levels=[0, 1, 1],
        specialties=[range(4), [0, 1, 2], [3]],
        names=["general", "seen", "never"],
        n_classes=4,
    )
    model = method(name).fit(X, labels)
    check_fit(model, labels, X)
    assert 2 not in model.history_[1]["assigned"]
    assert any("'never'" in n and "never assigned" in n for n in model.history_[1]["notes"])
    assert not any("'seen'" in n for n in model.history_[1]["notes"])


def nothing(evidence):
    return np.zeros(len(evidence.annotation), dtype=bool)


@pytest.mark.parametrize("name", ["csl", "co-supervised"])
def test_everything_rejected_falls_back_to_the_level_above(monkeypatch, name):
    monkeypatch.setitem(REJECTIONS._entries, "nothing", Rejection(nothing, "it never passes"))
    task = make_hierarchy(300, 80, n_classes=6, n_features=12)
    model = method(name, reject=("nothing",)).fit(task.X_train, task.labels)
    check_fit(model, task.labels, task.X_test)
    for h in model.history_[1:]:
        assert any("every annotation was rejected" in n and "stays" in n for n in h["notes"])
        assert not h["kept"].any()
        assert h["rounds"] == 0
    assert set(model.provenance_[:, 1]["reason"]) == {"nothing"}
    levels = model.level_predict(task.X_test)
    np.testing.assert_array_equal(levels[1], levels[0])
    np.testing.assert_array_equal(levels[2], levels[0])
    vanilla = method("vanilla").fit(task.X_train, task.labels)
    np.testing.assert_array_equal(model.predict(task.X_test), vanilla.predict(task.X_test))


@pytest.mark.parametrize("name", ["csl", "co-supervised"])
def test_everything_rejected_among_several_generalists(monkeypatch, name):
    monkeypatch.setitem(REJECTIONS._entries, "nothing", Rejection(nothing, "it never passes"))
    X, y, said = flat()
    model = method(name, reject=("nothing",)).fit(X, TeacherLabels(said))
    assert any("every annotation was rejected" in n for n in model.history_[0]["notes"])
    assert model.score(X, y) > 0.8


def test_everything_rejected_in_earnest():
    """No stub: the only specialist says the opposite of the student, and local students believe it."""
    X, y, _ = flat()
    labels = TeacherLabels(np.column_stack([y, (y + 1) % 3]), levels=[0, 1])
    model = method("csl").fit(X, labels)
    check_fit(model, labels, X)
    assert model.score(X, y) > 0.9
    assert model.history_[1]["notes"]


def test_what_was_rejected_above_is_not_kept_below():
    """Where a level has nobody, the annotation of the level above stands in, and so does its rejection."""
    X, y, said = flat(n=300)
    wrong = np.flatnonzero(y == 2)[:10]
    middle = y.copy()
    middle[wrong] = 0
    only_rare = np.where(y == 0, 0, -1)
    labels = TeacherLabels(
        np.column_stack([said[:, 0], middle, only_rare]), levels=[0, 1, 2], specialties=[None, None, [0]]
    )
    model = method("csl").fit(X, labels)
    dropped = ~model.history_[1]["kept"] & (model.history_[1]["assigned"] == 1)
    inherited = dropped & (model.history_[2]["assigned"] == 1)
    assert inherited.sum() >= 5
    assert not model.history_[2]["kept"][inherited].any()


@pytest.mark.parametrize("name", ["vanilla", *HIERARCHICAL])
def test_classes_that_nobody_names_get_nothing(name):
    X, _y, said = flat()
    labels = TeacherLabels(said + 1, n_classes=6)  # nobody names 0, 4 and 5
    model = method(name).fit(X, labels)
    assert model.predict_proba(X).shape == (len(X), 6)
    assert set(np.unique(model.predict(X))) == {1, 2, 3}


def test_a_level_that_is_silent_in_a_slice():
    X, y, said = flat()
    late = np.where(np.arange(len(y)) < 120, -1, said[:, 1])
    labels = TeacherLabels(np.column_stack([said[:, 0], late]), levels=[0, 1])[:120]
    model = method("co-supervised").fit(X[:120], labels)
    check_fit(model, labels, X)
    assert any("nobody of level 1 speaks" in n for n in model.history_[1]["notes"])


@pytest.mark.parametrize("name", ["vanilla", *HIERARCHICAL])
def test_without_a_generalist_there_is_no_start(name):
    X, y, said = flat()
    labels = TeacherLabels(np.column_stack([np.where(np.arange(240) < 9, y, -1), said[:, 0]]), levels=[0, 1])
    with pytest.raises(CosupError, match="no teacher of level 0 speaks"):
        method(name).fit(X[10:], labels[10:])


@pytest.mark.parametrize("name", ["csl", "co-supervised"])
@pytest.mark.parametrize("n", [2, 5, 12])
def test_a_handful_of_samples(name, n):
    X, _, said = flat(n=n)
    said[:2] = [[0] * 3, [1] * 3]
    model = method(name).fit(X, TeacherLabels(said, levels=[0, 1, 1], n_classes=3))
    assert model.predict_proba(X).shape == (n, 3)
    model = method(name).fit(X, TeacherLabels(said, n_classes=3))
    assert model.predict_proba(X).shape == (n, 3)
