"""Texts of users: one form for what looks alike, and as much of a long one as a message can hold."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

__all__ = ["code_points", "look_alikes", "plain_text", "shown"]

SHOWN = 60
"""Characters of a text that messages show."""

_BLANKS = re.compile("[\t\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
_NOTHING = re.compile("[\u200b\u2060\ufeff]")
_LIKE_LATIN = str.maketrans(
    "аеорсухіѕјԁһԛԝАВЕКМНОРСТХІЅЈΑΒΕΖΗΙΚΜΝΟΡΤΥΧο",  # noqa: RUF001 (letters of Cyrillic and Greek)
    "aeopcyxisjdhqwABEKMHOPCTXISJABEZHIKMNOPTYXo",
)


def plain_text(text: str) -> str:
    r"""Write a name as it is compared: in Unicode's form NFC, with plain blanks, none at its ends, nothing of no width.

    Examples
    --------
    >>> plain_text("cafe\u0301\u00a0noir ") == "caf\u00e9 noir"
    True
    """
    if text.isascii():
        return text.strip()
    return unicodedata.normalize("NFC", _BLANKS.sub(" ", _NOTHING.sub("", text))).strip()


def code_points(text: str) -> str:
    """Describe a text with the code points of what is not plain ASCII: ``'cat' (U+0430 at 2)``."""
    odd = [f"U+{ord(c):04X} at {place}" for place, c in enumerate(text, start=1) if not c.isascii()]
    return f"{shown(text)}" + (f" ({', '.join(odd[:3])}{', ...' if len(odd) > 3 else ''})" if odd else "")


def look_alikes(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Group names that differ in case, width, marks of no width, or letters that look alike only."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_skeleton(name), []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _skeleton(name: str) -> str:
    if not name.isascii():
        name = unicodedata.normalize("NFKC", name.translate(_LIKE_LATIN))
        name = "".join(c for c in name if unicodedata.category(c) != "Cf").translate(_LIKE_LATIN)
    return " ".join(name.casefold().split())


def shown(text: object) -> str:
    """Quote a text, or its beginning where it is long."""
    written = text if isinstance(text, str) else str(text)
    return repr(written) if len(written) <= SHOWN else f"{written[:SHOWN]!r}... ({len(written):,} characters)"
