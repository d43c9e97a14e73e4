"""Where features and labels of ``cosup fit`` and ``cosup predict`` come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import click

from cosup.io.features import Features, check_shards, features_of_images, features_of_texts, read_features
from cosup.io.labels import from_probabilities, read_labels
from cosup.io.tables import Place, place_of
from cosup.labels import ImportedLabels, combine_labels
from cosup.utils.validation import CosupError

__all__ = [
    "AGAIN",
    "FEATURES",
    "NAMES",
    "SOMEWHERE",
    "covers",
    "gather_features",
    "gather_labels",
    "join",
    "levels",
    "pairs",
    "words",
]


class Somewhere(click.Path):
    """A path that exists, or a URL, which is looked at when it is read."""

    name = "path or URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.ParamType`."""
        place = place_of(value)
        return place if isinstance(place, str) else super().convert(str(place), param, ctx)


SOMEWHERE = Somewhere(exists=True, path_type=Path)

_OPTIONS = (
    click.option("--features", type=SOMEWHERE,
                 help="npy, npz (key X), csv, parquet, a folder of cosup embed or of shards; path or URL."),
    click.option("--images", type=click.Path(exists=True, file_okay=False, path_type=Path),
                 help="In place of features: a folder of images."),
    click.option("--backbone", metavar="SOURCE:NAME", help="For --images.  [default: lite:efficientnet-lite0]"),
    click.option("--skip-unreadable", is_flag=True,
                 help="For --images: leave unreadable ones out (with labels, add --partial)."),
    click.option("--text", "texts", type=click.Path(exists=True, dir_okay=False, path_type=Path),
                 help="In place of features: csv, parquet or jsonl with a column 'text', or txt."),
    click.option("--encoder", metavar="SOURCE:NAME",
                 help="For --text: hf:NAME, hf:FOLDER.  [default: pypi:all-minilm-l6-v2]"),
)  # fmt: skip


AGAIN = click.option("--again", multiple=True, metavar="URL",
                     help="A URL of the earlier fit as it was given then: query strings and credentials are not kept; "
                          "may be repeated.")  # fmt: skip


NAMES: dict[str, Callable[[str], str]] = {
    "names without folder": lambda path: PurePosixPath(path).name,
    "names without folder and extension": lambda path: PurePosixPath(path).stem,
    "paths without extension": lambda path: str(PurePosixPath(path).with_suffix("")),
}
"""What labels may call an image, beside its path."""


def FEATURES(command: Callable[..., Any]) -> Callable[..., Any]:  # noqa: N802 (a decorator among options)
    """Add the options that say where features come from."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def levels(ctx: click.Context, parameter: click.Parameter, text: str | None) -> list[int] | dict[str, int] | None:
    """``0,1,1``, or ``TEACHER=1,TEACHER=2``."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    try:
        if all("=" in part for part in parts):
            return {name.strip(): int(level) for name, _, level in (part.rpartition("=") for part in parts)}
        return [int(part) for part in parts]
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r}: whole numbers separated by commas are expected, as in 0,1,1 (or TEACHER=1,TEACHER=2)"
        ) from error


def covers(ctx: click.Context, parameter: click.Parameter, given: Sequence[str]) -> dict[str, list[str]]:
    """``TEACHER=CLASS,CLASS``, repeated."""
    out: dict[str, list[str]] = {}
    for text in given:
        teacher, sign, classes = text.partition("=")
        out[teacher.strip()] = [name.strip() for name in classes.split(",") if name.strip()]
        if not sign or not out[teacher.strip()]:
            raise click.BadParameter(f"{text!r}: TEACHER=CLASS,CLASS is expected")
    return out


def pairs(ctx: click.Context, parameter: click.Parameter, given: Sequence[str]) -> dict[str, Place]:
    """``NAME=FILE``, repeated."""
    out: dict[str, Place] = {}
    for text in given:
        name, sign, file = text.partition("=")
        if not sign or not name.strip() or not file.strip():
            raise click.BadParameter(f"{text!r}: TEACHER=FILE is expected")
        out[name.strip()] = place_of(file.strip())
    return out


def words(ctx: click.Context, parameter: click.Parameter, text: str | None) -> list[str] | None:
    """Names separated by commas."""
    if text is None:
        return None
    return [part.strip() for part in text.split(",") if part.strip()]


def gather_features(
    *,
    features: Place | None,
    images: Path | None,
    texts: Path | None,
    backbone: str | None,
    encoder: str | None,
    store: Path,
    skip_unreadable: bool,
    made_of: Mapping[str, str] | None = None,
) -> Features:
    """Read or compute features.

    Parameters
    ----------
    features, images, texts, backbone, encoder, skip_unreadable
        The options.
    store : Path
        Where computed features are kept.
    made_of : mapping, optional
        What a model's features were made of, where that is known.

    Raises
    ------
    CosupError
        If there is not exactly one source, or it is another than the model's.
    """
    made_of = made_of or {}
    given = [source for source in (features, images, texts) if source is not None]
    if len(given) != 1:
        raise CosupError(
            f"{'no' if not given else 'more than one'} source of features is named; give one of --features FILE, "
            "--images FOLDER, --text FILE"
        )
    for name, value, needs in (("backbone", backbone, images), ("encoder", encoder, texts)):
        if value is not None and needs is None:
            raise CosupError(f"--{name} is for --{'images' if name == 'backbone' else 'text'}; leave it out")
        if needs is not None and value is not None and made_of.get(name, value) != value:
            raise CosupError(
                f"the model was fitted on features of '{made_of[name]}', not of '{value}'; leave --{name} out"
            )
        if needs is not None and made_of and name not in made_of:
            raise CosupError(
                f"the model was fitted on features of {', '.join(made_of.values())}; give features of the same, "
                "not --" + ("images" if name == "backbone" else "text")
            )
    if features is not None:
        found = read_features(features)
    elif images is not None:
        found = features_of_images(
            images, store, backbone=backbone or made_of.get("backbone"), skip_unreadable=skip_unreadable
        )
    else:
        assert texts is not None
        found = features_of_texts(texts, store, encoder=encoder or made_of.get("encoder"))
    if found.inputs and made_of and found.inputs != dict(made_of):
        raise CosupError(
            f"{found.source} holds features of {', '.join(found.inputs.values())}, but the model was fitted on "
            f"those of {', '.join(made_of.values())}; embed with the same"
        )
    return found


def gather_labels(
    files: Sequence[Place],
    probabilities: Mapping[str, Place],
    *,
    classes: Sequence[str] | None,
    abstain: Sequence[str] | None,
    top_k: int | None = None,
) -> ImportedLabels:
    """Read all files of labels, and put them side by side."""
    parts = [read_labels(file, class_names=classes, abstain=abstain or (), top_k=top_k) for file in files]
    if probabilities:
        known = classes or (parts[0].class_names if parts else None)
        parts.append(from_probabilities(probabilities, known))
    if not parts:
        raise CosupError("no labels are named; give --labels FILE, or --probabilities TEACHER=FILE")
    return combine_labels(parts)


def join(given: Features, labels: ImportedLabels, *, partial: bool) -> tuple[ImportedLabels, str | None]:
    """Bring labels into the order of the features' rows.

    Returns
    -------
    labels : ImportedLabels
    note : str or None
        What the user should know about how the two were joined.

    Raises
    ------
    CosupError
        When the lengths differ, or ids are missing on either side: which.
    """
    if not partial:
        check_shards(given, labels)
    if labels.ids is not None and given.ids is not None:
        ids, note = _file_names(given, labels.ids)
        return labels.align(ids, partial=partial, what=given.source), note
    if len(given.X) != len(labels):
        raise CosupError(
            f"{given.source} has {len(given.X)} samples, but {labels.source} has {len(labels)}; they must describe the "
            "same samples in the same order, or both have ids: a column 'id'"
        )
    one_sided = (labels.ids is None) != (given.ids is None)
    return labels, "only one of the files has ids: rows were joined by their order" if one_sided else None


def _file_names(given: Features, wanted: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
    """The features' ids as the labels write them: images by path, name of file, or name without extension."""
    assert given.ids is not None
    if "backbone" not in given.inputs or set(wanted) & set(given.ids):
        return given.ids, None
    for what, form in NAMES.items():
        ids = tuple(form(path) for path in given.ids)
        if set(wanted) & set(ids) and len(set(ids)) == len(ids):
            return ids, f"ids of the labels were taken for images' {what}"
    return given.ids, None
