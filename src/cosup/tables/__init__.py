"""Files of users, read as they come: CSV, TSV, parquet, npy and npz; errors name file, row, column and remedy."""

from __future__ import annotations

from pathlib import Path

from cosup.tables._arrays import pick, read_npy, read_npz
from cosup.tables._arrow import arrow_numbers, arrow_table, parquet_table, read_parquet
from cosup.tables._csv import CsvFile, csv_table
from cosup.tables._frames import frame_table
from cosup.tables._table import (
    ID_COLUMNS,
    Column,
    Table,
    as_text,
    check_header,
    extension,
    find_column,
    not_empty,
    some,
)

__all__ = [
    "ID_COLUMNS",
    "Column",
    "CsvFile",
    "Table",
    "arrow_numbers",
    "arrow_table",
    "as_text",
    "check_header",
    "csv_table",
    "extension",
    "find_column",
    "frame_table",
    "not_empty",
    "parquet_table",
    "pick",
    "read_npy",
    "read_npz",
    "read_parquet",
    "read_table",
    "some",
]


def read_table(path: Path) -> Table:
    """Read a CSV, TSV or parquet file as columns of texts.

    Raises
    ------
    CosupError
        For whatever is wrong with the file: what, where, what to do.
    """
    return parquet_table(path) if path.suffix.lower() in (".parquet", ".pq") else csv_table(path)
