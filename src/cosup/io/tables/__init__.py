"""Files of users by path or URL, as they come: CSV, TSV, parquet, npy, npz; errors name file, row, column, remedy."""

from __future__ import annotations

from pathlib import Path

from cosup.io.tables.arrays import check_finite, pick, read_npy, read_npz
from cosup.io.tables.arrow import arrow_features, arrow_numbers, arrow_table, parquet_table, read_parquet
from cosup.io.tables.csv_files import CsvFile, csv_table
from cosup.io.tables.frames import frame_table
from cosup.io.tables.shards import MATRICES, Matrix, check_pairs, gather_matrix
from cosup.io.tables.table import ID_COLUMNS, Column, Table, as_text, check_header, extension, find_column, not_empty
from cosup.io.tables.urls import Place, child, fetched, files_in, name_of, place_of, unsigned

__all__ = [
    "ID_COLUMNS",
    "MATRICES",
    "Column",
    "CsvFile",
    "Matrix",
    "Place",
    "Table",
    "arrow_features",
    "arrow_numbers",
    "arrow_table",
    "as_text",
    "check_finite",
    "check_header",
    "check_pairs",
    "child",
    "csv_table",
    "extension",
    "fetched",
    "files_in",
    "find_column",
    "frame_table",
    "gather_matrix",
    "name_of",
    "not_empty",
    "parquet_table",
    "pick",
    "place_of",
    "read_npy",
    "read_npz",
    "read_parquet",
    "read_table",
    "unsigned",
]


def read_table(path: Path) -> Table:
    """Read a CSV, TSV or parquet file as columns of texts.

    Raises
    ------
    CosupError
        For whatever is wrong with the file: what, where, what to do.
    """
    return parquet_table(path) if path.suffix.lower() in (".parquet", ".pq") else csv_table(path)
