"""Commands that measure: demo, bench, report."""

from __future__ import annotations

import fnmatch
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from cosup.benchmark import (
    RECORDS_NAME,
    Forecast,
    Method,
    demo_methods,
    factorial_methods,
    forecast_benchmark,
    load_plugins,
    run_benchmark,
)
from cosup.cli.remote_fit import RAY
from cosup.cli.shell import FOLDER, named_value, names, resumable
from cosup.methods import list_methods
from cosup.provenance import ACCOUNT
from cosup.report import build_report, render_table, require_figures
from cosup.tasks import list_tasks, task_options
from cosup.utils.validation import CosupError, suggest

__all__ = ["bench", "demo", "report"]

DEMO_TASKS = "digits-classes,digits-domains"


def _methods(text: str) -> list[Method]:
    demo = demo_methods()
    if text.strip() == "demo":
        return demo
    if text.strip() == "all":
        return [Method(name, name) for name in list_methods()]
    # A registered name is the whole method; an ablation of the demo goes by its label, which may hold commas.
    known = {method.label: method for method in demo} | {name: Method(name, name) for name in list_methods()}
    if text.strip() in known:
        return [known[text.strip()]]
    out = []
    for name in names(text, "methods"):
        if name not in known:
            raise CosupError(f"unknown method {name!r}.{suggest(name, list_methods())}")
        out.append(known[name])
    return out


def _options(given: Sequence[str], root: Path | None) -> dict[str, Any]:
    """``NAME=VALUE`` texts as options; a value that is not JSON is text."""
    out: dict[str, Any] = {} if root is None else {"root": str(root)}
    for text in given:
        found = named_value(text)
        if found is None:
            raise CosupError(f"--task-option takes NAME=VALUE, not {text!r}; for instance labels=hard")
        name, value = found
        if name in out:
            raise CosupError(f"the task option {name!r} is given twice")
        out[name] = value
    return out


def _tasks(text: str, options: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every task named, with those of the options that it has; CosupError for one that no task has."""
    found: list[str] = []
    for name in names(text, "tasks"):
        members = fnmatch.filter(list_tasks(), name) if "*" in name else [name]
        if not members:
            raise CosupError(f"no task is called like {name!r}; see cosup tasks")
        # A pattern adds what is not there yet; a name that is given twice is a mistake, which the bench reports.
        found += [member for member in members if "*" not in name or member not in found]
    known = [(name, task_options(name)) for name in found]
    everything = sorted({option for _, its in known for option in its})
    for option in options:
        if option not in everything:
            raise CosupError(f"none of these tasks has an option {option!r}.{suggest(option, everything)}")
    return [(name, {o: v for o, v in options.items() if o in its}) for name, its in known]


def _clock(seconds: float) -> str:
    """Write a time as one would say it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def _foretell(found: Forecast) -> None:
    """Print what a dry run found out."""
    click.echo(f"{found.runs} runs, {found.done} on record, {found.left} left")
    if not found.left:
        return
    wall = _clock(found.seconds / found.jobs)
    click.echo(f"about {wall} on {found.jobs} processes, {_clock(found.seconds)} on one core")
    click.echo(
        f"times of {found.recorded} runs are from records, of {found.probed} from fits on a part of the samples"
        + (f"; {found.unknown} could not be tried and are not counted" if found.unknown else "")
    )


def _conclude(records: Sequence[dict[str, Any]]) -> None:
    """Print the table; end with an error code where a run failed."""
    if any(record["error"] is None for record in records):
        click.echo(render_table(records))
    broken = [record for record in records if record["error"] is not None]
    if len(broken) == len(records):
        raise CosupError(f"all {len(records)} runs failed; the first: {broken[0]['error']}")


def _failed(records: Sequence[dict[str, Any]]) -> None:
    if any(record["error"] is not None for record in records):
        sys.exit(1)


@click.command()
@click.option("--out", type=FOLDER, default="demo-report", show_default=True, help="Folder for records and report.")
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="How many seeds.")
@click.option(
    "--tasks", default=DEMO_TASKS, show_default=True, help="Tasks, separated by commas; ablations on the first."
)
@click.option("--jobs", type=click.IntRange(1), help="Processes.  [default: as many as cores]")
@click.option("--cache", type=FOLDER, help="Folder for computed features.  [default: ~/.cache/cosup]")
def demo(out: Path, seeds: int, tasks: str, jobs: int | None, cache: Path | None) -> None:
    """Compare co-supervised learning with its rivals on embedded real data.

    Prints a table and writes report.html. Interrupted, the same command goes on where it stopped.

    \b
    Example: cosup demo --seeds 3 --out demo-report
    """  # noqa: D301
    require_figures()  # before minutes of work, not after them
    records: list[dict[str, Any]] = []
    with resumable(out):
        # What each piece is worth is measured on the first task; the whole methods on all.
        for task in names(tasks, "tasks"):
            records += run_benchmark(
                [task],
                demo_methods(ablations=not records),
                range(seeds),
                out,
                n_jobs=jobs,
                cache=cache,
                command=f"cosup demo --seeds {seeds} --tasks {tasks}",
            )
    _conclude(records)
    click.echo(f"\nThe report, with figures and pictures: {build_report(out).resolve()}")
    _failed(records)


@click.command()
@click.option(
    "--tasks",
    default="hierarchy",
    show_default=True,
    help="Tasks, separated by commas: see cosup tasks. 'hierarchy-teachers-*': all that are called so.",
)
@click.option(
    "--methods",
    default="vanilla,csl-published,csl,co-supervised,oracle",
    show_default=True,
    help="Methods, separated by commas: see cosup methods. 'demo': the demo's, ablations included. 'all': all.",
)
@click.option("--factorial", is_flag=True, help="Cross assignment, rejection, head, loss and labels, not --methods.")
@click.option(
    "--fraction", type=click.IntRange(1), default=4, show_default=True, help="Take one crossed run in so many; 1: all."
)
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="How many seeds.")
@click.option("--out", type=FOLDER, required=True, help="Folder for the records.")
@click.option("--root", type=FOLDER, help="Folder of the data, for tasks that read one (their option root).")
@click.option(
    "--task-option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of the tasks, as JSON or as text; repeatable. It goes to those tasks that have it.",
)
@click.option(
    "--protocol",
    default="clean",
    show_default=True,
    help="clean, or published: the released code's student at its best epoch ON TEST, for comparison only.",
)
@click.option(
    "--plugin", "plugins", multiple=True, metavar="MODULE", help="Module or .py file that registers methods or tasks."
)
@click.option("--dry-run", is_flag=True, help="Say how many runs are left and how long they take; write nothing.")
@click.option("--jobs", type=click.IntRange(1), help="Processes.  [default: as many as cores]")
@click.option("--cache", type=FOLDER, help="Folder for computed features.  [default: ~/.cache/cosup]")
@RAY
def bench(
    tasks: str, methods: str, factorial: bool, fraction: int, seeds: int, out: Path, root: Path | None,
    options: tuple[str, ...], protocol: str, plugins: tuple[str, ...], dry_run: bool, jobs: int | None,
    cache: Path | None, ray: str | None,
) -> None:  # fmt: skip
    """Measure methods on tasks, one JSON line a run.

    Runs that are in the folder already are not repeated, so an interrupted command goes on where it
    stopped, and more seeds or methods can be added. A run that fails is written down with its error, and
    the others go on.

    \b
    Example: cosup bench --tasks hierarchy --methods vanilla,co-supervised --seeds 10 --out runs
             cosup bench --tasks hierarchy --task-option n_classes=40 --task-option soft=true --out runs
             cosup bench --tasks digits-classes --factorial --dry-run --out crossed
             cosup report runs
    """  # noqa: D301
    load_plugins(plugins)
    chosen = _tasks(tasks, _options(options, root))
    what = factorial_methods(fraction=fraction) if factorial else _methods(methods)
    if dry_run:
        _foretell(
            forecast_benchmark(
                chosen, what, range(seeds), out, protocol=protocol, n_jobs=jobs, cache=cache, plugins=plugins
            )
        )
        return
    given = ["--tasks", tasks, "--seeds", str(seeds), "--protocol", protocol]
    given += ["--factorial", "--fraction", str(fraction)] if factorial else ["--methods", methods]
    given += [] if root is None else ["--root", str(root)]
    for flag, values in (("--task-option", options), ("--plugin", plugins)):
        for value in values:
            given += [flag, value]
    with resumable(out):
        records = run_benchmark(
            chosen,
            what,
            range(seeds),
            out,
            protocol=protocol,
            n_jobs=jobs,
            cache=cache,
            command=f"cosup bench {shlex.join(given)}",
            plugins=plugins,
            ray=ray,
        )
    _conclude(records)
    click.echo(f"\n{len(records)} records in {out}; figures: cosup report {out}")
    _failed(records)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--figures", type=FOLDER, help="Folder for a paper: figures as SVG, PDF and CSV, tables as LaTeX and Markdown."
)
def report(folder: Path, figures: Path | None) -> None:
    """Rebuild tables and figures from the records in FOLDER.

    \b
    Example: cosup report demo-report
             cosup report runs --figures paper/figures
    """  # noqa: D301
    if (folder / ACCOUNT).is_file() and not (folder / RECORDS_NAME).is_file():
        raise CosupError(
            f"{folder} holds a fit, not a bench's records; its report is made anew by: cosup explore {folder}"
        )
    click.echo(build_report(folder, figures=figures).resolve())
