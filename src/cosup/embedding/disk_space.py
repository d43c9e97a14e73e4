"""Serve long writers: name a full disk, and see whether there is room."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cosup.utils.errors import CosupError

__all__ = ["disk_errors", "require_space"]

# A quota, and a limit on the size of one file, are full disks to whoever meets them.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def disk_errors(folder: Path, kept: str) -> Iterator[None]:
    """Turn a failed write into words: what is wrong with the disk, what is kept, what to do."""
    try:
        yield
    except OSError as error:
        why = "the disk is full" if error.errno in _FULL else error.strerror or str(error)
        raise CosupError(
            f"{folder} could not be written: {why}. {kept}; free some space or correct the permissions, and the same "
            "command goes on from there"
        ) from error


def require_space(folder: Path, needed: int) -> None:
    """Raise `CosupError` where the disk of `folder` has less than `needed` bytes left: before hours of work."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CosupError(
            f"{folder} needs {needed / 1e9:.2f} GB, but its disk has {free / 1e9:.2f} GB left; free some space, or "
            "name a folder on another disk"
        )
