"""Time a piece of work on one core."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

__all__ = ["REPEATS", "core_seconds"]

REPEATS = 3
"""Times that a piece is run; the least counts, which other programs disturbed least."""

LEAST = 2e-3
"""Seconds that a timed piece takes at the least: shorter ones are repeated within one timing."""


def core_seconds(work: Callable[..., object], *given: Any, repeats: int = REPEATS) -> float:
    """Measure the processor time of a call of ``work(*given)``, which other programs disturb least.

    The first call warms caches up and tells how often a short piece must be repeated.
    """
    once = _timed(work, given, 1)
    times = max(1, round(LEAST / max(once, 1e-7)))
    return min(_timed(work, given, times) for _ in range(repeats)) / times


def _timed(work: Callable[..., object], given: tuple[Any, ...], times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        work(*given)
    return time.process_time() - start
