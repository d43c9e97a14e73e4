"""Reading a user's own annotations into `TeacherLabels`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosup._validation import CosupError, suggest
from cosup.cli._tables import Table, extension, pick, read_npy, read_npz, read_table, table_ids
from cosup.teachers import TeacherLabels, TopK

NPZ_KEYS = ("annotations", "classes", "probabilities", "levels", "specialties", "names", "n_classes", "class_names")


@dataclass(frozen=True)
class LabelFile:
    """What a labels file says, before it is joined with features."""

    path: Path
    annotations: Any
    options: dict[str, Any]  # levels, specialties, names, n_classes for TeacherLabels
    class_names: tuple[str, ...]
    ids: tuple[str, ...] | None

    def make(self, order: Any) -> TeacherLabels:
        """Make the labels of the samples at `order`."""
        try:
            return TeacherLabels(self.annotations[order], **self.options)
        except CosupError as error:
            raise CosupError(f"{self.path}: {error}") from error


def read_labels(
    path: Path, *, levels: Sequence[int] | None = None, specialties: Mapping[str, Sequence[str]] | None = None
) -> LabelFile:
    """Read annotations.

    Parameters
    ----------
    path : Path
        ``.npy``: int (n, m), -1 abstains, or float (n, m, C), NaN abstains. ``.npz``: the same under
        ``annotations``, with ``levels`` (m,), ``specialties`` (m, C) bool (a row that is all true:
        everything or unknown), ``names`` (m,) and ``class_names`` (C,) where there are any. Or the k most probable
        classes, ``classes`` and ``probabilities`` (n, m, k), in place of ``annotations``. ``.csv`` or
        ``.parquet``: an optional column ``id`` and one column a teacher, class names inside, blank
        abstains.
    levels : sequence of int, optional
        Replaces what the file says.
    specialties : mapping of str to sequence of str, optional
        Teacher's name -> names of the classes that it covers; replaces what the file says.

    Raises
    ------
    CosupError
        For whatever is wrong with the file: what, where, what to do.
    """
    kind = extension(path)
    if kind in (".npy", ".npz"):
        file = _from_arrays(path, {"annotations": read_npy(path)} if kind == ".npy" else read_npz(path))
    else:
        file = _from_table(read_table(path))
    if levels is not None:
        n_teachers = file.annotations.shape[1]
        if len(levels) != n_teachers:
            raise CosupError(
                f"--levels has {len(levels)} numbers, but {path} has {n_teachers} teachers"
                f" ({', '.join(file.options['names'])}); give one a teacher, in this order"
            )
        file.options["levels"] = list(levels)
    if specialties:
        file.options["specialties"] = _specialties(file, specialties)
    return file


def _from_table(table: Table) -> LabelFile:
    ids = table_ids(table)
    places = [place for place in range(len(table.header)) if place != table.column("id")]
    if not places:
        raise CosupError(f"{table.path} has no column of a teacher beside 'id'")
    found = {cells[place] for cells in table.rows for place in places} - {""}
    if len(found) < 2:
        raise CosupError(
            f"{table.path} names {len(found)} classes ({', '.join(sorted(found)) or 'all cells are blank'}); "
            "training needs at least two"
        )
    if len(found) > max(50, len(table.rows) // 2):
        raise CosupError(
            f"{table.path} names {len(found)} different classes in {len(table.rows)} rows; is a column "
            "not a teacher's? "
            "Keep 'id' and the teachers' columns only"
        )
    # 2 before 10, when all the names are whole numbers.
    numeric = all(name.isdecimal() for name in found)
    class_names = tuple(sorted(found, key=(lambda name: (int(name), name)) if numeric else None))
    code = {name: place for place, name in enumerate(class_names)} | {"": -1}
    annotations = np.array([[code[cells[place]] for place in places] for cells in table.rows], dtype=np.int32)
    names = [table.header[place] for place in places]
    return LabelFile(table.path, annotations, {"names": names, "n_classes": len(class_names)}, class_names, ids)


def _from_arrays(path: Path, arrays: dict[str, Any]) -> LabelFile:
    unknown = sorted(set(arrays) - set(NPZ_KEYS)) if len(arrays) > 1 else []
    if unknown:
        raise CosupError(f"{path} holds an array {unknown[0]!r}.{suggest(unknown[0], NPZ_KEYS)}")
    if "classes" in arrays and "probabilities" in arrays:
        return _from_top_k(path, arrays)
    annotations = np.asarray(pick(path, arrays, "annotations"))
    if annotations.ndim == 1 and annotations.dtype.kind in "iu":
        annotations = annotations[:, None]  # a vector is one teacher's
    if annotations.ndim not in (2, 3) or annotations.dtype.kind not in "iuf" or 0 in annotations.shape:
        raise CosupError(
            f"{path}: annotations have shape {annotations.shape} and type {annotations.dtype}; they must "
            "be int (samples, "
            "teachers) with -1 for an abstention, or float (samples, teachers, classes) with rows that "
            "sum to 1"
        )
    return _with_options(path, annotations, arrays)


def _from_top_k(path: Path, arrays: dict[str, Any]) -> LabelFile:
    if "class_names" not in arrays and "n_classes" not in arrays:
        raise CosupError(f"{path}: the k most probable classes need class_names or n_classes beside them")
    n_classes = int(arrays["n_classes"]) if "n_classes" in arrays else len(np.atleast_1d(arrays["class_names"]))
    try:
        return _with_options(path, TopK(arrays["classes"], arrays["probabilities"], n_classes), arrays)
    except CosupError as error:
        raise CosupError(f"{path}: {error}") from error


def _with_options(path: Path, annotations: Any, arrays: dict[str, Any]) -> LabelFile:
    n_teachers = annotations.shape[1]
    options: dict[str, Any] = {"names": [f"teacher {place}" for place in range(n_teachers)]}
    if "names" in arrays:
        options["names"] = _texts(path, "names", arrays["names"], n_teachers)
    if "levels" in arrays:
        options["levels"] = arrays["levels"]
    n_classes = annotations.shape[2] if len(annotations.shape) == 3 else int(annotations.max()) + 1
    if "n_classes" in arrays:
        n_classes = int(arrays["n_classes"])
    elif "class_names" in arrays:
        n_classes = len(np.atleast_1d(arrays["class_names"]))
    options["n_classes"] = n_classes
    class_names = tuple(str(c) for c in range(n_classes))
    if "class_names" in arrays:
        class_names = tuple(_texts(path, "class_names", arrays["class_names"], n_classes))
    if "specialties" in arrays:
        options["specialties"] = _masks(path, arrays["specialties"], (n_teachers, n_classes))
    return LabelFile(path, annotations, options, class_names, None)


def _texts(path: Path, key: str, values: Any, length: int) -> list[str]:
    if values.shape != (length,) or values.dtype.kind != "U":
        raise CosupError(
            f"{path}: {key} must be {length} texts; its shape is {values.shape} and its type {values.dtype}"
        )
    return [str(value) for value in values]


def _masks(path: Path, values: Any, shape: tuple[int, int]) -> list[list[int] | None]:
    if values.shape != shape or values.dtype.kind != "b":
        raise CosupError(
            f"{path}: specialties must be a boolean array of shape {shape} (teachers, classes), true "
            "where a teacher covers "
            f"a class; its shape is {values.shape} and its type {values.dtype}"
        )
    return [None if row.all() else np.flatnonzero(row).tolist() for row in values]


def _specialties(file: LabelFile, given: Mapping[str, Sequence[str]]) -> list[list[int] | None]:
    names = file.options["names"]
    out: list[list[int] | None] = list(file.options.get("specialties") or [None] * len(names))
    for teacher, classes in given.items():
        if teacher not in names:
            raise CosupError(f"--specialty: {file.path} has no teacher {teacher!r}.{suggest(teacher, names)}")
        for name in classes:
            if name not in file.class_names:
                raise CosupError(
                    f"--specialty {teacher}: {file.path} has no class {name!r}.{suggest(name, file.class_names)}"
                )
        out[names.index(teacher)] = [file.class_names.index(name) for name in classes]
    return out
