"""The command ``cosup``: a thin cover over the package; see ``cosup --help``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import sklearn
import torch

import cosup
from cosup._validation import CosupError, suggest
from cosup.benchmark import Method, demo_methods, run_benchmark, write_whole
from cosup.cli import _model
from cosup.cli._labels import read_labels
from cosup.cli._tables import extension, join_rows, read_features
from cosup.datasets import list_backbones, list_tasks
from cosup.methods import list_methods, make_method
from cosup.report import REPORT_NAME, build_fit_page, build_report, render_table, require_figures

__all__ = ["main"]

DEMO_TASKS = "digits-classes,digits-domains"
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


class InputError(click.ClickException):
    """One line on standard error, and exit code 2, as click does for wrong options."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class Stopped(click.ClickException):
    """Interrupted from the keyboard; the exit code is a shell's for that."""

    exit_code = 130


class Commands(click.Group):
    """A group whose commands report wrong input in one line instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except CosupError as error:
            raise InputError(str(error)) from error
        except OSError as error:
            if error.strerror is None:
                raise
            where = f"{error.filename}: " if error.filename else ""
            raise InputError(f"{where}{error.strerror}") from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(cosup.__version__, prog_name="cosup")
def main() -> None:
    """Train a strong student under a hierarchy of weak teachers, without true labels.

    \b
    See it work:        cosup demo
    On your own data:   cosup fit --features X.npy --labels labels.csv --out model
                        cosup predict --model model --features new.npy --out predictions.csv
    """  # noqa: D301


def _names(text: str, what: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise CosupError(f"--{what} names nothing; give names separated by commas")
    return names


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
    for name in _names(text, "methods"):
        if name not in known:
            raise CosupError(f"unknown method {name!r}.{suggest(name, list_methods())}")
        out.append(known[name])
    return out


@contextmanager
def _resumable(folder: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        raise Stopped(
            f"stopped; what was measured is kept in {folder}, and the same command goes on from there"
        ) from error


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


@main.command()
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
    with _resumable(out):
        # What each piece is worth is measured on the first task; the whole methods on all.
        for task in _names(tasks, "tasks"):
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


@main.command()
@click.option("--tasks", default="hierarchy", show_default=True, help="Tasks, separated by commas: see cosup tasks.")
@click.option(
    "--methods",
    default="vanilla,csl-published,csl,co-supervised,oracle",
    show_default=True,
    help="Methods, separated by commas: see cosup methods. 'demo': the demo's, ablations included. 'all': all.",
)
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="How many seeds.")
@click.option("--out", type=FOLDER, required=True, help="Folder for the records.")
@click.option(
    "--protocol", default="clean", show_default=True, help="clean, or published: the released code's student."
)
@click.option("--jobs", type=click.IntRange(1), help="Processes.  [default: as many as cores]")
@click.option("--cache", type=FOLDER, help="Folder for computed features.  [default: ~/.cache/cosup]")
def bench(tasks: str, methods: str, seeds: int, out: Path, protocol: str, jobs: int | None, cache: Path | None) -> None:
    """Measure methods on tasks, one JSON line a run.

    Runs that are in the folder already are not repeated, so an interrupted command goes on where it
    stopped, and more seeds or methods can be added.

    \b
    Example: cosup bench --tasks hierarchy --methods vanilla,co-supervised --seeds 10 --out runs
             cosup report runs
    """  # noqa: D301
    with _resumable(out):
        records = run_benchmark(
            _names(tasks, "tasks"),
            _methods(methods),
            range(seeds),
            out,
            protocol=protocol,
            n_jobs=jobs,
            cache=cache,
            command=f"cosup bench --tasks {tasks} --methods {methods} --seeds {seeds} --protocol {protocol}",
        )
    _conclude(records)
    click.echo(f"\n{len(records)} records in {out}; figures: cosup report {out}")
    _failed(records)


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def report(folder: Path) -> None:
    """Rebuild tables and figures from the records in FOLDER.

    \b
    Example: cosup report demo-report
    """  # noqa: D301
    click.echo(build_report(folder).resolve())


def _listing(lines: dict[str, str]) -> None:
    width = max(map(len, lines))
    for name, line in lines.items():
        click.echo(f"{name.ljust(width)}  {line}")


@main.command()
def methods() -> None:
    """List the methods, one line each."""
    _listing(list_methods())


@main.command()
def tasks() -> None:
    """List the tasks, one line each."""
    _listing(list_tasks())


@main.command()
def backbones() -> None:
    """List the backbones, one line each."""
    _listing(list_backbones())


def _levels(ctx: click.Context, parameter: click.Parameter, text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: whole numbers separated by commas are expected, as in 0,1,1") from error


def _covers(ctx: click.Context, parameter: click.Parameter, given: Sequence[str]) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for text in given:
        teacher, sign, classes = text.partition("=")
        out[teacher.strip()] = [name.strip() for name in classes.split(",") if name.strip()]
        if not sign or not out[teacher.strip()]:
            raise click.BadParameter(f"{text!r}: TEACHER=CLASS,CLASS is expected")
    return out


@main.command()
@click.option("--features", type=FILE, required=True, help="npy, npz (key X), csv or parquet: one row a sample.")
@click.option("--labels", type=FILE, required=True, help="npy, npz, csv or parquet: one column a teacher.")
@click.option(
    "--out",
    type=FOLDER,
    required=True,
    help="Folder for the model, provenance.csv, history.json, report.html.",
)
@click.option("--levels", callback=_levels, help="Level of each teacher, as in 0,1,1.  [default: the file's, or all 0]")
@click.option("--specialty", "specialties", multiple=True, callback=_covers, metavar="TEACHER=CLASS,CLASS",
              help="Classes that a teacher is good at; may be repeated.")  # fmt: skip
@click.option("--method", default="co-supervised", show_default=True, help="See cosup methods.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides all that is random.")
def fit(
    features: Path,
    labels: Path,
    out: Path,
    levels: list[int] | None,
    specialties: dict[str, list[str]],
    method: str,
    seed: int,
) -> None:
    """Train a student on your own features and weak labels.

    A labels file in CSV has one column a teacher, class names inside, blank where the teacher abstains,
    and may have a column 'id'; if the features have one too, the two are joined by it.

    \b
    Example: cosup fit --features X.csv --labels labels.csv --levels 0,1,1 --out model
    """  # noqa: D301
    if method == "oracle":
        raise CosupError("the oracle needs the truth; it is for 'cosup bench' only")
    given = read_features(features)
    file = read_labels(labels, levels=levels, specialties=specialties)
    order, note = join_rows(given, file.ids, len(file.annotations), labels)
    said = file.make(order)
    model = make_method(method, random_state=seed).fit(given.X, said)
    facts = {
        "Method": f"{method}, seed {seed}",
        "Features": f"{features.name}, {given.X.shape[1]} a sample",
        "Labels": labels.name,
        "Versions": f"cosup {cosup.__version__}, scikit-learn {sklearn.__version__}, torch {torch.__version__}",
    }
    write_whole(out / "provenance.csv", _model.provenance_csv(model, said, file.class_names, given.ids))
    write_whole(out / "history.json", _model.history_json(model.history_, said))
    write_whole(out / REPORT_NAME, build_fit_page(said, model.history_, file.class_names, facts=facts))
    _model.save_model(out, model, file.class_names)
    click.echo(repr(said))
    if note:
        click.echo(f"Note: {note}", err=True)
    for entry in model.history_:
        click.echo(
            f"level {entry['level']}: {len(entry['teachers'])} teachers, kept "
            f"{100 * entry['keep_rate']:.1f} %, "
            f"agreement {100 * entry['agreement']:.1f} %"
        )
        for remark in entry["notes"]:
            click.echo(f"  {remark}")
    click.echo(f"Model, provenance and report are in {out.resolve()}")


@main.command()
@click.option("--model", "folder", required=True, help="Folder that cosup fit wrote.",
              type=click.Path(exists=True, file_okay=False, path_type=Path))  # fmt: skip
@click.option("--features", type=FILE, required=True, help="npy, npz (key X), csv or parquet: one row a sample.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True,
              help="csv (names), npz (ids and probabilities) or npy (ids).")  # fmt: skip
def predict(folder: Path, features: Path, out: Path) -> None:
    """Predict classes with a model that cosup fit made.

    \b
    Example: cosup predict --model model --features new.npy --out predictions.csv
    """  # noqa: D301
    extension(out, (".csv", ".npz", ".npy"))
    model = _model.load_model(folder)
    given = read_features(features)
    if given.X.shape[1] != model.n_features:
        raise CosupError(
            f"{features} has {given.X.shape[1]} features a sample, but the model in {folder} was fitted on "
            f"{model.n_features}; use the same backbone and columns as for fitting"
        )
    probabilities = model.estimator.predict_proba(given.X)
    write_whole(out, _model.predictions(out, probabilities, model.class_names, given.ids))
    click.echo(f"{len(given.X)} predictions in {out.resolve()}")
