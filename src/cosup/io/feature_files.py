"""Matrices of features in npz, parquet and CSV files, with ids and names of columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cosup.io.tables import (
    ID_COLUMNS,
    Column,
    CsvFile,
    FeatureColumns,
    Table,
    arrow_features,
    as_text,
    as_texts,
    dense_of_sparse,
    find_column,
    id_and_left_out,
    is_sparse,
    pick,
    read_npz,
    read_parquet,
)
from cosup.utils.texts import shown
from cosup.utils.validation import CosupError

__all__ = ["of_csv", "of_npz", "of_parquet"]


def of_npz(path: Path) -> FeatureColumns:
    """Read an npz file: X, and perhaps ids and names of columns; or a sparse matrix of scipy's."""
    arrays = read_npz(path)
    if is_sparse(arrays):
        return FeatureColumns(dense_of_sparse(path), None, None, ("it was read as a sparse matrix",))
    X = pick(path, {key: value for key, value in arrays.items() if key not in ("ids", "names")} or arrays, "X")
    ids = arrays.get("ids")
    columns = arrays.get("names")
    return FeatureColumns(
        X,
        None if ids is None else as_texts(path, "ids", ids, len(np.atleast_1d(X))),
        None if columns is None or X.ndim != 2 else as_texts(path, "names", columns, X.shape[1]),
    )


def of_parquet(path: Path, columns: Sequence[str] | None) -> FeatureColumns:
    """Read a parquet file; of `columns` only these, where it has them all."""
    table = read_parquet(path)
    wanted = None if columns is None else set(columns)
    if wanted is not None and wanted <= set(table.column_names):
        place = find_column(table.column_names, ID_COLUMNS)
        known = [n for at, n in enumerate(table.column_names) if n in wanted or at == place]
        table = table.select(known)
    return arrow_features(table, str(path))


def of_csv(path: Path, wanted: Sequence[str] | None) -> FeatureColumns:
    """Read a CSV or TSV file; of `wanted` columns only these, where it has them all."""
    file = CsvFile(path)
    place, left, notes = id_and_left_out(file.header)
    columns = [column for column in range(len(file.header)) if column != place and column not in left]
    if wanted is not None and set(wanted) <= set(file.header):
        columns = [column for column in columns if file.header[column] in set(wanted)]
    if not columns:
        raise CosupError(f"{path} has no column of features beside {file.header[place or 0]!r}")
    parts, ids, rows_of = [], [], []
    for rows, lines in file.blocks():
        parts.append(_numbers(file, rows, lines, columns))
        if place is not None:
            ids += [as_text(cells[place]) for cells in rows]
            rows_of.append(lines)
    names = tuple(file.header[column] for column in columns)
    checked = None if place is None else _checked_ids(file, place, ids, np.concatenate(rows_of))
    return FeatureColumns(np.concatenate(parts), checked, names, tuple(notes))


def _checked_ids(file: CsvFile, place: int, ids: list[str], lines: Any) -> tuple[str, ...]:
    known: dict[str, int] = {"": -1}
    codes = np.array([known.setdefault(name, len(known) - 1) for name in ids], dtype=np.int32)
    column = Column(file.header[place], codes, tuple(known)[1:])
    empty = tuple(Column(name, codes, ()) for name in file.header[:place])
    return Table(str(file.path), (*empty, column), lines).ids(place)


def _numbers(file: CsvFile, rows: list[list[str]], lines: Any, columns: list[int]) -> Any:
    # A row at a time: an array of texts takes the room of the longest one for each.
    out = np.empty((len(rows), len(columns)))
    for row, (cells, line) in enumerate(zip(rows, lines.tolist(), strict=True)):
        given = cells if len(columns) == len(cells) else [cells[column] for column in columns]
        try:
            out[row] = list(map(float, given))
        except ValueError:
            for column in columns:
                _number(file, cells[column].strip(), line, column)
    if not np.isfinite(out).all():
        row = int(np.flatnonzero(~np.isfinite(out).all(axis=1))[0])
        for column in columns:
            _number(file, rows[row][column].strip(), int(lines[row]), column)
    return out


def _number(file: CsvFile, text: str, line: int, column: int) -> None:
    where = f"{file.path}, row {line}, column {column + 1} ({shown(file.header[column])})"
    try:
        value = float(text)
    except ValueError as error:
        described = "blank" if not text else f"{shown(text)}, not a number"
        comma = re.fullmatch(r"-?\d*,\d+", text) is not None
        raise CosupError(
            f"{where} is {described}; fill it in or leave the sample out"
            + (" (write 1.5 for 1,5)" if comma else "")
            + (" (is the first row a header?)" if line == 2 else "")
        ) from error
    if not np.isfinite(value):
        raise CosupError(f"{where} is {text}; fill it in or leave the sample out")
