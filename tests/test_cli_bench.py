"""The bench on the command line: options of tasks, dry runs, crossed ingredients, plugins, figures."""

import pytest
from click.testing import CliRunner

from cosup.benchmark import read_records
from cosup.cli import main

SMALL = ("--task-option", "n_samples=150", "--task-option", "n_test=60", "--task-option", "n_features=8")


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


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
