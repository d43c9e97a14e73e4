"""Ctrl-C at any moment, readers that leave, a full standard output, two writers in one folder."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from reliability.commands import command
from reliability.rows import Row, Share
from reliability.world import World, records_of, state_of_fit

TIMES, EARLY = 12, 200


def interrupted(world: World, share: Share, work: Path) -> Row:
    """Ctrl-C at moments from the first import to the last write."""
    row = Row("Ctrl-C at any moment: one line and exit code 130, and no mixture")
    out = work / "interrupted"
    # Python itself, and what it does before the first line of ours, is another row's.
    begun = "import cosup.__main__ as m; print('begun', flush=True); m.run()"
    words = [sys.executable, "-c", begun, *map(str, world.fit("all", out))]
    started = time.perf_counter()
    subprocess.run(words, capture_output=True, check=True)
    whole, new = time.perf_counter() - started, state_of_fit(out)
    for step in share.taken(range(TIMES)):
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(whole * step / TIMES)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        lines = [line for line in said.splitlines() if line.strip()]
        stopped = process.returncode == 130 and len(lines) == 1 and lines[0].startswith("Error: stopped")
        state = state_of_fit(out)
        # Everything was written and said, and Python was tearing itself down.
        late = process.returncode == -signal.SIGINT and not lines and state == new
        good = stopped or late or process.returncode == 0
        row.count(good and state[:5] != "mixed", f"{step}: {process.returncode} {said[-300:]}")
    return row


def starting(by_module: bool, share: Share, work: Path) -> Row:
    """Ctrl-C while Python and the command line start; a traceback of Python's own start is nobody's to prevent."""
    row = Row(f"Ctrl-C during the start of `{'python -m cosup' if by_module else 'cosup'} --help`: no traceback")
    script = work / "script.py"  # as installers write it
    script.write_text("import sys\nfrom cosup.__main__ import run\nsys.exit(run())\n")
    words = [sys.executable, *(["-m", "cosup"] if by_module else [str(script)]), "--help"]
    whole = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run(words, capture_output=True, check=True)
        whole.append(time.perf_counter() - started)
    for step in share.taken(range(EARLY)):
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(sorted(whole)[2] * step / EARLY)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
        ours = any("cosup" in line and "script.py" not in line for line in said.splitlines())
        where = "in cosup" if ours else "in Python itself"
        row.count("KeyboardInterrupt" not in said, f"{step} of {EARLY}, {where}")
    return row


def piped(world: World, work: Path) -> Row:
    """A reader that leaves, and a standard output that is full."""
    row = Row("`| head -1` and a full standard output: quiet, or one line")
    line = f"{sys.executable} -m cosup look {world.root / 'model'}"
    for shell, codes in ((f"{line} | head -1 > /dev/null", (0, 1)), (f"{line} > /dev/full", (2,))):
        done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
        lines = [text for text in done.stderr.splitlines() if text.strip()]
        row.count(done.returncode in codes and len(lines) <= 1, f"{shell}: {done.returncode} {done.stderr[-200:]}")
    return row


def two_writers(world: World, work: Path) -> Row:
    """Two sweeps into one folder: the second is told, or waits its turn; nothing is lost."""
    row = Row("two `bench` into one folder: the second is told who writes there")
    out = work / "both"
    words = [sys.executable, "-m", "cosup", *map(str, world.bench(out))]
    first = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (out / ".lock").exists() and first.poll() is None:
        time.sleep(0.01)
    second, said = command(world.bench(out))
    _, problems = first.communicate()
    done = second == 2 and "is writing to" in said
    row.count(
        first.returncode == 0 and (done or second == 0), f"{first.returncode} {problems[-200:]}; {second} {said[-200:]}"
    )
    row.count(records_of(out).count("null") >= 4, "records")
    return row
