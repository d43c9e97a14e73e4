"""Registries: things by name, shipped ones and those that plugins add."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from cosup.utils.validation import CosupError, suggest

__all__ = ["Registry"]

Entry = TypeVar("Entry")


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

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def remove(self, name: str) -> None:
        """Take an entry out again: for a plugin whose import failed."""
        del self._entries[name]
