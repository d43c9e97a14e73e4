"""Commands for a user's own data: fit, predict, export."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from cosup._validation import CosupError
from cosup._whole import make_writable, write_whole
from cosup.cli import _model
from cosup.cli._cluster import RAY, fit_on_cluster
from cosup.cli._inputs import AGAIN, FEATURES, SOMEWHERE, covers, gather_features, levels, pairs, words
from cosup.cli._left import leave
from cosup.cli._recipe import Recipe, read_recipe
from cosup.cli._shell import FOLDER
from cosup.methods import load, make_method
from cosup.report import REPORT_NAME
from cosup.tables import Place, extension

__all__ = ["export", "fit", "predict"]


@click.command()
@FEATURES
@click.option("--labels", "files", type=SOMEWHERE, multiple=True,
              help="csv, parquet, jsonl, npz or npy of teachers' labels, or a folder of shards that go with those of "
                   "--features; path or URL; may be repeated.")  # fmt: skip
@click.option("--top-k", type=click.IntRange(1), metavar="K",
              help="Of soft labels, keep the K most probable classes.  [default: all]")  # fmt: skip
@click.option("--probabilities", multiple=True, callback=pairs, metavar="TEACHER=FILE",
              help="A teacher's probabilities, one column a class; may be repeated.")  # fmt: skip
@click.option("--out", type=FOLDER, required=True,
              help="Folder for the model, provenance, history.json, report.html, features.")  # fmt: skip
@click.option("--classes", callback=words, metavar="CLASS,CLASS",
              help="All classes; another name is an error then.  [default: all that occur]")  # fmt: skip
@click.option("--abstain", callback=words, metavar="TEXT,TEXT", help="Texts that are no class, as blank is none.")
@click.option("--partial", is_flag=True, help="Go on where features or labels lack some of the other's samples.")
@click.option("--levels", "level", callback=levels, metavar="0,1,1",
              help="Level of each teacher, or TEACHER=1,...  [default: the file's, or all 0]")  # fmt: skip
@click.option("--specialty", "specialties", multiple=True, callback=covers, metavar="TEACHER=CLASS,CLASS",
              help="Classes that a teacher is good at; may be repeated.")  # fmt: skip
@click.option("--method", help="See cosup methods.  [default: co-supervised, or that of --update]")
@click.option("--seed", type=click.IntRange(0), help="Decides all that is random.  [default: 0, or that of --update]")
@click.option("--update", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder of an earlier fit: what it was made of, and what is named here besides.")  # fmt: skip
@AGAIN
@RAY
def fit(
    features: Place | None,
    images: Path | None,
    backbone: str | None,
    skip_unreadable: bool,
    texts: Path | None,
    encoder: str | None,
    files: tuple[Place, ...],
    top_k: int | None,
    probabilities: dict[str, Place],
    out: Path,
    classes: list[str] | None,
    abstain: list[str] | None,
    partial: bool,
    level: list[int] | dict[str, int] | None,
    specialties: dict[str, list[str]],
    method: str | None,
    seed: int | None,
    update: Path | None,
    again: tuple[str, ...],
    ray: str | None,
) -> None:
    """Train a student on your own features and weak labels.

    A labels file in CSV has one column a teacher, class names inside, blank where the teacher abstains, and a column
    'id' (path, file) that joins it with the features; or columns task, worker and label. In JSON lines it has
    {"id": ..., "label": ...}. Several files are put side by side.

    With more samples or teachers, name what is new, and the earlier fit by --update: teachers of the same name go on,
    features that were computed are read, and the result is that of a fit on everything.

    \b
    Example: cosup fit --images photos --labels labels.csv --out model
             cosup fit --text tickets.csv --labels rules.parquet --labels llm.jsonl --partial --out model
             cosup fit --features X.npy --labels labels.csv --levels 0,1,1 --out model
             cosup fit --update model --images later --labels later.csv --out model2
    """  # noqa: D301
    if ray is not None:
        fit_on_cluster(ray, click.get_current_context().params)
        return
    before = None if update is None else read_recipe(update)
    recipe = Recipe.of(click.get_current_context().params, before)
    if recipe.method == "oracle":
        raise CosupError("the oracle needs the truth; it is for 'cosup bench' only")
    model = make_method(recipe.method, random_state=recipe.seed)
    given, said, notes = recipe.gather()
    click.echo(said.summary())
    make_writable(out)
    model.fit(given.X, said)
    facts = {
        "Method": f"{recipe.method}, seed {recipe.seed}",
        "Features": f"{given.source}, {given.X.shape[1]} a sample"
        + "".join(f", {kind} {name}" for kind, name in given.inputs.items()),
        "Labels": said.source,
    }
    leave(
        out, model, said, given.X, given=given, recipe=recipe, facts=facts,
        save=lambda: model.save(out, inputs=given.inputs),
    )  # fmt: skip
    click.echo(repr(said))
    for note in notes:
        click.echo(f"Note: {note}", err=True)
    for line in _accuracies(model, said.names):
        click.echo(line)
    for entry in model.history_:
        click.echo(
            f"level {entry['level']}: {len(entry['teachers'])} teachers, kept {100 * entry['keep_rate']:.1f} %, "
            f"agreement {100 * entry['agreement']:.1f} %"
        )
        for remark in entry["notes"]:
            click.echo(f"  {remark}")
    click.echo(f"Model, provenance and report are in {out.resolve()}")
    click.echo(
        f"Next: open {out / REPORT_NAME}; what happened to a sample: cosup explain {out} ID; new samples: "
        f"cosup predict --model {out} --{recipe.kind} ... --out FILE"
    )


def _accuracies(model: Any, names: Sequence[str]) -> Iterator[str]:
    """Lines on what the method believes to know about accuracies, without a label."""
    known = model.estimates_
    if known is None:
        return
    yield "Estimated accuracy, without a label (90 % interval):"
    width = max(map(len, [*names, "the student"]))
    for name, (middle, low, high) in zip([*names, "the student"], [*known.teachers, known.student], strict=True):
        value = "not known" if np.isnan(middle) else f"{middle:5.1%} ({low:.1%} to {high:.1%})"
        yield f"  {name.ljust(width)}  {value}"


@click.command()
@click.option("--model", "folder", required=True, help="Folder that cosup fit wrote.",
              type=click.Path(exists=True, file_okay=False, path_type=Path))  # fmt: skip
@FEATURES
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True,
              help="csv (names), npz (ids and probabilities) or npy (ids).")  # fmt: skip
def predict(
    folder: Path,
    features: Place | None,
    images: Path | None,
    backbone: str | None,
    skip_unreadable: bool,
    texts: Path | None,
    encoder: str | None,
    out: Path,
) -> None:
    """Predict classes with a model that cosup fit made.

    Images and texts go through the backbone or encoder that the model was fitted with; their features are kept beside
    the predictions.

    \b
    Example: cosup predict --model model --images photos --out predictions.csv
             cosup predict --model model --features new.npy --out predictions.csv
    """  # noqa: D301
    extension(out, (".csv", ".npz", ".npy"))
    model = load(folder)
    make_writable(out.absolute().parent)
    given = gather_features(
        features=features, images=images, texts=texts, backbone=backbone, encoder=encoder,
        store=out.with_name(f"{out.stem}-features"), made_of=model.inputs_,
        skip_unreadable=skip_unreadable,
    )  # fmt: skip
    if given.X.shape[1] != model.n_features_in_:
        raise CosupError(
            f"{given.source} has {given.X.shape[1]} features a sample, but the model in {folder} was fitted on "
            f"{model.n_features_in_}; use the same backbone and columns as for fitting"
        )
    write_whole(out, _model.predictions(out, model, given.X, given.ids))
    click.echo(f"{len(given.X)} predictions in {out.resolve()}")


@click.command()
@click.option("--model", "folder", required=True, help="Folder that cosup fit wrote.",
              type=click.Path(exists=True, file_okay=False, path_type=Path))  # fmt: skip
@click.option("--precision", type=click.Choice(["float32", "float64"]), default="float32", show_default=True,
              help="float64: exact for features of any scale, but known to few runtimes.")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The .onnx file.")
def export(folder: Path, precision: str, out: Path) -> None:
    """Write a fitted model as ONNX, for serving without Python.

    Its input is 'features', float32 (n, n_features); its outputs are 'probabilities' and 'prediction', columns of the
    former, whose names are in the file's metadata as 'class_names'.

    \b
    Example: cosup export --model model --out model.onnx
    """  # noqa: D301
    extension(out, (".onnx",))
    model = load(folder)
    model.to_onnx(out, precision=precision)
    click.echo(f"{len(model.class_names_)} classes, {model.n_features_in_} features: {out.resolve()}")
