"""The bench on the command line: options of tasks, dry runs, crossed ingredients, plugins, figures."""

import os

import pytest

from command import run
from cosup.benchmark import FACTORS, read_records
from cosup.utils.folder_lock import only_writer
from fits import few_steps

SMALL = ("--task-option", "n_samples=150", "--task-option", "n_test=60", "--task-option", "n_features=8")


def bench(*arguments, code=0):
    return run("bench", "--methods", "vanilla", "--seeds", 1, "--jobs", 1, *arguments, code=code)


def test_options_reach_the_task_and_name_the_run(tmp_path):
    bench(*SMALL, "--task-option", "n_classes=5", "--task-option", "soft=true", "--out", tmp_path)
    bench(*SMALL, "--task-option", "n_classes=6", "--out", tmp_path)
    five, six = read_records(tmp_path)
    assert five["task_options"] == {"n_samples": 150, "n_test": 60, "n_features": 8, "n_classes": 5, "soft": True}
    assert (five["n_classes"], six["n_classes"]) == (5, 6)
    assert five["run"] != six["run"]
    assert "--task-option n_classes=5" in five["command"]


def test_an_option_goes_to_those_tasks_that_have_it(tmp_path):
    # digits-classes has no such option; without the pictures' package its runs fail, and are recorded as failed.
    bench("--tasks", "hierarchy,digits-classes", *SMALL, "--task-option", "backbone=nothing", "--out", tmp_path, code=1)
    planted, digits = read_records(tmp_path)
    assert set(planted["task_options"]) == {"n_samples", "n_test", "n_features"}
    assert digits["task_options"] == {"backbone": "nothing"}
    assert "nothing" in digits["error"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("n_clases=5", "Did you mean 'n_classes'"),
        ("n_classes", "NAME=VALUE"),
        ("=5", "NAME=VALUE"),
        ("n_test=5", "given twice"),
    ],
)
def test_wrong_options_are_refused_before_any_work(tmp_path, option, message):
    result = bench(*SMALL, "--task-option", option, "--out", tmp_path / "runs", code=2)
    assert message in result.stderr
    assert not (tmp_path / "runs").exists()


def test_a_root_needs_a_task_that_reads_one(tmp_path):
    result = bench("--root", tmp_path, "--out", tmp_path / "runs", code=2)
    assert "none of these tasks has an option 'root'" in result.stderr


def test_a_pattern_names_the_members_of_a_family(tmp_path):
    bench("--tasks", "hierarchy-overlap-*,hierarchy-useless-1", "--dry-run", "--out", tmp_path / "runs")
    bench("--tasks", "hierarchy-overlap-*", "--task-option", "n_samples=120", "--task-option", "n_test=40",
          "--out", tmp_path)  # fmt: skip
    assert [record["task"] for record in read_records(tmp_path)] == [f"hierarchy-overlap-{n}" for n in (0, 1, 2, 4)]
    result = bench("--tasks", "hierarhcy-*", "--out", tmp_path / "x", code=2)
    assert "no task is called like" in result.stderr
    assert "more than once" in bench("--tasks", "hierarchy,hierarchy", "--out", tmp_path / "x", code=2).stderr


def test_a_dry_run_says_what_is_left_and_writes_nothing(tmp_path):
    out = tmp_path / "runs"
    said = bench(*SMALL, "--dry-run", "--out", out).output
    assert "1 runs, 0 on record, 1 left" in said
    assert "from fits on a part" in said
    assert not out.exists()
    bench(*SMALL, "--out", out)
    assert "1 runs, 1 on record, 0 left" in bench(*SMALL, "--dry-run", "--out", out).output


def test_ingredients_are_crossed_and_reported(tmp_path, monkeypatch):
    few = {
        "assignment": ["mass", "oracle"], "rejection": ["none"], "head": ["linear", "small MLP"],
        "loss": ["squared error", "reverse KL"],
    }  # fmt: skip
    for factor, levels in few.items():
        monkeypatch.setitem(FACTORS, factor, {level: FACTORS[factor][level] for level in levels})
    out = tmp_path / "runs"
    with few_steps():
        said = run(
            "bench", *SMALL, "--task-option", "n_classes=3", "--task-option", "teachers_per_level=[1,2]",
            "--task-option", "accuracy=[0.6,0.9]", "--factorial", "--fraction", 2, "--seeds", 1, "--jobs", 1,
            "--out", out,
        ).output  # fmt: skip
    records = read_records(out)
    assert all(set(record["factors"]) == {"assignment", "rejection", "head", "loss", "labels"} for record in records)
    assert "main effects" in said
    assert "assignment: oracle" in said
    run("report", out, "--figures", tmp_path / "paper")
    page = (out / "report.html").read_text()
    assert "Ingredients crossed" in page
    assert "pairwise interactions" in page
    figures = drawn_in_full(tmp_path / "paper")
    assert any(name.startswith("factorial-") for name in figures)
    assert "<svg" in page.split('id="factorial"')[1].split("</section>")[0]


def drawn_in_full(folder):
    """Names of a folder's figures: each is there as SVG and PDF, with its numbers."""
    figures = {path.stem for path in folder.glob("*.svg")}
    assert figures == {path.stem for path in folder.glob("*.pdf")} == {path.stem for path in folder.glob("*.csv")}
    assert all(path.read_bytes().startswith(b"%PDF") for path in folder.glob("*.pdf"))
    return figures


def test_figures_for_papers_come_with_their_numbers(tmp_path, monkeypatch):
    # The page's own drawings are those of test_report.
    monkeypatch.setattr("cosup.report.drawing.Drawing.page", lambda drawing: "<svg></svg>")
    out, paper = tmp_path / "runs", tmp_path / "paper"
    small = ("--task-option", "n_samples=150", "--task-option", "n_test=60", "--out", out)
    tasks = [f"hierarchy-overlap-{n}" for n in (0, 1, 2)]
    bench("--tasks", ",".join(tasks), "--methods", "vanilla,majority", *small)
    bench("--tasks", tasks[0], "--methods", "co-supervised", *small)  # whose figures are more, on one task
    run("report", out, "--figures", paper)
    figures = drawn_in_full(paper)
    assert {"strength-clean", "sweep-clean-hierarchy-overlap"} <= figures
    assert {"methods", "levels", "assignment", "rejection", "cost"} <= {name.partition("-")[0] for name in figures}
    assert "ranks-clean" not in figures  # three tasks are too few to tell methods apart
    assert "var(--" not in (paper / "strength-clean.svg").read_text()
    table = (paper / "leaderboard-clean.md").read_text().splitlines()
    assert table[0].startswith("|  | hierarchy-overlap-0 (n_samples=150, n_test=60) | hierarchy-overlap-1")
    assert table[0].endswith("| mean rank |")
    assert len(table) == 2 + 3
    tabular = (paper / "leaderboard-clean.tex").read_text()
    assert tabular.startswith("\\begin{tabular}{lrrrr}")
    assert tabular.count("\\\\") == 4


def test_lists_hold_what_plugins_register(tmp_path):
    plugin = tmp_path / "listed.py"
    plugin.write_text(
        "from cosup.baselines import VanillaClassifier\n"
        "from cosup.tasks import make_hierarchy, register_task\n"
        "from cosup.methods import register_method\n"
        "@register_method('own-listed', 'a method that is listed')\n"
        "class Listed(VanillaClassifier):\n"
        "    pass\n"
        "@register_task('own-listed-task', 'a task that is listed')\n"
        "def build(*, seed, cache):\n"
        "    return make_hierarchy(random_state=seed)\n"
    )
    for command, name in (("methods", "own-listed"), ("tasks", "own-listed-task")):
        assert f"{name} " in run(command, "--plugin", plugin).output
    assert "cannot be imported" in run("methods", "--plugin", "no_such_module_here", code=2).stderr


def test_a_second_bench_into_a_folder_is_told_who_writes_there(tmp_path):
    with only_writer(tmp_path):
        assert f"process {os.getpid()} on" in (said := bench(*SMALL, "--out", tmp_path, code=2).stderr)
        assert "is writing to" in said
    bench(*SMALL, "--out", tmp_path)
    assert len(read_records(tmp_path)) == 1
