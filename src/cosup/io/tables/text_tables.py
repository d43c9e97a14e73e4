"""Tables of texts, from CSV, TSV or parquet."""

from __future__ import annotations

from pathlib import Path

from cosup.io.tables.arrow import parquet_table
from cosup.io.tables.csv_files import csv_table
from cosup.io.tables.table import Table

__all__ = ["read_table"]


def read_table(path: Path, join: str | None = None) -> Table:
    """Read a CSV, TSV or parquet file, or a partitioned folder of the latter, as columns of texts.

    A cell of several values becomes one text with `join` between them, where that is given.

    Raises
    ------
    CosupError
        For whatever is wrong with the file: what, where, what to do.
    """
    if path.is_dir() or path.suffix.lower() in (".parquet", ".pq"):
        return parquet_table(path, join)
    return csv_table(path)
