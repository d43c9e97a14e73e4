"""The benchmark runs on tiny sizes and ends with JSON; what its ratios are is for a quiet machine to say."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from scripts import script

BENCH = Path(__file__).parent.parent / "benchmarks" / "bench.py"


@pytest.fixture(scope="module")
def bench():
    return script(BENCH)


def test_ratios_are_taken_round_by_round(bench):
    found = bench.training.ratio(np.array([2.0, 9.0, 8.0]), np.array([1.0, 3.0, 2.0]), "over 4")
    assert found == {"min": 2.0, "median": 3.0, "max": 4.0, "bar": "over 4", "met": False}
    assert bench.training.ratio(np.array([1.0]), np.array([2.0]), "under 1")["met"]


def test_the_exponent_of_a_power(bench):
    assert bench.training.exponent([1, 10, 100], [2.0, 20 * 10**0.5, 2000.0]) == pytest.approx(1.5)


def test_everybody_takes_turns_and_the_first_round_does_not_count(bench):
    order = []
    seconds = bench.training.race({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert order == ["a", "b"] * 3
    assert seconds["a"].shape == (2,)


@pytest.mark.slow
def test_a_quick_run_ends_with_json(bench, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bench.py"])
    bench.main(["--quick", "--out", str(tmp_path / "results.json")])
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report == json.loads((tmp_path / "results.json").read_text())
    assert set(report["rows"]) == set(bench.ROWS) - set(bench.OPT_IN)
    for name, row in report["rows"].items():
        assert row["peak_mb"] > 0
        assert row["machine"]["cores"] > 0
        assert "status" in row or row["ratios"], name


@pytest.mark.slow
def test_a_row_that_is_measured_again_leaves_the_others(bench, tmp_path, capsys, monkeypatch):
    results = tmp_path / "results.json"
    results.write_text(json.dumps({"rows": {"ridge": {"peak_mb": 1.0}}}))
    bench.main(["--quick", "--only", "imagenet", "--out", str(results)])
    rows = json.loads(results.read_text())["rows"]
    assert rows["ridge"] == {"peak_mb": 1.0}
    assert rows["imagenet"]["size"]["n"] == 2000
    assert rows["imagenet"]["anonymous_mb"] > 50


def test_growth_is_drawn_from_medians_of_the_rounds(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(BENCH.parent)
    curve = importlib.import_module("curve")
    sizes = [(10, 4, "n"), (20, 4, "n"), (10, 1, "teachers")]
    points = [
        {"axis": axis, "n": n, "teachers": m, "cpu_seconds": n * m * r, "mb": n + m}
        for n, m, axis in sizes
        for r in (1.0, 5.0, 2.0)
    ]
    assert curve.curves(points[:6], "n", "cpu_seconds") == ([10, 20], [80.0, 160.0])
    curve.draw({"points": points}, tmp_path / "growth.svg")
    svg = (tmp_path / "growth.svg").read_text(encoding="utf-8")
    assert "currentColor" in svg
    assert curve.INK not in svg
