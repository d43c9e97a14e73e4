"""A table of texts, column by column: what CSV, parquet and data frames become before they mean anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from cosup.utils.validation import CosupError, IntArray

__all__ = ["Column", "Table", "as_text", "check_header", "extension", "find_column", "not_empty"]

ID_COLUMNS = ("id", "path", "file", "filename")
"""Names of columns that say which sample a row is about, in this order of preference."""

_REMEDIES = {
    ".xlsx": "save the sheet as CSV in UTF-8",
    ".xls": "save the sheet as CSV in UTF-8",
    ".ods": "save the sheet as CSV in UTF-8",
    ".pkl": "nothing is unpickled here: write npy, npz, csv or parquet",
    ".pickle": "nothing is unpickled here: write npy, npz, csv or parquet",
    ".pt": "write the tensor as npy: numpy.save(path, tensor.numpy())",
    ".gz": "unpack it first",
    ".zip": "unpack it first",
}


@dataclass(frozen=True)
class Column:
    """One column: every row's text as a position among the distinct texts.

    Attributes
    ----------
    name : str
    codes : ndarray of int32, shape (n_rows,)
        -1 where the cell is blank.
    values : tuple of str
        Distinct, never blank; in no order.
    """

    name: str
    codes: IntArray
    values: tuple[str, ...]

    @classmethod
    def of(cls, name: str, codes: IntArray, raw: Sequence[Any]) -> Column:
        """A column whose distinct values may still be of any type, blank, or the same text."""
        place: dict[str, int] = {}
        lookup = np.full(len(raw) + 1, -1, dtype=np.int32)
        for code, value in enumerate(raw):
            text = as_text(value)
            if text:
                lookup[code] = place.setdefault(text, len(place))
        return cls(name, lookup[codes], tuple(place))

    def texts(self) -> tuple[str, ...]:
        """Every row's text."""
        if np.array_equal(self.codes, np.arange(len(self.values))):
            return self.values
        known = (*self.values, "")
        return tuple(known[code] for code in self.codes.tolist())


@dataclass(frozen=True)
class Table:
    """Columns of equal length under different names.

    Attributes
    ----------
    source : str
        What messages call it: a file's path, "the data frame".
    columns : tuple of Column
    lines : ndarray of int, shape (n_rows,), optional
        The line of the file that each row ends on; without it, rows count from `first`.
    first : int
    """

    source: str
    columns: tuple[Column, ...]
    lines: IntArray | None = None
    first: int = 1

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.columns[0].codes)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(column.name for column in self.columns)

    def number(self, row: int) -> int:
        """The row's number, as an editor or viewer counts."""
        return int(self.lines[row]) if self.lines is not None else row + self.first

    def where(self, row: int, column: int) -> str:
        """Say where a cell is."""
        return f"{self.source}, row {self.number(row)}, column {column + 1} ({self.names[column]!r})"

    def find(self, *names: str) -> int | None:
        """Position of the first of these columns that there is, whatever its case."""
        return find_column(self.names, names)

    def ids(self, place: int) -> tuple[str, ...]:
        """Read the column at `place` as the samples' ids: none blank, none twice."""
        column = self.columns[place]
        blank = np.flatnonzero(column.codes < 0)
        if blank.size:
            raise CosupError(f"{self.where(int(blank[0]), place)}: the id is blank; every sample needs one")
        if len(column.values) < len(self):
            first = np.full(len(column.values), -1)
            # Assignment in reverse leaves every text's first row.
            first[column.codes[::-1]] = np.arange(len(self))[::-1]
            row = int(np.flatnonzero(first[column.codes] != np.arange(len(self)))[0])
            code = int(column.codes[row])
            raise CosupError(
                f"{self.where(row, place)}: the id {column.values[code]!r} stands in row "
                f"{self.number(int(first[code]))} too; every sample needs an id of its own"
            )
        return column.texts()


def as_text(value: Any) -> str:
    """Write a cell's value as text: blank for what is missing, 3 for 3.0."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float | np.floating):
        if value != value:
            return ""
        return str(int(value)) if value == int(value) else str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="strict").strip()
    return str(value).strip()


def find_column(header: Sequence[str], names: Iterable[str]) -> int | None:
    """Position of the first of `names` in the header, whatever its case."""
    lower = [text.lower() for text in header]
    return next((lower.index(name.lower()) for name in names if name.lower() in lower), None)


def check_header(source: str, header: Sequence[str]) -> None:
    """Raise `CosupError` for a column without a name, or two of one name (whatever their case)."""
    lower = [name.lower() for name in header]
    for place, name in enumerate(lower):
        if not name:
            hint = " (an index of pandas? write it by to_csv(index_label='id'))" if place == 0 else ""
            raise CosupError(f"{source}: column {place + 1} has no name in the header; name it{hint}")
        if lower.index(name) != place:
            raise CosupError(
                f"{source}: two columns are named {name!r} ({lower.index(name) + 1} and {place + 1}); rename one"
            )


def extension(path: Path | str, known: Sequence[str]) -> str:
    """Return the extension of a path or URL, or raise CosupError that lists those that are known."""
    found = PurePosixPath(str(path).partition("?")[0]).suffix.lower()
    if found not in known:
        remedy = f"; {_REMEDIES[found]}" if found in _REMEDIES else ""
        raise CosupError(f"{path} has the unknown extension {found!r}; use one of {', '.join(known)}{remedy}")
    return found


def not_empty(path: Path) -> None:
    """Raise `CosupError` for a file that is missing or has no byte."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise CosupError(f"{path} cannot be read: {error.strerror}") from error
    if path.is_dir():
        raise CosupError(f"{path} is a folder; name a file in it")
    if size == 0:
        raise CosupError(f"{path} is empty (0 bytes); was it written completely?")
