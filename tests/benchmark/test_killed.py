"""A sweep that is killed again and again ends with the records of one that was not."""

import contextlib
import json
import os
import signal
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner

from cosup.benchmark import read_records
from cosup.cli import main
from forked import forked
from records import stable

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not of that system")

ARGUMENTS = [
    "bench", "--tasks", "hierarchy", "--task-option", "n_samples=200", "--task-option", "n_test=50",
    "--task-option", "n_features=10", "--methods", "vanilla,csl,co-supervised",
]  # fmt: skip


def bench(out, seeds, jobs):
    arguments = [*ARGUMENTS, "--seeds", str(seeds), "--jobs", str(jobs), "--out", str(out)]
    assert CliRunner().invoke(main, arguments).exit_code == 0


def bench_alone(*arguments):
    os.setsid()
    bench(*arguments)


def by_run(folder):
    """Records without what a clock or the system decides, by run."""
    return {record["run"]: record for record in stable(read_records(folder))}


def lines(folder):
    path = folder / "records.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def kill_and_go_on(folder, seeds, jobs, kills, rng):
    """Start the sweep, kill it with all its workers, and start it again; how often it was killed at work."""
    killed = 0
    for _ in range(3 * kills):
        if killed == kills:
            break
        before = lines(folder)
        process = forked(bench_alone, folder, seeds, jobs, children=True)
        # Not before it has written something new, and then at any moment: within a fit, or within a write.
        while process.is_alive() and lines(folder) <= before:
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.15)))
        if process.is_alive():
            killed += 1
        with contextlib.suppress(ProcessLookupError):  # it has ended, and workers with it
            os.killpg(process.pid, signal.SIGKILL)
        process.join()
        if lines(folder) >= 3 * seeds:
            break
    return killed


def check(tmp_path, seeds, jobs, kills):
    killed = kill_and_go_on(tmp_path / "cut", seeds, jobs, kills, np.random.default_rng(0))
    for name in ("cut", "whole"):
        bench(tmp_path / name, seeds, jobs)
    assert by_run(tmp_path / "cut") == by_run(tmp_path / "whole")
    assert len(by_run(tmp_path / "whole")) == 3 * seeds
    # Nothing that was on disk is measured twice.
    runs = [json.loads(line)["run"] for line in (tmp_path / "cut" / "records.jsonl").read_text().splitlines()]
    assert len(runs) == len(set(runs))
    assert not list(tmp_path.glob("cut/*.part"))
    return killed


def test_killed_at_work(tmp_path):
    assert check(tmp_path, seeds=8, jobs=1, kills=1) == 1


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_killed_20_times(tmp_path, jobs):
    assert check(tmp_path, seeds=60, jobs=jobs, kills=20) == 20
