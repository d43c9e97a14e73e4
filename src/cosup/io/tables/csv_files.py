"""CSV and TSV in UTF-8, read in blocks of rows."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from cosup.io.tables.table import ID_COLUMNS, Column, Table, as_text, check_header, check_width, not_empty
from cosup.utils.texts import plain_text
from cosup.utils.validation import CosupError, IntArray

__all__ = ["CsvFile", "csv_table"]

BLOCK = 1 << 20
"""Cells that are turned into columns together."""

SEPARATORS = (",", "\t", ";", "|")
OTHERS = ("^", "~", "\x01", ":", " ")
"""Separators that are recognised in order to be refused by name."""

SAMPLE, SAMPLE_CHARACTERS = 100, 1 << 20
"""Rows by which the separator is chosen, and characters of these at the most."""

_EXCEL = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)
_BLANK_AFTER_QUOTE = r'(?<!")" +(?=[{}\r\n]|$)'


class CsvFile:
    """A CSV file with a header; separated by commas, tabs, semicolons or bars, as most of its rows agree.

    Parameters
    ----------
    path : Path
        The separator of a ``.tsv`` is the tab. A first line ``sep=;``, as Excel writes it, names the separator.

    Attributes
    ----------
    header : tuple of str
    separator : str

    Raises
    ------
    CosupError
        If it is empty, not UTF-8, or its header lacks a name or repeats one.
    """

    def __init__(self, path: Path) -> None:
        not_empty(path)
        self.path = path
        self._blanks = _check_bytes(path)
        self._skip, self.separator = self._dialect()
        self._blank_after_quote = re.compile(_BLANK_AFTER_QUOTE.format(re.escape(self.separator)))
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = self._header(self._reader(file))
        if not header:
            raise CosupError(f"{path} is empty; a header and one row a sample are expected")
        check_width(path, len(header))
        self.header = tuple(plain_text(name) for name in header)
        check_header(str(path), self.header)

    def blocks(self) -> Iterator[tuple[list[list[str]], IntArray]]:
        """Yield rows in blocks, with the line that each ends on.

        Raises
        ------
        CosupError
            For rows of another length, torn quotes, or no rows at all.
        """
        width = len(self.header)
        empty = True
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            reader = self._reader(file)
            self._header(reader)
            start = self._skip + reader.line_num
            while block := self._take(reader, max(1, BLOCK // width)):
                end = self._skip + reader.line_num
                # Most rows are one line; otherwise line ends within cells are counted, and empty lines left out.
                lines = start + (np.arange(1, len(block) + 1) if end - start == len(block) else _ends(block))
                start = end
                if not all(block):
                    lines = lines[[bool(row) for row in block]]
                    block = [row for row in block if row]
                for row, line in zip(block, lines, strict=True):
                    if len(row) != width:
                        raise CosupError(
                            f"{self.path}, row {line} has {len(row)} cells, but the header has {width}; every row "
                            f"needs one cell a column (quote text that holds a {_named(self.separator)})"
                        )
                if block:
                    empty = False
                    yield block, lines
        if empty:
            raise CosupError(f"{self.path} has a header but no rows; one row a sample is expected")

    def _reader(self, file: Iterable[str]) -> Any:
        lines = islice(file, self._skip, None)
        tidy = (self._blank_after_quote.sub('"', line) if '" ' in line else line for line in lines)
        return csv.reader(
            tidy if self._blanks else lines, strict=True, delimiter=self.separator, skipinitialspace=True
        )  # fmt: skip

    def _header(self, reader: Any) -> list[str]:
        """Find the first row that is not empty."""
        while row := self._take(reader, 1):
            if row[0]:
                return row[0]
        return []

    def _take(self, reader: Any, count: int) -> list[list[str]]:
        try:
            with _any_length():
                return list(islice(reader, count))
        except csv.Error as error:
            line = self._skip + reader.line_num
            raise CosupError(f"{self.path}, row {line}: {error}; check the quotes in this row") from error

    def _dialect(self) -> tuple[int, str]:
        """Count the lines before the header, and find the separator."""
        with _any_length():
            lines, cut = self._sample()
            start = next((place for place, line in enumerate(lines) if line.strip()), 0)
            named = _EXCEL.fullmatch(lines[start]) if lines else None
            if named is not None:
                return start + 1, named[1]
            if self.path.suffix.lower() == ".tsv":
                return 0, "\t"
            found = {separator: _widths(lines, separator, cut) for separator in SEPARATORS}
        agreed = [s for s in SEPARATORS if found[s] and found[s][0] > 1 and len(set(found[s])) == 1]
        if agreed:
            return 0, max(agreed, key=lambda s: found[s][0])
        several = [s for s in SEPARATORS if found[s] and found[s][0] > 1]
        if several:
            return 0, max(several, key=lambda s: (found[s].count(found[s][0]), -SEPARATORS.index(s)))
        for other in OTHERS if start < len(lines) and lines[start].lower().startswith(ID_COLUMNS) else ():
            counts = {line.strip().count(other) for line in lines if line.strip()}
            if len(counts) == 1 and counts != {0} and lines[start].strip().lower().split(other)[0] in ID_COLUMNS:
                raise CosupError(
                    f"{self.path} seems to be separated by {_named(other)}s, which are not read; save it with commas, "
                    "semicolons, tabs or bars"
                )
        return 0, ","

    def _sample(self) -> tuple[list[str], bool]:
        """Read the first lines, and whether there are more."""
        lines: list[str] = []
        room = SAMPLE_CHARACTERS
        for line in self._lines():
            room -= len(line)
            if len(lines) == 3 * SAMPLE or (lines and room < 0):
                return lines, True
            lines.append(line)
        return lines, False

    def _lines(self) -> Iterator[str]:
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            yield from file


def _ends(block: list[list[str]]) -> IntArray:
    """Count the line that each row ends on, from 1."""
    spans = [1 + sum(c.count("\n") + c.count("\r") - c.count("\r\n") for c in row) for row in block]
    return np.cumsum(spans)


def _widths(lines: list[str], separator: str, cut: bool) -> list[int]:
    """Count cells of every row; of a text that was cut off, a quote may be open, and the last row is not whole."""
    rows = [row for row in csv.reader(lines, delimiter=separator, skipinitialspace=True) if row]
    return [len(row) for row in (rows[:-1] if cut and len(rows) > 2 else rows)[: SAMPLE + 1]]


class _any_length:  # noqa: N801 (a context manager)
    """Lifts the limit on a cell's length, which is the whole process's, for as long as rows are read."""

    def __enter__(self) -> None:
        self.before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))

    def __exit__(self, *error: object) -> None:
        csv.field_size_limit(self.before)


def _named(separator: str) -> str:
    return {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar", " ": "blank", ":": "colon"}.get(
        separator, repr(separator)
    )


def _check_bytes(path: Path) -> bool:
    """Raise `CosupError` for what is no text in UTF-8, naming the row; return whether a blank follows a quote."""
    before, blanks = 0, False
    with path.open("rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise CosupError(f"{path} is UTF-16 text, not UTF-8; save it as CSV in UTF-8")
        file.seek(0)
        rest = b""
        while chunk := file.read(1 << 22):
            chunk = rest + chunk
            blanks = blanks or b'" ' in chunk
            if b"\0" in chunk:
                row = before + chunk.count(b"\n", 0, chunk.index(b"\0")) + 1
                raise CosupError(f"{path}, row {row} holds a zero byte: this is no text; save it as CSV in UTF-8")
            try:
                # The last bytes may be the beginning of a character.
                whole = len(chunk) - (3 if len(chunk) > 1 << 21 else 0)
                while whole < len(chunk) and chunk[whole] & 0xC0 == 0x80:
                    whole += 1
                if not chunk.isascii():
                    chunk[:whole].decode("utf-8")
            except UnicodeDecodeError as error:
                row = before + chunk.count(b"\n", 0, error.start) + 1
                raise CosupError(
                    f"{path}, row {row} is not UTF-8 text (byte {error.start} is 0x{chunk[error.start]:02x}); save it "
                    "as CSV in UTF-8 (parts of the file may be in another encoding)"
                ) from error
            rest = chunk[whole:]
            before += chunk.count(b"\n", 0, whole)
        if rest:
            _check_rest(path, rest, before)
    return blanks


def _check_rest(path: Path, rest: bytes, before: int) -> None:
    try:
        rest.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CosupError(
            f"{path}, row {before + 1} is not UTF-8 text (it ends in 0x{rest[error.start]:02x}); save it as CSV in "
            "UTF-8"
        ) from error


class _Codes(dict[str, int]):
    """Numbers texts as they are met; blank is -1."""

    def __missing__(self, text: str) -> int:
        stripped = as_text(text)
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
