"""Files and folders behind URLs (s3://, gs://, https://, memory://, ...), through fsspec.

A URL is copied once when it is read, one file at a time, to the folder for temporary files, and vanishes there with
its reader: an algorithm that goes over its features a hundred times must not ask a network for them a hundred times.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

from cosup.utils.errors import CosupError
from cosup.utils.optional_imports import import_extra

__all__ = [
    "Place",
    "child",
    "fetched",
    "files_in",
    "name_of",
    "opened",
    "place_of",
    "require_room",
    "size_of",
    "unsigned",
]

Place = Path | str
"""A path on this machine, or a URL."""


def place_of(given: str | Path) -> Place:
    """Tell URLs from paths; ``file://`` is a path."""
    # A single letter is a drive.
    if isinstance(given, Path) or not re.match(r"[A-Za-z][\w+.:-]+://", given):
        return Path(given)
    if given.startswith(("file://", "local://")):
        with _words(given):
            return Path(_filesystem(given)[1])
    return given


def name_of(place: Place) -> str:
    """Return the last part of a path or URL, without the URL's query."""
    return place.name if isinstance(place, Path) else PurePosixPath(urlsplit(place).path or place).name


def unsigned(text: str) -> str:
    """Remove credentials, and query strings, which sign, from the URLs in a text, so that it may be written down.

    Names before an ``@`` stay where they are no secret: a container of Azure's, a user without a password.
    """

    def plain(found: re.Match[str]) -> str:
        scheme, name, rest, tail = found.groups(default="")
        secret = ":" in name or scheme.lower().endswith(("http://", "https://"))
        return f"{scheme}{'' if secret else name}{rest.partition('?')[0]}{tail}"

    return re.sub(r"""([A-Za-z][\w+.:-]*://)([^\s/@?]*@)?(\S*?)([,;:.)'"]*(?=\s|::|$))""", plain, text)


def child(folder: Place, name: str) -> Place:
    """Return a file in a folder."""
    return folder / name if isinstance(folder, Path) else f"{folder.rstrip('/')}/{name}"


def files_in(place: Place) -> list[Place] | None:
    """List the files of a folder, numbers in their names in the order of numbers; None where `place` is a file.

    Hidden files and those that begin with ``_``, as other programs leave them, do not count.

    Raises
    ------
    CosupError
        If there is nothing at `place`, or its file system needs a package that is not installed.
    """
    if isinstance(place, Path):
        if not place.exists():
            raise CosupError(f"{place} does not exist; check the path")
        names = [path.name for path in place.iterdir()] if place.is_dir() else None
    else:
        with _words(place):
            system, path = _filesystem(place)
            if not system.exists(path):
                raise CosupError(f"{place} does not exist; check the URL, and whether you may read it")
            names = None
            # Web servers list a folder as a page, which may name anything: only what lies in the folder counts.
            if system.isdir(path):
                inside = path.rstrip("/") + "/"
                found = [str(each).rstrip("/") for each in system.ls(path, detail=False)]
                names = [each[len(inside) :] for each in found if each.startswith(inside)]
    if names is None:
        return None
    plain = [name for name in names if name and not name.startswith((".", "_")) and "/" not in name]
    return [child(place, name) for name in sorted(plain, key=_natural)]


def _natural(name: str) -> list[Any]:
    """Sort part-2 before part-10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def size_of(place: Place) -> int | None:
    """Return the bytes of a file; None where a server does not say."""
    with _words(place):
        if isinstance(place, Path):
            return place.stat().st_size
        system, path = _filesystem(place)
        size = system.size(path)
        return None if size is None else int(size)


@contextmanager
def opened(place: Place) -> Iterator[IO[bytes]]:
    """Open a file to be read from its beginning; where it can't be, `CosupError`."""
    with _words(place):
        if isinstance(place, Path):
            file: Any = place.open("rb")
        else:
            system, path = _filesystem(place)
            file = system.open(path, "rb")
        with file:
            yield file


@contextmanager
def fetched(place: Place) -> Iterator[Path]:
    """Fetch a file to this machine while the block runs: itself, or a copy; errors name what was asked for.

    Raises
    ------
    CosupError
        If it can't be read, or the folder for temporary files has no room.
    """
    if isinstance(place, Path):
        yield place
        return
    require_room(size_of(place) or 0, place)
    with tempfile.TemporaryDirectory(prefix="cosup-") as folder:
        # Its name is kept for messages and teachers' names, but never where it lies.
        copy = Path(folder) / (re.sub(r"[^\w.-]", "_", name_of(place)).lstrip(".") or "file")
        with _words(place):
            system, path = _filesystem(place)
            system.get_file(path, str(copy))
        try:
            yield copy
        except CosupError as error:
            message = str(error).replace(str(copy), place).replace(folder, place.rpartition("/")[0])
            raise CosupError(message) from error


def require_room(needed: int, what: Place) -> None:
    """Raise `CosupError` where the folder for temporary files has less than `needed` bytes left."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CosupError(
            f"{what} needs {needed / 1e9:.2f} GB in {folder} while it is used, but there are {free / 1e9:.2f} GB left; "
            "free some space, or set TMPDIR to a folder on another disk"
        )


def _filesystem(url: str) -> tuple[Any, str]:
    fsspec = import_extra("fsspec", extra="remote", purpose=f"reading {url}")
    system, path = fsspec.core.url_to_fs(url)
    return system, str(path)


@contextmanager
def _words(place: Place) -> Iterator[None]:
    """Turn errors of a file system, of whatever type, into CosupError."""
    try:
        yield
    except CosupError:
        raise
    except FileNotFoundError as error:
        raise CosupError(f"{place} does not exist; check where it is, and whether you may read it") from error
    except ImportError as error:
        # fsspec names the package: "Install s3fs to access S3".
        raise CosupError(f"{place} needs a package that is not installed: {error}") from error
    except Exception as error:
        why = str(error) or type(error).__name__
        raise CosupError(f"{place} cannot be read: {why}; check where it is, and whether you may read it") from error
