"""The folder of a fit: its files are replaced together, and each holds the id of its fit."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from cosup.utils.atomic_files import committed_files, replace_files
from cosup.utils.errors import CosupError
from cosup.utils.json_files import parse_json, read_json

__all__ = ["AGAIN", "FIT", "FIT_FILES", "check_one_fit", "find_file", "once_more", "read_fit_json", "write_fit"]

FIT = "fit"
"""The key of the fit's id in every JSON file of a fit; in the page it stands in a comment."""

FIT_FILES = ("model.json", "provenance.json", "history.json", "estimates.json", "fit.json", "timings.json")
"""Files that are compared when one of them is read. Arrays and tables have their checksums in these."""

AGAIN = "fit the model again"
_TRIES = 3

T = TypeVar("T")


def write_fit(
    folder: Path, files: Mapping[str, str | bytes], *, measured: Mapping[str, str] | None = None,
    remove: Iterable[str] = (),
) -> str:  # fmt: skip
    """Write the files of a fit into its folder, all or none, with the fit's id in each.

    Parameters
    ----------
    folder : Path
    files : mapping of str to str or bytes
        Name -> content. JSON files hold a mapping or a list of mappings.
    measured : mapping of str to str, optional
        JSON files that hold times: they have the id, and no part in it.
    remove : iterable of str
        Names of an earlier fit's files that this one has not.

    Returns
    -------
    str
        The id: made of the contents, so that equal fits have equal ids, and equal bytes.
    """
    digest = hashlib.sha256()
    for name in sorted(files):
        content = files[name]
        data = content.encode() if isinstance(content, str) else content
        digest.update(f"{name} {len(data)}\n".encode())
        digest.update(data)
    fit = digest.hexdigest()[:16]
    stamped = {name: _stamped(name, content, fit) for name, content in {**files, **(measured or {})}.items()}
    replace_files(folder, stamped, remove=remove)
    return fit


def _stamped(name: str, content: str | bytes, fit: str) -> str | bytes:
    if name.endswith(".html"):
        return f"{content if isinstance(content, str) else content.decode()}<!-- fit {fit} -->\n"
    if not name.endswith(".json"):
        return content
    held = parse_json(content, name, AGAIN)
    marked: Any = [{FIT: fit, **item} for item in held] if isinstance(held, list) else {FIT: fit, **held}
    return json.dumps(marked, indent=1, allow_nan=False) + "\n"


def find_file(folder: Path, name: str) -> Path | None:
    """Find a file of the folder, None where it is missing. See `cosup.utils.atomic_files.committed_files`."""
    return committed_files(folder).get(name)


def read_fit_json(folder: Path, name: str) -> Any:
    """Read a JSON file of a fit, without the fit's id; None where it is not there.

    Raises
    ------
    CosupError
        If it is no JSON, or of another fit than the files beside it.
    """

    def read() -> Any:
        path = find_file(folder, name)
        if path is None:
            return None
        check_one_fit(folder)
        content = read_json(path, AGAIN)
        for item in content if isinstance(content, list) else [content]:
            if isinstance(item, dict):
                item.pop(FIT, None)
        return content

    return once_more(folder, read)


def check_one_fit(folder: Path) -> None:
    """Compare the fit's id in all JSON files of a folder.

    Raises
    ------
    CosupError
        If they are of two fits: files were copied, or a model was saved into the folder of another.
    """
    files = committed_files(folder)
    found = {name: _fit_of(read_json(files[name], AGAIN)) for name in FIT_FILES if name in files}
    if len(set(found.values())) > 1:
        first, *others = found
        other = next(name for name in others if found[name] != found[first])
        raise CosupError(
            f"{folder} is a mixture: {first} and {other} are of two fits; fit again into this folder, or copy the "
            "whole folder of one fit"
        )


def _fit_of(content: Any) -> str | None:
    held = content[0] if isinstance(content, list) and content else content
    fit = held.get(FIT) if isinstance(held, dict) else None
    return None if fit is None else str(fit)


def once_more(folder: Path, read: Callable[[], T]) -> T:
    """Call a function that reads a folder, and again where it failed while somebody wrote to the folder.

    Raises
    ------
    CosupError
        As the function.
    """
    for _ in range(_TRIES):
        before = _state(folder)
        try:
            return read()
        except (CosupError, FileNotFoundError):
            if _state(folder) == before:
                raise
    return read()


def _state(folder: Path) -> list[tuple[str, int, int]]:
    """List names, inodes and times of the folder's files, which change when files are replaced."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                stat = entry.stat(follow_symlinks=False)
                found.append((entry.name, stat.st_ino, stat.st_mtime_ns))
    except FileNotFoundError:  # it was removed between two looks
        found.append(("", -1, -1))
    except NotADirectoryError:
        return []
    return sorted(found)
