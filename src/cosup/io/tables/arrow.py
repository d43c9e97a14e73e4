"""Parquet files and tables of pyarrow; no loop over cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cosup.io.tables.table import ID_COLUMNS, Column, Table, check_header, find_column, not_empty
from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import CosupError

__all__ = ["arrow_features", "arrow_numbers", "arrow_table", "parquet_table", "read_parquet"]


def read_parquet(path: Path) -> Any:
    """Read a parquet file as a table of pyarrow; CosupError where it is none, or has no rows."""
    arrow = import_extra("pyarrow", extra="tables", purpose=f"reading {path}")
    parquet = import_extra("pyarrow.parquet", extra="tables", purpose=f"reading {path}")
    not_empty(path)
    try:
        table = parquet.read_table(path)
    except (arrow.ArrowException, OSError) as error:
        raise CosupError(f"{path} is not a readable parquet file ({error}); write it again") from error
    check_header(str(path), table.column_names)
    if not table.num_rows:
        raise CosupError(f"{path} has columns but no rows; one row a sample is expected")
    return table


def parquet_table(path: Path) -> Table:
    """Read a parquet file of names: texts, whole numbers or truth values."""
    return arrow_table(read_parquet(path), str(path))


def arrow_table(table: Any, source: str) -> Table:
    """Take a table of pyarrow.

    Raises
    ------
    CosupError
        If a column holds neither texts nor numbers.
    """
    columns = []
    for place, name in enumerate(table.column_names):
        columns.append(_encode(table.column(place), name, f"{source}, column {place + 1} ({name!r})"))
    return Table(source, tuple(columns))


def _encode(column: Any, name: str, where: str) -> Column:
    arrow = import_extra("pyarrow", extra="tables", purpose="reading tables of pyarrow")
    kind = arrow.types
    held = column.type.value_type if kind.is_dictionary(column.type) else column.type
    if kind.is_null(held):
        return Column(name, np.full(len(column), -1, dtype=np.int32), ())
    good = (
        kind.is_string(held) or kind.is_large_string(held) or kind.is_boolean(held) or kind.is_integer(held)
        or kind.is_floating(held) or getattr(kind, "is_string_view", bool)(held)
    )  # fmt: skip
    if not good:
        raise CosupError(f"{where} has the type {held}; names (text) or whole numbers are expected: leave it out")
    if kind.is_float16(held):
        column = column.cast(arrow.float32())
    encoded = column if kind.is_dictionary(column.type) else column.dictionary_encode()
    encoded = encoded.unify_dictionaries().combine_chunks()
    if isinstance(encoded, arrow.ChunkedArray):  # older pyarrow
        encoded = encoded.chunk(0)
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    return Column.of(name, codes, encoded.dictionary.to_pylist())


def arrow_features(table: Any, source: str) -> tuple[Any, tuple[str, ...] | None]:
    """Columns of features as a matrix, see `arrow_numbers`, and the ids of the column that holds them, if one does."""
    place = find_column(table.column_names, ID_COLUMNS)
    columns = [column for column in range(table.num_columns) if column != place]
    if not columns:
        raise CosupError(f"{source} has no column of features beside {table.column_names[place or 0]!r}")
    ids = None if place is None else arrow_table(table.select([place]), source).ids(0)
    return arrow_numbers(table, columns, source), ids


def arrow_numbers(table: Any, places: list[int], source: str, *, blank: bool = False) -> Any:
    """Columns as a matrix of float32 or float64, (n_rows, n_features); one column of lists is a matrix of its own.

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
    if len(places) == 1 and (kind.is_list(first.type) or kind.is_fixed_size_list(first.type)):
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
    compute = import_extra("pyarrow.compute", extra="tables", purpose="reading tables of pyarrow")
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
