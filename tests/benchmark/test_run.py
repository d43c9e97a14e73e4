"""The benchmark's records: measured right, resumable whatever interrupted them, failures written down."""

import base64
import json

import numpy as np
import pytest

from cosup.benchmark import (
    Method,
    decode_correct,
    demo_methods,
    read_records,
    read_samples,
    run_benchmark,
    write_whole,
)
from cosup.methods import list_methods, make_method
from cosup.tasks import load_task
from cosup.utils.validation import CosupError
from records import by_run, stable

SMALL = ("hierarchy", {"n_samples": 200, "n_test": 60, "n_features": 12, "n_classes": 4})
PAIR = [Method("vanilla", "vanilla"), Method("ours", "co-supervised")]


def test_records_hold_what_was_measured(tmp_path):
    (record, ours) = run_benchmark([SMALL], PAIR, [3], tmp_path, n_jobs=1)
    task = load_task("hierarchy", seed=3, **SMALL[1])
    model = make_method("vanilla", student="ridge", random_state=3).fit(task.X_train, task.labels)
    right = model.predict(task.X_test) == task.truth.y_test
    assert record["error"] is None
    assert record["student"] == pytest.approx(right.mean())
    np.testing.assert_array_equal(decode_correct(record), right)
    weak = task.weak_test == task.truth.y_test
    np.testing.assert_array_equal(decode_correct(record, "weak_correct"), weak)
    ceiling = make_method("vanilla", random_state=3).fit(task.X_train, task.truth.y_train)
    np.testing.assert_array_equal(
        decode_correct(record, "ceiling_correct"), ceiling.predict(task.X_test) == task.truth.y_test
    )
    assert record["ceiling"] == ours["ceiling"]
    expected = (record["student"] - record["weak"]) / (record["ceiling"] - record["weak"])
    assert record["pgr"] == pytest.approx(expected)
    assert (record["n_train"], record["n_test"], record["n_classes"]) == (200, 60, 4)
    assert [level["level"] for level in ours["levels"]] == [0, 1, 2]
    for level in ours["levels"]:
        assert len(level["assignment"]) == len(level["teachers"])
        assert sum(map(sum, level["assignment"])) <= 200
    # The last level's student need not be the final one, but the generalist's is what vanilla trains.
    assert ours["levels"][0]["student"] == pytest.approx(record["student"])
    assert read_records(tmp_path) == [record, ours]


def test_precision_and_recall_are_against_the_truth(tmp_path):
    (record,) = run_benchmark([SMALL], [Method("csl", "csl")], [0], tmp_path, n_jobs=1)
    task = load_task("hierarchy", seed=0, **SMALL[1])
    model = make_method("csl", random_state=0).fit(task.X_train, task.labels)
    entry, level = model.history_[-1], record["levels"][-1]
    has = entry["assigned"] >= 0
    said = task.labels.hard()[np.arange(200), entry["assigned"]]
    right = said == task.truth.y_train
    assert level["precision"] == pytest.approx(right[has & entry["kept"]].mean())
    assert level["recall"] == pytest.approx(entry["kept"][has & right].mean())
    assert level["assigned_accuracy"] == pytest.approx(right[has].mean())


def test_nothing_is_repeated_and_more_seeds_are_added(tmp_path):
    first = run_benchmark([SMALL], PAIR, [0], tmp_path, n_jobs=1)
    before = (tmp_path / "records.jsonl").read_bytes()
    assert run_benchmark([SMALL], PAIR, [0], tmp_path, n_jobs=1) == first
    assert (tmp_path / "records.jsonl").read_bytes() == before
    both = run_benchmark([SMALL], PAIR, [0, 1], tmp_path, n_jobs=1)
    assert both[:2] == first
    assert [record["seed"] for record in both] == [0, 0, 1, 1]


def test_a_torn_last_line_is_dropped_and_its_run_repeated(tmp_path):
    whole = run_benchmark([SMALL], PAIR, [0, 1], tmp_path, n_jobs=1)
    path = tmp_path / "records.jsonl"
    data = path.read_bytes()
    for cut in (1, 2, 40, len(data.splitlines()[-1]) - 1):
        path.write_bytes(data[:-cut])
        assert len(read_records(tmp_path)) == (4 if cut == 1 else 3)
        again = run_benchmark([SMALL], PAIR, [0, 1], tmp_path, n_jobs=1)
        assert stable(again) == stable(whole)
        assert by_run(read_records(tmp_path)) == by_run(whole)


def test_an_interrupt_leaves_the_records_whole(tmp_path):
    class Stop:
        seen = 0

        def __call__(self, record):
            self.seen += 1
            if self.seen == 3:
                raise KeyboardInterrupt

    whole = run_benchmark([SMALL], PAIR, [0, 1, 2], tmp_path / "whole", n_jobs=1)
    with pytest.raises(KeyboardInterrupt):
        run_benchmark([SMALL], PAIR, [0, 1, 2], tmp_path / "cut", n_jobs=1, on_record=Stop())
    assert len(read_records(tmp_path / "cut")) == 3
    again = run_benchmark([SMALL], PAIR, [0, 1, 2], tmp_path / "cut", n_jobs=1)
    assert stable(again) == stable(whole)


# That workers' records are the same is part of the test of their interrupt and plugins in test_designs.py, too.
@pytest.mark.slow
def test_workers_measure_the_same_as_one_process(tmp_path):
    one = run_benchmark([SMALL], PAIR, [0, 1], tmp_path / "one", n_jobs=1)
    two = run_benchmark([SMALL], PAIR, [0, 1], tmp_path / "two", n_jobs=2)
    assert stable(one) == stable(two)


def test_a_failing_method_is_recorded_and_tried_again(tmp_path):
    broken = Method("broken", "co-supervised", {"rounds": -3})
    records = run_benchmark([SMALL], [broken, *PAIR], [0], tmp_path, n_jobs=1)
    assert "rounds" in records[0]["error"]
    assert records[0]["student"] is None
    assert [record["error"] for record in records[1:]] == [None, None]
    run_benchmark([SMALL], [broken, *PAIR], [0], tmp_path, n_jobs=1)
    lines = (tmp_path / "records.jsonl").read_text().splitlines()
    assert len(lines) == 4
    assert len(read_records(tmp_path)) == 3


def test_a_task_that_does_not_load_fails_all_its_runs_only(tmp_path):
    impossible = ("hierarchy", {"n_samples": -1})
    records = run_benchmark([impossible, SMALL], PAIR, [0], tmp_path, n_jobs=1)
    assert all(record["error"] for record in records[:2])
    assert not any(record["error"] for record in records[2:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tasks": ["hierarhcy"]}, "Did you mean 'hierarchy'"),
        ({"tasks": []}, "no tasks"),
        ({"tasks": ["hierarchy", "hierarchy"]}, "more than once"),
        ({"methods": [PAIR[0], PAIR[0]]}, "more than once"),
        ({"methods": []}, "no methods"),
        ({"seeds": [0, 0]}, "more than once"),
        ({"seeds": [-1]}, "whole number"),
        ({"seeds": [0.5]}, "whole number"),
        ({"seeds": []}, "no seeds"),
        ({"protocol": "clear"}, "Did you mean 'clean'"),
        ({"n_jobs": 0}, "n_jobs"),
    ],
)
def test_wrong_plans_are_refused_before_any_work(tmp_path, change, message):
    plan = {"tasks": [SMALL], "methods": PAIR, "seeds": [0], **change}
    with pytest.raises(CosupError, match=message):
        run_benchmark(plan.pop("tasks"), plan.pop("methods"), plan.pop("seeds"), tmp_path, **plan)
    path = tmp_path / "records.jsonl"
    assert not path.exists() or not path.read_bytes()


def test_a_method_that_there_is_not_is_refused_when_it_is_named():
    with pytest.raises(CosupError, match="Did you mean 'vanilla'"):
        Method("x", "vanila")


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CosupError, match="cannot be made or written"):
        run_benchmark([SMALL], PAIR, [0], tmp_path / "file" / "out", n_jobs=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", "vanilla"), "label"),
        (("a", "csl", {"student": "rigde"}), "Did you mean 'ridge'"),
        (("a", "csl", {"student": {"name": "ridge", "alhpa": 1}}), "Did you mean 'alpha'"),
        (("a", "csl", {"alpha": -1}), "alpha"),
        (("a", "csl", {"reject": {1, 2}}), "JSON"),
        (("a", "csl", {"x": float("nan")}), "JSON"),
    ],
)
def test_wrong_methods_are_refused(arguments, message):
    with pytest.raises(CosupError, match=message):
        Method(*arguments)


def test_parameters_name_students():
    assert Method("a", "vanilla", {"alpha": 0.5}).student().alpha == 0.5
    assert Method("a", "vanilla", {"student": {"name": "adam", "epochs": 3}}).student().epochs == 3
    assert Method("a", "vanilla").student() is None
    assert Method("a", "csl", {"reject": ["local-global"], "alpha": 1.0}).keywords() == {"reject": ("local-global",)}


def test_the_published_protocol_changes_the_student_and_the_run(tmp_path):
    clean = run_benchmark([SMALL], PAIR[:1], [0], tmp_path, n_jobs=1)
    published = run_benchmark([SMALL], PAIR[:1], [0], tmp_path, n_jobs=1, protocol="published")
    assert clean[0]["run"] != published[0]["run"]
    assert clean[0]["ceiling"] != published[0]["ceiling"]


def test_demo_methods_are_registered_and_differ():
    methods = demo_methods()
    assert {method.name for method in methods} <= set(list_methods())
    assert len({method.label for method in methods}) == len(methods)
    for method in methods:
        make_method(method.name, **method.keywords())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 99}, "schema 99"),
        ({"student": 1.5}, "'student'"),
        ({"student": "<script>"}, "'student'"),
        ({"correct": "!!"}, "base64"),
        ({"correct": base64.b64encode(b"123").decode()}, "3 bytes"),
        ({"student": 0.0}, "says"),
        ({"levels": [{}]}, "levels"),
        ({"seed": -1}, "'seed'"),
        ({"label": None}, "'label'"),
        ({"class_names": [1]}, "'class_names'"),
    ],
)
def test_records_are_checked_when_they_are_read(tmp_path, change, message):
    run_benchmark([SMALL], PAIR, [0], tmp_path, n_jobs=1)
    path = tmp_path / "records.jsonl"
    first, second = path.read_text().splitlines()
    path.write_text(first + "\n" + json.dumps({**json.loads(second), **change}) + "\n")
    with pytest.raises(CosupError, match=message) as caught:
        read_records(tmp_path)
    if "correct" not in change:
        assert "line 2" in str(caught.value)


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    run_benchmark([SMALL], PAIR, [0], tmp_path, n_jobs=1)
    path = tmp_path / "records.jsonl"
    path.write_text("{oops\n" + path.read_text())
    with pytest.raises(CosupError, match="line 1 is not JSON"):
        read_records(tmp_path)


def test_no_records_is_said_with_what_to_do(tmp_path):
    with pytest.raises(CosupError, match="cosup bench"):
        read_records(tmp_path)
    assert read_samples(tmp_path) == []


@pytest.mark.parametrize("content", ["{", "{}", '[{"task": "x"}]', "[1]"])
def test_broken_pictures_are_refused(tmp_path, content):
    (tmp_path / "samples.json").write_text(content)
    with pytest.raises(CosupError, match=r"samples\.json"):
        read_samples(tmp_path)


def test_files_are_written_whole(tmp_path):
    write_whole(tmp_path / "deep" / "a.txt", "one")
    write_whole(tmp_path / "deep" / "a.txt", b"two")
    assert (tmp_path / "deep" / "a.txt").read_text() == "two"
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.txt"]
