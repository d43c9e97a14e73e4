"""Texts of users: one form for what looks alike, and as much of a long one as a message can hold."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable

__all__ = ["code_points", "join_pair", "join_row", "look_alikes", "plain_text", "shown", "split_pair", "split_row"]

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
    odd = [f"U+{ord(c):04X} at {place}" for place, c in enumerate(text[:SHOWN], start=1) if not c.isascii()]
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


def split_row(text: str, separator: str = ",") -> list[str]:
    """Split names as a row of CSV does: quotes hold names with separators together, blanks at the ends go.

    Examples
    --------
    >>> split_row('"tench, Tinca tinca", goldfish')
    ['tench, Tinca tinca', 'goldfish']
    """
    rows = list(csv.reader([text], delimiter=separator, skipinitialspace=True))
    return [name for cell in (rows[0] if rows else []) if (name := plain_text(cell))]


def join_row(names: Iterable[str]) -> str:
    """Write names so that `split_row` gives them back."""
    return ",".join(_cell(name) for name in names)


def split_pair(text: str) -> tuple[str, str] | None:
    """Take ``NAME=VALUE`` apart; a name in quotes may hold ``=``. None for what is no such thing."""
    quoted = re.match(r'\s*"((?:[^"]|"")*)"\s*=', text)
    if quoted is not None:
        return plain_text(quoted[1].replace('""', '"')), text[quoted.end() :].strip()
    name, sign, value = text.partition("=")
    return (plain_text(name), value.strip()) if sign and name.strip() and value.strip() else None


def join_pair(name: str, value: str) -> str:
    """Write ``NAME=VALUE`` so that `split_pair` gives both back."""
    return f"{_cell(name, '=')}={value}"


def _cell(name: str, also: str = "") -> str:
    special = any(c in name for c in f',"\n\r{also}') or name != name.strip()
    return '"' + name.replace('"', '""') + '"' if special else name
