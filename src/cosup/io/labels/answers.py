"""Answers one by one, as tools export them, into labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosup.io.labels.classes import encode_columns
from cosup.io.labels.sets import alternatives, check_separator, says_nothing, set_notes
from cosup.io.tables import Column, Table, as_text
from cosup.labels.checks import SUM_TOLERANCE
from cosup.labels.imported_labels import ImportedLabels
from cosup.utils.available_memory import check_memory
from cosup.utils.texts import shown
from cosup.utils.validation import CosupError, some

__all__ = ["Answer", "from_sets", "labels_of_answers"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of one teacher on one sample.

    Parameters
    ----------
    sample : object
        The sample's id: a text or whole number.
    value : object
        A class's name, a class id or a truth value; None, NaN, blank and an empty list abstain; a list of one is that
        one, of several it leaves these open (`one_of`); or a mapping of classes' names to probabilities.
    teacher : object
        Its name; blank is the one teacher of the file.
    row : int
        The place in messages: the line of the file, or the record's number.
    note : str
        Why an answer abstains where the file holds one, as in ``"were rejected"``; counted.
    detail : str
        More on this one, which is shown of the first.
    """

    sample: Any
    value: Any
    teacher: Any = ""
    row: int = 0
    note: str = ""
    detail: str = ""


@dataclass(frozen=True)
class _Answers(Table):
    """The classes that answers name, a row each: in `lines` the rows of the file."""

    def where(self, row: int, column: int) -> str:
        """Say where an answer is."""
        return f"{self.source}, row {self.number(row)}: the label"


class _Read:
    """Answers as they are read: whose, of which sample, and which classes they name."""

    def __init__(self, source: str, teacher: str, one_of: str | None) -> None:
        self.source, self.teacher, self.one_of = source, teacher, one_of
        self.samples: dict[str, int] = {}
        self.teachers: dict[str, int] = {}
        self.cells: dict[tuple[int, int], int] = {}  # (sample, teacher) -> place of the answer
        self.rows: list[int] = []
        self.values: list[Any] = []  # a text, several of which one is right, or a mapping of texts to probabilities
        self.notes: dict[str, list[Answer]] = {}
        self.repeated = 0

    def add(self, answer: Answer) -> None:
        sample = self._text(answer.sample, answer.row, "the id")
        if not sample:
            raise CosupError(f"{self.source}, row {answer.row}: the id is blank; every answer needs one")
        teacher = self._text(answer.teacher, answer.row, "the teacher") or self.teacher
        soft = isinstance(answer.value, Mapping)
        value = self._soft(answer) if soft else self._class(answer)
        if answer.note:
            self.notes.setdefault(answer.note, []).append(answer)
        cell = (
            self.samples.setdefault(sample, len(self.samples)),
            self.teachers.setdefault(teacher, len(self.teachers)),
        )
        before = self.cells.setdefault(cell, len(self.rows))
        if before != len(self.rows):
            if self.values[before] != value:
                raise CosupError(
                    f"{self.source}, row {answer.row}: {teacher!r} answers for {sample!r} in row {self.rows[before]} "
                    "too; keep one answer a teacher and sample"
                )
            self.repeated += 1
            return
        self.rows.append(answer.row)
        self.values.append(value)

    def _text(self, value: Any, row: int, what: str) -> str:
        try:
            return as_text(value)
        except CosupError as error:
            raise CosupError(f"{self.source}, row {row}: {what} {error}") from error

    def _class(self, answer: Answer) -> str | tuple[str, ...]:
        if self.one_of is None:
            return self._text(answer.value, answer.row, "the label")
        parts = [self._text(part, answer.row, "the label") for part in alternatives(answer.value, self.one_of)]
        return tuple(sorted(parts)) if len(parts) > 1 else "".join(parts)

    def _soft(self, answer: Answer) -> dict[str, float]:
        where = f"{self.source}, row {answer.row}"
        out: dict[str, float] = {}
        for name, share in answer.value.items():
            if isinstance(share, bool) or not isinstance(share, int | float | np.number) or not 0 <= share <= 1:
                raise CosupError(
                    f"{where}: the probability of {shown(name)} is {shown(share)}; a number from 0 to 1 is expected"
                )
            text = self._text(name, answer.row, "the class")
            if not text or text in out:
                raise CosupError(f"{where}: the class {shown(name)} is blank, or named twice; name every class once")
            out[text] = float(share)
        total = sum(out.values())
        if abs(total - 1) > SUM_TOLERANCE:
            raise CosupError(f"{where}: the probabilities sum to {total:.4g}, not 1; normalise them, or write null")
        return out


def labels_of_answers(
    answers: Iterable[Answer],
    source: str,
    *,
    teacher: str = "teacher",
    class_names: Sequence[str] | None = None,
    abstain: Sequence[str] = (),
    workers: Sequence[str] | None = None,
    notes: Sequence[str] = (),
    one_of: str | None = None,
) -> ImportedLabels:
    """Make labels of answers; soft ones where any answer is a distribution.

    Parameters
    ----------
    answers : iterable of Answer
    source : str
        The file's name in messages.
    teacher : str
        The name of the teacher of answers that have none.
    class_names, abstain
        As of `cosup.io.labels.read_labels`.
    workers : sequence of str, optional
        All teachers that answers may name.
    notes : sequence of str
    one_of : str, optional
        As of `read_labels`.

    Raises
    ------
    CosupError
        For what is wrong with an answer: file, row and remedy.
    """
    check_separator(one_of)
    read = _Read(source, teacher, one_of)
    for answer in answers:
        read.add(answer)
    if not read.rows:
        raise CosupError(f"{source} holds no answer; was everything exported?")
    if workers is not None:
        for name in read.teachers:
            if name not in workers:
                raise CosupError(f"{source}: {name!r} is an unknown worker; known are {some(workers, 'workers')}")
    soft = any(not isinstance(value, str) for value in read.values)
    entries = [(place, name, share) for place, value in enumerate(read.values) for name, share in _entries(value)]
    known: dict[str, int] = {"": -1}
    codes = np.array([known.setdefault(name, len(known) - 1) for _, name, _ in entries], dtype=np.int32)
    places = np.array([place for place, _, _ in entries])
    lines = np.array(read.rows)[places]
    table = _Answers(source, (Column("label", codes, tuple(known)[1:]),), lines)
    encoded, names, more = encode_columns(table, [0], class_names, abstain)
    ids = encoded[:, 0]
    is_set = np.array([isinstance(value, tuple) for value in read.values])
    mute = is_set & says_nothing(places, ids, len(is_set), len(names))
    ids = np.where(mute[places], -1, ids)
    if len(names) < 2:
        raise CosupError(
            f"{source} names {len(names)} classes ({', '.join(names) or 'every answer abstains'}); training needs at "
            "least two: where another file names the others, say all, --classes a,b (class_names)"
        )
    cells = np.array(list(read.cells), dtype=np.int64)
    shape = (len(read.samples), len(read.teachers))
    out: Any
    if soft:
        check_memory(
            4 * shape[0] * shape[1] * len(names), f"probabilities of {len(names)} classes in {source}",
            "write the most probable ones as npz (classes, probabilities: see docs)",
        )  # fmt: skip
        out = np.full((*shape, len(names)), np.nan, dtype=np.float32)
        shares = np.array([share for _, _, share in entries], dtype=np.float32)
        answers_of = cells[places[ids >= 0]]
        out[tuple(cells[np.unique(places[ids >= 0])].T)] = 0.0
        out[answers_of[:, 0], answers_of[:, 1], ids[ids >= 0]] = shares[ids >= 0]
        speaks = ~np.isnan(out[:, :, 0]).all(axis=0)
    else:
        out = np.full(shape, -1, dtype=np.int32)
        out[cells[:, 0], cells[:, 1]] = ids
        speaks = (out >= 0).any(axis=0)
    if not speaks.any():
        raise CosupError(f"{source}: no answer names a class; there is nothing to learn from")
    listed = list(read.teachers)
    told = [
        f"{len(found)} answers {note} (first in row {found[0].row}{found[0].detail and ': ' + found[0].detail}), and "
        "abstain"
        for note, found in read.notes.items()
    ]
    told += set_notes(int((is_set & ~mute).sum()), int(mute.sum()))
    if read.repeated:
        told.append(f"{read.repeated} answers repeat an earlier one of the same teacher and sample")
    if not speaks.all():
        silent = [name for name, speaks_at_all in zip(listed, speaks, strict=True) if not speaks_at_all]
        told.append(f"{some(silent, 'teachers')} never name a class, and were left out")
    return ImportedLabels(
        out[:, speaks], names, names=[name for name, named in zip(listed, speaks, strict=True) if named],
        ids=list(read.samples), source=source, notes=[*notes, *told, *more],
    )  # fmt: skip


def _entries(value: Any) -> Iterable[tuple[str, float]]:
    """Return the classes that an answer names, and their probabilities."""
    if isinstance(value, dict):
        return value.items()
    names = value if isinstance(value, tuple) else (value,)
    return ((name, 1 / len(names)) for name in names)


UNUSED = "\N{SYMBOL FOR UNIT SEPARATOR}"
"""A separator that no class's name holds."""


def from_sets(
    teachers: Mapping[str, Sequence[Any]],
    class_names: Sequence[str] | None = None,
    *,
    ids: Sequence[str] | None = None,
) -> ImportedLabels:
    """Take teachers' answers that may leave several classes open, "one of these".

    Parameters
    ----------
    teachers : mapping of teacher's name to its answers, one a sample
        A list, tuple or set of classes' names (or ids); a single name; None or an empty one abstains.
    class_names : sequence of str, optional
        Class id -> name; other names are errors then. Default: all that occur.
    ids : sequence of str, optional
        One a sample.

    Returns
    -------
    ImportedLabels
        Soft where any answer names several classes: these are equally probable. An answer of all classes abstains.

    Raises
    ------
    CosupError
        For an unknown class, teachers of different lengths: where, and what to do.

    Examples
    --------
    >>> labels = from_sets({"rule": [{"cat", "dog"}, "bird", None]})
    >>> labels.probabilities(0).tolist()
    [[0.0, 0.5, 0.5], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    lengths = {str(name): len(given) for name, given in teachers.items()}
    if not lengths or len({*lengths.values(), *(() if ids is None else (len(ids),))}) != 1:
        raise CosupError(
            "every teacher needs an answer a sample (None abstains); they have "
            + (", ".join(f"{name} {count}" for name, count in lengths.items()) or "no answers")
            + ("" if ids is None else f", for {len(ids)} ids")
        )
    labels = labels_of_answers(
        (
            Answer(row if ids is None else ids[row], sorted(value, key=str) if isinstance(value, set | frozenset)
                   else value, name, row)
            for name, given in teachers.items() for row, value in enumerate(given)
        ),
        "the answers", class_names=class_names, one_of=UNUSED,
    )  # fmt: skip
    if ids is None:
        labels.ids = None
    return labels
