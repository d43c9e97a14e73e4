"""A file of labels as readers of tools' exports see it, and their registry.

A form that a tool exports is read by a function from a `LabelFile` to `Answer`s, under `register_export`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from cosup.io.labels.answers import Answer
from cosup.io.tables import JSON_FORMATS, Table, read_records, read_table
from cosup.utils.registry import Registry
from cosup.utils.validation import CosupError, some, suggest

__all__ = ["EXPORTS", "Export", "LabelFile", "register_export"]

TABLES = (".csv", ".tsv", ".parquet", ".pq")


@dataclass
class LabelFile:
    """A file of labels as formats see it.

    Attributes
    ----------
    path : Path
    id, label : str or None
        The options of `cosup.io.labels.read_labels`: which column or question is meant where there are several.
    class_names : sequence of str, or None
    one_of : str or None
        The option of `cosup.io.labels.read_labels`.
    notes : list of str
        Remarks for the user; a format adds to them.
    without_ids : bool
        Whether answers' samples are but the numbers of rows, in the order of the features; a format sets it.
    """

    path: Path
    id: str | None = None
    label: str | None = None
    class_names: Sequence[str] | None = None
    one_of: str | None = None
    notes: list[str] = field(default_factory=list)
    without_ids: bool = False

    @property
    def is_json(self) -> bool:
        """Whether it holds JSON."""
        return self.path.suffix.lower() in (*JSON_FORMATS, ".manifest")

    @cached_property
    def table(self) -> Table | None:
        """Its columns of texts; None where it is no table."""
        return read_table(self.path, self.one_of) if self.path.suffix.lower() in TABLES or self.path.is_dir() else None

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Names of columns, or of what the first record holds."""
        return self.table.names if self.table is not None else tuple(self.first)

    @cached_property
    def first(self) -> Mapping[str, Any]:
        """The first record; empty for tables and files of another kind."""
        if not self.is_json:
            return {}
        self._rest = read_records(self.path)
        number, record = next(self._rest)
        self._number = number
        return record

    def records(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Yield records of JSON, or rows of a table as texts by the columns' names, each with its number; once."""
        if self.table is None:
            first = self.first
            yield from chain([(self._number, first)], self._rest)
            return
        table = self.table
        columns = [column.texts() for column in table.columns]
        for row in range(len(table)):
            yield table.number(row), dict(zip(table.names, (texts[row] for texts in columns), strict=True))

    def choose(self, candidates: Iterable[str], what: str) -> str:
        """Return the one candidate, or that of the option ``label``.

        Raises
        ------
        CosupError
            If there is none, or several and none is chosen.
        """
        found = list(dict.fromkeys(candidates))
        if self.label is not None:
            if self.label not in found:
                raise CosupError(f"{self.path} has no {what} {self.label!r}.{suggest(self.label, found)}")
            return self.label
        if len(found) != 1:
            held = some(found, f"{what}s") if found else f"no {what}"
            raise CosupError(f"{self.path} holds {held} of answers; name the one to read: --label NAME (label)")
        return found[0]


@dataclass(frozen=True)
class Export:
    """A format that a tool exports.

    Attributes
    ----------
    help : str
        One line.
    recognises : callable
        Whether a file of tables or JSON is of this format.
    read : callable
        A function from a `LabelFile` to answers.
    """

    help: str
    recognises: Callable[[LabelFile], bool]
    read: Callable[[LabelFile], Iterable[Answer]]


EXPORTS: Registry[Export] = Registry("export of a tool")

Reader = Callable[[LabelFile], Iterable[Answer]]


def register_export(name: str, *, help: str, recognises: Callable[[LabelFile], bool]) -> Callable[[Reader], Reader]:
    """Register a reader of tables or JSON in the form that a tool exports, for `read_labels` and ``--labels``.

    Parameters
    ----------
    name : str
    help : str
        One line on what it reads.
    recognises : callable
        Whether a file is of this form, by its ``keys`` or ``first`` record.

    Returns
    -------
    callable
        A decorator of a function from a `LabelFile` to `Answer` objects.

    Examples
    --------
    >>> @register_export("mytool", help="its CSV", recognises=lambda f: "mytool_id" in f.keys)  # doctest: +SKIP
    ... def read_mytool(file):
    ...     for row, record in file.records():
    ...         yield Answer(record["mytool_id"], record["verdict"], record["who"], row)
    """

    def add(read: Reader) -> Reader:
        EXPORTS.add(name, Export(help, recognises, read))
        return read

    return add
