"""A file of several that were read as one."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Shard"]


@dataclass(frozen=True)
class Shard:
    """One file of several, and how many rows it has."""

    name: str
    rows: int
