"""A short form of benchmarks/faults.py: processes killed at writes, files that were tampered with."""

import contextlib
import runpy
import sys
from pathlib import Path

import pytest

from forked import forked

pytest.importorskip("PIL")
BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def short_form(log):
    """Run it as its own process would, which is a copy of this one; what it prints goes into a file."""
    sys.path.insert(0, str(BENCHMARKS))
    sys.argv = ["faults.py", "--short"]
    with log.open("w") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        runpy.run_path(str(BENCHMARKS / "faults.py"), run_name="__main__")


@pytest.mark.skipif(sys.platform == "win32", reason="processes do not fork there")
def test_faults_in_their_short_form(tmp_path):
    process = forked(short_form, tmp_path / "log.txt")
    process.join()
    printed = (tmp_path / "log.txt").read_text()
    assert process.exitcode == 0, printed
    assert "NOT HELD" not in printed
    assert printed.count(" of ") >= 15
