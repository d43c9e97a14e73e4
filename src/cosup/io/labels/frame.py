"""Data frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cosup.io.labels.tables import labels_of_table
from cosup.io.tables import frame_table
from cosup.labels.imported_labels import ImportedLabels

__all__ = ["from_frame"]


def from_frame(
    frame: Any,
    *,
    class_names: Sequence[str] | None = None,
    abstain: Sequence[str] = (),
    id: str | None = None,
    task: str | None = None,
    worker: str | None = None,
    label: str | None = None,
    workers: Sequence[str] | None = None,
    one_of: str | None = None,
) -> ImportedLabels:
    """Take a data frame of pandas or polars, or a table of pyarrow.

    Parameters
    ----------
    frame : DataFrame
        Wide: one column a teacher, with class names, and perhaps ids. Long, as crowd-kit's: columns for task,
        worker and label, a row an annotation.
    class_names : sequence of str, optional
        Class id -> name; other names are errors then. Default: all that occur.
    abstain : sequence of str
        Texts that mean an abstention, as a missing value does.
    id : str, optional
        The column of ids in a wide frame. Default: id, path, file or filename; or else pandas' index.
    task, worker, label : str, optional
        The columns of a long frame. Default: those names (and teacher, annotator, class and the like).
    workers : sequence of str, optional
        All workers that a long frame may name.
    one_of : str, optional
        Separates the classes of an answer that leaves several open, as ``"|"`` in ``cat|dog``: see `read_labels`.

    Returns
    -------
    ImportedLabels
        A column of labels for each teacher.

    Raises
    ------
    CosupError
        For whatever is wrong in the frame: what, where, what to do.

    Examples
    --------
    >>> import pandas
    >>> frame = pandas.DataFrame(
    ...     {"task": [1, 1, 2], "worker": ["ann", "bob", "ann"], "label": ["cat", "dog", "cat"]})
    >>> labels = from_frame(frame)
    >>> labels.ids, labels.names, labels.hard().tolist()
    (('1', '2'), ('ann', 'bob'), [[0, 1], [0, -1]])
    """
    return labels_of_table(
        frame_table(frame, join=one_of),
        class_names=class_names,
        abstain=abstain,
        columns={"id": id, "task": task, "worker": worker, "label": label, "workers": workers, "one_of": one_of},
    )
