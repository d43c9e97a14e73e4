"""Snorkel's label matrices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from cosup.io.labels.matrices import class_ids
from cosup.io.labels.sets import Encoded
from cosup.labels.imported_labels import ImportedLabels
from cosup.utils.validation import CosupError

__all__ = ["from_snorkel"]


def from_snorkel(
    L: ArrayLike,
    class_names: Sequence[str] | None = None,
    *,
    functions: Iterable[object] | None = None,
    ids: Sequence[str] | None = None,
) -> ImportedLabels:
    """Take a label matrix as Snorkel's appliers return it.

    Parameters
    ----------
    L : array-like of int, shape (n_samples, n_functions)
        Class ids, -1 (or None) where a function abstains.
    class_names : sequence of str, optional
        Class id -> name. Default: "0", "1", ...
    functions : iterable, optional
        The labelling functions, for their ``name``; or the names themselves.
    ids : sequence of str, optional
        One a sample.

    Returns
    -------
    ImportedLabels
        Functions that always abstain are left out, which its notes say.

    Raises
    ------
    CosupError
        As `TeacherLabels`; or if there are more or fewer functions than columns.

    Examples
    --------
    >>> from_snorkel([[0, -1], [1, 1], [-1, 0]], ["ham", "spam"], functions=["has_link", "short"])
    TeacherLabels(3 samples, 2 teachers in levels of 2, 2 classes, hard)
    """
    matrix = np.asarray(L)
    if matrix.ndim != 2 or 0 in matrix.shape or matrix.dtype.kind not in "iufO":
        raise CosupError(
            f"a label matrix has shape (n_samples, n_functions) and class ids, -1 abstains; this one has shape "
            f"{matrix.shape} and type {matrix.dtype}"
        )
    given = list(functions) if functions is not None else None
    names = (
        [f"function {place}" for place in range(matrix.shape[1])]
        if given is None
        else [name_of(function, place) for place, function in enumerate(given)]
    )
    if len(names) != matrix.shape[1]:
        raise CosupError(f"the label matrix has {matrix.shape[1]} columns, but there are {len(names)} functions")
    annotations, classes, notes = class_ids(matrix, class_names, (), "the label matrix")
    return labels_of_codes(Encoded(annotations, classes, notes), names, ids, "the label matrix")


def labels_of_codes(answers: Encoded, names: Sequence[str], ids: Sequence[str] | None, source: str) -> ImportedLabels:
    """Make labels of encoded answers, without teachers that abstain on every sample, as rules often do."""
    speaks = (answers.codes != -1).any(axis=0)
    if not speaks.any():
        raise CosupError(f"{source}: everybody abstains on every sample; there is nothing to learn from")
    silent = [name for name, labels in zip(names, speaks, strict=True) if not labels]
    note = [f"{', '.join(map(repr, silent))} always abstain, and were left out"] if silent else []
    kept = [name for name, labels in zip(names, speaks, strict=True) if labels]
    return ImportedLabels(
        answers.annotations(answers.codes[:, speaks], source), answers.class_names, names=kept, ids=ids, source=source,
        notes=[*answers.notes, *note],
    )  # fmt: skip


def name_of(function: object, place: int) -> str:
    """Return a function's name: its own attribute, as Snorkel's have, or Python's."""
    if isinstance(function, str):
        return function
    found = getattr(function, "name", None) or getattr(function, "__name__", None)
    return str(found) if found and found != "<lambda>" else f"function {place}"
