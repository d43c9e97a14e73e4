"""Options that several commands share. Declared apart from what reads them: help loads none of that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from cosup.io.tables.urls import Place, place_of

__all__ = ["AGAIN", "FEATURES", "FILE", "FOLDER", "PLUGIN", "RAY", "SOMEWHERE", "covers", "levels", "pairs", "words"]

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


class Somewhere(click.Path):
    """A path that exists, or a URL, which is looked at when it is read."""

    name = "path or URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.ParamType`."""
        place = place_of(value)
        return place if isinstance(place, str) else super().convert(str(place), param, ctx)


SOMEWHERE = Somewhere(exists=True, path_type=Path)

_OPTIONS = (
    click.option("--features", type=SOMEWHERE,
                 help="npy, npz (key X), csv, parquet, a folder of cosup embed or of shards; path or URL."),
    click.option("--images", type=click.Path(exists=True, file_okay=False, path_type=Path),
                 help="In place of features: a folder of images."),
    click.option("--backbone", metavar="SOURCE:NAME", help="For --images.  [default: lite:efficientnet-lite0]"),
    click.option("--skip-unreadable", is_flag=True,
                 help="For --images: leave unreadable ones out (with labels, add --partial)."),
    click.option("--text", "texts", type=click.Path(exists=True, dir_okay=False, path_type=Path),
                 help="In place of features: csv, parquet or jsonl with a column 'text', or txt."),
    click.option("--encoder", metavar="SOURCE:NAME",
                 help="For --text: hf:NAME, hf:FOLDER.  [default: pypi:all-minilm-l6-v2]"),
)  # fmt: skip


AGAIN = click.option("--again", multiple=True, metavar="URL",
                     help="A URL of the earlier fit as it was given then: query strings and credentials are not kept; "
                          "may be repeated.")  # fmt: skip

PLUGIN = click.option(
    "--plugin", "plugins", multiple=True, metavar="MODULE", help="Module or .py file that registers some of its own."
)


def _address(ctx: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    if text is None:
        return None
    from cosup.cluster.connection import check_address

    return check_address(text)


RAY = click.option(
    "--ray", callback=_address, metavar="ADDRESS",
    help="Work on a Ray cluster: HOST:PORT, ray://HOST:PORT, auto, or local (starts one here).",
)  # fmt: skip


def FEATURES(command: Callable[..., Any]) -> Callable[..., Any]:  # noqa: N802 (a decorator among options)
    """Add the options that say where features come from."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def levels(ctx: click.Context, parameter: click.Parameter, text: str | None) -> list[int] | dict[str, int] | None:
    """``0,1,1``, or ``TEACHER=1,TEACHER=2``."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    try:
        if all("=" in part for part in parts):
            return {name.strip(): int(level) for name, _, level in (part.rpartition("=") for part in parts)}
        return [int(part) for part in parts]
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r}: whole numbers separated by commas are expected, as in 0,1,1 (or TEACHER=1,TEACHER=2)"
        ) from error


def covers(ctx: click.Context, parameter: click.Parameter, given: Sequence[str]) -> dict[str, list[str]]:
    """``TEACHER=CLASS,CLASS``, repeated."""
    out: dict[str, list[str]] = {}
    for text in given:
        teacher, sign, classes = text.partition("=")
        out[teacher.strip()] = [name.strip() for name in classes.split(",") if name.strip()]
        if not sign or not out[teacher.strip()]:
            raise click.BadParameter(f"{text!r}: TEACHER=CLASS,CLASS is expected")
    return out


def pairs(ctx: click.Context, parameter: click.Parameter, given: Sequence[str]) -> dict[str, Place]:
    """``NAME=FILE``, repeated."""
    out: dict[str, Place] = {}
    for text in given:
        name, sign, file = text.partition("=")
        if not sign or not name.strip() or not file.strip():
            raise click.BadParameter(f"{text!r}: TEACHER=FILE is expected")
        out[name.strip()] = place_of(file.strip())
    return out


def words(ctx: click.Context, parameter: click.Parameter, text: str | None) -> list[str] | None:
    """Names separated by commas."""
    if text is None:
        return None
    return [part.strip() for part in text.split(",") if part.strip()]
