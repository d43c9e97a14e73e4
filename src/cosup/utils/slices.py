"""Rows in blocks: the slices that all work on matrices larger than a cache, or than memory, goes by."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["rows_within", "slices"]


def slices(n_rows: int, rows_per_block: int) -> Iterator[slice]:
    """Cut rows into consecutive slices of equal length; the last one may be shorter."""
    for start in range(0, n_rows, rows_per_block):
        yield slice(start, min(start + rows_per_block, n_rows))


def rows_within(entries: int, width: int) -> int:
    """Count the rows of `width` columns that hold no more than so many entries; at least one row."""
    return max(1, entries // max(width, 1))
