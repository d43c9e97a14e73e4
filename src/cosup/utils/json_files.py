"""JSON files that somebody else may have written: read within bounds, and wrong ones named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cosup.utils.errors import CosupError

__all__ = ["LARGEST", "parse_json", "read_json"]

LARGEST = 1 << 28
"""Bytes of a file that is read: Python's objects take some ten times as many."""


def parse_json(data: bytes | str, source: object, remedy: str) -> Any:
    """Parse JSON text.

    Parameters
    ----------
    data : bytes or str
    source : object
        The name in messages.
    remedy : str
        Advice for the case that it is wrong.

    Raises
    ------
    CosupError
        If it is no JSON, holds NaN or infinity, or is nested too deeply.
    """
    try:
        return json.loads(data, parse_constant=_refuse)
    except ValueError as error:
        raise CosupError(f"{source} is not JSON ({error}); {remedy}") from error
    except RecursionError as error:
        raise CosupError(f"{source} is nested too deeply to be read; {remedy}") from error


def read_json(path: Path, remedy: str) -> Any:
    """Read a JSON file; see `parse_json`.

    Raises
    ------
    CosupError
        As `parse_json`, or if it is no plain file, can't be read, or is larger than `LARGEST`.
    """
    try:
        if not path.is_file():
            raise CosupError(f"{path} is no file; {remedy}")
        size = path.stat().st_size
        if size > LARGEST:
            raise CosupError(f"{path} has {size / 1e6:,.0f} MB, more than any that cosup writes; {remedy}")
        data = path.read_bytes()
    except OSError as error:
        raise CosupError(f"{path} cannot be read ({error.strerror}); {remedy}") from error
    return parse_json(data, path, remedy)


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")
