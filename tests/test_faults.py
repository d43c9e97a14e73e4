"""A short form of benchmarks/faults.py: processes killed at writes, files that were tampered with."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("PIL")
ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(sys.platform == "win32", reason="processes do not fork there")
def test_faults_in_their_short_form():
    words = [sys.executable, str(ROOT / "benchmarks" / "faults.py"), "--short"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOT HELD" not in done.stdout
    assert done.stdout.count(" of ") >= 15
