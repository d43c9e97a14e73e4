"""Parquet files and tables of pyarrow; no loop over cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosup.io.tables.table import (
    ID_COLUMNS,
    Column,
    Table,
    as_text,
    check_header,
    check_width,
    find_column,
    is_row_number,
    not_empty,
)
from cosup.utils.available_memory import check_memory
from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import CosupError

__all__ = [
    "FeatureColumns",
    "arrow_features",
    "arrow_numbers",
    "arrow_table",
    "id_and_left_out",
    "is_list",
    "parquet_table",
    "partition_keys",
    "read_parquet",
]


def read_parquet(path: Path) -> Any:
    """Read a parquet file, or a folder that is partitioned (``key=value/part.parquet``), as a table of pyarrow.

    Raises
    ------
    CosupError
        Where it is none, has no rows, or too many columns, which its schema says.
    """
    arrow = import_extra("pyarrow", extra="tables", purpose=f"reading {path}")
    parquet = import_extra("pyarrow.parquet", extra="tables", purpose=f"reading {path}")
    try:
        if path.is_dir():
            table = parquet.read_table(path)
        else:
            not_empty(path)
            with parquet.ParquetFile(path) as file:
                rows, columns = file.metadata.num_rows, file.metadata.num_columns
                check_width(path, columns)
                remedy = "give fewer columns, or shards that are read one by one"
                check_memory(8 * rows * columns, f"reading {path} ({rows:,} rows, {columns:,} columns)", remedy)
                table = file.read()
    except (arrow.ArrowException, OSError, ValueError) as error:
        if isinstance(error, CosupError):
            raise
        raise CosupError(f"{path} is not a readable parquet file ({error}); write it again") from error
    check_header(str(path), table.column_names)
    if not table.num_rows:
        raise CosupError(f"{path} has columns but no rows; one row a sample is expected")
    return table


def partition_keys(folder: Path) -> list[str]:
    """Name the keys of a folder that is partitioned (``key=value/part.parquet``); none where it is not."""
    keys: dict[str, None] = {}
    for file in sorted(folder.rglob("*.parquet")):
        parts = file.relative_to(folder).parts[:-1]
        if not parts or any("=" not in part for part in parts):
            return []
        keys |= dict.fromkeys(part.partition("=")[0] for part in parts)
    return list(keys)


def parquet_table(path: Path, join: str | None = None) -> Table:
    """Read a parquet file of names: texts, whole numbers or truth values; lists as in `arrow_table`."""
    return arrow_table(read_parquet(path), str(path), join)


def arrow_table(table: Any, source: str, join: str | None = None) -> Table:
    """Take a table of pyarrow; lists of several become one text with `join` between, where that is given.

    Raises
    ------
    CosupError
        If a column holds neither texts nor numbers.
    """
    columns = []
    for place, name in enumerate(table.column_names):
        columns.append(_encode(table.column(place), name, f"{source}, column {place + 1} ({name!r})", join))
    return Table(source, tuple(columns))


def _encode(column: Any, name: str, where: str, join: str | None) -> Column:
    arrow = import_extra("pyarrow", extra="tables", purpose="reading tables of pyarrow")
    kind = arrow.types
    held = column.type.value_type if kind.is_dictionary(column.type) else column.type
    if kind.is_null(held):
        return Column(name, np.full(len(column), -1, dtype=np.int32), ())
    if is_list(column.type):
        return _of_values(column.to_pylist(), name, where, join)
    good = (
        kind.is_string(held) or kind.is_large_string(held) or kind.is_boolean(held) or kind.is_integer(held)
        or kind.is_floating(held) or getattr(kind, "is_string_view", bool)(held)
    )  # fmt: skip
    if not good:
        fault = f"{where} has the type {held}; names (text) or whole numbers are expected: leave it out"
        return Column(name, np.full(len(column), -1, dtype=np.int32), (), fault)
    if kind.is_float16(held):
        column = column.cast(arrow.float32())
    encoded = column if kind.is_dictionary(column.type) else column.dictionary_encode()
    encoded = encoded.unify_dictionaries().combine_chunks()
    if isinstance(encoded, arrow.ChunkedArray):  # older pyarrow
        encoded = encoded.chunk(0)
    # Codes may be unsigned, and have no -1 then.
    codes = encoded.indices.cast(arrow.int32()).fill_null(-1).to_numpy(zero_copy_only=False)
    return Column.of(name, codes, encoded.dictionary.to_pylist(), lambda row: f"{where}, row {row + 1}")


def _of_values(values: list[Any], name: str, where: str, join: str | None) -> Column:
    """Make a column of a Python value a row."""
    place: dict[str, int] = {"": -1}
    codes = np.empty(len(values), dtype=np.int32)
    for row, value in enumerate(values):
        try:
            codes[row] = place.setdefault(as_text(value, join), len(place) - 1)
        except CosupError as error:
            raise CosupError(f"{where}, row {row + 1} {error}") from error
    return Column(name, codes, tuple(place)[1:])


def is_list(held: Any) -> bool:
    """Tell whether a type of pyarrow is one of its lists: of any length or a fixed one, large, or viewed."""
    kind = import_extra("pyarrow", extra="tables", purpose="reading tables of pyarrow").types
    known = ("is_list", "is_large_list", "is_fixed_size_list", "is_list_view", "is_large_list_view")
    return any(getattr(kind, name, bool)(held) for name in known)


@dataclass(frozen=True, eq=False)
class FeatureColumns:
    """A matrix of features out of a table.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features)
    ids : tuple of str, or None
    names : tuple of str, or None
        Names of the columns; None where one column of lists is the matrix.
    notes : tuple of str
    """

    X: Any
    ids: tuple[str, ...] | None
    names: tuple[str, ...] | None
    notes: tuple[str, ...] = ()


def arrow_features(table: Any, source: str, aside: Sequence[str] = ()) -> FeatureColumns:
    """Read columns of features as a matrix, see `arrow_numbers`, and ids from the column that holds them, if any.

    Columns named in `aside` are left out, and so are numbers of rows.
    """
    header = table.column_names
    place, left, notes = id_and_left_out(header)
    if place is None and "__index_level_0__" in header:  # texts in an index without a name are ids
        index = header.index("__index_level_0__")
        names = arrow_table(table.select([index]), source).columns[0].values
        if len(names) == table.num_rows and not all(name.lstrip("-").isdecimal() for name in names):
            place, notes = index, ["the index without a name was read as the samples' ids"]
    left |= {column for column, name in enumerate(header) if name in aside}
    columns = [column for column in range(table.num_columns) if column != place and column not in left]
    if not columns:
        raise CosupError(f"{source} has no column of features beside {header[place or 0]!r}")
    ids = None if place is None else arrow_table(table.select([place]), source).ids(0)
    X = arrow_numbers(table, columns, source)
    one = len(columns) == 1 and is_list(table.column(columns[0]).type)
    return FeatureColumns(X, ids, None if one else tuple(header[column] for column in columns), tuple(notes))


def id_and_left_out(header: Sequence[str]) -> tuple[int | None, set[int], list[str]]:
    """Find the column of ids, and the columns that are numbers of rows; notes on both."""
    place = find_column(header, ID_COLUMNS)
    left = {column for column, name in enumerate(header) if is_row_number(name)}
    shown = ", ".join(repr(header[column]) for column in sorted(left))
    return place, left, [f"the column {shown} numbers the rows and was left out"] if left else []


def arrow_numbers(table: Any, places: list[int], source: str, *, blank: bool = False) -> Any:
    """Read columns as a float32 or float64 matrix, (n_rows, n_features); one column of lists is a whole matrix.

    With `blank`, cells may be blank and become NaN.

    Raises
    ------
    CosupError
        For columns of another type, blank cells, and lists of different lengths.
    """
    arrow = import_extra("pyarrow", extra="tables", purpose="reading tables of pyarrow")
    kind = arrow.types
    names = table.column_names

    def where(place: int) -> str:
        return f"column {place + 1} ({names[place]!r})"

    first = table.column(places[0])
    if len(places) == 1 and is_list(first.type):
        return _lists(first, f"{source}, {where(places[0])}")
    kinds = [table.column(place).type for place in places]
    for place, held in zip(places, kinds, strict=True):
        if not (kind.is_floating(held) or kind.is_integer(held) or kind.is_boolean(held)):
            raise CosupError(f"{source}, {where(place)} has the type {held}; features must be numbers: leave it out")
    narrow = all(held in (arrow.float32(), arrow.float16()) for held in kinds)
    out = np.empty((table.num_rows, len(places)), dtype=np.float32 if narrow else np.float64)
    for target, place in enumerate(places):
        column = table.column(place)
        if column.null_count and not blank:
            row = int(np.flatnonzero(column.is_null().to_numpy())[0])
            raise CosupError(f"{source}, row {row + 1}, {where(place)} is blank; fill it in or leave the sample out")
        out[:, target] = column.to_numpy()
    return out


def _lists(column: Any, where: str) -> Any:
    arrow = import_extra("pyarrow", extra="tables", purpose="reading tables of pyarrow")
    compute = import_extra("pyarrow.compute", extra="tables", purpose="reading tables of pyarrow")
    held = column.type.value_type
    if not arrow.types.is_fixed_size_list(column.type):
        column = column.cast(arrow.large_list(held))
    values = column.combine_chunks().flatten()
    if column.null_count or values.null_count or not _numeric(values):
        raise CosupError(f"{where} must hold a list of numbers in every row; some are blank, or no numbers")
    lengths = compute.list_value_length(column).to_numpy()
    bad = np.flatnonzero(lengths != lengths[0])
    if bad.size:
        raise CosupError(
            f"{where}: the list of row {int(bad[0]) + 1} has {int(lengths[bad[0]])} numbers, that of row 1 "
            f"{int(lengths[0])}; all need the same number"
        )
    return values.to_numpy(zero_copy_only=False).reshape(len(lengths), -1)


def _numeric(values: Any) -> bool:
    return str(values.type) in ("halffloat", "float", "double") or str(values.type).startswith(("int", "uint"))
