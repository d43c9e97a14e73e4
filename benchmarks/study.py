"""The demo's study, before students were made fast and now, in the processor's seconds: python benchmarks/study.py.

Before is the parent of "Students at speed", taken from git's history. Both run the same command, one process on one
thread, in turns, on digits whose embedding is cached beforehand; all of a process counts: its start, the figures, the
report. OpenBLAS chooses its kernels by itself in both (a workplace's OPENBLAS_CORETYPE is taken away): that is what a
user's machine does. Prints a line of JSON: CPU seconds of every turn, and how many
runs give other answers than before.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BEFORE = "deee336~1"
TASK = "digits-classes"


def study(tree: Path, out: Path, cache: Path, seeds: int) -> float:
    """Run the demo of a tree; the processor's seconds that it took."""
    code = 'from cosup.cli import main; main(prog_name="cosup")'
    options = ["--tasks", TASK, "--seeds", str(seeds), "--jobs", "1", "--cache", str(cache), "--out", str(out)]
    variables = os.environ | {"PYTHONPATH": str(tree / "src"), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    variables.pop("OPENBLAS_CORETYPE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", code, "demo", *options]
    done = subprocess.run(command, cwd=tree, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the study of {tree} failed:\n{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def answers(out: Path) -> dict[tuple[str, int], str]:
    """Which test samples every run gets right, as the records encode it."""
    lines = [json.loads(line) for line in (out / "records.jsonl").read_text(encoding="utf-8").splitlines()]
    return {(line["label"], line["seed"]): line["correct"] for line in lines if "label" in line}


def main() -> None:
    """Take turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    found: dict[str, Any] = {"seeds": given.seeds, "seconds": {"before": [], "now": []}}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        cache = Path(os.environ.get("COSUP_CACHE", scratch / "cache"))
        archive, tree = scratch / "before.tar", scratch / "before"
        subprocess.run(["git", "archive", "--output", str(archive), BEFORE], cwd=ROOT, check=True)
        with tarfile.open(archive) as packed:
            packed.extractall(tree, filter="data")
        study(ROOT, scratch / "warm", cache, given.seeds)  # fills the cache
        ways = {"before": tree, "now": ROOT}
        for turn in range(given.turns):
            for name, source in ways.items():
                seconds = study(source, scratch / f"{name}-{turn}", cache, given.seeds)
                found["seconds"][name].append(seconds)
                print(f"{turn} {name}: {seconds:.1f} s", file=sys.stderr, flush=True)
        old, new = answers(scratch / "before-0"), answers(scratch / "now-0")
    found |= {"runs": len(old), "of other answers": sum(old[run] != new.get(run) for run in old)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
