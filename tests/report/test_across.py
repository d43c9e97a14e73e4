"""What the report reads across tasks, protocols and designs, on records whose answer is known."""

import copy

import numpy as np
import pytest

from cosup.benchmark import Method, factorial_methods, run_benchmark
from cosup.report import build_report
from cosup.report.across import boards, compared_rows, sweeps
from cosup.report.export_tables import latex, markdown, slug
from cosup.report.factorial import designs
from cosup.report.protocol_table import optimism
from cosup.report.published_anchors import anchors
from cosup.report.summary import summarise

OPTIONS = {"n_samples": 150, "n_test": 80, "n_features": 10}
METHODS = [Method("vanilla", "vanilla"), Method("csl", "csl"), Method("ours", "co-supervised")]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    tasks = [(f"hierarchy-overlap-{n}", OPTIONS) for n in (0, 1, 2)]
    return run_benchmark(tasks, METHODS, [0, 1], tmp_path_factory.mktemp("sweep"), n_jobs=1)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    pair = [METHODS[0], Method("csl-published", "csl-published")]
    task = ("hierarchy", {**OPTIONS, "n_classes": 3, "teachers_per_level": [1, 2], "accuracy": [0.5, 0.9]})
    records = run_benchmark([task], pair, [0, 1], folder, n_jobs=1)
    return folder, records + run_benchmark([task], pair, [0, 1], folder, n_jobs=1, protocol="published")


def test_the_board_ranks_by_accuracy_within_every_task(sweep):
    (board,) = boards(summarise(sweep))
    named = {"plain training": "vanilla", "CSL": "csl", "ours": "ours"}
    means = np.array(
        [[np.mean([r["student"] for r in sweep if (r["task"], r["label"]) == (t.name, named[m])]) for m in board.labels]
         for t in board.tasks]
    )  # fmt: skip
    expected = (-means).argsort(axis=1).argsort(axis=1).mean(axis=0) + 1
    if len(np.unique(np.round(means, 9))) == means.size:
        np.testing.assert_allclose(board.ranks.ranks, expected)
    assert board.ranks.n_tasks == 3
    assert (np.diff(board.ranks.ranks) >= 0).all()


def test_the_default_is_compared_with_every_other_method(sweep):
    renamed = copy.deepcopy(sweep)
    for record in renamed:
        record["label"] = {"ours": "co-supervised"}.get(record["label"], record["label"])
    (board,) = boards(summarise(renamed))
    _, rows = compared_rows(board)
    assert {row[0] for row in rows} == {"plain training", "CSL"}
    assert all(int(row[1]) + int(row[2]) + int(row[3]) == 3 for row in rows)
    (without,) = boards(summarise(sweep))
    assert without.compared == ()


def test_a_method_that_misses_a_task_has_no_rank_but_a_row(sweep):
    some = [r for r in sweep if not (r["label"] == "csl" and r["task"] == "hierarchy-overlap-1")]
    (board,) = boards(summarise(some))
    assert set(board.labels[:2]) == {"plain training", "ours"}
    assert board.labels[2] == "CSL"
    assert len(board.ranks.ranks) == 2


def test_a_task_without_a_gap_is_not_ranked(sweep):
    records = copy.deepcopy(sweep)
    for record in records:
        if record["task"] == "hierarchy-overlap-1":
            record.update(ceiling=record["weak"], ceiling_correct=record["weak_correct"], pgr=None)
    (board,) = boards(summarise(records))
    assert board.ranks.n_tasks == 2


def test_sweeps_are_drawn_in_the_order_of_their_numbers(sweep):
    (board,) = boards(summarise(list(reversed(sweep))))
    (panel,) = sweeps(board, "sweep")
    assert panel.data[0].header == ("", "0", "1", "2")
    assert len(panel.data[0].rows) == 3


def test_optimism_is_the_best_epoch_minus_the_last(published):
    _, records = published
    (task,) = [t for t in summarise(records) if t.protocol == "published"]
    for method in task.methods:
        accuracy, _ = optimism(method)
        expected = np.mean([max(r["epochs"]) - r["epochs"][-1] for r in method.records])
        assert accuracy == pytest.approx(expected)
        assert accuracy >= 0


def test_what_was_chosen_on_test_is_marked_everywhere(published, monkeypatch):
    folder, _ = published
    # Figures for papers are drawn in test_cli_bench; here it's their tables.
    monkeypatch.setattr("cosup.report.drawing.Drawing.save", lambda drawing, folder: [])
    page = build_report(folder, figures=folder / "paper").read_text(encoding="utf-8")
    assert "their epoch was chosen on the test samples" in page
    assert page.count("best epoch ON TEST") >= 2
    assert "protocol “published”" in page
    assert "Epochs chosen on the test samples" in (folder / "paper" / "leaderboard-published.md").read_text()
    assert "Epochs chosen on the test samples" in (folder / "paper" / "leaderboard-published.tex").read_text()
    assert "chosen on the test" not in (folder / "paper" / "leaderboard-clean.md").read_text()


def test_main_effects_and_interactions_are_differences_of_means(tmp_path):
    factors = {
        "assignment": ["mass", "random"], "rejection": ["none", "top-3"], "head": ["linear"], "loss": ["squared error"],
    }  # fmt: skip
    records = run_benchmark([("hierarchy", OPTIONS)], factorial_methods(factors=factors), [0, 1], tmp_path, n_jobs=1)
    (design,) = designs(records)
    assert (design.runs, design.seeds, design.left_out) == (8, 2, 0)
    gap = np.mean([r["ceiling"] - r["weak"] for r in records])

    def mean(**levels):
        own = [r["student"] for r in records if all(r["factors"][f] == v for f, v in levels.items())]
        return np.mean(own) / gap

    effects = {(f, v): interval.estimate for f, v, interval in design.main}
    assert set(effects) == {
        (f, v) for f, vs in {**factors, "labels": ["hard", "soft"]}.items() if f not in ("head", "loss") for v in vs
    }
    assert effects["assignment", "mass"] == pytest.approx(mean(assignment="mass") - mean())
    together = {(f, v): interval.estimate for f, v, interval in design.interactions}
    expected = mean(assignment="mass", rejection="top-3") - mean(assignment="mass") - mean(rejection="top-3") + mean()
    assert together[("assignment", "rejection"), ("mass", "top-3")] == pytest.approx(expected)
    # A setting that lacks a seed is left out, and said to be.
    (rest,) = designs([r for r in records if not (r["label"] == records[0]["label"] and r["seed"] == 1)])
    assert (rest.runs, rest.left_out) == (7, 1)
    assert summarise(records) == []


def test_tables_escape_what_their_language_would_read():
    assert markdown(["", "a|b"], [["x", "1\n2"]]).splitlines()[2] == "| x | 1 2 |"
    text = latex(["", "a_b & 50 %"], [["{x}", "\N{EN DASH}"]])
    assert r"a\_b \& 50 \%" in text
    assert r"\{x\} & --" in text
    assert slug("hierarchy (n_test=5), “x”") == "hierarchy-n-test-5-x"


def test_figures_of_papers_stand_beside_ours(sweep):
    assert anchors(summarise(sweep)) is None
    renamed = [{**r, "task": "imagenet"} for r in sweep if r["task"] == "hierarchy-overlap-0"]
    (task,) = summarise(renamed)
    found = anchors([task])
    for text in ("63.8", "75.5", "Liu &amp; Alahi", "over 15.0", "best epoch on the test"):
        assert text in found
    assert f"plain training {100 * task.vanilla.pgr.estimate:.1f}" in found
    assert f"ours {100 * task.ours.pgr.estimate:.1f}" in found
    assert f'<td class="text">{100 * task.ceiling:.1f}</td>' in found
