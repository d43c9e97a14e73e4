"""Match the ids of labels and of features: as they are, or in a form in which they agree."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from cosup.utils.texts import code_points, plain_text
from cosup.utils.validation import CosupError, some, suggest

__all__ = ["FORMS", "Matched", "describe_missing", "fitting_forms", "match_ids", "why_none"]


@dataclass(frozen=True)
class Form:
    """A form of ids.

    Attributes
    ----------
    help : str
        A description of the change of ids: the end of a sentence that begins with "they join".
    of : callable
        A function from ids to their forms.
    """

    help: str
    of: Callable[[Sequence[str]], list[str]]


def _each(change: Callable[[str], str]) -> Callable[[Sequence[str]], list[str]]:
    return lambda ids: [change(name) for name in ids]


def _slashes(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")


def _without_beginning(ids: Sequence[str]) -> list[str]:
    first, last = min(ids), max(ids)  # what these two share, all share
    common = first[: next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]
    cut = 0 if len(ids) < 2 else max(common.rfind(mark) for mark in "/\\:_-. ") + 1
    return [name[cut:] for name in ids]


FORMS: dict[str, Form] = {
    "slashes": Form("with / in place of the backslashes", _each(_slashes)),
    "name": Form("by the last part of their paths", _each(lambda name: PurePosixPath(_slashes(name)).name)),
    "stem": Form(
        "by the last part of their paths, without extension",
        _each(lambda name: PurePosixPath(_slashes(name)).stem),
    ),
    "path": Form(
        "by their paths without extension", _each(lambda name: str(PurePosixPath(_slashes(name)).with_suffix(""))
        if PurePosixPath(_slashes(name)).name else name),
    ),
    "case": Form("whatever their case", _each(lambda name: _slashes(name).casefold())),
    "zeros": Form("without leading zeros", _each(lambda name: re.sub(r"(?<!\d)0+(?=\d)", "", name))),
    "beginning": Form("without the beginning that all ids of a file share", _without_beginning),
}  # fmt: skip
"""Forms in which ids may be matched, by the name that ``--match`` knows them by."""


@dataclass(frozen=True)
class Matched:
    """Keys of both sides, by which they are joined.

    Attributes
    ----------
    mine, others : list of str
    note : str
        A remark for the user.
    """

    mine: list[str]
    others: list[str]
    note: str = ""


def match_ids(mine: Sequence[str], others: Sequence[str], match: str | None) -> Matched:
    """Bring the ids of labels and of features into one form.

    Parameters
    ----------
    mine, others : sequence of str
        The ids of the labels, and of the features.
    match : str, optional
        One of `FORMS`. Default: as they are, with plain blanks and in one Unicode form; and with / in place of
        backslashes where nothing joins otherwise.

    Raises
    ------
    CosupError
        For an unknown form, and one in which two ids of a side are the same.
    """
    first, second = _plain(mine), _plain(others)
    if match is None:
        if not set(first) & set(second):
            form = FORMS["slashes"].of
            given, found = form(first), form(second)
            if set(given) & set(found) and _distinct(given) and _distinct(found):
                return Matched(given, found, "ids were joined with / in place of their backslashes")
        return Matched(first, second)
    if match not in FORMS:
        raise CosupError(f"there is no way {match!r} to match ids.{suggest(match, FORMS)}")
    form = FORMS[match].of
    given, found = form(first), form(second)
    for names, keys, what in ((mine, given, "the labels"), (others, found, "the features")):
        if not _distinct(keys):
            seen: dict[str, str] = {}
            for name, key in zip(names, keys, strict=True):
                if key in seen:
                    raise CosupError(
                        f"two ids of {what} are one when they are matched {FORMS[match].help} (--match {match}): "
                        f"{seen[key]!r} and {name!r}"
                    )
                seen[key] = name
    return Matched(given, found, f"ids were joined {FORMS[match].help}")


def fitting_forms(mine: Sequence[str], others: Sequence[str]) -> list[str]:
    """Find forms in which at least half of the shorter side's ids have a partner, and none is another's."""
    first, second = _plain(mine), _plain(others)
    out = []
    for name, form in FORMS.items():
        given, found = form.of(first), form.of(second)
        if _distinct(given) and _distinct(found) and 2 * len(set(given) & set(found)) >= min(len(given), len(found)):
            out.append(name)
    return out


def why_none(mine: Sequence[str], others: Sequence[str]) -> str:
    """Say in which form ids would join, ready to paste, or show what is odd about them."""
    forms = fitting_forms(mine, others)
    if forms:
        return f"; they join {FORMS[forms[0]].help}: --match {forms[0]} (match={forms[0]!r})"
    odd = [name for name in (*mine[:1000], *others[:1000]) if not name.isascii()][:2]
    return "; " + "; ".join(map(code_points, odd)) if odd else ""


def _plain(ids: Sequence[str]) -> list[str]:
    out = [name if name.isascii() else plain_text(name) for name in ids]
    return out if _distinct(out) else list(ids)


def _distinct(names: Sequence[str]) -> bool:
    return len(set(names)) == len(names)


def describe_missing(source: str, what: str, missing: Sequence[str], extra: Sequence[str]) -> str:
    """Say which ids each side lacks, and near matches of the first."""
    parts = [
        f"{source} lacks {some(missing)}" if missing else "",
        f"{what} lacks {some(extra)}" if extra else "",
    ]
    near = suggest(extra[0], missing[:1000]).partition(" Known:")[0] if missing and extra else ""
    return (
        "the ids of features and labels must be the same: "
        + "; ".join(part for part in parts if part)
        + "."
        + (f" For {extra[0]!r}:{near}" if near else "")
        + " Complete the files, or go on with what both have: --partial (partial=True)"
    )
