"""Results that methods need of the same data, computed once while somebody compares them; otherwise every time."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np

from cosup.utils.row_blocks import row_blocks

__all__ = ["SharedResults", "digest", "shared_result"]

REMEMBERED = 8
"""Results that are remembered: a comparison's methods are fitted one after the other on the same features."""

T = TypeVar("T")


class SharedResults:
    """The last results, by what was asked for, and the seconds that remembering them spared.

    Those of `shared_result` are among them, while they are `active`.

    Parameters
    ----------
    most : int
        How many are remembered.
    """

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._known: OrderedDict[tuple[Any, ...], tuple[Any, float]] = OrderedDict()
        self.spared = 0.0

    @contextmanager
    def active(self) -> Iterator[None]:
        """Let all calls of `shared_result` in this context share what they compute."""
        token = _shared.set(self)
        try:
            yield
        finally:
            _shared.reset(token)

    def recall(self, key: tuple[Any, ...], compute: Callable[[], T]) -> T:
        """Return what was computed for `key`, or compute it now."""
        if key in self._known:
            self._known.move_to_end(key)
            found: T
            found, seconds = self._known[key]
            self.spared += seconds
            return found
        started, spared = time.perf_counter(), self.spared
        found = compute()
        self._known[key] = found, time.perf_counter() - started + self.spared - spared
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return found

    def key_of(self, result: object) -> tuple[Any, ...] | None:
        """Return what `result` was computed for, None if that is forgotten."""
        return next((key for key, (known, _) in self._known.items() if known is result), None)


_shared: ContextVar[SharedResults | None] = ContextVar("shared_results", default=None)


def shared_result(compute: Callable[[], T], *given: Any) -> T:
    """Compute a result, or return the one of the same arguments, where `SharedResults` are active.

    Parameters
    ----------
    compute : callable
        Computes the result from `given`, and from nothing else. Nobody may write into what it returns.
    *given : ndarray or object
        Arrays are the same where their contents are, objects where they are equal as keys of a dict are.
    """
    results = _shared.get()
    if results is None:
        return compute()
    return results.recall(tuple(digest(g) if isinstance(g, np.ndarray) else g for g in given), compute)


def digest(array: Any) -> bytes:
    """Hash an array's contents; one in a file is read block by block."""
    sums = hashlib.blake2b(f"{array.dtype.str}{array.shape}".encode(), digest_size=32)
    for rows in row_blocks(len(array), array[0].size if len(array) else 1):
        sums.update(np.ascontiguousarray(array[rows]).view(np.uint8).data)
    return sums.digest()
