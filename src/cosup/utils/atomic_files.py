"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from cosup.utils.errors import CosupError

__all__ = ["make_writable", "write_whole"]


def make_writable(folder: Path) -> None:
    """Make a folder and write to it: what can't be kept need not be computed.

    Raises
    ------
    CosupError
        If it can't be made or written.
    """
    trial = folder / f".{uuid.uuid4().hex}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise CosupError(f"{folder} cannot be made or written ({error.strerror}); name another folder") from error


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file completely or not at all: to a temporary name beside it, flushed to the disk, then renamed."""
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.filename is None:  # a full disk says no name
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
