"""Where features and labels of ``cosup fit`` and ``cosup predict`` come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from cosup.cli.fit_options import SOURCES, InputOptions
from cosup.cli.options import one_source
from cosup.embedding.backbones.trust import Trust
from cosup.embedding.incremental import is_readable
from cosup.embedding.read_images import IMAGE_SUFFIXES
from cosup.io.features import Features, check_shards, features_of_images, features_of_texts, read_features
from cosup.io.labels import from_probabilities, read_labels
from cosup.labels import ImportedLabels, combine_labels
from cosup.labels.matching import match_ids
from cosup.utils.texts import join_row, plain_text
from cosup.utils.validation import CosupError, some

__all__ = [
    "NAMES",
    "check_one_source",
    "gather_features",
    "gather_labels",
    "join",
    "without_unreadable",
]


NAMES: dict[str, Callable[[str], str]] = {
    "names without folder": lambda path: PurePosixPath(plain_text(path)).name,
    "names without folder and extension": lambda path: PurePosixPath(plain_text(path)).stem,
    "paths without extension": lambda path: str(PurePosixPath(plain_text(path)).with_suffix("")),
    "paths in Unicode's form NFC": plain_text,
}
"""Names that labels may use for an image, beside its path."""


def check_one_source(options: InputOptions) -> None:
    """Raise `CosupError` unless one source of features is given, and one only."""
    given = [name for name in SOURCES if getattr(options, name) is not None]
    if len(given) != 1:
        raise CosupError(one_source(given))


def gather_features(
    options: InputOptions,
    store: Path,
    *,
    made_of: Mapping[str, str] | None = None,
    trust: Trust | None = None,
    kept: Sequence[Path] = (),
    columns: Sequence[str] | None = None,
) -> Features:
    """Read or compute features.

    Parameters
    ----------
    options : InputOptions
    store : Path
        Where computed features are kept.
    made_of : mapping, optional
        What a model's features were made of, where that is known.
    trust : Trust, optional
        Names that stand on the command line, for what `made_of` names.
    kept : sequence of Path
        Further folders of features, which are read where they are of the same samples and backbone.
    columns : sequence of str, optional
        Names of the features that a model was fitted on.

    Raises
    ------
    CosupError
        If there is not exactly one source, it is another than the model's, or nobody named what would be run.
    """
    made_of = made_of or {}
    check_one_source(options)
    for name, value, needs in (
        ("backbone", options.backbone, options.images),
        ("encoder", options.encoder, options.texts),
    ):
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
    if options.features is not None:
        found = read_features(options.features, columns=columns)
    elif options.images is not None:
        backbone = (trust or Trust()).backbone(options.backbone or made_of.get("backbone"))
        found = features_of_images(
            options.images, store, backbone=backbone, skip_unreadable=options.skip_unreadable, kept=kept
        )
    else:
        assert options.texts is not None
        found = features_of_texts(options.texts, store, encoder=options.encoder or made_of.get("encoder"), kept=kept)
    if found.inputs and made_of and found.inputs != dict(made_of):
        raise CosupError(
            f"{found.source} holds features of {', '.join(found.inputs.values())}, but the model was fitted on "
            f"those of {', '.join(made_of.values())}; embed with the same"
        )
    return found


def gather_labels(options: InputOptions, classes: Sequence[str] | None) -> ImportedLabels:
    """Read all files of labels, and put them side by side.

    Parameters
    ----------
    options : InputOptions
    classes : sequence of str, optional
        All that may occur.

    Raises
    ------
    CosupError
        For what is wrong with one of them; or if one names classes by numbers and another by names.
    """
    parts = [
        read_labels(file, class_names=classes, abstain=options.abstain or (), top_k=options.top_k, **options.columns)
        for file in options.files
    ]
    if options.probabilities:
        known = classes or (parts[0].class_names if parts else None)
        parts.append(from_probabilities(options.probabilities, known))
    if not parts:
        raise CosupError("no labels are named; give --labels FILE, or --probabilities TEACHER=FILE")
    numbers = [part for part in parts if all(name.isdecimal() for name in part.class_names)]
    if numbers and len(numbers) < len(parts):
        names = next(part for part in parts if part not in numbers)
        raise CosupError(
            f"{numbers[0].source} names classes by numbers ({', '.join(numbers[0].class_names[:3])}, ...), and "
            f"{names.source} by names ({', '.join(names.class_names[:3])}, ...); give all names in the order of the "
            f"numbers: --classes {join_row(names.class_names[:3])},..."
        )
    return combine_labels(parts)


def join(
    given: Features, labels: ImportedLabels, *, partial: bool, match: str | None = None
) -> tuple[ImportedLabels, str | None]:
    """Bring labels into the order of the features' rows.

    Parameters
    ----------
    given : Features
    labels : ImportedLabels
    partial : bool
    match : str, optional
        How ids are matched, see `cosup.labels.ImportedLabels.align`.

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
        if match is not None:
            return labels.align(given.ids, partial=partial, what=given.source, match=match), None
        ids, note = _file_names(given, labels.ids)
        if not partial:
            _check_endings(given, ids, labels)
        return labels.align(ids, partial=partial, what=given.source), note
    if len(given.X) != len(labels):
        read = next((f" ({labels.source} was {note})" for note in labels.notes if note.startswith("read as")), "")
        raise CosupError(
            f"{given.source} has {len(given.X)} samples, but {labels.source} has {len(labels)}; they must describe the "
            f"same samples in the same order, or both have ids: a column 'id'{read}"
        )
    if labels.ids is None and given.ids is None:
        return labels, None
    with_ids, without = (labels.source, given.source) if given.ids is None else (given.source, labels.source)
    count = [str(row) for row in range(len(labels))]
    if labels.ids is not None and labels.ids != tuple(count) and set(labels.ids) == set(count):
        return labels.align(count), f"the ids of {with_ids} were taken for the numbers of rows of {without}, from 0"
    return labels, f"{with_ids} has ids, but {without} has none: rows are joined by their order"


def without_unreadable(given: Features, labels: ImportedLabels, match: str | None) -> Features:
    """Leave images out that have no label and can't be read: those that have one are read when they are embedded."""
    folder = Path(given.source)
    if labels.ids is None or given.ids is None or not folder.is_dir():
        return given
    keys = match_ids(labels.ids, _file_names(given, labels.ids)[0], match)
    known = set(keys.mine)
    ids = tuple(
        name for name, key in zip(given.ids, keys.others, strict=True) if key in known or is_readable(folder / name)
    )
    return replace(given, ids=ids, X=given.X[: len(ids)])


def _file_names(given: Features, wanted: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
    """The features' ids as the labels write them: images by path, name of file, or name without extension."""
    assert given.ids is not None
    names = set(wanted)
    if "backbone" not in given.inputs or names & set(map(plain_text, given.ids)):
        return given.ids, None
    for what, form in NAMES.items():
        ids = tuple(form(path) for path in given.ids)
        if names & set(ids) and len(set(ids)) == len(ids):
            return ids, f"ids of the labels were taken for images' {what}"
    return given.ids, None


def _check_endings(given: Features, ids: Sequence[str], labels: ImportedLabels) -> None:
    """Raise where labels name files of the folder that are not read as images."""
    folder = Path(given.source)
    if "backbone" not in given.inputs or not folder.is_dir():
        return
    known = set(ids)
    unread = [
        name for name in labels.ids or ()
        if name not in known and PurePosixPath(name).suffix.lower() not in IMAGE_SUFFIXES and (folder / name).is_file()
    ]  # fmt: skip
    if unread:
        endings = sorted({PurePosixPath(name).suffix.lower() or "no extension" for name in unread})
        raise CosupError(
            f"{labels.source} names {some(unread, 'files')} of {given.source} that end in {', '.join(endings)}, which "
            f"are not read as images; convert them (read are {', '.join(sorted(IMAGE_SUFFIXES))}), or go on without "
            "them: --partial"
        )
