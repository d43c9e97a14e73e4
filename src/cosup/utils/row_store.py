"""A matrix of samples by classes that is written and read a block of rows at a time."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from cosup.utils.row_blocks import release_pages
from cosup.utils.slices import rows_within, slices
from cosup.utils.validation import CosupError, FloatArray

__all__ = ["LazyRows", "RowStore", "Rows", "row_slices"]

IN_MEMORY = 1 << 28
"""Bytes up to which a matrix stays in memory. Larger ones lie in a temporary file."""

RELEASED = 64
"""Blocks of a file after which its pages are unmapped."""

BLOCK = 1 << 16
"""Entries of a block of rows: 256 KB, several of which a processor's cache holds."""

LEAST_ROWS, LARGEST = 256, 4
"""Rows that a block has at the least, for what each takes by itself, up to so many times `BLOCK`."""


def row_slices(n_rows: int, n_columns: int) -> list[slice]:
    """Cut rows into the blocks that all work on samples by classes goes by."""
    least = min(LEAST_ROWS, rows_within(LARGEST * BLOCK, n_columns))
    return list(slices(n_rows, max(rows_within(BLOCK, n_columns), least)))


class Rows(Protocol):
    """A matrix (n_rows, n_columns) that is read a block of rows at a time."""

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the matrix."""
        ...

    @property
    def blocks(self) -> Callable[[], Iterator[tuple[slice, FloatArray]]]:
        """Yield all blocks in order, as views; not to be written to."""
        ...


@dataclass(frozen=True)
class LazyRows:
    """Rows that are calculated whenever they are asked for: for what is looked at once or twice."""

    shape: tuple[int, int]
    blocks: Callable[[], Iterator[tuple[slice, FloatArray]]]


class RowStore:
    """Rows in single precision, kept in memory or, where they are many, in a file that vanishes with the store.

    Parameters
    ----------
    n_rows, n_columns : int

    Raises
    ------
    CosupError
        If the folder for temporary files has no room.
    """

    def __init__(self, n_rows: int, n_columns: int) -> None:
        self.shape = (n_rows, n_columns)
        self.slices = row_slices(n_rows, n_columns)
        self._file: Any = None
        if 4 * n_rows * n_columns <= IN_MEMORY:
            self._array = np.empty(self.shape, dtype=np.float32)
            return
        self._file = tempfile.TemporaryFile(prefix="cosup-")  # noqa: SIM115 (it lives as long as the store)
        weakref.finalize(self, self._file.close)
        self._guard(self._file.truncate, 4 * n_rows * n_columns)

    @classmethod
    def of(cls, blocks: Iterable[tuple[slice, FloatArray]], n_rows: int, n_columns: int) -> RowStore:
        """Fill a store from blocks that are those of `row_slices`."""
        store = cls(n_rows, n_columns)
        for rows, block in blocks:
            store.put(rows, block)
        return store

    @classmethod
    def holding(cls, whole: FloatArray) -> RowStore:
        """Make a store of a copy of `whole`."""
        return cls.of(((rows, whole[rows]) for rows in row_slices(*whole.shape)), *whole.shape)

    def put(self, rows: slice, block: FloatArray) -> None:
        """Write one block."""
        if self._file is None:
            self._array[rows] = block
            return
        self._file.seek(4 * rows.start * self.shape[1])
        self._guard(self._file.write, np.ascontiguousarray(block, dtype=np.float32))

    def get(self, rows: slice) -> FloatArray:
        """Read one block; not to be written to."""
        if self._file is None:
            return self._array[rows]
        self._file.flush()
        self._file.seek(4 * rows.start * self.shape[1])
        count = (rows.stop - rows.start) * self.shape[1]
        return np.frombuffer(self._file.read(4 * count), dtype=np.float32).reshape(-1, self.shape[1])

    def blocks(self, least: int = 1) -> Iterator[tuple[slice, FloatArray]]:
        """Yield all blocks in order, as views; not to be written to.

        So many of them are taken together that a block has `least` rows, but for the last one.
        """
        rows_each = self.slices[0].stop
        together = -(-least // rows_each)
        whole = self.whole()
        for i, rows in enumerate(slices(self.shape[0], together * rows_each)):
            if self._file is not None and i % max(RELEASED // together, 1) == 0:
                release_pages(whole)
            yield rows, whole[rows]

    def whole(self) -> FloatArray:
        """Return all rows, in memory or mapped from the file; not to be written to."""
        if self._file is None:
            return self._array
        self._guard(self._file.flush)
        # Copy on write: torch does not take what can't be written to.
        return np.memmap(self._file, dtype=np.float32, mode="c", shape=self.shape).view(np.ndarray)

    def _guard(self, write: Any, *arguments: Any) -> None:
        try:
            write(*arguments)
        except OSError as error:
            size = 4 * self.shape[0] * self.shape[1] / 1e9
            raise CosupError(
                f"{size:.1f} GB for the samples' class probabilities could not be written to {tempfile.gettempdir()} "
                f"({error.strerror}); set TMPDIR to a folder with more room"
            ) from error
