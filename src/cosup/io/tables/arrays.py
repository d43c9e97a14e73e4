"""npy and npz files; never pickled ones."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from cosup.io.tables.table import not_empty
from cosup.utils.validation import BLOCK, CosupError, not_finite

__all__ = ["check_finite", "pick", "read_npy", "read_npz"]


def read_npy(path: Path, *, mapped: bool = False) -> Any:
    """Read one array, or map it into memory; never a pickled one."""
    not_empty(path)
    try:
        return np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise CosupError(
            f"{path} is not a readable .npy file of numbers ({error}); write it with numpy.save, without objects"
        ) from error


def read_npz(path: Path) -> dict[str, Any]:
    """Read all the arrays of an npz file; never a pickled one."""
    not_empty(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, AttributeError) as error:
        raise CosupError(
            f"{path} is not a readable .npz file of numbers ({error}); write it with numpy.savez, without objects"
        ) from error


def pick(path: object, arrays: dict[str, Any], key: str) -> Any:
    """Take the array under `key`, or the only one there is."""
    if key in arrays:
        return arrays[key]
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    raise CosupError(f"{path} holds the arrays {', '.join(sorted(arrays)) or 'none'}; name the one to use {key!r}")


def check_finite(source: object, X: Any, before: int = 0) -> None:
    """Raise `CosupError` for features (n_rows, n_columns) that are not finite, after `before` rows of the same file."""
    step = max(1, BLOCK // X.shape[1])
    found: tuple[int, int] | None = None
    count = 0
    for start in range(0, len(X), step):
        bad = not_finite(X[start : start + step])
        if bad is not None:
            count += int(bad.sum())
            row, column = (int(v) for v in np.argwhere(bad)[0])
            found = found or (start + row, column)
    if found is not None:
        raise CosupError(
            f"{source}: the value at row {before + found[0]}, column {found[1]} (counted from 0) is {X[found]}, "
            f"{count} such values in all; fill them in or leave these samples out"
        )
