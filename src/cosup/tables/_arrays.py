"""npy and npz files; never pickled ones."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from cosup._validation import CosupError
from cosup.tables._table import not_empty

__all__ = ["pick", "read_npy", "read_npz"]


def read_npy(path: Path) -> Any:
    """Read one array; never a pickled one."""
    not_empty(path)
    try:
        return np.load(path, allow_pickle=False)
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


def pick(path: Path, arrays: dict[str, Any], key: str) -> Any:
    """Take the array under `key`, or the only one there is."""
    if key in arrays:
        return arrays[key]
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    raise CosupError(f"{path} holds the arrays {', '.join(sorted(arrays)) or 'none'}; name the one to use {key!r}")
