"""A table of texts, column by column: what CSV, parquet and data frames become before they mean anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from cosup.utils.texts import plain_text, shown
from cosup.utils.validation import CosupError, IntArray

__all__ = [
    "ID_COLUMNS",
    "MAX_COLUMNS",
    "Column",
    "Table",
    "as_text",
    "check_header",
    "check_width",
    "extension",
    "find_column",
    "is_row_number",
    "not_empty",
]

ID_COLUMNS = (
    "id", "path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "image_name", "img",
    "img_path", "image_id", "sample_id", "uid", "uuid",
)  # fmt: skip
"""Names of columns that say which sample a row is about, in this order of preference."""

MAX_COLUMNS = 65_536
"""Columns of a table: wider matrices are arrays."""

_ROW_NUMBERS = ("unnamed: 0", "__index_level_0__", "unnamed: 0.1", "level_0", "rownames", "row.names", "...1")
"""Names that pandas, R and arrow give to the numbers of rows."""

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
    fault : str
        Why the cells can't be read as names, for whoever asks for them; such a column has none.
    """

    name: str
    codes: IntArray
    values: tuple[str, ...]
    fault: str = ""

    @classmethod
    def of(cls, name: str, codes: IntArray, raw: Sequence[Any], where: Callable[[int], str] = str) -> Column:
        """Make a column of distinct values that may be of any type, blank, or equal as texts.

        `where` tells the place of a row's cell.
        """
        place: dict[str, int] = {}
        lookup = np.full(len(raw) + 1, -1, dtype=np.int32)
        for code, value in enumerate(raw):
            try:
                text = as_text(value)
            except CosupError as error:
                raise CosupError(f"{where(int(np.flatnonzero(codes == code)[0]))} {error}") from error
            if text:
                lookup[code] = place.setdefault(text, len(place))
        return cls(name, lookup[codes], tuple(place))

    def texts(self) -> tuple[str, ...]:
        """Return every row's text."""
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
        The name in messages: a file's path, "the data frame".
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

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    def number(self, row: int) -> int:
        """Return the row's number, as an editor or viewer counts."""
        return int(self.lines[row]) if self.lines is not None else row + self.first

    def where(self, row: int, column: int) -> str:
        """Say where a cell is."""
        return f"{self.source}, row {self.number(row)}, column {column + 1} ({self.names[column]!r})"

    def find(self, *names: str) -> int | None:
        """Find the position of the first of these columns that there is, whatever its case."""
        return find_column(self.names, names)

    def ids(self, place: int) -> tuple[str, ...]:
        """Read the column at `place` as the samples' ids: none blank, none twice."""
        column = self.columns[place]
        if column.fault:
            raise CosupError(column.fault)
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
                f"{self.where(row, place)}: the id {shown(column.values[code])} stands in row "
                f"{self.number(int(first[code]))} too; every sample needs an id of its own"
            )
        return column.texts()


def as_text(value: Any, join: str | None = None) -> str:
    """Write a cell's value as text: blank for what is missing, 3 for 3.0, names as they are compared.

    A list of one is that one, and an empty one is missing; of several, the texts with `join` between them.

    Raises
    ------
    CosupError
        For lists of several without `join`, mappings, infinity, bytes that are no UTF-8, and halves of surrogate pairs.
    """
    if isinstance(value, str):
        return _checked(plain_text(value))
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return ""
    if isinstance(value, list | tuple | set | np.ndarray):
        items = list(value)
        if len(items) > 1 and join is not None:
            return join.join(map(as_text, items))
        if len(items) > 1:
            raise CosupError(
                f"is {shown(value)}, {len(items)} labels for one sample; one class a sample is expected: keep the "
                "best one; or if one of them is right, nobody knows which, say so: --one-of '|' (one_of); or give "
                'probabilities ({"probabilities": {"a": 0.5, "b": 0.5}} in JSON lines)'
            )
        return as_text(items[0]) if items else ""
    if isinstance(value, Mapping):
        raise CosupError(f"is the object {shown(value)}; the name of a class, a whole number or null is expected")
    if isinstance(value, float | np.floating):
        number = float(value)
        if number != number:
            return ""
        if number in (float("inf"), float("-inf")):
            raise CosupError(f"is {number}, which is neither a name nor a whole number; leave the cell blank")
        return str(int(number)) if number == int(number) and abs(number) < 1e16 else repr(number)
    if isinstance(value, bytes):
        try:
            return _checked(plain_text(value.decode("utf-8")))
        except UnicodeDecodeError as error:
            raise CosupError(f"holds bytes that are no UTF-8 text ({value[:20]!r}); write it in UTF-8") from error
    return _checked(plain_text(str(value)))


def _checked(text: str) -> str:
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise CosupError(f"is {shown(text)}, which holds half of a surrogate pair and is no text; write it in UTF-8")
    return text


def find_column(header: Sequence[str], names: Iterable[str]) -> int | None:
    """Find the position of the first of `names` in the header, whatever its case."""
    wanted = {name.lower(): None for name in names}
    found = {text.lower(): place for place, text in enumerate(header) if text.lower() in wanted}
    return next((found[name] for name in wanted if name in found), None)


def is_row_number(name: str) -> bool:
    """Tell whether a column has the name that programs give to numbers of rows."""
    return name.lower() in _ROW_NUMBERS


def check_width(source: object, n_columns: int) -> None:
    """Raise `CosupError` for tables with more than `MAX_COLUMNS` columns."""
    if n_columns > MAX_COLUMNS:
        raise CosupError(
            f"{source} has {n_columns:,} columns; tables of up to {MAX_COLUMNS:,} are read: write a wider matrix of "
            "numbers as .npy (numpy.save), and labels as rows of task, worker, label"
        )


def check_header(source: str, header: Sequence[str]) -> None:
    """Raise `CosupError` for a column without a name, two of one name (whatever their case), or too many."""
    check_width(source, len(header))
    first: dict[str, int] = {}
    for place, text in enumerate(header):
        name = text.lower()
        if not name:
            hint = " (an index of pandas? write it by to_csv(index_label='id'))" if place == 0 else ""
            raise CosupError(f"{source}: column {place + 1} has no name in the header; name it{hint}")
        if first.setdefault(name, place) != place:
            raise CosupError(
                f"{source}: two columns are named {shown(name)} ({first[name] + 1} and {place + 1}); rename one"
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
