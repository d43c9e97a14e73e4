"""Where features and labels of ``cosup fit`` and ``cosup predict`` come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from cosup.embedding.backbones.trust import Trust
from cosup.io.features import Features, check_shards, features_of_images, features_of_texts, read_features
from cosup.io.labels import from_probabilities, read_labels
from cosup.io.tables import Place
from cosup.labels import ImportedLabels, combine_labels
from cosup.utils.errors import CosupError

__all__ = [
    "NAMES",
    "gather_features",
    "gather_labels",
    "join",
]


NAMES: dict[str, Callable[[str], str]] = {
    "names without folder": lambda path: PurePosixPath(path).name,
    "names without folder and extension": lambda path: PurePosixPath(path).stem,
    "paths without extension": lambda path: str(PurePosixPath(path).with_suffix("")),
}
"""What labels may call an image, beside its path."""


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
    trust: Trust | None = None,
    kept: Sequence[Path] = (),
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
    trust : Trust, optional
        Names that stand on the command line, for what `made_of` names.
    kept : sequence of Path
        Further folders of features, which are read where they are of the same samples and backbone.

    Raises
    ------
    CosupError
        If there is not exactly one source, it is another than the model's, or nobody named what would be run.
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
        if needs is not None and value is None and name in made_of:
            (trust or Trust()).check(name, made_of[name])
    if features is not None:
        found = read_features(features)
    elif images is not None:
        found = features_of_images(
            images, store, backbone=backbone or made_of.get("backbone"), skip_unreadable=skip_unreadable, kept=kept
        )
    else:
        assert texts is not None
        found = features_of_texts(texts, store, encoder=encoder or made_of.get("encoder"), kept=kept)
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
