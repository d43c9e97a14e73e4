"""Commands for a user's own data: fit, predict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import sklearn
import torch

import cosup
from cosup._validation import CosupError
from cosup.benchmark import write_whole
from cosup.cli import _model
from cosup.cli._labels import read_labels
from cosup.cli._shell import FILE, FOLDER
from cosup.cli._tables import extension, join_rows, read_features
from cosup.methods import make_method
from cosup.report import REPORT_NAME, build_fit_page

__all__ = ["fit", "predict"]


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


@click.command()
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


@click.command()
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
