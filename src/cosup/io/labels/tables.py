"""Tables of names into labels: wide ones, a column a teacher; and long ones, a row an annotation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cosup.io.labels.classes import encode_columns
from cosup.io.tables import ID_COLUMNS, Table, find_column
from cosup.labels.imported_labels import ImportedLabels
from cosup.utils.validation import CosupError, some, suggest

__all__ = ["TASKS", "VOTES", "WORKERS", "labels_of_table"]

TASKS = ("task", "sample", "item", *ID_COLUMNS)
WORKERS = ("worker", "teacher", "annotator", "labeler", "labeller", "model")
VOTES = ("label", "class", "annotation", "answer")

MANY = 50
"""Different classes that a table may name however few its rows are."""


def labels_of_table(
    table: Table,
    *,
    class_names: Sequence[str] | None = None,
    abstain: Sequence[str] = (),
    id: str | None = None,
    task: str | None = None,
    worker: str | None = None,
    label: str | None = None,
    workers: Sequence[str] | None = None,
) -> ImportedLabels:
    """Make labels of a table; a long one is known by columns for task, worker and label.

    Raises
    ------
    CosupError
        For whatever is wrong in the table: what, where, what to do.
    """
    found = [find_column(table.names, (given,) if given else known)
             for given, known in ((task, TASKS), (worker, WORKERS), (label, VOTES))]  # fmt: skip
    for given, place, what in zip((task, worker, label), found, ("task", "worker", "label"), strict=True):
        if given is not None and place is None:
            raise CosupError(f"{table.source} has no column {given!r} for the {what}.{suggest(given, table.names)}")
    if None not in found and (worker or label or task or len(table.columns) <= 5):
        places = [place for place in found if place is not None]
        return _long(table, places[0], places[1], places[2], class_names, abstain, workers)
    return _wide(table, id, class_names, abstain)


def _wide(table: Table, id: str | None, class_names: Sequence[str] | None, abstain: Sequence[str]) -> ImportedLabels:
    place = table.find(id) if id is not None else table.find(*ID_COLUMNS)
    if id is not None and place is None:
        raise CosupError(f"{table.source} has no column {id!r} for the ids.{suggest(id, table.names)}")
    teachers = [column for column in range(len(table.columns)) if column != place]
    if not teachers:
        raise CosupError(f"{table.source} has no column of a teacher beside {table.names[place or 0]!r}")
    ids, notes = (None, []) if place is None else (table.ids(place), _named_ids(table, place))
    for column in teachers if class_names is None else ():
        _check_names(table, column)
    annotations, names, more = encode_columns(table, teachers, class_names, abstain)
    _check_number(table, names, len(table))
    return ImportedLabels(
        annotations, names, names=[table.names[column] for column in teachers], ids=ids, source=table.source,
        notes=[*notes, *more],
    )  # fmt: skip


def _named_ids(table: Table, place: int) -> list[str]:
    name = table.names[place]
    return [] if name.lower() == "id" else [f"the column {name!r} was read as the samples' ids"]


def _check_names(table: Table, place: int) -> None:
    """Numbers with fractions are scores, not classes."""
    column = table.columns[place]
    fractions = sum("." in text and text.replace(".", "", 1).lstrip("-").isdecimal() for text in column.values[:100])
    if fractions and fractions == len(column.values[:100]):
        row = int(np.flatnonzero(column.codes == 0)[0])
        raise CosupError(
            f"{table.where(row, place)} is {column.values[0]!r}, a number and no class; a teacher's probabilities are "
            f"a file of their own, one column a class: --probabilities {table.names[place]}=FILE (from_probabilities)"
        )


def _check_number(table: Table, names: Sequence[str], n_rows: int) -> None:
    if len(names) < 2:
        raise CosupError(
            f"{table.source} names {len(names)} classes ({', '.join(names) or 'all cells are blank'}); training needs "
            "at least two: where another file names the others, say all, --classes a,b (class_names)"
        )
    if len(names) > max(MANY, n_rows // 2):
        raise CosupError(
            f"{table.source} names {len(names)} different classes in {n_rows} rows; is a column not a teacher's? Keep "
            "'id' and the teachers' columns only"
        )


def _long(
    table: Table, task: int, worker: int, label: int, class_names: Sequence[str] | None, abstain: Sequence[str],
    workers: Sequence[str] | None,
) -> ImportedLabels:  # fmt: skip
    tasks, people = table.columns[task], table.columns[worker]
    for column, place, what in ((tasks, task, "task"), (people, worker, "worker")):
        blank = np.flatnonzero(column.codes < 0)
        if blank.size:
            raise CosupError(f"{table.where(int(blank[0]), place)} is blank; every row needs a {what}")
    if workers is not None:
        for code, name in enumerate(people.values):
            if name not in workers:
                row = int(np.flatnonzero(people.codes == code)[0])
                raise CosupError(f"{table.where(row, worker)} is the unknown worker {name!r}.{suggest(name, workers)}")
    said, names, notes = encode_columns(table, [label], class_names, abstain)
    _check_number(table, names, len(table))
    n_tasks, n_people = len(tasks.values), len(people.values)
    cell = tasks.codes.astype(np.int64) * n_people + people.codes
    ids = np.full(n_tasks * n_people, -1, dtype=np.int32)
    ids[cell] = said[:, 0]
    other = np.flatnonzero(ids[cell] != said[:, 0])
    if other.size:
        row = int(other[0])
        later = int(np.flatnonzero(cell == cell[row])[-1])
        raise CosupError(
            f"{table.where(row, label)}: {people.values[people.codes[row]]!r} says "
            f"{_name(names, said[row, 0])} of {tasks.values[tasks.codes[row]]!r}, and in row {table.number(later)} "
            f"{_name(names, said[later, 0])}; keep one answer a worker and task"
        )
    repeated = len(cell) - len(np.unique(cell))
    if repeated:
        notes.append(f"{repeated} rows say the same of a task twice")
    annotations = ids.reshape(n_tasks, n_people)
    speaks = np.asarray((annotations >= 0).any(axis=0))
    if not speaks.all():
        silent = [name for name, spoke in zip(people.values, speaks, strict=True) if not spoke]
        notes.append(f"{some(silent, 'workers')} never name a class, and were left out")
    shown = ", ".join(repr(table.names[place]) for place in (task, worker, label))
    return ImportedLabels(
        annotations[:, speaks], names, names=[n for n, spoke in zip(people.values, speaks, strict=True) if spoke],
        ids=tasks.values, source=table.source, notes=[f"read as a long table of {shown}", *notes],
    )  # fmt: skip


def _name(names: Sequence[str], code: int) -> str:
    return repr(names[code]) if code >= 0 else "nothing"
