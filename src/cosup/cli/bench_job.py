"""The jobs of ``cosup demo`` and ``cosup bench``: names become methods and tasks, runs are measured and shown."""

from __future__ import annotations

import fnmatch
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from cosup.benchmark import (
    Forecast,
    Method,
    demo_methods,
    factorial_methods,
    forecast_benchmark,
    run_benchmark,
)
from cosup.benchmark.job import Job
from cosup.benchmark.run import plan_jobs, run_jobs
from cosup.cli.shell import names, resumable
from cosup.methods import list_methods, method_parameters
from cosup.report import build_report, render_table, require_figures
from cosup.tasks import list_tasks, task_options
from cosup.utils.errors import CosupError, suggest

__all__ = ["BenchOptions", "forecast", "run_bench", "run_demo"]


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """The options of ``cosup bench``, by their names in the command's help."""

    tasks: str
    methods: str
    factorial: bool
    fraction: int
    seeds: int
    out: Path
    root: Path | None
    options: dict[str, Any]
    settings: dict[str, Any]
    protocol: str
    plugins: tuple[str, ...]
    jobs: int | None
    cache: Path | None

    def command(self) -> str:
        """Write the command that measures this."""
        given = ["--tasks", self.tasks, "--seeds", str(self.seeds), "--protocol", self.protocol]
        given += ["--factorial", "--fraction", str(self.fraction)] if self.factorial else ["--methods", self.methods]
        given += [] if self.root is None else ["--root", str(self.root)]
        for flag, values in (("--task-option", self.options), ("--set", self.settings)):
            for name, value in values.items():
                given += [flag, f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
        for plugin in self.plugins:
            given += ["--plugin", plugin]
        return f"cosup bench {shlex.join(given)}"


def run_demo(
    out: Path,
    *,
    seeds: int,
    tasks: str,
    ablations: bool,
    jobs: int | None,
    cache: Path | None,
    plugins: Sequence[str] = (),
) -> None:
    """Measure the demo's methods on its tasks, print the table and write the report."""
    require_figures()  # before minutes of work, not after them
    command = f"cosup demo --seeds {seeds} --tasks {tasks}{' --ablations' * ablations}"
    with resumable(out):
        planned: list[Job] = []
        for place, task in enumerate(names(tasks, "tasks")):
            methods = demo_methods(ablations=ablations and place == 0)
            planned += plan_jobs([task], methods, range(seeds), "clean", cache, command, plugins)
        records = run_jobs(planned, out, n_jobs=jobs)
    _conclude(records)
    click.echo(f"\nThe report, with figures and pictures: {build_report(out).resolve()}")
    _failed(records)


def run_bench(options: BenchOptions, ray: str | None) -> None:
    """Measure methods on tasks, and print the table.

    Raises
    ------
    CosupError
        For tasks, methods or options that there are not, before anything is measured; or when all runs failed.
    """
    arguments = _arguments(options)
    with resumable(options.out):
        records = run_benchmark(**arguments, command=options.command(), ray=ray)
    _conclude(records)
    click.echo(f"\n{len(records)} records in {options.out}; figures: cosup report {options.out}")
    _failed(records)


def forecast(options: BenchOptions) -> None:
    """Say how many runs are left and how long they take."""
    _foretell(forecast_benchmark(**_arguments(options)))


def _arguments(options: BenchOptions) -> dict[str, Any]:
    """Arguments that measuring and forecasting share."""
    tasks, methods = _named(options)
    return {
        "tasks": tasks, "methods": methods, "seeds": range(options.seeds), "out": options.out,
        "protocol": options.protocol, "n_jobs": options.jobs, "cache": options.cache, "plugins": options.plugins,
    }  # fmt: skip


def _named(options: BenchOptions) -> tuple[list[tuple[str, dict[str, Any]]], list[Method]]:
    """Tasks, with the options that they have, and methods."""
    root = options.options.get("root") if options.root is None else options.root
    if root is not None and not Path(str(root)).exists():
        raise CosupError(f"the folder of the data, {root}, does not exist; check --root")
    given = options.options if options.root is None else {"root": str(options.root), **options.options}
    tasks = _tasks(options.tasks, given)
    if options.factorial:
        return tasks, factorial_methods(fraction=options.fraction)
    return tasks, _with_settings(_methods(options.methods), options.settings)


def _with_settings(methods: Sequence[Method], settings: Mapping[str, Any]) -> list[Method]:
    """Give every method those of the settings that it has a parameter for; its label says so."""
    known = {method.label: method_parameters(method.name) for method in methods}
    everything = sorted({parameter for its in known.values() for parameter in its})
    for name in settings:
        if name not in everything:
            raise CosupError(f"none of these methods has a parameter {name!r}.{suggest(name, everything)}")
    out = []
    for method in methods:
        own = {name: value for name, value in settings.items() if name in known[method.label]}
        label = ", ".join([method.label, *(f"{name}={_plain(value)}" for name, value in own.items())])
        out.append(replace(method, label=label, parameters={**method.parameters, **own}))
    return out


def _plain(value: Any) -> str:
    """Write a parameter's value in a label."""
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)


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
    wall = _clock(found.seconds / found.processes)
    click.echo(f"about {wall} on {found.processes} processes, {_clock(found.seconds)} on one core")
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
