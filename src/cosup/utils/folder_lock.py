"""One writer a folder at a time, and nothing left of writers that died."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cosup.utils.atomic_files import drop_temporaries, finish_commit
from cosup.utils.errors import CosupError

__all__ = ["LOCK_NAME", "only_writer"]

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK_NAME = ".lock"


@contextmanager
def only_writer(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the folder's lock; the operating system drops it when this process ends, however it ends.

    A change that a dead writer had committed is finished first, and its temporary files go.

    Parameters
    ----------
    folder : Path
        Made where it is not there.
    wait : bool
        Wait for another holder, instead of raising.

    Raises
    ------
    CosupError
        If another process holds it, or the folder cannot be made, written or locked.
    """
    with _locked(folder, wait) as file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        finish_commit(folder)
        drop_temporaries(folder)
        try:
            yield
        finally:
            # Removed while it is held: a process that opened the file meanwhile sees that it is no longer the folder's.
            if sys.platform != "win32":  # open files stay there
                (folder / LOCK_NAME).unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path, wait: bool) -> Iterator[IO[str]]:
    path = folder / LOCK_NAME
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Not through a link: what the lock's file holds is overwritten.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except OSError as error:
            raise CosupError(f"{folder} cannot be made or written ({error.strerror}); name another folder") from error
        with os.fdopen(descriptor, "a+") as file:
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
            if _is_of(path, file):
                yield file
                return


def _is_of(path: Path, file: IO[str]) -> bool:
    """Tell whether the file that was locked is still the folder's: its holder may have removed it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _lock(descriptor: int, wait: bool) -> None:
    if sys.platform == "win32":
        msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
