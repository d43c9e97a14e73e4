"""The fields of a fit's manifest, and what each may hold, whoever wrote the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cosup.cli.fit_options import COLUMNS, SOURCES
from cosup.estimators.fit_folder import AGAIN
from cosup.utils.errors import CosupError

__all__ = ["check_fields"]


def check_fields(content: Mapping[str, Any], path: Path) -> None:
    """Raise `CosupError` for a field that is missing, or holds what it can't: which, and of which file."""
    inputs: Any = content.get("inputs")
    for given, checks, what in (
        (content, _FIELDS, ""),
        *((own, _INPUT, "inputs, ") for own in (inputs if isinstance(inputs, list) else ())),
    ):
        for name, good in checks.items():
            if not isinstance(given, dict) or name not in given or not good(given[name]):
                raise CosupError(f"{path} lacks {what}{name!r}, or holds there what it can't; {AGAIN}")
    if all(inputs[0][source] is None for source in SOURCES):
        raise CosupError(f"{path} names no source of features; {AGAIN}")


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and "\0" not in value


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 32


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _or_none(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


def _by_text(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


_FIELDS: dict[str, Callable[[Any], bool]] = {
    "inputs": lambda value: isinstance(value, list) and bool(value),
    "partial": _flag,
    "method": _text,
    "seed": _whole,
    "answers": _texts,
    "uniform": _texts,
    "digests": _or_none(_by_text(_text)),
    "tuned": _or_none(
        lambda value: isinstance(value, dict) and _text(value.get("tune")) and _text(value.get("network"))
    ),
    "left_out": _texts,
    "parameters": lambda value: isinstance(value, dict),
    "plugins": _texts,
}
_INPUT: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys((*SOURCES, "backbone", "encoder"), _or_none(_text)),
    "skip_unreadable": lambda value: value is None or _flag(value),
    "files": _texts,
    "probabilities": _by_text(_text),
    "classes": _or_none(_texts),
    "abstain": _or_none(lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value)),
    "top_k": _or_none(lambda value: _whole(value) and value > 0),
    **dict.fromkeys((*COLUMNS, "match"), _or_none(_text)),
    "level": _or_none(lambda value: (isinstance(value, list) and all(map(_whole, value))) or _by_text(_whole)(value)),
    "specialties": lambda value: not value or _by_text(_texts)(value),
    "store": _text,
}
"""Fields of a fit's manifest, and of each of its inputs, and what they may hold."""
