"""Texts of a user's own, with their ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cosup.io.tables import (
    ID_COLUMNS,
    JSON_FORMATS,
    CsvFile,
    as_text,
    extension,
    find_column,
    not_empty,
    read_parquet,
    read_records,
)
from cosup.utils.texts import shown
from cosup.utils.validation import CosupError, suggest

__all__ = ["read_texts"]

TEXT_FORMATS = (".csv", ".tsv", ".parquet", *JSON_FORMATS, ".txt")
TEXT_COLUMNS = ("text", "sentence", "content", "body", "message")


def read_texts(path: str | Path) -> dict[str, str]:
    """Read texts with their ids.

    Parameters
    ----------
    path : path
        ``.csv``, ``.tsv`` or ``.parquet`` with a column ``text`` (sentence, content, body, message) and perhaps
        ``id``; ``.jsonl`` with these keys; or ``.txt``, a text a line. Without ids, texts are numbered from 0.

    Returns
    -------
    dict of str to str
        Id -> text, in the file's order.

    Raises
    ------
    CosupError
        For a missing column or text, and ids that repeat: where, and what to do.
    """
    path = Path(path)
    kind = extension(path, TEXT_FORMATS)
    if kind == ".txt":
        lines = _lines(path)
        return {str(row): text for row, text in enumerate(lines)}
    if kind in JSON_FORMATS:
        return _texts_of_json(path)
    header, blocks = _columns(path)
    place = find_column(header, TEXT_COLUMNS)
    if place is None:
        raise CosupError(f"{path} has no column 'text'.{suggest('text', header)} Rename the one that holds it")
    by = find_column(header, ID_COLUMNS)
    out: dict[str, str] = {}
    rows: dict[str, int] = {}
    for row, cells in blocks:
        where = f"{path}, row {row}, column {place + 1} ({header[place]!r})"
        text = cells[place]
        if text is None or (isinstance(text, str) and not text.strip()):
            raise CosupError(f"{where} is blank; leave the sample out")
        if not isinstance(text, str):
            raise CosupError(f"{where} is {shown(text)}; a text is expected")
        name = str(len(out)) if by is None else _id(cells[by], f"{path}, row {row}, column {by + 1} ({header[by]!r})")
        if name in out:
            raise CosupError(
                f"{path}, row {row}, column {(by or 0) + 1}: the id {shown(name)} stands in row {rows[name]} too; "
                "every sample needs an id of its own"
            )
        out[name], rows[name] = text, row
    return out


def _columns(path: Path) -> tuple[Sequence[str], Iterator[tuple[int, Sequence[Any]]]]:
    """Return the names of columns, and the rows with their numbers; texts as they stand in the file."""
    if path.suffix.lower() == ".parquet":
        table = read_parquet(path)
        columns = [table.column(place).to_pylist() for place in range(table.num_columns)]
        return table.column_names, enumerate(zip(*columns, strict=True), start=1)
    file = CsvFile(path)
    return file.header, (
        (line, cells) for rows, lines in file.blocks() for line, cells in zip(lines.tolist(), rows, strict=True)
    )


def _id(value: Any, where: str) -> str:
    try:
        name = as_text(value)
    except CosupError as error:
        raise CosupError(f"{where} {error}") from error
    if not name:
        raise CosupError(f"{where}: the id is blank; every sample needs one")
    return name


def _lines(path: Path) -> list[str]:
    not_empty(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CosupError(f"{path} is not UTF-8 text (byte {error.start}); save it in UTF-8") from error
    found = [line.strip() for line in text.split("\n") if line.strip()]
    if not found:
        raise CosupError(f"{path} holds blank lines only; one text a line is expected")
    return found


def _texts_of_json(path: Path) -> dict[str, str]:
    out: dict[str, str] = {}
    for number, record in read_records(path):
        key = next((key for key in TEXT_COLUMNS if key in record), None)
        if key is None or not isinstance(record[key], str) or not record[key].strip():
            raise CosupError(f"{path}, row {number} has no 'text'; every line needs one")
        where = f"{path}, row {number}:"
        name = next((_id(record[k], f"{where} the id") for k in ID_COLUMNS if k in record), str(len(out)))
        _id(record[key], f"{where} the text")
        if name in out:
            raise CosupError(f"{path}, row {number}: the id {name!r} stands in an earlier row too")
        out[name] = record[key]
    return out
