"""Models' probabilities: one file or array a teacher, one column a class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cosup.io.tables import (
    ID_COLUMNS,
    CsvFile,
    Table,
    arrow_numbers,
    arrow_table,
    extension,
    fetched,
    find_column,
    pick,
    place_of,
    read_npy,
    read_npz,
    read_parquet,
)
from cosup.labels.checks import SUM_TOLERANCE
from cosup.labels.combine import combine_labels
from cosup.labels.imported_labels import ImportedLabels
from cosup.utils.validation import CosupError, FloatArray, suggest

__all__ = ["from_probabilities"]

FORMATS = (".npy", ".npz", ".csv", ".tsv", ".parquet")


@dataclass(frozen=True)
class _Matrix:
    """One teacher's numbers, with what messages need."""

    values: FloatArray
    columns: tuple[str, ...] | None
    ids: tuple[str, ...] | None
    row: Callable[[int], str]


def from_probabilities(
    teachers: Mapping[str, Any],
    class_names: Sequence[str] | None = None,
    *,
    ids: Sequence[str] | None = None,
) -> ImportedLabels:
    """Take teachers' probabilities.

    Parameters
    ----------
    teachers : mapping of teacher's name to path, URL or array
        A file (npy, npz, csv, tsv, parquet) or an array (n_samples, n_classes). Tables have a column a class, under its
        name, and perhaps a column ``id``. A row that is blank or NaN is an abstention.
    class_names : sequence of str, optional
        Class id -> name. Default: the first table's columns. Arrays need it.
    ids : sequence of str, optional
        Ids of arrays' rows.

    Returns
    -------
    ImportedLabels
        Soft. Files with ids are joined by them.

    Raises
    ------
    CosupError
        For an unknown class, a row that does not sum to one, a part of a row missing: where, and what to do.

    Examples
    --------
    >>> import numpy as np
    >>> labels = from_probabilities({"old model": np.array([[0.9, 0.1], [0.2, 0.8]])}, ["ham", "spam"])
    >>> labels.is_soft, labels.hard().ravel().tolist()
    (True, [0, 1])
    """
    if not teachers:
        raise CosupError("there are no teachers whose probabilities could be read")
    parts = []
    for name, given in teachers.items():
        matrix = _read(given) if isinstance(given, str | Path) else _array(str(name), given, ids)
        if class_names is None and matrix.columns is None:
            raise CosupError(f"{matrix.row(-1)}: the columns have no names; say which classes they are: class_names")
        names = tuple(map(str, class_names)) if class_names is not None else matrix.columns
        assert names is not None
        parts.append(_one(str(name), matrix, names))
    return combine_labels(parts)


def _one(name: str, matrix: _Matrix, class_names: tuple[str, ...]) -> ImportedLabels:
    values = matrix.values
    columns = matrix.columns or class_names
    if values.ndim != 2 or values.shape[1] != len(columns):
        raise CosupError(
            f"{matrix.row(-1)}: probabilities have shape {values.shape}; one row a sample and one column for each of "
            f"{len(columns)} classes are expected"
        )
    for column in columns:
        if column not in class_names:
            raise CosupError(f"{matrix.row(-1)}: the column {column!r} is no class.{suggest(column, class_names)}")
    missing = np.isnan(values)
    silent = missing.all(axis=1)
    total = values.sum(axis=1, dtype=np.float64)
    wrong = ~((values >= 0) & np.isfinite(values)).all(axis=1)
    for bad, why in (
        (
            missing.any(axis=1),
            "has probabilities for some classes only; give all, or leave the row blank for an abstention",
        ),
        (wrong, "has probabilities that are negative or infinite; if these are logits, apply a softmax first"),
        (np.abs(total - 1) > SUM_TOLERANCE, "has probabilities that sum to {total:.4g}, not 1; normalise them"),
    ):
        rows = np.flatnonzero(bad & ~silent)
        if rows.size:
            complaint = why.format(total=total[rows[0]])
            raise CosupError(f"{matrix.row(int(rows[0]))} {complaint} ({rows.size} such rows)")
    if silent.all():
        raise CosupError(f"{matrix.row(-1)}: every row is blank; leave this teacher out")
    out = np.zeros((len(values), len(class_names)), dtype=values.dtype)
    out[:, [class_names.index(column) for column in columns]] = values
    out[silent] = np.nan
    return ImportedLabels(out[:, None, :], class_names, names=[name], ids=matrix.ids, source=matrix.row(-1))


def _array(name: str, given: Any, ids: Sequence[str] | None) -> _Matrix:
    values = np.asarray(given)
    if values.dtype.kind not in "fiu":
        raise CosupError(f"the probabilities of {name!r} have the type {values.dtype}; numbers are expected")
    what = f"the probabilities of {name!r}"
    return _Matrix(
        values if values.dtype.kind == "f" else values.astype(np.float64), None, None if ids is None else tuple(ids),
        lambda row: what if row < 0 else f"{what}, row {row}",
    )  # fmt: skip


def _read(given: str | Path) -> _Matrix:
    with fetched(place_of(given)) as path:
        matrix = _of_file(path)
    return replace(matrix, row=lambda row: matrix.row(row).replace(str(path), str(given)))


def _of_file(path: Path) -> _Matrix:
    kind = extension(path, FORMATS)
    if kind in (".npy", ".npz"):
        arrays = {"probabilities": read_npy(path)} if kind == ".npy" else read_npz(path)
        values = np.asarray(
            pick(path, {k: v for k, v in arrays.items() if k not in ("class_names", "ids")}, "probabilities")
        )
        if values.dtype.kind != "f":
            raise CosupError(f"{path} holds values of type {values.dtype}; probabilities must be floating")
        texts = [tuple(map(str, arrays[key])) if key in arrays else None for key in ("class_names", "ids")]
        return _Matrix(values, texts[0], texts[1], lambda row: str(path) if row < 0 else f"{path}, row {row}")
    return _read_parquet(path) if kind == ".parquet" else _read_csv(path)


def _read_csv(path: Path) -> _Matrix:
    file = CsvFile(path)
    place = find_column(file.header, ID_COLUMNS)
    columns = [column for column in range(len(file.header)) if column != place]
    values, lines, ids = [], [], []
    for rows, numbers in file.blocks():
        for cells, line in zip(rows, numbers.tolist(), strict=True):
            values.append([_number(path, line, column, file.header[column], cells[column]) for column in columns])
            ids.append("" if place is None else cells[place].strip())
        lines += numbers.tolist()
    checked = None if place is None else _ids(path, file.header, place, ids, lines)
    return _Matrix(
        np.array(values), tuple(file.header[column] for column in columns), checked,
        lambda row: str(path) if row < 0 else f"{path}, row {lines[row]}",
    )  # fmt: skip


def _ids(path: Path, header: Sequence[str], place: int, ids: list[str], lines: list[int]) -> tuple[str, ...]:
    from cosup.io.tables import Column

    known: dict[str, int] = {}
    codes = np.array([known.setdefault(text, len(known)) for text in ids])
    return Table(str(path), (Column.of(header[place], codes, tuple(known)),), np.array(lines)).ids(0)


def _number(path: Path, line: int, column: int, name: str, text: str) -> float:
    if not text.strip():
        return float("nan")
    try:
        return float(text)
    except ValueError as error:
        raise CosupError(
            f"{path}, row {line}, column {column + 1} ({name!r}) is {text[:40]!r}, not a probability; write a number, "
            "or leave the whole row blank for an abstention"
        ) from error


def _read_parquet(path: Path) -> _Matrix:
    table = read_parquet(path)
    place = find_column(table.column_names, ID_COLUMNS)
    columns = [column for column in range(table.num_columns) if column != place]
    ids = None if place is None else arrow_table(table.select([place]), str(path)).ids(0)
    return _Matrix(
        arrow_numbers(table, columns, str(path), blank=True), tuple(table.column_names[column] for column in columns),
        ids, lambda row: str(path) if row < 0 else f"{path}, row {row + 1}",
    )  # fmt: skip
