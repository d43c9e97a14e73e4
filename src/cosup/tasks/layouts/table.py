"""A table that names images: path, label, and perhaps domain and split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cosup.tasks.layouts.files import Files
from cosup.tasks.layouts.folders import Found, gather
from cosup.tasks.layouts.image_list import ImageList
from cosup.tasks.layouts.lines import TABLE_SUFFIXES, read_table
from cosup.utils.validation import CosupError, suggest

_ROLES = ("path", "label", "domain", "split")


def read_images_of_table(
    files: Files,
    *,
    table: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    class_names: Sequence[str] | None = None,
) -> ImageList:
    """Read the images that a CSV, TSV or parquet file names.

    Labels are names of classes. Where all are whole numbers, they are sorted as such; with `class_names` they
    are indexes into it.
    """
    file = _only_table(files) if table is None else Path(table)
    found, places = read_table(file)
    wanted = dict(columns or {})
    for role in wanted:
        if role not in _ROLES:
            raise CosupError(f"a table has no part {role!r}.{suggest(role, _ROLES)}")
    for role, column in wanted.items():
        if column not in found:
            raise CosupError(f"{file} has no column {column!r} for the {role}.{suggest(column, found)}")
    if wanted.get("path", "path") not in found:
        raise CosupError(f"{file} has no column 'path'; name the one that is by columns={{'path': ...}}"
                         f".{suggest('path', found)}")  # fmt: skip
    paths = found[wanted.get("path", "path")]
    blank = [""] * len(paths)
    labels, domains, splits = (found.get(wanted.get(role, role), blank) for role in _ROLES[1:])
    for role, values in (("domain", domains), ("split", splits)):
        if values is not blank and "" in values:
            raise CosupError(f"{places[values.index('')]}: the {role} is missing")
    names, labels = _name_classes(labels, places, class_names)
    return gather(
        files,
        [
            Found(files.find(path, place), label or None, domain or None, split or None)
            for path, label, domain, split, place in zip(paths, labels, domains, splits, places, strict=True)
        ],
        names,
    )


def _name_classes(
    labels: list[str], places: list[str], class_names: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """Return the classes in their order, and every image's by name, or '' where it is unknown."""
    given = sorted({label for label in labels if label})
    are_numbers = bool(given) and all(label.lstrip("-").isdigit() for label in given)
    if class_names is None:
        return (sorted(given, key=int) if are_numbers else given), labels
    names = [str(name) for name in class_names]
    if len(set(names)) != len(names):
        raise CosupError("class_names holds a name twice")
    if are_numbers and not set(given) <= set(names):
        for label, place in zip(labels, places, strict=True):
            if label and not 0 <= int(label) < len(names):
                raise CosupError(f"{place}: the label {label} is out of range; there are {len(names)} classes")
        return names, [names[int(label)] if label else "" for label in labels]
    for label, place in zip(labels, places, strict=True):
        if label and label not in names:
            raise CosupError(f"{place}: unknown class {label!r}.{suggest(label, names)}")
    return names, labels


def _only_table(files: Files) -> Path:
    tables = [name for name in files.files() if name.lower().endswith(TABLE_SUFFIXES)]
    if len(tables) != 1:
        raise CosupError(
            f"{files.root} holds {len(tables)} tables ({', '.join(tables) or 'csv, tsv or parquet'}); name one by table"
        )
    return files.root / tables[0]
