"""Files that are there whole or not at all, and several of a folder that change as one.

`replace_files` writes and syncs every new file under a temporary name first: there a full disk shows, and nothing has
changed. Then one small file, `COMMIT`, says which temporary takes whose place; it is renamed into the folder, and from
this moment on the new files count. The rest are renames, which `finish_commit` does again where a process died between
them, and which `committed_files` sees through meanwhile: a reader never writes.

A temporary is locked as long as its writer lives: one that is not is of a dead writer, and goes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

from cosup.utils.errors import CosupError

if sys.platform != "win32":
    import fcntl

__all__ = [
    "COMMIT",
    "committed_files",
    "drop_temporaries",
    "finish_commit",
    "make_writable",
    "replace_files",
    "sync_tree",
    "temporary_name",
    "write_whole",
]

COMMIT = ".commit"
"""Name of the file that says which temporaries take whose place."""

_TEMPORARY = re.compile(r"\.(?P<name>[^/\\]+)-[0-9a-f]{32}\.tmp")
_LEFT = re.compile(r"\.(?P<name>[^/\\]+)-[0-9a-f]+\.tmp")


def make_writable(folder: Path) -> None:
    """Make a folder and write to it: what can't be kept need not be computed.

    Raises
    ------
    CosupError
        If it can't be made or written.
    """
    trial = temporary_name(folder / "trial")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink(missing_ok=True)
    except OSError as error:
        raise CosupError(f"{folder} cannot be made or written ({error.strerror}); name another folder") from error


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file completely or not at all: to a temporary name beside it, flushed to the disk, then renamed."""
    if not (path.parent / COMMIT).exists():  # temporaries that it names are yet to be moved
        _drop_dead(path.parent, path.name)
    temporary = temporary_name(path)
    try:
        with contextlib.closing(_write_synced(temporary, content, path)):
            temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def replace_files(folder: Path, files: Mapping[str, str | bytes], *, remove: Iterable[str] = ()) -> None:
    """Change several files of a folder as one: whatever ends the process, all are the new ones, or none is.

    Parameters
    ----------
    folder : Path
        It must be there; one process at a time writes to it, see `cosup.utils.folder_lock.only_writer`.
    files : mapping of str to str or bytes
        Name -> content.
    remove : iterable of str
        Files and folders of an earlier state that go, where they are there.

    Raises
    ------
    OSError
        Of a full disk and the like, with the file's name; the folder is as it was.
    """
    finish_commit(folder)
    temporaries = {name: temporary_name(folder / name) for name in files}
    gone = sorted({*remove} - set(files))
    moves = {name: path.name for name, path in temporaries.items()}
    with contextlib.ExitStack() as stack:
        try:
            for name, path in temporaries.items():
                stack.enter_context(contextlib.closing(_write_synced(path, files[name], folder / name)))
            write_whole(folder / COMMIT, json.dumps({"files": moves, "removed": gone}))
        except BaseException:
            # The commit was written before the interruption: it has to be finished.
            if not (folder / COMMIT).exists():
                for path in temporaries.values():
                    path.unlink(missing_ok=True)
            raise
        finish_commit(folder)


def finish_commit(folder: Path) -> None:
    """Finish the renames of a change that was cut short; do nothing where there is none."""
    moves, removed = _read_commit(folder)
    if not (folder / COMMIT).exists():
        return
    for name, temporary in moves.items():
        if (folder / temporary).exists():
            (folder / temporary).replace(folder / name)
    for name in removed:
        _remove(folder / name)
    _sync_folder(folder)
    (folder / COMMIT).unlink()


def drop_temporaries(folder: Path) -> None:
    """Remove what dead writers left; for one who holds the folder's lock, behind `finish_commit`."""
    _drop_dead(folder)
    for left in folder.glob(".*.tmp"):
        if _LEFT.fullmatch(left.name) and left.is_dir():  # only holders of the folder's lock make these
            _remove(left)


def committed_files(folder: Path) -> dict[str, Path]:
    """Find the files of a folder by name, each where it lies: a change that was cut short behind its commit counts.

    Raises
    ------
    CosupError
        If one is a link that leads out of the folder.
    """
    moves, removed = _read_commit(folder)
    try:
        with os.scandir(folder) as entries:
            there = {entry.name: entry for entry in entries if entry.is_file()}
    except OSError:
        return {}
    places = {name: name for name in there if not name.startswith(".") and name not in removed}
    places |= {name: temporary for name, temporary in moves.items() if temporary in there}
    for name, place in places.items():
        if there[place].is_symlink() and folder.resolve() not in (folder / place).resolve().parents:
            raise CosupError(f"{folder / name} is a link out of its folder, which is not followed; copy the file there")
    return {name: folder / place for name, place in places.items()}


def _read_commit(folder: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Read the moves and removals of a commit; only plain names are obeyed, whoever wrote the file."""
    try:
        content = json.loads((folder / COMMIT).read_bytes())
        moves = {str(name): str(temporary) for name, temporary in content["files"].items()}
        removed = tuple(str(name) for name in content["removed"])
    except (FileNotFoundError, NotADirectoryError):
        return {}, ()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CosupError(
            f"{folder / COMMIT} is broken ({error}); delete it, and make the folder's files anew"
        ) from error
    strange = [name for name in (*moves, *removed) if Path(name).name != name or name.startswith(".")]
    for name, temporary in moves.items():
        found = _TEMPORARY.fullmatch(temporary)
        if found is None or found["name"] != name or (folder / temporary).is_symlink():
            strange.append(temporary)
    if strange:
        raise CosupError(f"{folder / COMMIT} names {strange[0]!r}, which no change of this folder would; delete it")
    return moves, removed


def temporary_name(path: Path) -> Path:
    """Name a file or folder beside `path` that is to take its place later; see `drop_temporaries`."""
    return path.with_name(f".{path.name}-{uuid.uuid4().hex}.tmp")


def _write_synced(temporary: Path, content: str | bytes, meant: Path) -> IO[bytes]:
    """Write a temporary to the disk; it stays locked until the file that is returned is closed."""
    rest = memoryview(content.encode() if isinstance(content, str) else content)
    file = None
    try:
        # Unbuffered: a buffer that a full disk refused would be written once more when the file is closed.
        file = _open_locked(temporary)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
        if sys.platform == "win32":  # open files are not renamed there
            file.close()
        return file
    except BaseException as error:
        if file is not None:
            file.close()
        temporary.unlink(missing_ok=True)
        # The error of a full disk has no file name.
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename = str(meant)
        raise


def _open_locked(temporary: Path) -> IO[bytes]:
    while True:
        file = temporary.open("xb", buffering=0)
        if sys.platform == "win32":
            return file
        # On a file system without locks, no process takes it for a dead writer's either.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(temporary.stat(), os.fstat(file.fileno())):
                return file
        file.close()  # another process took it for a dead writer's before it was locked


def _drop_dead(folder: Path, name: str | None = None) -> None:
    """Remove temporaries of the file `name`, or of all files, whose writers are dead."""
    with os.scandir(folder) as entries:
        found = [entry.name for entry in entries if entry.name.startswith(".") and entry.name.endswith(".tmp")]
    for left in found:
        match = _LEFT.fullmatch(left)
        if match is not None and name in (None, match["name"]):
            _drop_unlocked(folder / left)


def _drop_unlocked(left: Path) -> None:
    if sys.platform == "win32":  # an open file is not removed there
        with contextlib.suppress(PermissionError, FileNotFoundError):
            left.unlink()
        return
    if left.is_symlink() or not left.is_file():
        return
    # It can't be opened or locked: its writer lives, or may live.
    with contextlib.suppress(OSError), left.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        left.unlink()


def sync_tree(folder: Path) -> None:
    """Flush a folder to the disk, with all that is in it."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        elif path.is_dir():
            _sync_folder(path)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":  # folders have no descriptors there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
