"""What long writers share: whole files, one writer a folder, and what a full disk is called."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cosup.utils.atomic_files import write_whole
from cosup.utils.validation import CosupError

__all__ = ["LOCK_NAME", "disk_errors", "only_writer", "require_space", "write_whole"]

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK_NAME = ".lock"

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


@contextmanager
def only_writer(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the folder's lock; the operating system drops it when this process ends, however it ends.

    With `wait`, another holder is waited for.

    Raises
    ------
    CosupError
        If another process holds it, or the folder cannot be made, written or locked.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK_NAME).open("a+")
    except OSError as error:
        raise CosupError(f"{folder} cannot be made or written ({error.strerror}); name another folder") from error
    with file:
        try:
            _lock(file.fileno(), wait)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise CosupError(
                    f"{folder} cannot be locked ({error.strerror}); name a folder on a local disk"
                ) from error
            file.seek(0)
            owner = file.read().strip() or "another process"
            raise CosupError(
                f"{owner} is writing to {folder} right now; wait until it has finished, or name another folder"
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        for left in folder.glob(".*.tmp"):  # of a writer that was killed while it wrote a file
            left.unlink()
        try:
            yield
        finally:
            file.truncate(0)


def _lock(descriptor: int, wait: bool) -> None:
    if sys.platform == "win32":
        msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
