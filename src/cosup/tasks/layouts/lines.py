"""Reading the text files of data sets: lines with their numbers, and tables."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import CosupError

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")


def read_lines(file: Path) -> Iterator[tuple[str, str]]:
    """Yield the lines of a text file that are not empty, each with its place: ``(line, "FILE line 3")``."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CosupError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CosupError(f"{file} is no text file in UTF-8: {error}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield line.strip(), f"{file} line {number}"


def to_int(text: str, where: str) -> int:
    """Return the whole number that `text` is."""
    try:
        return int(text)
    except ValueError as error:
        raise CosupError(f"{where}: {text!r} is no whole number") from error


def read_table(file: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Read a CSV, TSV or parquet file.

    Returns
    -------
    columns : dict of str to list of str
        The columns' texts; missing ones are empty strings.
    places : list of str
        The place of every row, for messages.

    Raises
    ------
    CosupError
        If it cannot be read, is empty, has a column twice, or a row with another number of fields.
    """
    columns, places = _read_parquet(file) if file.suffix.lower() == ".parquet" else _read_csv(file)
    if not places:
        raise CosupError(f"{file} has no rows")
    return columns, places


def _read_csv(file: Path) -> tuple[dict[str, list[str]], list[str]]:
    rows: list[list[str]] = []
    places: list[str] = []
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter="\t" if file.suffix.lower() == ".tsv" else ",", strict=True)
            for row in reader:
                if row:
                    rows.append([field.strip() for field in row])
                    places.append(f"{file} line {reader.line_num}")
    except OSError as error:
        raise CosupError(f"{file} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CosupError(f"{file} is no table in UTF-8: {error}") from error
    if not rows:
        raise CosupError(f"{file} is empty")
    header = rows[0]
    if len(set(header)) != len(header):
        raise CosupError(f"{file} has a column twice: {', '.join(header)}")
    for row, place in zip(rows, places, strict=True):
        if len(row) != len(header):
            raise CosupError(f"{place}: it has {len(row)} fields, and the header has {len(header)}")
    return {name: [row[i] for row in rows[1:]] for i, name in enumerate(header)}, places[1:]


def _read_parquet(file: Path) -> tuple[dict[str, list[str]], list[str]]:
    purpose = f"reading {file.name}"
    arrow = import_extra("pyarrow", extra="tables", purpose=purpose)
    parquet = import_extra("pyarrow.parquet", extra="tables", purpose=purpose)
    try:
        # One file, never a folder of parts that names further files.
        table = parquet.ParquetFile(file).read()
    except (OSError, arrow.ArrowException) as error:
        raise CosupError(f"{file} cannot be read as parquet: {error}") from error
    columns = {name: [_text(value) for value in table[name].to_pylist()] for name in table.column_names}
    return columns, [f"{file} row {row}" for row in range(1, table.num_rows + 1)]


def _text(value: Any) -> str:
    # pandas stores whole numbers with gaps as floats.
    if value is None or value != value:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
