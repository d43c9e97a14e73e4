"""Matrices of class ids or names, a column a teacher: numpy's files, Snorkel's appliers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cosup.io.labels.classes import encode_columns
from cosup.io.tables import Column, Table, as_text
from cosup.utils.validation import CosupError, IntArray

__all__ = ["MOST_CLASSES", "class_ids"]

MOST_CLASSES = 1_000_000
"""Classes that labels may have."""

SPARSE = 50
"""Times as many class ids as there are different ones: beyond this they are something else."""


def class_ids(
    matrix: Any, class_names: Sequence[str] | None, abstain: Sequence[str], source: str
) -> tuple[IntArray, tuple[str, ...], list[str]]:
    """Read a matrix as class ids: -1, NaN and the texts in `abstain` abstain.

    Parameters
    ----------
    matrix : ndarray of shape (n_samples, n_teachers), int, float, text, or objects of which None abstains
    class_names : sequence of str, optional
        Class id -> name. Default: numbers from 0 to the largest, or the names that occur.
    abstain : sequence of str
    source : str

    Returns
    -------
    ids : ndarray of int32
    class_names : tuple of str
    notes : list of str

    Raises
    ------
    CosupError
        For numbers that are no class ids, with row and column.
    """
    if matrix.dtype.kind in "OUTS":
        return encode_columns(_table(matrix, source), range(matrix.shape[1]), class_names, abstain)
    silent = np.isnan(matrix) if matrix.dtype.kind == "f" else np.zeros(matrix.shape, dtype=bool)
    for text in abstain:
        try:
            silent |= matrix == float(text)
        except ValueError:
            continue
    notes = []
    values = np.unique(matrix[~silent])
    if matrix.dtype.kind == "f":
        odd = values[~(np.isfinite(values) & (values == np.round(values)))]
        if odd.size:
            raise CosupError(
                f"{_where(matrix, source, odd[0])} is {odd[0]}; class ids are whole numbers, -1 or NaN abstains"
                + (" (probabilities have shape samples, teachers, classes)" if 0 < odd[0] < 1 else "")
            )
    if class_names is None and values.size:
        _check_gap(matrix, values, source)
    top = int(values[-1]) if values.size else 0
    names = tuple(map(str, class_names if class_names is not None else range(max(top + 1, 1))))
    if values.size and (top >= len(names) or values[0] < -1):
        bad = values[-1] if top >= len(names) else values[0]
        raise CosupError(
            f"{source}: {_described(matrix, bad)} is out of range: class ids go from 0 to {len(names) - 1}, -1 abstains"
        )
    ids = np.full(matrix.shape, -1, dtype=np.int32)  # not np.where: an unsigned matrix has no room for -1
    ids[~silent] = matrix[~silent]
    if matrix.dtype.kind == "f" and silent.any() and not abstain:
        notes.append("NaN was read as an abstention")
    return ids, names, notes


def _table(matrix: Any, source: str) -> Table:
    columns = []
    for place in range(matrix.shape[1]):
        known: dict[str, int] = {"": -1}
        codes = np.empty(len(matrix), dtype=np.int32)
        for row, value in enumerate(matrix[:, place].tolist()):
            try:
                codes[row] = known.setdefault(as_text(value), len(known) - 1)
            except CosupError as error:
                raise CosupError(f"{source}, row {row}, column {place} (counted from 0) {error}") from error
        columns.append(Column(f"teacher {place}", codes, tuple(known)[1:]))
    return Table(source, tuple(columns), first=0)


def _check_gap(matrix: Any, values: Any, source: str) -> None:
    """Raise for a largest number that is no class id, as unsigned types make 255 of -1."""
    top = int(values[-1])
    below = int(values[-2]) if len(values) > 1 else -1
    wraps = {2**bits - 1 for bits in (8, 16, 32, 64)} | {2**bits - 1 for bits in (7, 15, 31, 63)}
    if top in wraps and below < top // 2:
        raise CosupError(
            f"{source}: the class id {top} ({_where(matrix, source, values[-1])}) is the largest that its type holds, "
            f"and the next is {below}: if it was -1, which abstains, say so: --abstain {top} (abstain); if it is a "
            "class, give all classes' names: --classes (class_names)"
        )
    if top >= MOST_CLASSES or top + 1 > SPARSE * len(values) + 1000:
        raise CosupError(
            f"{source}: class ids go up to {top} ({_where(matrix, source, values[-1])}), but only {len(values)} "
            "differ; number the classes from 0 without gaps, or give names in place of ids (text)"
        )


def _where(matrix: Any, source: str, value: Any) -> str:
    row, column = np.argwhere(matrix == value)[0]
    return f"{source}, row {row}, column {column} (counted from 0)"


def _described(matrix: Any, value: Any) -> str:
    row, column = np.argwhere(matrix == value)[0]
    count = int((matrix == value).sum())
    return f"annotation {value:g} of teacher 'teacher {column}' at row {row}, column {column} ({count} in all)"
