"""CSV and TSV in UTF-8, read in blocks of rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cosup.io.tables.table import Column, Table, check_header, not_empty
from cosup.utils.validation import CosupError, IntArray

__all__ = ["CsvFile", "csv_table"]

BLOCK = 1 << 16
"""Rows that are turned into columns together."""


class CsvFile:
    """A CSV file with a header; commas, or where the header has none, semicolons or tabs.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    header : tuple of str

    Raises
    ------
    CosupError
        If it is empty, not UTF-8, or its header lacks a name or repeats one.
    """

    def __init__(self, path: Path) -> None:
        not_empty(path)
        self.path = path
        text = _decode(path)
        first = text.lstrip("\r\n").split("\n", 1)[0]
        separator = next((s for s in (",", "\t", ";") if s in first), ",")
        self._reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
        self.header = tuple(name.strip() for name in next(self._cells(), []))
        if not self.header:
            raise CosupError(f"{path} is empty; a header and one row a sample are expected")
        check_header(str(path), self.header)

    def blocks(self) -> Iterator[tuple[list[list[str]], IntArray]]:
        """Rows in blocks, with the line that each ends on.

        Raises
        ------
        CosupError
            For rows of another length, torn quotes, or no rows at all.
        """
        rows: list[list[str]] = []
        lines: list[int] = []
        some = False
        width = len(self.header)
        for cells in self._cells():
            if len(cells) != width:
                raise CosupError(
                    f"{self.path}, row {self._reader.line_num} has {len(cells)} cells, but the header has {width}; "
                    "every row needs one cell a column (quote text that holds a comma)"
                )
            rows.append(cells)
            lines.append(self._reader.line_num)
            if len(rows) == BLOCK:
                some = True
                yield rows, np.array(lines)
                rows, lines = [], []
        if rows:
            yield rows, np.array(lines)
        elif not some:
            raise CosupError(f"{self.path} has a header but no rows; one row a sample is expected")

    def _cells(self) -> Iterator[list[str]]:
        try:
            for cells in self._reader:
                if cells:  # an empty line is no row
                    yield cells
        except csv.Error as error:
            raise CosupError(
                f"{self.path}, row {self._reader.line_num}: {error}; check the quotes in this row"
            ) from error


def _decode(path: Path) -> str:
    data = path.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise CosupError(f"{path} is UTF-16 text, not UTF-8; save it as CSV in UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise CosupError(
            f"{path}, row {row} is not UTF-8 text (byte {error.start} is 0x{data[error.start]:02x}); save it as CSV in "
            "UTF-8 (parts of the file may be in another encoding)"
        ) from error
    if "\0" in text:
        row = text.count("\n", 0, text.index("\0")) + 1
        raise CosupError(f"{path}, row {row} holds a zero byte: this is no text; save it as CSV in UTF-8")
    return text


class _Codes(dict[str, int]):
    """Numbers texts as they are met; blank is -1."""

    def __missing__(self, text: str) -> int:
        stripped = text.strip()
        code = self[stripped] if stripped in self else len(self.known)
        if stripped not in self:
            self.known.append(stripped)
            self[stripped] = code
        self[text] = code
        return code

    def __init__(self) -> None:
        super().__init__({"": -1})
        self.known: list[str] = []


def csv_table(path: Path) -> Table:
    """Read a CSV or TSV file.

    Raises
    ------
    CosupError
        For whatever is wrong with the file: what, where, what to do.
    """
    file = CsvFile(path)
    codes = [_Codes() for _ in file.header]
    parts: list[list[IntArray]] = [[] for _ in file.header]
    lines = []
    for rows, numbers in file.blocks():
        lines.append(numbers)
        for code, part, cells in zip(codes, parts, zip(*rows, strict=True), strict=True):
            part.append(np.fromiter(map(code.__getitem__, cells), dtype=np.int32, count=len(rows)))
    columns = tuple(
        Column(name, np.concatenate(part), tuple(code.known))
        for name, code, part in zip(file.header, codes, parts, strict=True)
    )
    return Table(str(path), columns, np.concatenate(lines))
