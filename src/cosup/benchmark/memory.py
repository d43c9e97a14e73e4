"""Measure the memory that a piece of work adds to this process at its peak, where the system tells (Linux)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Peak", "watch_memory"]

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Peak:
    """Memory that was measured, in MB; None until then, and where the system doesn't say."""

    added_mb: float | None = None


@contextlib.contextmanager
def watch_memory() -> Iterator[Peak]:
    """Measure the most memory that the block holds beyond what the process held before.

    Resident memory: what the block takes out of memory that the process kept from before is not seen, so that the
    number is a lower bound.
    """
    peak = Peak()
    before = _resident("VmRSS") if _reset() else None
    yield peak
    highest = _resident("VmHWM")
    if before is not None and highest is not None:
        peak.added_mb = round(max(highest - before, 0.0), 1)


def _reset() -> bool:
    """Set the high-water mark back to what is held now."""
    try:
        _RESET.write_text("5")
    except OSError:
        return False
    return True


def _resident(field: str) -> float | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    found = [line for line in lines if line.startswith(f"{field}:")]
    return int(found[0].split()[1]) / 1024 if found else None
