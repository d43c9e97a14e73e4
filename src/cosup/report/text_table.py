"""The results as a plain-text table for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cosup.report.factorial import Design, designs
from cosup.report.first_screen import verdict
from cosup.report.summary import Record, TaskSummary, duration, failures, percent, signed, span, summarise
from cosup.utils.tables import align

HEADER = ("", "accuracy", "macro-F1", "PGR", "90 %", "vs vanilla (PGR points)", "kept", "right", "seconds")


def render_table(records: Iterable[Record]) -> str:
    """Render the results of a benchmark as text: weak teacher, methods and ceiling of each task.

    Parameters
    ----------
    records : iterable of dict
        What `cosup.benchmark.run_benchmark` returned or `read_records` read.

    Returns
    -------
    str
        Lines without control characters other than the line ends. ``kept`` and ``right`` are the keep
        rate of the last level and the share of what it kept that is right; all but the seconds is in
        percent.

    Raises
    ------
    CosupError
        When there is no record.
    """
    records = list(records)
    tasks = summarise(records)
    blocks = [_task(task) for task in tasks] + [_effects(design) for design in designs(records)]
    broken = failures(records)
    if broken:
        lines = [f"{len(broken)} runs failed:"]
        lines += [f"  {r['task']}, {r['label']}, seed {r['seed']}: {r['error']}" for r in broken]
        blocks.append("\n".join(_plain(line) for line in lines))
    lines = verdict(tasks)
    if lines:
        blocks.append("\n".join(_plain(line) for line in lines))
    return "\n\n".join(blocks)


def _task(task: TaskSummary) -> str:
    rows: list[Sequence[str]] = [HEADER]
    rows.append(("weak teacher", percent(task.weak), "", "0.0", "", "", "", "", ""))
    for method in task.methods:
        last = method.last
        rows.append(
            (
                method.key,
                percent(method.accuracy),
                percent(method.macro_f1),
                "undefined" if method.pgr is None else percent(method.pgr.estimate),
                "" if method.pgr is None else span(method.pgr),
                "" if method.versus is None else signed(method.versus),
                "" if last is None else percent(last.keep_rate),
                "" if last is None else percent(last.precision),
                duration(method.seconds),
            )
        )
    rows.append(("ceiling", percent(task.ceiling), "", "100.0", "", "", "", "", ""))
    # Accuracy says enough where classes are about equal.
    shown = [c for c, name in enumerate(HEADER) if name != "macro-F1" or any(m.macro_f1 > 0 for m in task.methods)]
    cells = [[_plain(row[column]) for column in shown] for row in rows]
    lines = align(cells, range(1, len(shown)))
    rule = "-" * max(len(line) for line in lines)
    title = _plain(f"{task.title}  (protocol {task.protocol}, {len(task.seeds)} seeds, {task.n_test:,} test samples)")
    return "\n".join([title, rule, lines[0], rule, *lines[1:], rule])


def _effects(design: Design) -> str:
    names = [_plain(f"{factor}: {level}") for factor, level, _ in design.main]
    width = max(map(len, names), default=0)
    title = _plain(
        f"{design.title}  (protocol {design.protocol}, {design.seeds} seeds, {design.runs} crossed settings, mean PGR "
        f"{percent(design.mean)}; main effects in points of PGR, 90 %)"
    )
    rows = [f"{name.ljust(width)}  {signed(effect)}" for name, (_, _, effect) in zip(names, design.main, strict=True)]
    return "\n".join([title, "-" * len(title), *rows])


def _plain(text: str) -> str:
    """Keep a record from steering the terminal: control characters become spaces."""
    return "".join(c if c.isprintable() else " " for c in text)
