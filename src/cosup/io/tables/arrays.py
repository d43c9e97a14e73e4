"""npy and npz files; never pickled ones."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from cosup.io.tables.table import as_text, not_empty
from cosup.utils.available_memory import check_memory
from cosup.utils.slices import rows_within, slices
from cosup.utils.sparse import densified
from cosup.utils.validation import BLOCK, CosupError, not_finite

__all__ = ["as_texts", "check_finite", "dense_of_sparse", "is_sparse", "pick", "read_npy", "read_npz"]

_UNREADABLE = (ValueError, EOFError, OSError, SyntaxError, TypeError, OverflowError, MemoryError)


def read_npy(path: Path, *, mapped: bool = False) -> Any:
    """Read one array, or map it into memory; never a pickled one."""
    not_empty(path)
    try:
        return np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except _UNREADABLE as error:
        raise CosupError(
            f"{path} is not a readable .npy file of numbers ({error}); write it with numpy.save, without objects"
        ) from error


def read_npz(path: Path) -> dict[str, Any]:
    """Read all the arrays of an npz file; never a pickled one."""
    not_empty(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            # Zeros are packed to a thousandth of their size.
            size = sum(member.file_size for member in archive.zip.infolist())
            check_memory(2 * size, f"reading {path}", "give the array as npy, which is mapped and not read")
            return {key: archive[key] for key in archive.files}
    except CosupError:
        raise
    except (*_UNREADABLE, zipfile.BadZipFile, zlib.error, AttributeError, NotImplementedError, RuntimeError) as error:
        raise CosupError(
            f"{path} is not a readable .npz file of numbers ({error}); write it with numpy.savez, without objects"
        ) from error


def is_sparse(arrays: dict[str, Any]) -> bool:
    """Tell whether arrays are those of ``scipy.sparse.save_npz``."""
    return {"format", "shape", "data"} <= set(arrays)


def dense_of_sparse(path: Path) -> Any:
    """Read a matrix of ``scipy.sparse.save_npz`` as a dense one.

    Raises
    ------
    CosupError
        If it is damaged, or too large for the memory when it is dense.
    """
    from scipy import sparse

    try:
        matrix = sparse.load_npz(path)
    except (*_UNREADABLE, KeyError, NotImplementedError) as error:
        raise CosupError(
            f"{path} is not a readable sparse matrix ({error}); write it with scipy.sparse.save_npz"
        ) from (error)
    return densified(matrix, str(path))


def as_texts(path: object, key: str, values: Any, length: int) -> tuple[str, ...]:
    """Read an array of names: texts, bytes or whole numbers, as many as `length`.

    Raises
    ------
    CosupError
        For another shape or type.
    """
    if values.shape != (length,) or values.dtype.kind not in "UTSiub":
        raise CosupError(
            f"{path}: {key} must be {length} texts or whole numbers; their shape is {values.shape} and their type "
            f"{values.dtype}"
        )
    try:
        return tuple(as_text(value) for value in values.tolist())
    except CosupError as error:
        raise CosupError(f"{path}: one of {key} {error}") from error


def pick(path: object, arrays: dict[str, Any], key: str) -> Any:
    """Take the array under `key`, or the only one there is."""
    if key in arrays:
        return arrays[key]
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    raise CosupError(f"{path} holds the arrays {', '.join(sorted(arrays)) or 'none'}; name the one to use {key!r}")


def check_finite(source: object, X: Any, before: int = 0) -> None:
    """Raise `CosupError` for features (n_rows, n_columns) that are not finite, after `before` rows of the same file."""
    found: tuple[int, int] | None = None
    count = 0
    for rows in slices(len(X), rows_within(BLOCK, X.shape[1])):
        bad = not_finite(X[rows])
        if bad is not None:
            count += int(bad.sum())
            row, column = (int(v) for v in np.argwhere(bad)[0])
            found = found or (rows.start + row, column)
    if found is not None:
        raise CosupError(
            f"{source}: the value at row {before + found[0]}, column {found[1]} (counted from 0) is {X[found]}, "
            f"{count} such values in all; fill them in or leave these samples out"
        )
