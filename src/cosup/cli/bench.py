"""Commands that measure: demo, bench, report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cosup.cli.options import FOLDER, PLUGIN, RAY, named_values, plugin_option
from cosup.utils.errors import CosupError

__all__ = ["bench", "demo", "report"]

DEMO_TASKS = "digits-classes,digits-domains"


@click.command()
@click.option("--out", type=FOLDER, default="demo-report", show_default=True, help="Folder for records and report.")
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="How many seeds.")
@click.option("--tasks", default=DEMO_TASKS, show_default=True, help="Tasks, separated by commas.")
@click.option("--ablations", is_flag=True, help="Measure what each part is worth, too, on the first task.")
@click.option("--jobs", type=click.IntRange(1), help="Processes.  [default: as many as cores]")
@click.option("--cache", type=FOLDER, help="Folder for computed features.  [default: ~/.cache/cosup]")
@plugin_option(passed_on=True)
def demo(
    out: Path, seeds: int, tasks: str, ablations: bool, jobs: int | None, cache: Path | None, plugins: tuple[str, ...]
) -> None:
    """Compare co-supervised learning with its rivals on real data.

    Prints a table and writes report.html. Interrupted, the same command goes on where it stopped.

    \b
    Example: cosup demo --seeds 3 --out demo-report
    """  # noqa: D301
    from cosup.cli.bench_job import run_demo

    run_demo(out, seeds=seeds, tasks=tasks, ablations=ablations, jobs=jobs, cache=cache, plugins=plugins)


@click.command()
@click.option(
    "--tasks",
    default="hierarchy",
    show_default=True,
    help="Tasks, separated by commas: see cosup tasks. 'hierarchy-teachers-*': all that are called so.",
)
@click.option(
    "--methods",
    default="vanilla,csl-published-tuned,csl,co-supervised,oracle",
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
    callback=named_values,
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
    "--set", "settings", multiple=True, callback=named_values, metavar="NAME=VALUE",
    help="A parameter of the methods, as JSON or as text; repeatable. It goes to those methods that have it.",
)  # fmt: skip
@plugin_option(passed_on=True)
@click.option("--dry-run", is_flag=True, help="Say how many runs are left and how long they take; write nothing.")
@click.option("--jobs", type=click.IntRange(1), help="Processes.  [default: as many as cores]")
@click.option("--cache", type=FOLDER, help="Folder for computed features.  [default: ~/.cache/cosup]")
@RAY
def bench(ray: str | None, dry_run: bool, **options: Any) -> None:
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
    from cosup.cli.bench_job import BenchOptions, forecast, run_bench

    chosen = BenchOptions(**options)
    if dry_run:
        forecast(chosen)
    else:
        run_bench(chosen, ray)


@click.command()
@PLUGIN
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
    from cosup.benchmark.records import RECORDS_NAME
    from cosup.provenance import ACCOUNT
    from cosup.report import build_report

    if (folder / ACCOUNT).is_file() and not (folder / RECORDS_NAME).is_file():
        raise CosupError(
            f"{folder} holds a fit, not a bench's records; its report is made anew by: cosup explore {folder}"
        )
    click.echo(build_report(folder, figures=figures).resolve())
