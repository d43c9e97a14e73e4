"""Protocols, crossed ingredients, forecasts, plugins: what the bench measures beyond a table of methods."""

import json
import sys
from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from cosup import LogisticProbe, RidgeProbe
from cosup.benchmark import (
    FACTORS,
    Method,
    decode_correct,
    factorial_methods,
    forecast_benchmark,
    read_records,
    run_benchmark,
    with_right_specialists,
)
from cosup.methods import list_methods, make_method, register_method
from cosup.students import AdamProbe, GradientProbe, MixtureProbe, MlpProbe
from cosup.tasks import load_task
from cosup.utils.plugins import load_plugins
from cosup.utils.validation import CosupError
from records import by_run

SMALL = ("hierarchy", {"n_samples": 200, "n_test": 80, "n_features": 12, "n_classes": 4})
PAIR = [Method("vanilla", "vanilla"), Method("csl-published", "csl-published")]


# -- the published protocol ------------------------------------------------------------------------------------


def test_published_takes_the_best_epoch_on_test_and_says_so(tmp_path):
    records = run_benchmark([SMALL], PAIR, [0, 1], tmp_path, protocol="published", n_jobs=1)
    for record in records:
        assert record["error"] is None
        assert record["selected"] == "best epoch on test"
        assert record["student"] == pytest.approx(max(record["epochs"]))
        assert record["last"] == pytest.approx(record["epochs"][-1])
        assert record["student"] >= record["last"]
        assert record["ceiling"] >= record["last_ceiling"]
        assert decode_correct(record, "last_correct").mean() == pytest.approx(record["last"])
    assert len(records[0]["epochs"]) == 20  # vanilla keeps everything
    assert read_records(tmp_path) == records


def test_the_epochs_end_where_the_method_itself_ends(tmp_path):
    record, published = run_benchmark([SMALL], PAIR, [3], tmp_path, protocol="published", n_jobs=1)
    task = load_task("hierarchy", seed=3, **SMALL[1])
    for name, found, own in (("vanilla", record, {"student": AdamProbe()}), ("csl-published", published, {})):
        model = make_method(name, random_state=3, **own).fit(task.X_train, task.labels)
        assert found["last"] == pytest.approx(model.score(task.X_test, task.truth.y_test), abs=1 / 80)


def test_a_student_that_is_not_one_training_keeps_its_last_iterate(tmp_path):
    methods = [Method("ours", "co-supervised"), Method("ridge", "vanilla", {"student": "ridge"})]
    for record in run_benchmark([SMALL], methods, [0], tmp_path, protocol="published", n_jobs=1):
        assert record["error"] is None
        assert record["selected"] is None
        assert "epochs" not in record


def test_nothing_is_selected_under_the_clean_protocol(tmp_path):
    assert all(r["selected"] is None for r in run_benchmark([SMALL], PAIR, [0], tmp_path, n_jobs=1))


def test_records_of_a_selection_must_hold_the_last_epoch(tmp_path):
    (record,) = run_benchmark([SMALL], PAIR[:1], [0], tmp_path, protocol="published", n_jobs=1)
    path = tmp_path / "records.jsonl"
    for change in ({"last": None}, {"last_correct": None}, {"selected": "best seed"}, {"epochs": [2.0]}):
        path.write_text(json.dumps({**record, **change}) + "\n")
        with pytest.raises(CosupError, match=next(iter(change))):
            read_records(tmp_path)


# -- ingredients crossed ---------------------------------------------------------------------------------------


def test_the_full_design_crosses_everything_once():
    methods = factorial_methods()
    assert len(methods) == np.prod([len(levels) for levels in FACTORS.values()])
    assert len({json.dumps(m.parameters, sort_keys=True) for m in methods}) == len(methods)
    for method in methods:
        make_method("csl", **method.keywords())


@pytest.mark.parametrize(("fraction", "together"), [(2, 3), (4, 2)])
def test_a_fraction_of_the_design_is_balanced(fraction, together):
    """Every combination of levels of so many factors occurs, and all equally often."""
    some = factorial_methods(fraction=fraction)
    assert len(some) == len(factorial_methods()) / fraction
    for chosen in combinations(FACTORS, together):
        counts = Counter(tuple(method.factors[name] for name in chosen) for method in some)
        assert len(counts) == np.prod([len(FACTORS[name]) for name in chosen])
        assert len(set(counts.values())) == 1, (chosen, counts)


def test_the_linear_heads_of_a_design_are_solved_where_they_can_be():
    chosen = factorial_methods(factors={"assignment": ["mass"], "rejection": ["none"], "labels": ["hard"]})
    students = {(m.factors["head"], m.factors["loss"]): m.student() for m in chosen}
    assert len(set(students.values())) == len(students) == 16
    assert students["linear", "squared error"] == RidgeProbe()
    assert students["linear", "cross-entropy"] == LogisticProbe()
    assert students["linear", "reverse KL"] == GradientProbe(loss="reverse-kl")
    assert students["convex mixture", "confidence"] == MixtureProbe(loss="confidence", gated=False)
    assert students["small MLP", "squared error"] == MlpProbe(loss="squared")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factors": {"hed": ["linear"]}}, "Did you mean 'head'"),
        ({"factors": {"head": ["liner"]}}, "Did you mean 'linear'"),
        ({"factors": {"head": []}}, "at least one level"),
        ({"fraction": 0}, "fraction"),
        ({"fraction": 50}, "leaves out"),
    ],
)
def test_wrong_designs_are_refused(options, message):
    with pytest.raises(CosupError, match=message):
        factorial_methods(**options)


def test_the_oracle_of_a_design_believes_the_right_specialist(tmp_path):
    task = load_task("hierarchy", seed=0, **SMALL[1])
    seen = with_right_specialists(task)
    assert seen.labels.n_teachers == seen.labels.n_levels
    said, expert = task.labels.hard(), task.truth.expert
    for level in range(1, seen.labels.n_levels):
        np.testing.assert_array_equal(seen.labels.hard()[:, level], said[np.arange(200), expert[:, level]])
    choice = factorial_methods(
        factors={
            "assignment": ["oracle"], "rejection": ["none"], "head": ["linear"], "loss": ["squared error"],
            "labels": ["hard"],
        }
    )  # fmt: skip
    (record,) = run_benchmark([SMALL], choice, [0], tmp_path, n_jobs=1)
    right = said[np.arange(200), expert[:, -1]] == task.truth.y_train
    assert record["levels"][-1]["assigned_accuracy"] == pytest.approx(right.mean())
    assert record["factors"] == {
        "assignment": "oracle", "rejection": "none", "head": "linear", "loss": "squared error", "labels": "hard",
    }  # fmt: skip
    # One pass, trained on the right specialists' words: the oracle method is the same student.
    oracle = make_method("oracle", truth=task.truth.y_train, expert=expert, student=RidgeProbe(), random_state=0)
    assert record["student"] == pytest.approx(
        oracle.fit(task.X_train, task.labels).score(task.X_test, task.truth.y_test), abs=0.03
    )


def test_where_the_right_specialist_is_missing_the_level_is_silent():
    task = load_task("hierarchy", uncovered=2, teachers_per_level=(1, 2), accuracy=(0.5, 0.8), **SMALL[1])
    seen = with_right_specialists(task)
    silent = task.truth.expert[:, 1] < 0
    assert silent.any()
    np.testing.assert_array_equal(seen.labels.speaks()[:, 1], ~silent)


# -- where methods fail ----------------------------------------------------------------------------------------


def test_failures_are_told_by_specialist(tmp_path):
    (record,) = run_benchmark([SMALL], [Method("csl", "csl")], [0], tmp_path, n_jobs=1)
    task = load_task("hierarchy", seed=0, **SMALL[1])
    model = make_method("csl", random_state=0).fit(task.X_train, task.labels)
    right = model.predict(task.X_train) == task.truth.y_train
    last = task.labels.at_level(2)
    assert [entry["teacher"] for entry in record["per_teacher"]] == [task.labels.names[t] for t in last]
    for t, entry in zip(last, record["per_teacher"], strict=True):
        its = task.truth.expert[:, 2] == t
        assert entry["samples"] == its.sum()
        assert entry["student"] == pytest.approx(right[its].mean())
        assert entry["found"] == pytest.approx((model.history_[-1]["assigned"][its] == t).mean())


# -- forecasts -------------------------------------------------------------------------------------------------


def test_a_forecast_counts_and_takes_times_from_records(tmp_path):
    methods = [Method("vanilla", "vanilla"), Method("ours", "co-supervised")]
    first = forecast_benchmark([SMALL], methods, [0, 1], tmp_path / "x", n_jobs=1)
    assert (first.runs, first.done, first.left, first.recorded, first.probed) == (4, 0, 4, 0, 4)
    assert first.seconds > 0
    assert not (tmp_path / "x").exists()
    run_benchmark([SMALL], methods, [0], tmp_path, n_jobs=1)
    path = tmp_path / "records.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**line, "seconds": 1000.0}) + "\n" for line in lines))
    before = path.read_bytes()
    then = forecast_benchmark([SMALL], methods, [0, 1, 2], tmp_path, n_jobs=1)
    assert (then.runs, then.done, then.left, then.recorded, then.probed) == (6, 2, 4, 4, 0)
    assert then.seconds == pytest.approx(4000, rel=0.01)
    assert path.read_bytes() == before
    assert forecast_benchmark([SMALL], methods, [0], tmp_path).left == 0


def test_a_forecast_survives_what_will_fail(tmp_path):
    methods = [Method("broken", "co-supervised", {"rounds": -1}), Method("vanilla", "vanilla")]
    found = forecast_benchmark([SMALL, ("hierarchy", {"n_samples": -1})], methods, [0], tmp_path)
    assert (found.left, found.probed, found.unknown) == (4, 1, 3)


# -- methods and tasks of one's own ----------------------------------------------------------------------------

PLUGIN = """
from cosup.baselines import VanillaClassifier
from cosup.tasks import make_hierarchy, register_task
from cosup.methods import register_method

@register_method("{name}", "a method of one's own")
class Mine(VanillaClassifier):
    def __init__(self, student="ridge", *, random_state=None):
        super().__init__(student, soft=True, random_state=random_state)

@register_task("{name}-task", "a task of one's own")
def build(*, seed, cache, n_classes=4):
    return make_hierarchy(200, 60, n_features=12, n_classes=n_classes, random_state=seed)
"""


def test_workers_load_plugins_and_an_interrupt_of_them_leaves_the_records_whole(tmp_path):
    plugin = tmp_path / "own_pieces.py"
    plugin.write_text(PLUGIN.format(name="own-in-workers"))
    with pytest.raises(CosupError, match="no method"):
        Method("mine", "own-in-workers")
    load_plugins([str(plugin)])
    plan = [["own-in-workers-task", "hierarchy-overlap-1"], [Method("mine", "own-in-workers")], [0, 1, 2]]
    seen = []

    def stop(record):
        seen.append(record)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_benchmark(*plan, tmp_path / "cut", n_jobs=2, plugins=[str(plugin)], on_record=stop)
    cut = read_records(tmp_path / "cut")
    assert len(cut) == 3
    assert [record["error"] for record in cut] == [None] * 3
    # Importing it again does nothing: it would register the same names twice.
    alone = by_run(run_benchmark(*plan, tmp_path / "alone", n_jobs=1, plugins=[str(plugin)]))
    assert all(record in alone for record in by_run(cut))


def test_plugins_that_cannot_be_imported_are_named(tmp_path):
    broken = tmp_path / "broken_pieces.py"
    broken.write_text("1 / 0")
    for plugin, message in ((str(broken), "ZeroDivisionError"), ("no_such_module_here", "no_such_module_here")):
        with pytest.raises(CosupError, match=message):
            run_benchmark([SMALL], PAIR[:1], [0], tmp_path / "runs", plugins=[plugin])
    with pytest.raises(CosupError, match="is not a file"):
        run_benchmark([SMALL], PAIR[:1], [0], tmp_path / "runs", plugins=[str(tmp_path / "nothing.py")])
    assert not any("broken_pieces" in name for name in sys.modules)


def test_a_method_that_does_not_fit_is_not_registered():
    with pytest.raises(CosupError, match="registered already"):
        register_method("vanilla", "again")(type(make_method("vanilla")))
    with pytest.raises(CosupError, match="TeacherSupervised"):
        register_method("own-wrong", "no estimator")(dict)
    from cosup.estimators.base import TeacherSupervised

    class Forgetful(TeacherSupervised):
        def __init__(self):
            pass

    with pytest.raises(CosupError, match="random_state"):
        register_method("own-wrong", "no seed")(Forgetful)
    assert "own-wrong" not in list_methods()
