"""The worked examples of docs/extending.md, as they stand there: short, registered by --plugin, measured."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from cosup.benchmark import read_records
from cosup.cli import main
from cosup.utils.registry import snapshot

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, flags=re.DOTALL))


@pytest.fixture(autouse=True)
def methods_as_found():
    """The example registers its method in this process; tests that list all methods must not meet it."""
    restore = snapshot()
    yield
    restore()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("extending")
    for name, code in EXAMPLES.items():
        (folder / name).write_text(code)
    return folder


def test_a_method_and_a_task_are_one_file_of_under_60_lines_each():
    assert set(EXAMPLES) == {"my_method.py", "my_task.py"}
    assert all(len(code.splitlines()) < 60 for code in EXAMPLES.values())


def test_the_examples_run_from_the_command_line(files, tmp_path):
    arguments = [
        "bench", "--plugin", files / "my_method.py", "--plugin", files / "my_task.py", "--tasks", "iris",
        "--task-option", "depth=2", "--methods", "vanilla,agreement-vote,co-supervised", "--seeds", 2, "--jobs", 1,
        "--out", tmp_path,
    ]  # fmt: skip
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    records = read_records(tmp_path)
    assert {record["label"] for record in records} == {"vanilla", "agreement-vote", "co-supervised"}
    assert all(record["error"] is None for record in records)
    assert all(record["task_options"] == {"depth": 2} for record in records)
    assert records[0]["ceiling"] > 0.8
    assert f"--plugin {files / 'my_task.py'}" in records[0]["command"]
    assert {entry["teacher"] for entry in records[0]["per_teacher"]}
