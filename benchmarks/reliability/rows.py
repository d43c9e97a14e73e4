"""Lines of the table: what was tried, what held; and which part of the cases a process takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass
class Row:
    """One line of the table."""

    what: str
    tried: int = 0
    held: int = 0
    notes: list[str] = field(default_factory=list)

    def count(self, good: bool, note: str) -> None:
        self.tried += 1
        self.held += bool(good)
        if not good:
            self.notes.append(note)
            print(f"  NOT HELD: {self.what}: {note}", flush=True)

    def add(self, other: Row) -> None:
        self.tried += other.tried
        self.held += other.held
        self.notes += other.notes


@dataclass(frozen=True)
class Share:
    """The cases that one process takes: every `of`-th from the `part`-th on, and of these one in `every`."""

    part: int = 0
    of: int = 1
    every: int = 1

    def taken(self, cases: Sequence[T]) -> Sequence[T]:
        return cases[:: self.every][self.part :: self.of]
