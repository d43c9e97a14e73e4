"""Tables as terminals and notebooks show them, and as pandas holds them."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cosup.utils.optional_imports import import_extra

__all__ = ["MOST", "align", "foremost", "frame", "html_table", "left_out"]

MOST = 20
"""Rows that a terminal or a notebook shows; so many are still read."""


def foremost(weights: Iterable[float]) -> list[int]:
    """Return the places of the `MOST` greatest weights, in their order: the rows of a long table that are shown."""
    order = np.argsort(-np.asarray(list(weights), dtype=np.float64), kind="stable")
    return sorted(order[:MOST].tolist())


def left_out(n_rows: int, what: str) -> list[str]:
    """Count in a line the rows that `foremost` leaves out; no line where it leaves out none."""
    return [f"{n_rows - MOST:,} more {what}."] if n_rows > MOST else []


def align(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """Write a line a row, its columns below one another; those at the places `right` end below one another."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def html_table(
    header: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str = "", notes: Sequence[str] = ()
) -> str:
    """Make a table of HTML from texts and numbers, all escaped."""
    body = "".join(
        f'<tr><th scope="row" style="text-align:left">{html.escape(str(first))}</th>'
        + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells)
        + "</tr>"
        for first, *cells in rows
    )
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in header)
    return (
        (f"<p><b>{html.escape(caption)}</b></p>" if caption else "")
        + f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        + "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    )


def frame(columns: Mapping[str, Any], index: Any = None) -> Any:
    """Make a pandas data frame; CosupError where pandas is not installed."""
    pandas: Any = import_extra("pandas", extra="tables", purpose="to_frame()")
    return pandas.DataFrame(dict(columns), index=index)
