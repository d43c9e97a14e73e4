"""The report: its parts are there, it is self-contained, and no record can put markup into it."""

import base64
import copy
import html
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest

from cosup.benchmark import Method, read_records, run_benchmark
from cosup.methods import METHODS as REGISTERED
from cosup.report import build_report, render_table
from cosup.report.method_names import NAMES, name_for_readers
from cosup.report.summary import summarise
from cosup.utils.validation import CosupError

SMALL = ("hierarchy", {"n_samples": 300, "n_test": 120, "n_features": 16, "n_classes": 4})
METHODS = [
    Method("vanilla", "vanilla"),
    Method("paper", "csl"),
    Method("paper, random assignment", "csl", {"assign": "random"}),
    Method("ours", "co-supervised"),
    Method("ours, one round", "co-supervised", {"rounds": 1}),
    Method("broken", "co-supervised", {"rounds": -1}),
]
PIXEL = base64.b64encode(
    base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")
).decode()


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    return run_benchmark([SMALL], METHODS, [0, 1], folder, n_jobs=1, command="cosup bench --seeds 2")


def written(folder, records, samples=None):
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "records.jsonl").write_text(lines)
    if samples is not None:
        (folder / "samples.json").write_text(json.dumps(samples))
    return build_report(folder).read_text(encoding="utf-8")


def picture(**change):
    return {
        "task": "hierarchy (n_classes=4, n_features=16, n_samples=300, n_test=120)",
        "kept": True,
        "image": PIXEL,
        "teacher": "level 1, classes 0-1",
        "annotation": "class 1",
        "student": "class 2",
        "truth": "class 2",
        "probability": 0.25,
        "reason": "",
        **change,
    }


PICTURES = [picture(), picture(kept=False, reason="overruled")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def page(folder, measured):
    """One report for all that is asked of it."""
    return written(folder, measured, PICTURES)


class Check(HTMLParser):
    """Collects what a page holds, and that its elements are closed in order."""

    VOID = ("img", "meta", "br")

    def __init__(self):
        super().__init__()
        self.stack, self.tags, self.ids, self.references = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        given = dict(attrs)
        if "id" in given:
            self.ids.append(given["id"])
        self.references += [given[k] for k in ("src", "href", "xlink:href") if k in given]
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.stack.pop()

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


def parsed(page):
    check = Check()
    check.feed(page)
    assert check.stack == []
    return check


def test_the_report_has_its_parts(page):
    for heading in (
        "The tasks",
        "Results",
        "Gap recovered, by method",
        "Gap recovered, by level",
        "Assignment: who was assigned",
        "Precision and recall of rejection",
        "Worth of each piece",
        "Samples overruled and kept",
        "Accuracy by class",
        "Notes of the methods",
        "Failed runs",
        "Names, commands and versions",
    ):
        assert f"<h2>{heading}</h2>" in page
    for text in ("weak teacher alone", "ceiling", "ours, one round", "cosup bench --seeds 2", "overruled"):
        assert text in page
    assert re.search(r"without one true label, the student is right on [\d.]+ % of the test samples", page)


def test_the_report_is_self_contained_and_well_formed(page):
    check = parsed(page)
    assert not {"script", "link", "iframe", "object"} & set(check.tags)
    assert all(reference.startswith(("#", "data:image/png;base64,")) for reference in check.references)
    assert len(set(check.ids)) == len(check.ids)
    assert check.tags.count("svg") >= 5
    assert page.count('role="img"') == check.tags.count("svg")
    assert page.count("<caption>") >= 8
    assert "#0a0b0" not in page  # every stand-in of a colour was replaced
    assert "#0a0c0" not in page
    for drawing in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL):
        ET.fromstring(drawing)


def test_the_same_records_give_the_same_page(tmp_path, measured, page):
    assert written(tmp_path, measured, PICTURES) == page


HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>\"'&$\\alpha$"


def test_hostile_text_is_shown_not_run(tmp_path, measured):
    records = copy.deepcopy(measured)
    for record in records:
        record["label"] += HOSTILE
        record["task"] = record["task_description"] = record["machine"] = record["command"] = HOSTILE
        record["class_names"] = [f"{HOSTILE}{c}" for c in range(record["n_classes"] or 4)]
        record["versions"] = {HOSTILE: HOSTILE}
        for level in record["levels"]:
            level["notes"] = [HOSTILE]
            level["teachers"] = [HOSTILE for _ in level["teachers"]]
        if record["error"]:
            record["error"] = HOSTILE
    title = f"{HOSTILE} (n_classes=4, n_features=16, n_samples=300, n_test=120)"
    texts = dict.fromkeys(("teacher", "annotation", "student", "truth", "reason"), HOSTILE)
    page = written(tmp_path, records, [picture(task=title, **texts)])
    check = parsed(page)
    assert "script" not in check.tags
    assert check.tags.count("img") == 1
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "default-src 'none'" in html.unescape(page)


def test_hostile_numbers_are_refused(tmp_path, measured):
    records = copy.deepcopy(measured)
    records[0]["levels"][0]["precision"] = "<b>1</b>"
    with pytest.raises(CosupError, match="precision"):
        written(tmp_path, records)
    with pytest.raises(CosupError, match="picture"):
        written(tmp_path, measured, [picture(image='x" onerror="alert(1)')])


def test_a_gap_that_is_not_positive_is_said(tmp_path, measured):
    records = copy.deepcopy(measured)
    for record in records:
        if not record["error"]:
            record.update(ceiling=record["weak"], ceiling_correct=record["weak_correct"], pgr=None)
    page = written(tmp_path, records)
    assert "there is no gap between the weak teacher and the ceiling" in page
    assert "nan" not in re.sub(r"<[^>]+>", " ", page).lower().split()
    assert "undefined" in render_table(records)


def test_failed_runs_alone_still_make_a_report(tmp_path, measured):
    failed = [record for record in measured if record["error"]]
    page = written(tmp_path, failed)
    assert "No run succeeded" in page
    assert "rounds" in page
    assert "2 runs failed" in render_table(failed)


def test_missing_seeds_and_missing_vanilla_are_no_trouble(tmp_path, measured):
    ours = [record for record in measured if record["label"] == "ours"]
    vanilla = [record for record in measured if record["label"] == "vanilla"]
    assert "ours" in written(tmp_path, ours)
    assert "plain training on the weak teachers closes" in written(tmp_path, ours + vanilla[:1])
    assert "ours" in written(tmp_path, ours[:1])


def test_the_bar_stands_where_the_figures_say(measured, page):
    bar = re.search(r'<svg class="gap-bar".*?</svg>|<svg [^>]*class="gap-bar".*?</svg>', page, flags=re.DOTALL).group()
    root = ET.fromstring(bar)
    at = {kind: root.find(f".//*[@class='{kind}']") for kind in ("gap", "recovered")}
    share = float(at["recovered"].get("width")[:-1]) / float(at["gap"].get("width")[:-1])
    (task,) = (task for task in summarise(measured) if task.ours is not None)
    assert share == pytest.approx(task.ours.pgr.estimate, abs=0.01)
    assert "co-supervised" in bar or task.ours.label in bar


def test_the_terminal_ends_with_a_verdict(measured):
    last_but_one, last = render_table(measured).splitlines()[-2:]
    (task,) = (task for task in summarise(measured) if task.ours is not None)
    assert last_but_one.startswith("Verdict: without one true label, the gap")
    assert f"{100 * task.ours.pgr.estimate:.0f} %" in last_but_one
    assert re.search(r"better on \d+, worse on \d+, not told apart on \d+ of 1 task\.", last)


def test_table_for_the_terminal(measured):
    text = render_table(measured)
    lines = text.splitlines()
    first = next(line for line in lines if line.startswith("weak teacher"))
    ours = next(line for line in lines if line.startswith("ours "))
    mean = np.mean([record["student"] for record in measured if record["label"] == "ours"])
    assert f"{100 * mean:.1f}" in ours
    assert lines.index(first) < lines.index(ours)
    assert max(map(len, lines[:12])) <= 130
    hostile = copy.deepcopy(measured)
    for record in hostile:
        record["label"] = "\x1b[2J" + record["label"]
    assert "\x1b" not in render_table(hostile)


def test_no_records(tmp_path):
    with pytest.raises(CosupError, match="does not exist"):
        build_report(tmp_path)
    (tmp_path / "records.jsonl").write_text("")
    with pytest.raises(CosupError, match="no records yet"):
        build_report(tmp_path)
    with pytest.raises(CosupError, match="no records yet"):
        render_table([])


def test_without_matplotlib_the_extra_is_named(tmp_path, measured, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(CosupError, match=r"pip install 'cosup\[report\]'"):
        written(tmp_path, measured)
    assert not (tmp_path / "report.html").exists()


def test_real_records_are_left_alone(folder, page, measured):
    assert read_records(folder) == measured


def test_every_shipped_method_has_a_name_for_readers():
    assert set(NAMES) == set(REGISTERED.shipped)
    assert len(set(NAMES.values())) == len(NAMES)
    assert name_for_readers("csl, rounds=3", "csl") == "CSL, rounds=3"
    assert name_for_readers("csl of mine", "csl") == "csl of mine"
    assert name_for_readers("mine", "mine") == "mine"
