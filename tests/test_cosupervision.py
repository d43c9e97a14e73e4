"""Co-supervision: planted truth, each piece by hand, trees that are not regular, and what a fit leaves behind."""

import inspect

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from cosup import (
    CosupError,
    CoSupervisedClassifier,
    Pieces,
    RidgeProbe,
    SklearnStudent,
    TeacherLabels,
    co_supervise,
    list_methods,
    make_method,
)
from cosup.cosupervision.assign import ASSIGNERS
from cosup.cosupervision.reject import REJECTORS
from cosup.datasets import make_hierarchy

pytestmark = pytest.mark.xdist_group("planted")  # what the tests share is worked out once
SEEDS = range(5)
HIERARCHICAL = ("co-supervised", "csl", "csl-published")


def method(name, task=None, **parameters):
    """Any method, quick; the oracle is given what only it is given."""
    if name == "oracle":
        parameters = {"truth": task.truth.y_train, "expert": task.truth.expert} | parameters
    if name == "csl-published":
        parameters = {"learning_rate": 0.1, "epochs": 15} | parameters
    return make_method(name, random_state=0, **parameters)


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


def check_fit(model, labels, X):
    """What every fit must leave behind, whatever the tree."""
    n = len(labels)
    assert len(model.history_) == labels.n_levels
    assert model.provenance_.shape == (n, labels.n_levels)
    hard = labels.hard()
    for k, h in enumerate(model.history_):
        column = model.provenance_[:, k]
        assert h["level"] == k
        assert h["teachers"] == labels.at_level(k).tolist()
        assert h["assigned"].shape == h["kept"].shape == (n,)
        assert h["kept"].dtype == bool
        np.testing.assert_array_equal(column["teacher"], h["assigned"])
        np.testing.assert_array_equal(column["kept"], h["kept"])
        np.testing.assert_array_equal(column["kept"], column["reason"] == "")
        assert h["keep_rate"] == pytest.approx(h["kept"].mean())
        assert 0 <= h["agreement"] <= 1
        assert h["seconds"] >= 0
        assert isinstance(h["rounds"], int)
        assert all(isinstance(note, str) and note for note in h["notes"])
        assert np.isin(h["assigned"], np.append(np.flatnonzero(labels.levels <= k), -1)).all()
        by = np.flatnonzero(h["assigned"] >= 0)
        np.testing.assert_array_equal(column["annotation"][by], hard[by, h["assigned"][by]])
        silent = column["annotation"] < 0
        assert not column["kept"][silent].any()
        assert np.isnan(column["probability"][silent]).all()
        assert ((column["probability"][~silent] >= 0) & (column["probability"][~silent] <= 1)).all()
    proba = model.predict_proba(X)
    assert proba.shape == (len(X), labels.n_classes)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)
    levels = model.level_predict(X)
    assert levels.shape == (labels.n_levels, len(X))
    np.testing.assert_array_equal(levels[-1], model.predict(X))


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


def flat(n=240, seed=0, teachers=3, soft=False):
    """Three classes, a few generalists of 70 %."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    X = 3 * np.eye(3, 6)[y] + rng.normal(size=(n, 6))
    said = np.where(rng.random((n, teachers)) < 0.7, y[:, None], rng.integers(3, size=(n, teachers)))
    if soft:
        said = 0.7 * np.eye(3)[said] + 0.1
    return X, y, said


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
    return np.zeros(len(evidence.said), dtype=bool)


@pytest.mark.parametrize("name", ["csl", "co-supervised"])
def test_everything_rejected_falls_back_to_the_level_above(monkeypatch, name):
    monkeypatch.setitem(REJECTORS, "nothing", nothing)
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
    monkeypatch.setitem(REJECTORS, "nothing", nothing)
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


# -- the pieces -----------------------------------------------------------------------------------------

PIECES = [
    *[{"assign": a} for a in sorted(ASSIGNERS)],
    *[{"reject": (r,)} for r in sorted(REJECTORS)],
    {"reject": ("teacher-student", "local-global", "top2")},
    {"reject": ("local-global",), "pool": False},
    {"pool": False},
    {"match_marginals": False},
    {"out_of_sample": False},
    {"out_of_sample": False, "reject": ("teacher-student",), "pool": False},
    {"hard": True},
    {"hard": False, "pool": False},
    {"rounds": 1},
    {"ensemble": "last"},
    {"all_classes": True},
    {"student": "logistic"},
    {"student": GaussianNB()},
    {"student": SklearnStudent(GaussianNB(), folds=3)},
]


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("chosen", PIECES, ids=lambda p: ", ".join(f"{k}={v}" for k, v in p.items()))
def test_every_piece_runs(chosen, known):
    task = make_hierarchy(200, 40, n_classes=4, n_features=8, separation=5.0, abstain=0.1, random_state=2)
    labels = task.labels
    if not known:
        labels = TeacherLabels(labels.annotations, levels=labels.levels, n_classes=4)
    chosen = dict(chosen)
    if "all_classes" in chosen:
        out = co_supervise(task.X_train, labels, pieces=Pieces(**chosen))
        assert len(out.history) == len(out.level_heads) == 3
        predicted = out.head.predict_proba(task.X_test).argmax(axis=1)
        assert (predicted == task.truth.y_test).mean() > 0.4
        return
    model = method("co-supervised", **({"rounds": 2} | chosen)).fit(task.X_train, labels)
    check_fit(model, labels, task.X_test)
    assert model.score(task.X_test, task.truth.y_test) > 0.4


@pytest.mark.parametrize("criterion", ["top1", "top2", "top3", "all"])
def test_every_criterion_of_the_published_recipe_runs(criterion):
    task = make_hierarchy(300, 100, n_classes=4, n_features=8, separation=5.0)
    model = method("csl-published", criterion=criterion, epochs=10).fit(task.X_train, task.labels)
    check_fit(model, task.labels, task.X_test)
    assert model.history_[0]["keep_rate"] == 1  # level 0 is never filtered
    rates = [h["keep_rate"] for h in model.history_[1:]]
    assert max(rates) <= 1
    assert (min(rates) == 1) == (criterion == "all")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"assign": "masss"}, "Did you mean 'mass'"),
        ({"reject": ("teacher-studnet",)}, "Did you mean 'teacher-student'"),
        ({"reject": "top1"}, r"\('top1',\)"),
        ({"ensemble": "average"}, "unknown ensemble"),
        ({"rounds": 0}, "rounds must be"),
        ({"rounds": 1.5}, "rounds must be"),
    ],
)
def test_pieces_that_are_not_are_refused(wrong, message):
    X, _, said = flat()
    with pytest.raises(CosupError, match=message):
        Pieces(**wrong)
    with pytest.raises(CosupError, match=message):
        CoSupervisedClassifier(**wrong).fit(X, TeacherLabels(said))


def test_the_published_criterion_is_checked():
    X, _, said = flat()
    with pytest.raises(CosupError, match="unknown criterion 'top4'"):
        make_method("csl-published", criterion="top4").fit(X, TeacherLabels(said))


def test_rounds_are_recorded_and_last_and_mean_differ():
    task = make_hierarchy(300, 100, n_classes=6, n_features=12)
    fits = {e: method("co-supervised", rounds=3, ensemble=e).fit(task.X_train, task.labels) for e in ("mean", "last")}
    assert [h["rounds"] for h in fits["mean"].history_] == [0, 3, 3]
    a, b = (f.predict_proba(task.X_test) for f in fits.values())
    assert not np.allclose(a, b)


@pytest.mark.parametrize("generalists", [1, 2])
def test_the_mean_leaves_out_the_generalists_students(generalists):
    X, _, said = flat()
    labels = TeacherLabels(said[:, : generalists + 1], levels=[0] * generalists + [1])
    mean, last = (method("co-supervised", rounds=1, ensemble=e).fit(X, labels) for e in ("mean", "last"))
    np.testing.assert_allclose(mean.predict_proba(X), last.predict_proba(X))
    assert not np.array_equal(mean.level_heads_[0].weight, mean.level_heads_[1].weight)


# -- baselines ------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("name", sorted(list_methods()))
def test_no_fit_has_an_argument_for_the_truth(name):
    kind = type(make_method(name))
    assert list(inspect.signature(kind.fit).parameters) == ["self", "X", "y"]
    told = {"truth", "expert", "y_true", "ground_truth", "target"} & set(inspect.signature(kind).parameters)
    assert told == ({"truth", "expert"} if name == "oracle" else set())


def test_co_supervise_has_no_argument_for_the_truth():
    assert list(inspect.signature(co_supervise).parameters) == ["X", "labels", "student", "pieces", "random_state"]
