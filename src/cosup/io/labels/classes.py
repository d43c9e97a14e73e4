"""Names of classes: found in the texts of columns, or given; and what other texts mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cosup.io.tables import Column, Table
from cosup.labels.checks import sort_names
from cosup.utils.validation import CosupError, IntArray, suggest

__all__ = ["encode_columns"]

UNCLEAR = frozenset({"nan", "none", "null", "n/a", "na", "<na>", "#n/a"})
"""Texts that programs write for what is missing; a class may have such a name only if it is said so."""


def encode_columns(
    table: Table, places: Sequence[int], class_names: Sequence[str] | None, abstain: Sequence[str]
) -> tuple[IntArray, tuple[str, ...], list[str]]:
    """Turn the texts of columns into class ids.

    Parameters
    ----------
    table : Table
    places : sequence of int
        The columns that name classes.
    class_names : sequence of str, optional
        Class id -> name. Whole numbers are then ids, if they are none of the names. Default: all that are named.
    abstain : sequence of str
        Texts that are no class, as blank is none.

    Returns
    -------
    ids : ndarray of int32, shape (n_rows, n_places)
    class_names : tuple of str
    notes : list of str

    Raises
    ------
    CosupError
        For a text that is no class: the first, with row and column.
    """
    columns = [table.columns[place] for place in places]
    used = [set(np.unique(column.codes).tolist()) - {-1} for column in columns]
    texts = {column.values[code] for column, codes in zip(columns, used, strict=True) for code in codes}
    silent = set(abstain)
    notes = []
    whole = {text for text in texts - silent if text.isdecimal()}
    if "-1" in texts and whole == texts - silent - {"-1"}:
        silent.add("-1")
        notes.append("-1 was read as an abstention")
    texts -= silent
    given = None if class_names is None else tuple(map(str, class_names))
    if given is None:
        unclear = sorted(text for text in texts if text.lower() in UNCLEAR)
        if unclear:
            raise CosupError(
                f"{_first(table, places, unclear[0])} is {unclear[0]!r}; leave the cell blank where a teacher abstains "
                f"(or say so: --abstain {unclear[0]}), or give the classes' names if one has this name"
            )
        names = sort_names(texts)
    else:
        names = given
        if texts and not texts <= set(names) and all(text.isdecimal() for text in texts):
            return *_by_id(table, places, names, silent), notes
        for text in sorted(texts - set(names)):
            raise CosupError(f"{_first(table, places, text)} names the class {text!r}.{suggest(text, names)}")
    code = {name: place for place, name in enumerate(names)}
    return _looked_up(columns, lambda text: -1 if text in silent else code[text]), names, notes


def _by_id(
    table: Table, places: Sequence[int], names: tuple[str, ...], silent: set[str]
) -> tuple[IntArray, tuple[str, ...]]:
    columns = [table.columns[place] for place in places]
    for column in columns:
        for text in column.values:
            if text not in silent and not 0 <= int(text) < len(names):
                raise CosupError(
                    f"{_first(table, places, text)} is the class id {text}, but there are {len(names)} classes: 0 to "
                    f"{len(names) - 1}"
                )
    return _looked_up(columns, lambda text: -1 if text in silent else int(text)), names


def _looked_up(columns: Sequence[Column], code: object) -> IntArray:
    out = np.empty((len(columns[0].codes), len(columns)), dtype=np.int32)
    for place, column in enumerate(columns):
        used = set(np.unique(column.codes).tolist())
        lookup = [code(text) if number in used else -1 for number, text in enumerate(column.values)]  # type: ignore[operator]
        out[:, place] = np.array([*lookup, -1], dtype=np.int32)[column.codes]
    return out


def _first(table: Table, places: Sequence[int], text: str) -> str:
    """Say where a text stands first."""
    best: tuple[int, int] | None = None
    for place in places:
        column = table.columns[place]
        if text in column.values:
            rows = np.flatnonzero(column.codes == column.values.index(text))
            if rows.size and (best is None or rows[0] < best[0]):
                best = int(rows[0]), place
    assert best is not None
    return table.where(*best)
