"""Rows of feature matrices that may be larger than memory, read and predicted a block at a time."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from cosup.utils.slices import rows_within, slices
from cosup.utils.validation import FloatArray, IntArray, is_bfloat16

__all__ = [
    "BFLOAT16",
    "LARGE",
    "blocks_of",
    "column_means",
    "is_half",
    "on_disk",
    "predicted",
    "product",
    "release_pages",
    "row_blocks",
    "stacked",
    "take",
    "widen",
]

BFLOAT16 = np.dtype([("bfloat16", "<u2")])
"""Data type of arrays whose 16-bit words are bfloat16, for which numpy has no name: ``words.view(BFLOAT16)`` of
uint16, or ``np.memmap(path, dtype=BFLOAT16, ...)``. ml_dtypes' bfloat16 is understood, too."""

BLOCK_BYTES = 1 << 25
"""Bytes of the widest array that a block of rows needs, in float64."""

CACHE_BYTES = 1 << 21
"""Bytes of such an array in blocks that are only summed: those that fit the processor's cache take least time."""

WORTHWHILE = 1024
"""Rows from which a product's overhead no longer counts."""

LARGE = 1 << 30
"""Samples times features times classes from which products are worth more than what it takes to import torch."""

Blocks = Iterator[tuple[slice, FloatArray]]


def is_half(X: Any) -> bool:
    """Tell whether X holds float16 or bfloat16."""
    return bool(X.dtype == np.float16) or is_bfloat16(X)


def on_disk(X: Any) -> bool:
    """Tell whether X is a view of a file, be it an ``np.memmap`` or a plain array that rests on one."""
    return _mapping(X) is not None


def _mapping(X: Any) -> mmap.mmap | None:
    while isinstance(X, np.ndarray):
        X = X.base
    return X if isinstance(X, mmap.mmap) else None


def release_pages(X: Any) -> None:
    """Unmap the pages of a file that X is a view of and nobody has written to: they would count as this process's."""
    mapping = _mapping(X)
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)


def take(X: Any, rows: slice | IntArray) -> Any:
    """Read some rows of X in its own dtype; rows of a file are read in the order in which they lie there."""
    if isinstance(rows, slice) or not on_disk(X):
        return X[rows]
    order = np.argsort(rows, kind="stable")
    out = np.empty((len(rows), X.shape[1]), dtype=X.dtype)
    out[order] = X[rows[order]]
    return out


def widen(X: Any) -> FloatArray:
    """Return halves in float32, float32 and float64 as they are."""
    X = np.asarray(X)
    if is_bfloat16(X):
        # The upper half of a float32's bits.
        wide = np.ascontiguousarray(X).view(np.uint16).astype(np.uint32)
        wide <<= 16
        return np.asarray(wide.view(np.float32))
    return np.asarray(X, dtype=np.float32 if X.dtype == np.float16 else X.dtype)


def row_blocks(n: int, width: int, rows_per_block: int | None = None) -> Iterator[slice]:
    """Cut n rows into consecutive slices; by default as long as makes 32 MB of float64 in `width` columns."""
    return slices(n, rows_within(BLOCK_BYTES // 8, width) if rows_per_block is None else rows_per_block)


def product(A: FloatArray, B: FloatArray, large: bool) -> FloatArray:
    """Multiply ``A @ B``; where that is `large` and in float32, by torch, in down to half of NumPy's time."""
    if not large or A.dtype != np.float32:
        return np.asarray(A @ B)
    from cosup.utils import matmul  # imports torch, which takes a second

    return np.asarray(matmul.product(np.require(A, requirements=["C", "W"]), matmul.turned(B)).numpy())


def column_means(X: Any) -> FloatArray:
    """Compute the mean row, (n_features,) float64."""
    total = np.zeros(X.shape[1])
    for rows in cache_blocks(len(X), X.shape[1]):
        total += widen(X[rows]).sum(axis=0, dtype=np.float64)
    return np.asarray(total / len(X))


def cache_blocks(n: int, width: int) -> Iterator[slice]:
    """Yield slices of n rows, short enough for the cache or long enough to be worthwhile, of 32 MB at most."""
    each = 8 * max(width, 1)
    return row_blocks(n, width, max(CACHE_BYTES // each, min(WORTHWHILE, BLOCK_BYTES // each), 1))


def predicted(
    predict: Callable[[Any], FloatArray], X: Any, n_classes: int, rows_per_block: int | None = None
) -> Blocks:
    """Yield blocks of ``predict(X)``."""
    for rows in row_blocks(len(X), max(n_classes, X.shape[1]), rows_per_block):
        yield rows, predict(X[rows])


def blocks_of(whole: FloatArray, rows_per_block: int | None = None) -> Blocks:
    """Yield blocks of a whole array, as views."""
    for rows in row_blocks(len(whole), whole.shape[1], rows_per_block):
        yield rows, whole[rows]


def stacked(blocks: Iterable[tuple[slice, FloatArray]]) -> FloatArray:
    """Join all blocks to one array, (n, n_classes)."""
    parts = [block for _, block in blocks]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
