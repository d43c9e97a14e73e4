"""Commands that use a fitted model: predict, export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cosup.cli.options import FEATURES, PLUGIN
from cosup.utils.atomic_files import make_writable, write_whole
from cosup.utils.errors import CosupError

__all__ = ["export", "predict"]


@click.command()
@click.option("--model", "folder", required=True, help="Folder that cosup fit wrote.",
              type=click.Path(exists=True, file_okay=False, path_type=Path))  # fmt: skip
@FEATURES
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True,
              help="csv (names), npz (ids and probabilities) or npy (ids).")  # fmt: skip
@PLUGIN
def predict(folder: Path, out: Path, **options: Any) -> None:
    """Predict classes with a model that cosup fit made.

    Images and texts go through the backbone or encoder that the model was fitted with; their features are kept beside
    the predictions.

    \b
    Example: cosup predict --model model --images photos --out predictions.csv
             cosup predict --model model --features new.npy --out predictions.csv
    """  # noqa: D301
    from cosup.cli import prediction_files
    from cosup.cli.fit_inputs import gather_features
    from cosup.cli.fit_options import InputOptions
    from cosup.embedding.backbones.trust import Trust
    from cosup.io.tables import extension
    from cosup.methods import load

    extension(out, (".csv", ".npz", ".npy"))
    model = load(folder)
    if options["images"] is not None:
        _check_source(folder, options["backbone"] or model.inputs_.get("backbone", ""))
    make_writable(out.absolute().parent)
    named = frozenset(name for name in (options["backbone"], options["encoder"]) if name)
    given = gather_features(
        InputOptions(**options), out.with_name(f"{out.stem}-features"), made_of=model.inputs_,
        trust=Trust(named, "--{kind}", folder), columns=getattr(model, "feature_names_in_", None),
    )  # fmt: skip
    if hasattr(model, "feature_names_in_") and given.names is None:
        click.echo(
            f"Note: the model knows its features by name, but {given.source} names none: columns are taken by order",
            err=True,
        )
    for note in given.notes:
        click.echo(f"Note: {note}", err=True)
    if given.X.shape[1] != model.n_features_in_:
        raise CosupError(
            f"{given.source} has {given.X.shape[1]} features a sample, but the model in {folder} was fitted on "
            f"{model.n_features_in_}; use the same backbone and columns as for fitting"
        )
    write_whole(out, prediction_files.predictions(out, model, given.X, given.ids))
    click.echo(f"{len(given.X)} predictions in {out.resolve()}")


def _check_source(folder: Path, backbone: str) -> None:
    """Raise `CosupError` where a model's backbone is of a plugin that is not named again, with the words to type."""
    from cosup.cli.fit_manifest import MANIFEST, read_manifest
    from cosup.embedding.backbones.sources import BACKBONE_SOURCES

    if backbone and backbone.partition(":")[0] not in BACKBONE_SOURCES and (folder / MANIFEST).is_file():
        read_manifest(folder).check_plugins()


@click.command()
@click.option("--model", "folder", required=True, help="Folder that cosup fit wrote.",
              type=click.Path(exists=True, file_okay=False, path_type=Path))  # fmt: skip
@click.option("--precision", type=click.Choice(["float32", "float64"]), default="float32", show_default=True,
              help="float64: exact for features of any scale, but known to few runtimes.")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The .onnx file.")
@PLUGIN
def export(folder: Path, precision: str, out: Path) -> None:
    """Write a fitted model as ONNX, for serving without Python.

    Its input is 'features', float32 (n, n_features); its outputs are 'probabilities' and 'prediction', columns of the
    former, whose names are in the file's metadata as 'class_names'.

    \b
    Example: cosup export --model model --out model.onnx
    """  # noqa: D301
    from cosup.io.tables import extension
    from cosup.methods import load

    extension(out, (".onnx",))
    model = load(folder)
    model.to_onnx(out, precision=precision)
    click.echo(f"{len(model.class_names_)} classes, {model.n_features_in_} features: {out.resolve()}")
