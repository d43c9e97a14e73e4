"""JSON: an object a line, or one array of objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cosup.io.tables.table import not_empty
from cosup.utils.texts import shown
from cosup.utils.validation import CosupError

__all__ = ["JSON_FORMATS", "read_json", "read_records"]

JSON_FORMATS = (".jsonl", ".ndjson", ".json")


def read_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read objects, one a line, or the items of one array; nothing but a line feed ends a line.

    Yields
    ------
    row : int
        The line, or the item's number from 1.
    record : dict

    Raises
    ------
    CosupError
        For what is no JSON, or no object: file and row.
    """
    not_empty(path)
    with path.open("rb") as file:
        start = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"[") or (path.suffix.lower() == ".json" and _is_one(path)):
        held = read_json(path)
        for number, record in enumerate(held if isinstance(held, list) else [held], start=1):
            yield number, _object(path, number, record)
        return
    found = False
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.strip():
                continue
            found = True
            torn = "" if raw.endswith(b"\n") else " (the file's last line is cut short: fetch it again)"
            yield number, _object(path, number, _parsed(raw, f"{path}, row {number}", torn))
    if not found:
        raise CosupError(f"{path} has no line; one JSON object a line is expected")


def read_json(path: Path) -> Any:
    """Read a file that is one JSON value.

    Raises
    ------
    CosupError
        For what is no JSON.
    """
    not_empty(path)
    return _parsed(path.read_bytes(), str(path), " (is it cut short?)")


def _is_one(path: Path) -> bool:
    """Tell whether a file is one value over several lines, rather than one a line."""
    with path.open("rb") as file:
        first = next((raw for raw in file if raw.strip()), b"")
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return True
    return False


def _parsed(raw: bytes, where: str, torn: str) -> Any:
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise CosupError(f"{where} is not UTF-8 text; write the file in UTF-8") from error
    except RecursionError as error:
        raise CosupError(f"{where} is JSON that is nested too deep; one flat object a sample is expected") from error
    except ValueError as error:
        raise CosupError(f"{where} is no JSON ({error}); one object a line{torn}") from error


def _object(path: Path, number: int, record: Any) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise CosupError(f"{path}, row {number} is no JSON object, but {shown(record)}")
    return record
