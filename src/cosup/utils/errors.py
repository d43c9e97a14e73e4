"""The one error type for wrong input, and near matches of a name that is not known; neither needs numpy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["CosupError", "check_choice", "suggest"]


LISTED, MANY, LONG = 60, 2000, 200
"""Limits of names: those that a message lists, those that are searched for near matches, and characters of one."""


class CosupError(ValueError):
    """An error of the input; the message tells what is wrong, where, and what to do."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Name the near matches of an unknown name, and all that is known.

    Parameters
    ----------
    name : str
        The name that was asked for.
    known : iterable of str
        The names that there are.

    Returns
    -------
    str
        A sentence to append to an error message.
    """
    known = list(known)
    near = difflib.get_close_matches(str(name)[:LONG], [text for text in known[:MANY] if len(text) <= LONG], 3, 0.5)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    listed = sorted(known)
    more = f", ... ({len(listed)} in all)" if len(listed) > LISTED else ""
    return f"{hint} Known: {', '.join(text[:LONG] for text in listed[:LISTED])}{more}."


def check_choice(value: str, known: Iterable[str], what: str) -> str:
    """Return `value` if it is one of `known`, else raise `CosupError` with near matches."""
    known = list(known)
    if value not in known:
        raise CosupError(f"unknown {what} {value!r}.{suggest(str(value), known)}")
    return value
