"""Exports of tools for annotating images: one-hot tables as Roboflow's, COCO's JSON, CVAT's XML."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

import numpy as np

from cosup.io.labels.answers import Answer
from cosup.io.labels.label_file import LabelFile, register_export
from cosup.io.tables import ID_COLUMNS, Table, find_column
from cosup.utils.texts import shown
from cosup.utils.validation import CosupError

__all__ = ["one_hot_columns"]

_ONES, _ZEROS = frozenset({"1", "1.0", "true", "yes", "x"}), frozenset({"0", "0.0", "false", "no"})
ENOUGH = 4
"""Rows with a single one each by which a table is known to be one-hot."""


def one_hot_columns(table: Table) -> list[int]:
    """Find the columns of a table with a column a class, and a one in just one of them in (nearly) every row."""
    place = find_column(table.names, ID_COLUMNS)
    columns = [column for column in range(len(table.columns)) if column != place]
    if len(columns) < 2 or len(table) < ENOUGH:
        return []
    total = np.zeros(len(table), dtype=np.int64)
    for column in columns:
        held = table.columns[column]
        if held.fault or not {value.lower() for value in held.values} <= _ONES | _ZEROS or len(held.values) > 4:
            return []
        total += _ones(table, column)
    named = table.names[columns[0]].lower() not in ("true", "false") and len(columns) > 2
    single = (total == 1).mean()
    return columns if single == 1 or (named and single >= 0.9 and table.names[place or 0].lower() == "filename") else []


def _ones(table: Table, column: int) -> np.ndarray:
    held = table.columns[column]
    return np.array([*(value.lower() in _ONES for value in held.values), False])[held.codes]


def _is_one_hot(file: LabelFile) -> bool:
    columns = one_hot_columns(file.table) if file.table is not None else []
    names = {file.table.names[column] for column in columns} if file.table is not None else set()
    return bool(columns) and (file.class_names is None or names <= set(map(str, file.class_names)))


@register_export("one-hot", help="a table with a column a class and a one in each row, as Roboflow's",
                       recognises=_is_one_hot)  # fmt: skip
def read_one_hot(file: LabelFile) -> Iterator[Answer]:
    """Read the answers of the file's one teacher."""
    table = file.table
    assert table is not None
    columns = one_hot_columns(table)
    place = find_column(table.names, ID_COLUMNS)
    file.without_ids = place is None
    ids = [str(row) for row in range(len(table))] if place is None else table.ids(place)
    file.notes.append(
        f"read as one teacher's one-hot table of the classes {', '.join(table.names[c] for c in columns[:6])}"
        + (", ..." if len(columns) > 6 else "")
    )
    marks = np.column_stack([_ones(table, column) for column in columns])
    for row, marked in enumerate(marks):
        names = [table.names[columns[place]] for place in np.flatnonzero(marked)]
        yield Answer(ids[row], names, "", table.number(row))


def _is_coco(file: LabelFile) -> bool:
    return {"images", "annotations", "categories"} <= set(file.keys)


@register_export("coco", help="COCO's JSON, where every image is of one category", recognises=_is_coco)
def read_coco(file: LabelFile) -> Iterator[Answer]:
    """Read the answers of the file's one teacher: the one category of every image."""
    content = file.first
    try:
        names = {held["id"]: held["name"] for held in content["categories"]}
        files = {held["id"]: held["file_name"] for held in content["images"]}
        given: dict[object, dict[str, None]] = {image: {} for image in files}
        for held in content["annotations"]:
            given[held["image_id"]][names[held["category_id"]]] = None
    except (KeyError, TypeError) as error:
        raise CosupError(f"{file.path} is not COCO's JSON: {error} is missing; export it again") from error
    for row, (image, classes) in enumerate(given.items(), start=1):
        yield Answer(files[image], list(classes), "", row)


def read_cvat(file: LabelFile) -> Iterator[Answer]:
    """Read the answers of the file's one teacher: the tag of every image."""
    try:
        root = ElementTree.parse(file.path).getroot()  # noqa: S314 (expat bounds the growth of entities)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise CosupError(f"{file.path} is not readable XML ({error}); export it again") from error
    images = root.findall("image")
    if root.tag != "annotations" or not images:
        raise CosupError(
            f"{file.path} is not CVAT's XML for images (its root is {shown(root.tag)}); export as 'CVAT for images'"
        )
    for row, image in enumerate(images, start=1):
        tags = [tag.get("label") for tag in image.findall("tag")]
        others = {child.tag for child in image} - {"tag"}
        if not tags and others:
            raise CosupError(
                f"{file.path}, image {row} ({shown(image.get('name'))}) has {', '.join(sorted(others))} and no tag; a "
                "class for the whole image is expected: label tags, or cut the boxes out as images"
            )
        yield Answer(image.get("name"), list(dict.fromkeys(tags)), "", row)
