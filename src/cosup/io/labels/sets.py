"""Answers that leave several classes open, "one of these": equal probabilities of the classes that they name.

A text as ``cat|dog`` names a set where a separator is given (`one_of`); so does a list in JSON, a frame or parquet. An
answer that names every class, or an abstention beside a class, says nothing and abstains.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosup.io.labels.classes import encode_columns
from cosup.io.tables import Column, Table
from cosup.utils.available_memory import check_memory
from cosup.utils.texts import plain_text, shown
from cosup.utils.validation import CosupError, FloatArray, IntArray

__all__ = [
    "Encoded",
    "alternatives",
    "check_separator",
    "encode_answers",
    "first_parts",
    "says_nothing",
    "set_notes",
]


@dataclass(frozen=True)
class Encoded:
    """Columns of answers as numbers.

    Attributes
    ----------
    codes : ndarray of int32, shape (n_rows, n_columns)
        Class ids, or positions in `sets`; -1 abstains.
    class_names : tuple of str
    notes : list of str
    sets : tuple of tuple of int, optional
        The class ids that an answer leaves open. None: answers are class ids.
    """

    codes: IntArray
    class_names: tuple[str, ...]
    notes: list[str]
    sets: tuple[tuple[int, ...], ...] | None = None

    def annotations(self, codes: IntArray, source: str) -> Any:
        """Codes (n_samples, n_teachers) as annotations: class ids where every answer names one class, else soft."""
        if self.sets is None:
            return codes
        if all(len(its) == 1 for its in self.sets):
            return np.array([*(its[0] for its in self.sets), -1], dtype=np.int32)[codes]
        n_classes = len(self.class_names)
        check_memory(
            4 * codes.size * n_classes, f"probabilities of {n_classes} classes in {source}",
            "write the most probable ones as npz (classes, probabilities: see docs)",
        )  # fmt: skip
        return _shares(self.sets, n_classes)[codes]

    def named(self, code: int) -> str:
        """Write the classes that an answer names, for messages."""
        if code < 0:
            return "nothing"
        ids = (code,) if self.sets is None else self.sets[code]
        return repr(" or ".join(self.class_names[c] for c in ids))


def _shares(sets: Sequence[tuple[int, ...]], n_classes: int) -> FloatArray:
    """Make a row of probabilities for each set, and one of NaN for an abstention, which stands last."""
    out = np.zeros((len(sets) + 1, n_classes), dtype=np.float32)
    for row, ids in enumerate(sets):
        out[row, list(ids)] = 1 / len(ids)
    out[-1] = np.nan
    return out


def check_separator(one_of: str | None) -> None:
    """Raise `CosupError` for a separator of classes that separates nothing."""
    if one_of is not None and (not isinstance(one_of, str) or not one_of.strip() or one_of.strip().isalnum()):
        raise CosupError(
            f"the separator of classes is {shown(one_of)}; a sign that no class's name holds is expected: --one-of '|' "
            "(one_of)"
        )


def alternatives(value: Any, one_of: str) -> list[Any]:
    """Split one cell or value into the classes that it names, each once: parts of a text, or members of a list."""
    if isinstance(value, str):
        parts: Iterable[Any] = (plain_text(part) for part in value.split(one_of.strip()))
        return list(dict.fromkeys(part for part in parts if part))
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        return list(dict.fromkeys(part for item in value for part in alternatives(item, one_of)))
    return [value]


def says_nothing(answers: IntArray, ids: IntArray, n_answers: int, n_classes: int) -> Any:
    """Mark answers that name every class, or abstain by a part of theirs, (n_answers,) bool.

    `answers` and `ids` have an entry a class that an answer names: the answer's position, and the class id or -1.
    """
    named = np.bincount(answers[ids >= 0], minlength=n_answers)
    return (np.bincount(answers[ids < 0], minlength=n_answers) > 0) | (named == n_classes)


@dataclass(frozen=True)
class _Parts(Table):
    """The distinct texts of a table's columns, a row each, and the classes that they name, a column a place.

    Attributes
    ----------
    whole : Table
    origin : tuple of (int, int)
        Of every row: a column of the whole, and the text's code there.
    """

    whole: Table | None = None
    origin: tuple[tuple[int, int], ...] = ()

    def where(self, row: int, column: int) -> str:
        """Say where a text stands first."""
        assert self.whole is not None
        place, code = self.origin[row]
        return self.whole.where(int(np.flatnonzero(self.whole.columns[place].codes == code)[0]), place)


def encode_answers(
    table: Table, places: Sequence[int], class_names: Sequence[str] | None, abstain: Iterable[str],
    one_of: str | None = None,
) -> Encoded:  # fmt: skip
    """Turn the texts of columns into classes, or with a separator into sets of classes; see `encode_columns`."""
    if one_of is None:
        codes, names, notes = encode_columns(table, places, class_names, abstain)
        return Encoded(codes, names, notes + ([] if class_names is not None else _composed(names)))
    for place in places:
        if table.columns[place].fault:
            raise CosupError(table.columns[place].fault)
    origin = [(place, code) for place in places for code in range(len(table.columns[place].values))]
    counts = np.concatenate([
        np.bincount(column.codes[column.codes >= 0], minlength=len(column.values))
        for column in (table.columns[place] for place in places)
    ])  # fmt: skip
    origin = [its for its, count in zip(origin, counts, strict=True) if count]
    rows = counts[counts > 0]
    parts = [alternatives(table.columns[place].values[code], one_of) for place, code in origin]
    width = max(map(len, parts), default=1) or 1
    columns = tuple(_part(parts, at) for at in range(width))
    split = _Parts(table.source, columns, whole=table, origin=tuple(origin))
    if not origin:
        return Encoded(np.full((len(table), len(places)), -1, dtype=np.int32), tuple(class_names or ()), [], ())
    ids, names, notes = encode_columns(split, range(width), class_names, abstain)
    there = np.stack([column.codes for column in columns], axis=1) >= 0
    answers = np.nonzero(there)[0]
    mute = says_nothing(answers, ids[there], len(parts), len(names))
    several = there.sum(axis=1) > 1
    known: dict[tuple[int, ...], int] = {}
    lookup = {place: np.full(len(table.columns[place].values) + 1, -1, dtype=np.int32) for place in places}
    for at, (place, code) in enumerate(origin):
        its = tuple(sorted({int(c) for c in ids[at] if c >= 0}))
        if its and not mute[at]:
            lookup[place][code] = known.setdefault(its, len(known))
    codes = np.stack([lookup[place][table.columns[place].codes] for place in places], axis=1)
    open_ones, nothing = int(rows[several & ~mute].sum()), int(rows[several & mute].sum())
    return Encoded(codes, names, [*notes, *set_notes(open_ones, nothing)], tuple(known))


def _part(parts: Sequence[Sequence[str]], at: int) -> Column:
    """Return the texts at one place of all answers, as a column."""
    known: dict[str, int] = {}
    codes = [known.setdefault(its[at], len(known)) if at < len(its) else -1 for its in parts]
    return Column(f"class {at + 1}", np.array(codes, dtype=np.int32), tuple(known))


def set_notes(open_ones: int, nothing: int) -> list[str]:
    """Write notes on the answers that leave several classes open, and those that `says_nothing`."""
    notes = []
    if open_ones:
        notes.append(
            f"{open_ones} answers leave several classes open, and were read as equal probabilities of these; "
            "coverage and agreement count the others"
        )
    if nothing:
        notes.append(f"{nothing} answers name all classes, or an abstention among several, and abstain")
    return notes


SEPARATORS = ("|", ";", "/", ",", "+", "&")
"""Signs that may stand between classes of an answer."""


def _composed(names: Sequence[str]) -> list[str]:
    """Note of a class whose name is made of other classes' names."""
    known = set(names)
    for name in names:
        for sign in SEPARATORS:
            parts = [part.strip() for part in name.split(sign)]
            if len(parts) > 1 and known.issuperset(parts):
                return [
                    f"{shown(name)} was read as a class of its own; if it means one of {', '.join(parts)}, say so: "
                    f"--one-of '{sign}' (one_of)"
                ]
    return []


def first_parts(table: Table, one_of: str | None) -> Table:
    """Return the table with the first class only of every cell."""
    if one_of is None:
        return table
    columns = []
    for column in table.columns:
        first = [its[0] if (its := alternatives(value, one_of)) else "" for value in column.values]
        columns.append(column if column.fault else Column.of(column.name, column.codes, first))
    return Table(table.source, tuple(columns), table.lines, table.first)
