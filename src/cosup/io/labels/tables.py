"""Tables of names into labels: wide ones, a column a teacher; and long ones, a row an annotation."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cosup.io.labels.sets import check_separator, encode_answers, first_parts
from cosup.io.tables import ID_COLUMNS, Table, find_column, is_row_number
from cosup.labels.imported_labels import ImportedLabels
from cosup.utils.texts import plain_text, shown
from cosup.utils.validation import CosupError, some, suggest

__all__ = ["TASKS", "VOTES", "WORKERS", "labels_of_table"]

TASKS = ("task", "task_id", "sample", "item", "item_id", "unit", "unit_id", "document", "doc", "example", *ID_COLUMNS)
WORKERS = (
    "worker", "worker_id", "workerid", "performer", "teacher", "annotator", "annotator_id", "labeler", "labeller",
    "rater", "coder", "judge", "user", "user_id", "username", "model",
)  # fmt: skip
VOTES = (
    "label", "class", "class_name", "annotation", "answer", "response", "vote", "choice", "judgment", "judgement",
    "category", "output",
)  # fmt: skip

MANY = 50
"""Different classes that a table may name however few its rows are."""

NEARLY_ALL = 0.9
"""Share of a column's cells: where more are distinct, the column holds no classes."""

FEW = 10
"""Cells of a column that may all differ where nothing else speaks against it."""

BESIDE = frozenset({
    "text", "sentence", "content", "body", "message", "title", "question", "url", "uri", "caption", "description",
    "comment", "comments", "note", "notes", "created_at", "updated_at", "timestamp", "date", "time", "lead_time",
    "source", "prompt", "document", *ID_COLUMNS,
})  # fmt: skip
"""Names of columns that stand beside labels and are left out where their values nearly all differ."""


def labels_of_table(
    table: Table,
    *,
    class_names: Sequence[str] | None = None,
    abstain: Sequence[str] = (),
    columns: Mapping[str, Any],
) -> ImportedLabels:
    """Make labels of a table; a long one is known by columns for task, worker and label.

    `columns` are their names, and what separates classes of an answer that leaves several open (``one_of``).

    Raises
    ------
    CosupError
        For whatever is wrong in the table: what, where, what to do.
    """
    id, task, worker, label = (columns.get(name) for name in ("id", "task", "worker", "label"))
    check_separator(columns.get("one_of"))
    found = [find_column(table.names, (given,) if given else known)
             for given, known in ((task, TASKS), (worker, WORKERS), (label, VOTES))]  # fmt: skip
    if task is None and id is not None:
        found[0] = find_column(table.names, (id,))
    for given, place, what in zip((task, worker, label), found, ("task", "worker", "label"), strict=True):
        if given is not None and place is None:
            raise CosupError(f"{table.source} has no column {given!r} for the {what}.{suggest(given, table.names)}")
    places = [place for place in found if place is not None]
    asked = worker is not None or label is not None or task is not None
    if len(set(places)) == 3 and (asked or _is_long(table, places)):
        return _long(table, (places[0], places[1], places[2]), class_names, abstain, columns)
    if asked:
        lacking = [what for what, place in zip(("task", "worker", "label"), found, strict=True) if place is None]
        raise CosupError(
            f"{table.source}: a long table has columns for task, worker and label; the one for the "
            f"{' and the '.join(lacking) or 'worker'} is not known: name it "
            + " ".join(f"--{what} NAME" for what in lacking or ["worker"])
        )
    return _wide(table, id, class_names, abstain, columns.get("one_of"))


def _is_long(table: Table, places: Sequence[int]) -> bool:
    """Tell whether rows are answers: tasks repeat; or there is little else, and workers are not named like classes."""
    task, worker, label = (table.columns[place] for place in places)
    if task.fault or worker.fault or label.fault:
        return False
    if len(task.values) < len(table) and len(worker.values) > 1:
        return True
    return len(table.columns) <= 5 and not set(worker.values) & set(label.values)


def _wide(
    table: Table, id: str | None, class_names: Sequence[str] | None, abstain: Sequence[str], one_of: str | None
) -> ImportedLabels:
    place, notes = _id_column(table, id)
    columns = [column for column in range(len(table.columns)) if column != place]
    teachers, left = _teachers(first_parts(table, one_of), columns, class_names)
    if left:
        shown = some((repr(table.names[column]) for column in left), "columns")
        notes.append(f"{shown} name no classes and were left out")
    if not teachers:
        raise CosupError(f"{table.source} has no column of a teacher beside {table.names[place or 0]!r}")
    ids = None if place is None else _ids(table, place)
    for column in teachers if class_names is None else ():
        _check_names(table, column)
    answers = encode_answers(table, teachers, class_names, abstain, one_of)
    _check_number(table, answers.class_names, answers.notes)
    return ImportedLabels(
        answers.annotations(answers.codes, table.source), answers.class_names,
        names=[table.names[column] for column in teachers], ids=ids, source=table.source,
        notes=[*notes, *answers.notes],
    )  # fmt: skip


def _id_column(table: Table, id: str | None) -> tuple[int | None, list[str]]:
    """Find the column of ids, and note where it has another name."""
    if id is not None:
        place = table.find(id)
        if place is None:
            raise CosupError(f"{table.source} has no column {id!r} for the ids.{suggest(id, table.names)}")
        return place, []
    place = table.find(*ID_COLUMNS)
    if place is None:
        candidates = [find_column(table.names, (name,)) for name in (*TASKS, "__index_level_0__")]
        place = next((c for c in candidates if c is not None and _are_ids(table, c)), None)
    if place is None or table.names[place].lower() == "id":
        return place, []
    return place, [f"the column {table.names[place]!r} was read as the samples' ids"]


def _are_ids(table: Table, place: int) -> bool:
    column = table.columns[place]
    counts = is_row_number(column.name) and all(value.isdecimal() for value in column.values)
    return len(column.values) == len(table) and not counts


def _ids(table: Table, place: int) -> tuple[str, ...]:
    try:
        return table.ids(place)
    except CosupError as error:
        worker = find_column(table.names, WORKERS)
        if worker is None or len(table.columns[place].values) == len(table):
            raise
        raise CosupError(
            f"{error}. Is it a long table, a row an answer? Name its columns: --task {table.names[place]} --worker "
            f"{table.names[worker]} --label NAME"
        ) from error


def _teachers(
    table: Table, columns: Sequence[int], class_names: Sequence[str] | None
) -> tuple[list[int], list[int]]:  # fmt: skip
    """Find the columns of teachers, and those that are left out: numbers of rows, texts, times.

    Raises
    ------
    CosupError
        For a column that is neither, as its values nearly all differ.
    """
    known = None if class_names is None else {plain_text(str(name)) for name in class_names}
    counts: Counter[str] = Counter()
    for place in columns:
        counts.update({value.casefold() for value in table.columns[place].values})
    teachers, left = [], []
    for place in columns:
        column = table.columns[place]
        if is_row_number(column.name):
            left.append(place)
            continue
        cells = int((column.codes >= 0).sum())
        differ = column.fault != "" or (cells > 2 and len(column.values) > NEARLY_ALL * cells)
        if differ and known is not None and known & set(column.values):
            differ = False
        # Teachers of few samples may differ in all their cells, and share the names with each other.
        if differ and not column.fault and cells < max(FEW, 2 * MANY):
            shared = sum(counts[value.casefold()] > 1 for value in column.values)
            lonely = len(columns) == 1 and cells < FEW
            enough = 0 if cells < FEW else len(column.values) // 2
            differ = not (shared > enough or lonely)
        if not differ:
            teachers.append(place)
        elif column.name.lower() in BESIDE:
            left.append(place)
        elif column.fault:
            raise CosupError(column.fault)
        else:
            raise CosupError(_no_teacher(table, place, len(columns)))
    return teachers, left


def _no_teacher(table: Table, place: int, n_columns: int) -> str:
    column = table.columns[place]
    first = ", ".join(shown(value) for value in column.values[:3])
    fractions = sum(_is_fraction(value) for value in column.values[:100])
    if fractions and fractions == len(column.values[:100]):
        row = int(np.flatnonzero(column.codes == 0)[0])
        return _score(table, row, place)
    return (
        f"{table.source} names {len(column.values)} different classes in {len(table)} rows in the column "
        f"{column.name!r} ({first}, ...): it is no teacher's. Keep 'id' and the teachers' columns only"
        + ("; if it holds the samples' ids, call it 'id' (--id)" if n_columns > 1 else "")
    )


def _check_names(table: Table, place: int) -> None:
    """Refuse numbers with fractions: they are scores, not classes."""
    column = table.columns[place]
    fractions = sum(_is_fraction(text) for text in column.values[:100])
    whole = all(text.partition(".")[2].strip("0") == "" for text in column.values[:100])
    if fractions and fractions == len(column.values[:100]) and not whole:
        raise CosupError(_score(table, int(np.flatnonzero(column.codes == 0)[0]), place))


def _is_fraction(text: str) -> bool:
    return "." in text and text.replace(".", "", 1).lstrip("-").isdecimal()


def _score(table: Table, row: int, place: int) -> str:
    column = table.columns[place]
    return (
        f"{table.where(row, place)} is {column.values[0]!r}, a number and no class; a teacher's probabilities are a "
        f"file of their own, one column a class: --probabilities {shlex.quote(column.name)}=FILE (from_probabilities)"
    )


def _check_number(table: Table, names: Sequence[str], notes: Sequence[str]) -> None:
    if len(names) < 2:
        minus = " (-1 was read as an abstention; if it is a class: --classes=-1,...)" if any(
            note.startswith("-1 ") for note in notes
        ) else ""  # fmt: skip
        raise CosupError(
            f"{table.source} names {len(names)} classes ({', '.join(names) or 'all cells are blank'}); training needs "
            f"at least two: where another file names the others, say all, --classes a,b (class_names){minus}"
        )
    if len(names) > max(MANY, len(table) // 2):
        raise CosupError(
            f"{table.source} names {len(names)} different classes in {len(table)} rows; is a column not a teacher's? "
            "Keep 'id' and the teachers' columns only"
        )


def _long(
    table: Table, places: tuple[int, int, int], class_names: Sequence[str] | None, abstain: Sequence[str],
    columns: Mapping[str, Any],
) -> ImportedLabels:  # fmt: skip
    task, worker, label = places
    workers = columns.get("workers")
    tasks, people = table.columns[task], table.columns[worker]
    for column in (tasks, people, table.columns[label]):
        if column.fault:
            raise CosupError(column.fault)
    for column, place, what in ((tasks, task, "task"), (people, worker, "worker")):
        blank = np.flatnonzero(column.codes < 0)
        if blank.size:
            raise CosupError(f"{table.where(int(blank[0]), place)} is blank; every row needs a {what}")
    if workers is not None:
        for code, name in enumerate(people.values):
            if name not in workers:
                row = int(np.flatnonzero(people.codes == code)[0])
                raise CosupError(f"{table.where(row, worker)} is the unknown worker {name!r}.{suggest(name, workers)}")
    answers = encode_answers(table, [label], class_names, abstain, columns.get("one_of"))
    votes, names, notes = answers.codes, answers.class_names, answers.notes
    _check_number(table, names, notes)
    n_tasks, n_people = len(tasks.values), len(people.values)
    cell = tasks.codes.astype(np.int64) * n_people + people.codes
    ids = np.full(n_tasks * n_people, -1, dtype=np.int32)
    ids[cell] = votes[:, 0]
    other = np.flatnonzero(ids[cell] != votes[:, 0])
    if other.size:
        row = int(other[0])
        later = int(np.flatnonzero(cell == cell[row])[-1])
        raise CosupError(
            f"{table.where(row, label)}: {people.values[people.codes[row]]!r} answers "
            f"{answers.named(votes[row, 0])} for {tasks.values[tasks.codes[row]]!r}, and in row {table.number(later)} "
            f"{answers.named(votes[later, 0])}; keep one answer a worker and task"
        )
    repeated = len(cell) - len(np.unique(cell))
    if repeated:
        notes.append(f"{repeated} rows repeat an answer of the same worker to the same task")
    annotations = ids.reshape(n_tasks, n_people)
    speaks = np.asarray((annotations >= 0).any(axis=0))
    if not speaks.all():
        silent = [name for name, named in zip(people.values, speaks, strict=True) if not named]
        notes.append(f"{some(silent, 'workers')} never name a class, and were left out")
    shown = ", ".join(repr(table.names[place]) for place in (task, worker, label))
    return ImportedLabels(
        answers.annotations(annotations[:, speaks], table.source), names,
        names=[name for name, named in zip(people.values, speaks, strict=True) if named], ids=tasks.values,
        source=table.source, notes=[f"read as a long table of {shown}", *notes],
    )  # fmt: skip
