"""Tables of texts, from CSV, TSV or parquet."""

from __future__ import annotations

from pathlib import Path

from cosup.io.tables.arrow import parquet_table
from cosup.io.tables.csv_files import csv_table
from cosup.io.tables.table import Table

__all__ = ["read_table"]


def read_table(path: Path) -> Table:
    """Read a CSV, TSV or parquet file as columns of texts.

    Raises
    ------
    CosupError
        For whatever is wrong with the file: what, where, what to do.
    """
    return parquet_table(path) if path.suffix.lower() in (".parquet", ".pq") else csv_table(path)
