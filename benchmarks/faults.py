"""Faults on purpose: processes killed at every write, full disks, files that were tampered with, a server under load.

``make faults`` runs everything and writes the table docs/reliability.md; ``--short`` is what the tests run. Everything
is imported once, in the process that forks all others, and lies in memory where the system has a file system there:
a command that is killed costs what it does itself.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from reliability import bombs, disks, interrupts, kills, server, tampering
from reliability.rows import Row, Share
from reliability.world import World, plans

DOCS = Path(__file__).resolve().parents[1] / "docs" / "reliability.md"
MEMORY = Path("/dev/shm")
PARTS = 3
"""Processes that share the cases of a row, for large ones."""


@dataclass(frozen=True)
class Task:
    """Cases that one process tries, in a folder of its own."""

    suite: str
    run: Callable[[Path], Row | Iterable[Row]]


def tasks(world: World, *, short: bool) -> list[Task]:
    """All faults, in the order of the table; the short form takes one in some."""

    def shared(suite: str, run: Callable[..., Row], *given: object, every: int = 1, parts: int = PARTS) -> list[Task]:
        return [Task(suite, partial(run, *given, Share(part, parts, every))) for part in range(parts)]

    some, parts = (11, 1) if short else (1, PARTS)
    out: list[Task] = []
    for plan in plans(world):
        out += shared("kills", kills.killed, plan, every=some, parts=parts)
    for plan in plans(world) if not short else ():
        out += shared("disks", disks.full, plan)
    some = 97 if short else 1
    for name in ("model.json", "fit.json", "provenance.json", "history.json", "estimates.json", "timings.json"):
        out += shared("tampering", tampering.tampered, world, name, every=some, parts=parts)
    out += shared("tampering", tampering.tampered_store, world, every=some, parts=parts)
    out += shared("tampering", tampering.spoilt_store, world, every=3 if short else 1, parts=1)
    out += shared("tampering", tampering.spoilt_files, world, every=some // 4 or 1, parts=parts)
    if short:
        return out
    out.append(Task("server", partial(server.served, world)))
    out.append(Task("bombs", partial(bombs.bombed, world)))
    out.append(Task("writers", partial(interrupts.two_writers, world)))
    out += shared("interrupts", interrupts.interrupted, world)
    for by_module in (False, True):
        out += shared("start-up", interrupts.starting, by_module, parts=1)
    out.append(Task("interrupts", partial(interrupts.piped, world)))
    return out


def side_by_side(todo: list[Task], root: Path, processes: int) -> list[Row]:
    """Run tasks in forked processes, some at a time; rows in the order of the tasks, those of one name as one."""
    running: dict[int, int] = {}
    found: dict[int, list[Row]] = {}
    started = time.perf_counter()
    for number, task in enumerate([*todo, *[None] * processes]):
        while len(running) >= processes or (task is None and running):
            child, status = os.wait()
            done = running.pop(child)
            work = root / f"work{done}"
            if status:
                raise RuntimeError(f"{todo[done]} ended with {os.waitstatus_to_exitcode(status)}")
            found[done] = [Row(**row) for row in json.loads((root / f"rows{done}.json").read_text())]
            shutil.rmtree(work)
            spent = time.perf_counter() - started
            for row in found[done]:
                print(f"{spent:5.0f} s  {row.held:5} of {row.tried:5}  {row.what}  {'; '.join(row.notes[:1])[:200]}",
                      flush=True)  # fmt: skip
        if task is not None:
            running[_forked(task, root, number)] = number
    rows: dict[str, Row] = {}
    for number in sorted(found):
        for row in found[number]:
            rows.setdefault(row.what, Row(row.what)).add(row)
    return list(rows.values())


def _forked(task: Task, root: Path, number: int) -> int:
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work = root / f"work{number}"
        work.mkdir()
        rows = task.run(work)
        rows = [rows] if isinstance(rows, Row) else list(rows)
        (root / f"rows{number}.json").write_text(json.dumps([asdict(row) for row in rows]))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


INTRODUCTION = """\
`make faults` kills commands at every write, fills disks, spoils every field of every file, and asks the server for
what it must not give. This page is what it printed last. *Held* means, of a command that was cut: its folder or file
then holds the old or the new state and never a mixture, or a part that says that it is one; the same command run again
succeeds with what one that was not cut gives; and nothing is left of the dead. On a full disk the message names it,
too. Of a file that was tampered with: commands end in one line, and never in a traceback, or they give what they give
without the change. Two kinds of change may be meant, and there only the traceback counts: a text for another
text, and what a fit writes, too, as null for a number that is not known or a remark less."""

PROMISES = """\
## What is promised byte for byte

The same `fit` on the same machine with the same versions writes the same bytes, but for `timings.json`, which holds
what a clock said. The same `embed` writes the same `features.npy`, `files.jsonl` and checksums, however often it was
stopped; `runs` in its manifest says when it went on with other versions. Records of `bench` are the same but for
`seconds`, `peak_memory_mb`, `fit_memory_mb` and the levels' `seconds`.

Further suites run in the tests: embedding, sweeps and fine-tuning that are killed at random moments
(`tests/embedding/test_feature_store.py`, `tests/benchmark/test_killed.py`, `tests/finetuning/test_stopped.py`), nodes
of a cluster that die (`tests/cluster`), and the [attempts of strangers](models-from-strangers.md)
(`tests/cli/test_strangers.py`).
"""


def page(rows: list[Row], seconds: float, processes: int, of_processors: float) -> str:
    """The table as a page."""
    import cosup

    out = io.StringIO()
    out.write("# Reliability: faults on purpose\n\n")
    out.write(f"{INTRODUCTION}\n\n")
    out.write("| fault | tried | held |\n| --- | ---: | ---: |\n")
    for row in rows:
        out.write(f"| {row.what} | {row.tried:,} | {row.held:,} |\n")
    tried, held = sum(row.tried for row in rows), sum(row.held for row in rows)
    out.write(f"| all | {tried:,} | {held:,} |\n\n")
    python, minutes = sys.version.split()[0], seconds / 60
    out.write(
        f"cosup {cosup.__version__}, Python {python}: {minutes:.1f} minutes in {processes} processes, "
        f"{of_processors / 60:.1f} minutes of processors.\n\n"
    )
    out.write(PROMISES)
    return out.getvalue()


def main() -> None:
    suites = ("kills", "disks", "tampering", "server", "bombs", "writers", "interrupts", "start-up")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="one fault in some, as in the tests")
    parser.add_argument("--only", choices=suites, help="one suite")
    parser.add_argument("--processes", type=int, default=2, help="processes side by side (default: 2)")
    parser.add_argument("--write", action="store_true", help="write docs/reliability.md")
    given = parser.parse_args()
    # Behind a computation in threads no process can be forked that computes in threads, too; two run side by side.
    os.environ |= {"LOKY_MAX_CPU_COUNT": "1", "OMP_NUM_THREADS": "1"}
    import torch

    torch.set_num_threads(1)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="cosup-faults-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        root = Path(folder).resolve()
        tempfile.tempdir = os.environ["TMPDIR"] = str(root)
        world = World(root, tuned=not given.short)
        print(f"{time.perf_counter() - started:5.0f} s  everything is imported, and was run once", flush=True)
        todo = [
            task
            for task in tasks(world, short=given.short)
            if given.only == task.suite or (given.only is None and task.suite != "start-up")
        ]
        rows = side_by_side(todo, root, given.processes)
    seconds = time.perf_counter() - started
    of_processors = sum(os.times()[:4])
    print(f"{seconds:5.0f} s  {sum(r.held for r in rows):5} of {sum(r.tried for r in rows):5}  all; "
          f"{of_processors:.0f} s of processors")  # fmt: skip
    if given.write:
        DOCS.write_text(page(rows, seconds, given.processes, of_processors), encoding="utf-8")
    sys.exit(any(row.held < row.tried for row in rows))


if __name__ == "__main__":
    main()
