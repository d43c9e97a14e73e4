"""Tables as notebooks show them, and as pandas holds them."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cosup.utils.optional_imports import import_extra

__all__ = ["MOST", "frame", "html_table"]

MOST = 20
"""Rows that a notebook shows; so many are still read."""


def html_table(
    header: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str = "", notes: Sequence[str] = ()
) -> str:
    """Make a table of HTML from texts and numbers, all escaped; of many rows the first `MOST`, and how many follow."""
    rows = [[html.escape(str(cell)) for cell in row] for row in rows]
    more = len(rows) - MOST
    body = "".join(
        f'<tr><th scope="row" style="text-align:left">{row[0]}</th>'
        + "".join(f"<td>{c}</td>" for c in row[1:])
        + "</tr>"
        for row in rows[:MOST]
    )
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in header)
    below = [*notes, *([f"{more:,} more rows: to_frame() has them all."] if more > 0 else [])]
    return (
        (f"<p><b>{html.escape(caption)}</b></p>" if caption else "")
        + f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        + "".join(f"<p>{html.escape(note)}</p>" for note in below)
    )


def frame(columns: Mapping[str, Any], index: Any = None) -> Any:
    """Make a pandas data frame; CosupError where pandas is not installed."""
    pandas: Any = import_extra("pandas", extra="tables", purpose="to_frame()")
    return pandas.DataFrame(dict(columns), index=index)
