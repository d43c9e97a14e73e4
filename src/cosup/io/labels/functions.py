"""Labelling functions, applied item by item."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from cosup.io.labels.sets import Encoded, set_notes
from cosup.io.labels.snorkel import labels_of_codes, name_of
from cosup.labels.imported_labels import ImportedLabels
from cosup.utils.progress import progress_bar
from cosup.utils.validation import CosupError, suggest

__all__ = ["from_functions"]


def from_functions(
    functions: Mapping[str, Callable[[Any], Any]] | Iterable[Callable[[Any], Any]],
    items: Any,
    class_names: Sequence[str],
    *,
    ids: Sequence[str] | None = None,
    fault_tolerant: bool = False,
    progress: bool = True,
) -> ImportedLabels:
    """Apply labelling functions to raw items.

    Parameters
    ----------
    functions : mapping of name to callable, or callables with a name
        Snorkel's ``LabelingFunction`` or anything that takes one item and returns a class id or name; -1 or None
        abstains, and a list or set leaves its classes open: one of these.
    items : sequence, or DataFrame
        Texts, paths, dicts, ...; of a frame its rows: Series of pandas, dicts of polars.
    class_names : sequence of str
        Class id -> name.
    ids : sequence of str, optional
        One an item. Default for pandas: the index, if it is no plain count.
    fault_tolerant : bool
        Let a function abstain where it raises, and count that in the notes, as Snorkel's option does.
    progress : bool
        Show items a second on standard error, if that is a terminal.

    Returns
    -------
    ImportedLabels
        Functions that always abstain are left out, which its notes say.

    Raises
    ------
    CosupError
        If a function raises, or returns what is no class: with its name, the item and the error.

    Examples
    --------
    >>> def has_refund(text):
    ...     return "billing" if "refund" in text else None
    >>> def has_crash(text):
    ...     return "bug" if "crash" in text else None
    >>> texts = ["a refund, please", "it crashes", "refund me, it crashed"]
    >>> from_functions([has_refund, has_crash], texts, ["billing", "bug"]).hard().tolist()
    [[0, -1], [-1, 1], [0, 1]]
    """
    names, callables = _named(functions)
    if not callables:
        raise CosupError("there are no functions to apply")
    classes = tuple(map(str, class_names))
    rows, n_items, index = _rows(items)
    ids = ids if ids is not None else index
    if n_items == 0:
        raise CosupError("there are no items to apply the functions to")
    matrix = np.full((n_items, len(callables)), -1, dtype=np.int32)
    failed = dict.fromkeys(names, 0)
    known: dict[tuple[int, ...], int] = {(c,): c for c in range(len(classes))}
    bar = progress_bar(n_items, what="labelling", unit="sample", over=rows, shown=None if progress else False)
    for row, item in enumerate(bar):
        for place, (name, function) in enumerate(zip(names, callables, strict=True)):
            try:
                answer = function(item)
            except Exception as error:
                if not fault_tolerant:
                    raise CosupError(
                        f"the function {name!r} fails on {_place(row, ids)}: {type(error).__name__}: {error}; "
                        "mend it, or let it abstain there: fault_tolerant=True"
                    ) from error
                failed[name] += 1
                continue
            named = _class_ids(answer, classes)
            if named is None:
                raise _unfit(answer, classes, name, _place(row, ids))
            matrix[row, place] = known.setdefault(named, len(known)) if named else -1
    notes = [f"{name!r} failed on {count} items, and abstains there" for name, count in failed.items() if count]
    notes += set_notes(int((matrix >= len(classes)).sum()), 0)
    return labels_of_codes(Encoded(matrix, classes, notes, tuple(known)), names, ids, "the functions")


def _named(functions: Any) -> tuple[list[str], list[Callable[[Any], Any]]]:
    if isinstance(functions, Mapping):
        names, callables = list(map(str, functions)), list(functions.values())
    else:
        callables = list(functions)
        names = [name_of(function, place) for place, function in enumerate(callables)]
    for name, function in zip(names, callables, strict=True):
        if not callable(function):
            raise CosupError(f"the function {name!r} is a {type(function).__name__}, which cannot be called")
        if names.count(name) > 1:
            raise CosupError(f"two functions are named {name!r}; give a mapping of names to functions")
    return names, callables


def _rows(items: Any) -> tuple[Iterator[Any], int, Sequence[str] | None]:
    if hasattr(items, "iterrows"):  # pandas
        index = None if type(items.index).__name__ == "RangeIndex" else [str(name) for name in items.index]
        return (row for _, row in items.iterrows()), len(items), index
    if hasattr(items, "iter_rows"):  # polars
        return items.iter_rows(named=True), len(items), None
    if isinstance(items, str) or not hasattr(items, "__len__"):
        raise CosupError(f"items must be a list, an array or a data frame, got a {type(items).__name__}")
    return iter(items), len(items), None


def _class_ids(answer: Any, classes: tuple[str, ...]) -> tuple[int, ...] | None:
    """Return the classes that are meant: one, or several of which one is right; none to abstain. None for no class."""
    answers = answer if isinstance(answer, list | tuple | set | frozenset) else (answer,)
    ids = {_class_id(one, classes) for one in answers}
    if None in ids:
        return None
    return () if -1 in ids or len(ids) == len(classes) else tuple(sorted(c for c in ids if c is not None))


def _class_id(answer: Any, classes: tuple[str, ...]) -> int | None:
    """Return the class that is meant; None where it is none."""
    if answer is None:
        return -1
    if isinstance(answer, str):
        return classes.index(answer) if answer in classes else None
    is_id = isinstance(answer, int | np.integer) and not isinstance(answer, bool) and -1 <= answer < len(classes)
    return int(answer) if is_id else None


def _unfit(answer: Any, classes: tuple[str, ...], name: str, where: str) -> CosupError:
    if isinstance(answer, str):
        return CosupError(f"the function {name!r} names the class {answer!r} for {where}.{suggest(answer, classes)}")
    return CosupError(
        f"the function {name!r} returns {answer!r} for {where}; a class id from 0 to {len(classes) - 1}, a class's "
        "name, or -1 or None to abstain is expected"
    )


def _place(row: int, ids: Sequence[str] | None) -> str:
    return f"item {row}" + (f" (id {ids[row]!r})" if ids is not None and row < len(ids) else "")
