"""Read the meaning of a label, in every reader alike: names of classes, class ids, abstentions, and other texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from cosup.io.tables import Column, Table
from cosup.labels.checks import sort_names
from cosup.utils.texts import code_points, plain_text, shown
from cosup.utils.validation import CosupError, IntArray, suggest

__all__ = ["encode_columns"]

UNCLEAR = frozenset({
    "nan", "-nan", "none", "null", "<null>", "(null)", "n/a", "na", "<na>", "#n/a", "#null!", "#value!", "#ref!", "nil",
    "undefined", "\\n", "nat",
})  # fmt: skip
"""Texts that programs write for what is missing; a class may have such a name only where it is named."""

DIGITS = 18
"""Most digits of a class id."""

_WHOLE = re.compile(r"(-?\d+)(\.0+)?")
_TRUTH = {"true": "True", "false": "False"}


def encode_columns(
    table: Table, places: Sequence[int], class_names: Sequence[str] | None, abstain: Iterable[str]
) -> tuple[IntArray, tuple[str, ...], list[str]]:
    """Turn the texts of columns into class ids.

    Whole numbers that were written as ``1.0`` are whole numbers, and TRUE, True and true are one class. -1 abstains,
    unless a class is named so; blank cells and the texts in `abstain` do, too.

    Parameters
    ----------
    table : Table
    places : sequence of int
        The columns that name classes.
    class_names : sequence of str, optional
        Class id -> name. Whole numbers are then ids, if they are none of the names. Default: all that are named.
    abstain : iterable of str
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
    for column in columns:
        if column.fault:
            raise CosupError(column.fault)
    used = [set(np.unique(column.codes).tolist()) - {-1} for column in columns]
    texts = {column.values[code] for column, codes in zip(columns, used, strict=True) for code in codes}
    silent = {plain_text(str(text)) for text in abstain}
    given = None if class_names is None else tuple(plain_text(str(name)) for name in class_names)
    spelling = _spelling(texts - silent, given)
    silent_numbers = {number[1] for text in silent if (number := _WHOLE.fullmatch(text))}
    named = {spelling(text) for text in texts - silent} - silent_numbers
    silent |= silent_numbers
    notes = []
    if "-1" in named and (given is None or "-1" not in given):
        silent.add("-1")
        named.discard("-1")
        notes.append("-1 was read as an abstention")
    _check_unclear(table, places, named - set(given or ()), given, spelling)
    if given is None:
        names = sort_names(named)
        code = {name: place for place, name in enumerate(names)}
    else:
        names = given
        code = {name: place for place, name in enumerate(names)}
        if named and not named <= set(names):
            if all(_WHOLE.fullmatch(text) for text in named):
                code = _ids(table, places, named, names, spelling)
            else:
                text = min(named - set(names))
                raise CosupError(
                    f"{_first(table, places, text, spelling)} names the class {code_points(text)}."
                    f"{suggest(text, names)}"
                )

    def lookup(text: str) -> int:
        if text in silent:
            return -1
        written = spelling(text)
        return -1 if written in silent else code[written]

    return _looked_up(columns, used, lookup), names, notes


def _spelling(texts: set[str], given: tuple[str, ...] | None) -> Callable[[str], str]:
    """Spell texts as classes: 1 for 1.0 where all are whole numbers, one spelling of truth values."""
    known = set(given or ())
    numbers = bool(texts) and not texts <= known and all(_WHOLE.fullmatch(text) for text in texts)
    truth = {name.lower(): name for name in given or () if name.lower() in _TRUTH}

    def write(text: str) -> str:
        if text in known:
            return text
        if numbers and (whole := _WHOLE.fullmatch(text)) is not None:
            return "0" if whole[1] == "-0" else whole[1]
        lower = text.lower()
        return truth.get(lower, _TRUTH[lower]) if lower in _TRUTH else text

    return write


def _check_unclear(
    table: Table, places: Sequence[int], named: set[str], given: tuple[str, ...] | None, spelling: Callable[[str], str]
) -> None:
    """Raise for texts that mean what is missing, and for numbers below -1."""
    for text in sorted(named):
        if text.lower() in UNCLEAR:
            raise CosupError(
                f"{_first(table, places, text, spelling)} is {text!r}; leave the cell blank where a teacher abstains "
                f"(or say so: --abstain {text}), or give the classes' names if one has this name"
            )
    if given is None and named and all(_WHOLE.fullmatch(text) for text in named):
        below = [text for text in named if text.startswith("-")]
        if below:
            raise CosupError(
                f"{_first(table, places, below[0], spelling)} is {shown(below[0])}; class ids count from 0, and -1 "
                f"abstains: if this abstains, too, say so: --abstain={below[0]} (abstain); if it is a class, give all "
                "classes' names: --classes=NAME,NAME (class_names)"
            )


def _ids(
    table: Table, places: Sequence[int], named: set[str], names: tuple[str, ...], spelling: Callable[[str], str]
) -> dict[str, int]:
    """Read class ids from texts that are whole numbers."""
    for text in sorted(named):
        if len(text) > DIGITS or not 0 <= int(text) < len(names):
            raise CosupError(
                f"{_first(table, places, text, spelling)} is the class id {shown(text).strip(chr(39))}, but there are "
                f"{len(names)} classes: 0 to {len(names) - 1}"
            )
    return {text: int(text) for text in named}


def _looked_up(columns: Sequence[Column], used: Sequence[set[int]], code: Callable[[str], int]) -> IntArray:
    out = np.empty((len(columns[0].codes), len(columns)), dtype=np.int32)
    for place, (column, codes) in enumerate(zip(columns, used, strict=True)):
        lookup = [code(text) if number in codes else -1 for number, text in enumerate(column.values)]
        out[:, place] = np.array([*lookup, -1], dtype=np.int32)[column.codes]
    return out


def _first(table: Table, places: Sequence[int], text: str, spelling: Callable[[str], str]) -> str:
    """Say where a text stands first."""
    best: tuple[int, int] | None = None
    for place in places:
        column = table.columns[place]
        for code, value in enumerate(column.values):
            if value == text or spelling(value) == text:
                rows = np.flatnonzero(column.codes == code)
                if rows.size and (best is None or rows[0] < best[0]):
                    best = int(rows[0]), place
    assert best is not None
    return table.where(*best)
