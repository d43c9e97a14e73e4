"""Registries: things by name, shipped ones and those that plugins add."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from cosup.utils.errors import CosupError, suggest

__all__ = ["Registry", "snapshot"]

Entry = TypeVar("Entry")
Thing = TypeVar("Thing")

_REGISTRIES: list[Registry[Any]] = []
"""All of them, in the order in which they were made."""


class Registry(Mapping[str, Entry]):
    """Entries of one kind by name.

    Parameters
    ----------
    kind : str
        The noun that messages call an entry: ``"rejection rule"``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}
        self._shipped: frozenset[str] = frozenset()
        _REGISTRIES.append(self)

    def add(self, name: str, entry: Entry) -> None:
        """Add an entry.

        Raises
        ------
        CosupError
            If the name is empty or taken.
        """
        if not isinstance(name, str) or not name.strip() or any(c in name for c in ",=\n"):
            raise CosupError(f"a {self.kind} needs a name without commas, '=' and line ends, got {name!r}")
        if name in self._entries:
            raise CosupError(f"a {self.kind} named {name!r} is registered already; choose another name")
        self._entries[name] = entry

    def decorator(self, name: str, entry: Callable[[Any], Entry]) -> Callable[[Thing], Thing]:
        """Return a decorator that adds what `entry` makes of the decorated class or function, and returns this."""

        def register(thing: Thing) -> Thing:
            self.add(name, entry(thing))
            return thing

        return register

    def find(self, name: str) -> Entry:
        """Return the entry of a name.

        Raises
        ------
        CosupError
            If there is none: with near matches, and how a plugin's are had.
        """
        if name not in self._entries:
            raise CosupError(
                f"there is no {self.kind} {name!r}.{suggest(name, self._entries)} If it comes from a plugin, name its "
                "file with --plugin (in Python: import it)"
            )
        return self._entries[name]

    def mark_shipped(self) -> None:
        """Call the entries that there are shipped: at the end of the module that adds them."""
        self._shipped = frozenset(self._entries)

    @property
    def added(self) -> tuple[str, ...]:
        """The names that were added from outside, in that order."""
        return tuple(name for name in self._entries if name not in self._shipped)

    @property
    def shipped(self) -> dict[str, Entry]:
        """Return the entries that no plugin added."""
        return {name: entry for name, entry in self._entries.items() if name in self._shipped}

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def snapshot() -> Callable[[], None]:
    """Remember the entries of all registries.

    Returns
    -------
    restore : callable
        Takes out what was added since and is not shipped.
    """
    before = {id(registry): set(registry._entries) for registry in _REGISTRIES}

    def restore() -> None:
        for registry in _REGISTRIES:
            kept = before.get(id(registry), set()) | registry._shipped
            registry._entries = {name: entry for name, entry in registry._entries.items() if name in kept}

    return restore
