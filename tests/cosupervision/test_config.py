"""Co-supervision: every piece runs, alone and with the others, and what is no piece is refused."""

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from cosup import (
    CosupError,
    CoSupervisedClassifier,
    CSLConfig,
    SklearnStudent,
    TeacherLabels,
    co_supervise,
    make_method,
)
from cosup.cosupervision import round as round_module
from cosup.cosupervision.assignment import ASSIGNERS
from cosup.cosupervision.rejection import REJECTIONS
from cosup.tasks import make_hierarchy
from fits import check_fit, flat, method

PIECES = [
    *[{"assign": a} for a in sorted(ASSIGNERS)],
    *[{"reject": (r,)} for r in sorted(REJECTIONS)],
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
        out = co_supervise(task.X_train, labels, config=CSLConfig(**chosen))
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
        CSLConfig(**wrong)
    with pytest.raises(CosupError, match=message):
        CoSupervisedClassifier(**wrong).fit(X, TeacherLabels(said))


def test_the_published_criterion_is_checked():
    X, _, said = flat()
    with pytest.raises(CosupError, match="unknown criterion 'top4'"):
        make_method("csl-published", criterion="top4").fit(X, TeacherLabels(said))


def test_rounds_are_recorded_and_last_and_mean_differ():
    task = make_hierarchy(300, 100, n_classes=6, n_features=12)
    fits = {e: method("co-supervised", rounds=3, ensemble=e).fit(task.X_train, task.labels) for e in ("mean", "last")}
    rounds = [h["rounds"] for h in fits["mean"].history_]
    assert rounds[0] == 0
    assert all(2 <= r <= 3 for r in rounds[1:])
    a, b = (f.predict_proba(task.X_test) for f in fits.values())
    assert not np.allclose(a, b)


def test_a_level_ends_where_its_posterior_settles_and_answers_as_if_it_had_gone_on(monkeypatch):
    task = make_hierarchy(300, 100, n_classes=6, n_features=12)
    early = method("co-supervised", rounds=12).fit(task.X_train, task.labels)
    monkeypatch.setattr(round_module, "SETTLED", 0.0)
    whole = method("co-supervised", rounds=12).fit(task.X_train, task.labels)
    assert [h["rounds"] for h in whole.history_] == [0, 12, 12]
    assert 4 <= sum(h["rounds"] for h in early.history_) < 24
    a, b = (f.predict_proba(task.X_test) for f in (early, whole))
    assert np.abs(a - b).sum(axis=1).mean() < 0.04


@pytest.mark.parametrize("generalists", [1, 2])
def test_the_mean_leaves_out_the_generalists_students(generalists):
    X, _, said = flat()
    labels = TeacherLabels(said[:, : generalists + 1], levels=[0] * generalists + [1])
    mean, last = (method("co-supervised", rounds=1, ensemble=e).fit(X, labels) for e in ("mean", "last"))
    np.testing.assert_allclose(mean.predict_proba(X), last.predict_proba(X))
    assert not np.array_equal(mean.level_heads_[0].weight, mean.level_heads_[1].weight)
