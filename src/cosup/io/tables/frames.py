"""Data frames of pandas and polars, by what they have in common; neither is imported."""

from __future__ import annotations

from typing import Any

import numpy as np

from cosup.io.tables.arrow import arrow_table
from cosup.io.tables.table import Column, Table, as_text, check_header
from cosup.utils.validation import CosupError

__all__ = ["frame_table"]

SOURCE = "the data frame"


def frame_table(frame: Any, source: str = SOURCE, join: str | None = None) -> Table:
    """Take a data frame of pandas or polars, or a table of pyarrow.

    Parameters
    ----------
    frame : DataFrame or pyarrow.Table
        An index of pandas that is no plain count becomes the column ``id``, if there is none of that name.
    join : str, optional
        What stands between the texts of a cell of several.

    Returns
    -------
    Table
        Rows count from 0, as frames do.

    Raises
    ------
    CosupError
        If it is no such thing, or has no rows.
    """
    if hasattr(frame, "column_names") and hasattr(frame, "num_rows"):
        return arrow_table(frame, source, join)
    if not (hasattr(frame, "columns") and hasattr(frame, "shape") and len(getattr(frame, "shape", ())) == 2):
        raise CosupError(
            f"a data frame (pandas, polars) or a table of pyarrow is expected, got a {type(frame).__name__}; arrays of "
            "class ids go into from_snorkel, files into read_labels"
        )
    names = [as_text(name) for name in frame.columns]
    check_header(source, names)
    if not frame.shape[0] or not names:
        raise CosupError(f"{source} has shape {tuple(frame.shape)}; at least one row and one column are expected")
    columns = [
        _encode(as_text(name), np.asarray(frame[name]), f"{source}, column {place + 1} ({as_text(name)!r})", join)
        for place, name in enumerate(frame.columns)
    ]
    index = getattr(frame, "index", None)
    if index is not None and type(index).__name__ != "RangeIndex" and "id" not in map(str.lower, names):
        columns.append(_encode("id", np.asarray(index), f"{source}, its index"))
    return Table(source, tuple(columns), first=0)


def _encode(name: str, values: Any, where: str, join: str | None = None) -> Column:
    if values.ndim != 1 or values.dtype.kind not in "iufbOUST":
        fault = f"{where} has the type {values.dtype}; names (text) or whole numbers are expected: leave it out"
        return Column(name, np.full(len(values), -1, dtype=np.int32), (), fault)
    if values.dtype.kind in "iufb":
        distinct, codes = np.unique(values, return_inverse=True)
        return Column.of(name, codes.astype(np.int32), distinct.tolist(), lambda row: f"{where}, row {row}")
    place: dict[str, int] = {"": -1}
    codes = np.empty(len(values), dtype=np.int32)
    for row, value in enumerate(values.tolist()):
        try:
            codes[row] = place.setdefault(as_text(value, join), len(place) - 1)
        except CosupError as error:
            raise CosupError(f"{where}, row {row} {error}") from error
    return Column(name, codes, tuple(place)[1:])
