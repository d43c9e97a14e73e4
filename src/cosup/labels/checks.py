"""Check annotations, levels, specialties and names; an error tells what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cosup.utils.validation import CosupError, FloatArray, IntArray, first_bad

__all__ = ["check_hard", "check_ids", "check_levels", "check_names", "check_soft", "check_specialties", "sort_names"]

SUM_TOLERANCE = 1e-3
"""Distance from one that a soft annotation's probabilities may sum to (float16 storage rounds by about this)."""


LONGEST = 1000
"""Digits of a number by which names are ordered."""

MOST_CLASSES = 2**31 - 1
"""Class ids that 32 bits hold."""


def check_names(names: Sequence[str] | None, n_teachers: int) -> tuple[str, ...]:
    """Return a name for every teacher, or raise where they are too few or repeat."""
    if names is None:
        return tuple(f"teacher {i}" for i in range(n_teachers))
    out = tuple(str(n) for n in names)
    if len(out) != n_teachers:
        raise CosupError(f"names has {len(out)} entries for {n_teachers} teachers")
    if len(set(out)) != n_teachers:
        seen: set[str] = set()
        twice = next(n for n in out if n in seen or seen.add(n))  # type: ignore[func-returns-value]
        raise CosupError(f"teachers' names must differ; {twice!r} occurs more than once")
    return out


def check_n_classes(array: np.ndarray[Any, Any], n_classes: int | None) -> int:
    if n_classes is None:
        found = array.shape[2] if array.ndim == 3 else int(array.max()) + 1
    else:
        found = int(n_classes)
        if array.ndim == 3 and array.shape[2] != found:
            raise CosupError(f"annotations have {array.shape[2]} columns of probabilities but n_classes is {found}")
    if found > MOST_CLASSES:
        raise CosupError(
            f"{found:,} classes are more than class ids of 32 bits can name; number the classes from 0 without gaps"
        )
    if array.ndim == 2 and n_classes is None and array.dtype.kind == "u":
        _check_wrapped(array, found - 1)
    if found < 2:
        raise CosupError(f"training needs at least two classes, these annotations have {max(found, 0)}")
    return found


def _check_wrapped(array: np.ndarray[Any, Any], top: int) -> None:
    """Raise where an unsigned type seems to have made its largest number of -1."""
    others = array[array != top]
    if top == int(np.iinfo(array.dtype).max) and (others.size == 0 or int(others.max()) < top // 2):
        raise CosupError(
            f"the class id {top} is the largest that {array.dtype} holds, and no other is near: if it was -1, which "
            "abstains, use a signed type, as int32; if it is a class, say how many there are (n_classes)"
        )


def check_ids(array: np.ndarray[Any, Any]) -> None:
    """Raise where class ids are no whole numbers."""
    if array.dtype.kind == "f":
        bad = ~(np.isfinite(array) & (array == np.round(array)))
        if bad.any():
            raise CosupError(
                f"class ids must be whole numbers, -1 for an abstention; first other value at {first_bad(bad)}"
            )
    elif array.dtype.kind not in "iu":
        raise CosupError(f"class ids must be integers, got dtype {array.dtype}; encode names as 0, 1, 2, ...")


def check_hard(array: np.ndarray[Any, Any], n_classes: int, names: tuple[str, ...]) -> IntArray:
    """Return hard annotations, or raise where one is neither a class nor -1."""
    bad = (array < -1) | (array >= n_classes)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise CosupError(
            f"annotation {array[row, column]:g} of teacher {names[column]!r} at {first_bad(bad)} is out of range: "
            f"class ids go from 0 to {n_classes - 1}, -1 abstains"
        )
    return np.ascontiguousarray(array, dtype=np.int32)


def check_soft(array: np.ndarray[Any, Any], names: tuple[str, ...]) -> FloatArray:
    """Return soft annotations, or raise where rows are no probabilities."""
    if array.dtype.kind != "f":
        raise CosupError(
            f"annotations of three dimensions are probabilities and must be floating, got dtype {array.dtype}"
        )
    missing = np.isnan(array)
    part = missing.any(axis=2) & ~missing.all(axis=2)
    if part.any():
        raise CosupError(
            f"probabilities with some NaN, first at {first_bad(part)} (row, teacher's column); "
            "an abstention is a row that is all NaN"
        )
    speaks = ~missing.any(axis=2)
    values = array[speaks]
    if not np.isfinite(values).all() or (values < 0).any():
        bad = (~np.isfinite(array) & ~missing) | (array < 0)
        raise CosupError(f"probabilities must be finite and not negative; first other value at {first_bad(bad)}")
    total = np.where(speaks, array.sum(axis=2, dtype=np.float64), 1.0)
    bad = np.abs(total - 1.0) > SUM_TOLERANCE
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise CosupError(
            f"probabilities of teacher {names[column]!r} at {first_bad(bad)} sum to {total[row, column]:.4g}, not 1; "
            "normalise them, or use NaN for an abstention"
        )
    return array


def check_levels(levels: ArrayLike | None, n_teachers: int) -> IntArray:
    """Return a level for every teacher, or raise where levels are no whole numbers from 0 without a gap."""
    if levels is None:
        return np.zeros(n_teachers, dtype=np.int64)
    out = np.asarray(levels)
    if out.shape != (n_teachers,):
        raise CosupError(f"levels must have one entry a teacher: shape ({n_teachers},), got {out.shape}")
    if out.dtype.kind not in "iuf" or not np.array_equal(out, np.round(out)) or (out < 0).any():
        raise CosupError(f"levels must be whole numbers from 0 up, got {out.tolist()}")
    out = out.astype(np.int64)
    gaps = sorted(set(range(int(out.max()) + 1)) - set(out.tolist()))
    if gaps:
        raise CosupError(
            f"nobody is at level {gaps[0]}: levels go from 0 (the generalists) up without a gap, got {out.tolist()}"
        )
    return out


def check_specialties(
    specialties: Sequence[Iterable[int] | None] | None,
    n_teachers: int,
    n_classes: int,
    names: tuple[str, ...],
) -> tuple[IntArray | None, ...]:
    """Return the classes that each teacher covers, or raise where one is no class."""
    if specialties is None:
        return (None,) * n_teachers
    if not isinstance(specialties, Iterable) or isinstance(specialties, str):
        raise CosupError(f"specialties must have an entry a teacher, a set of class ids or None, got {specialties!r}")
    given = list(specialties)
    if len(given) != n_teachers:
        raise CosupError(f"specialties has {len(given)} entries for {n_teachers} teachers; use None for unknown")
    out: list[IntArray | None] = []
    for name, classes in zip(names, given, strict=True):
        if classes is None:
            out.append(None)
            continue
        if not isinstance(classes, Iterable):
            raise CosupError(f"the specialty of teacher {name!r} must be a set of class ids or None, got {classes!r}")
        ids = np.unique(np.asarray(list(classes)))
        if ids.size == 0:
            raise CosupError(f"the specialty of teacher {name!r} is empty; use None if it is unknown")
        if ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() >= n_classes:
            raise CosupError(
                f"the specialty of teacher {name!r} must be class ids from 0 to {n_classes - 1}, got {ids.tolist()}"
            )
        out.append(ids.astype(np.int64))
    return tuple(out)


def sort_names(names: Iterable[str]) -> tuple[str, ...]:
    """Order names: 2 before 10, when all are whole numbers."""
    found = list(names)
    numeric = all(name.isdecimal() and len(name) < LONGEST for name in found)
    return tuple(sorted(found, key=(lambda name: (int(name), name)) if numeric else None))
