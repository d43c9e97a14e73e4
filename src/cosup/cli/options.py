"""Options that several commands share. Declared apart from what reads them: help loads none of that."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from cosup.io.tables.urls import Place, place_of
from cosup.utils.texts import split_pair, split_row

__all__ = [
    "AGAIN", "COLUMNS", "FEATURES", "FILE", "FOLDER", "PLUGIN", "RAY", "SETTINGS", "SOMEWHERE", "TRUST", "covers",
    "levels",
    "named_values", "one_source", "pairs", "plugin_option", "words",
]  # fmt: skip

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
TRUST = click.option("--trust", multiple=True, metavar="NAME",
                     help="A backbone or encoder of the earlier fit that runs code or is fetched, as the message "
                          "names it; may be repeated.")  # fmt: skip


def _load(ctx: click.Context, parameter: click.Parameter, plugins: tuple[str, ...]) -> tuple[str, ...]:
    if plugins and not ctx.resilient_parsing:
        from cosup.utils.plugins import load_plugins

        load_plugins(plugins)
    return plugins


def plugin_option(*, passed_on: bool = False) -> Callable[[Any], Any]:
    """Make the option --plugin, which imports plugins before any other option is looked at.

    Parameters
    ----------
    passed_on : bool
        Whether the command gets their names, as ``plugins``, for its workers and for what it writes down.
    """
    return click.option(
        "--plugin", "plugins", multiple=True, metavar="FILE", is_eager=True, expose_value=passed_on, callback=_load,
        help="A .py file or module of yours that registers methods, steps, students, ...; it is run; may be repeated.",
    )  # fmt: skip


PLUGIN = plugin_option()


def named_values(ctx: click.Context, parameter: click.Parameter, given: Sequence[str]) -> dict[str, Any]:
    """``NAME=VALUE``, repeated; a value that is not JSON is text."""
    out: dict[str, Any] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise click.BadParameter(f"{text!r}: NAME=VALUE is expected")
        if name.strip() in out:
            raise click.BadParameter(f"{name.strip()!r} is given twice")
        try:
            out[name.strip()] = json.loads(value)
        except ValueError:
            out[name.strip()] = value
    return out


SETTINGS = click.option(
    "--set", "settings", multiple=True, callback=named_values, metavar="NAME=VALUE",
    help="A parameter of the method, as JSON or as text: rounds=3, 'reject=[\"margin\"]'; may be repeated.",
)  # fmt: skip


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
    parts = split_row(text)
    try:
        if parts and all("=" in part for part in parts):
            return {name.strip().strip('"'): int(level) for name, _, level in (part.rpartition("=") for part in parts)}
        return [int(part) for part in parts or [text]]
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r}: whole numbers separated by commas are expected, as in 0,1,1 (or TEACHER=1,TEACHER=2)"
        ) from error


def covers(ctx: click.Context, parameter: click.Parameter, given: Sequence[str]) -> dict[str, list[str]]:
    """``TEACHER=CLASS,CLASS``, repeated; names with commas stand in quotes."""
    out: dict[str, list[str]] = {}
    for text in given:
        pair = split_pair(text)
        classes = split_row(pair[1]) if pair is not None else []
        if pair is None or not classes:
            raise click.BadParameter(f"{text!r}: TEACHER=CLASS,CLASS is expected")
        out[pair[0]] = classes
    return out


def pairs(ctx: click.Context, parameter: click.Parameter, given: Sequence[str]) -> dict[str, Place]:
    """``NAME=FILE``, repeated."""
    out: dict[str, Place] = {}
    for text in given:
        pair = split_pair(text)
        if pair is None:
            raise click.BadParameter(f"{text!r}: TEACHER=FILE is expected")
        if pair[0] in out:
            raise click.BadParameter(f"{pair[0]!r} is named twice; give a teacher one file")
        out[pair[0]] = place_of(pair[1])
    return out


def words(ctx: click.Context, parameter: click.Parameter, text: str | None) -> list[str] | None:
    """Names separated by commas; those with commas stand in quotes."""
    return None if text is None else split_row(text)


_COLUMNS = (
    click.option("--id", "id", metavar="NAME", help="Of labels: the column or key of the samples' ids."),
    click.option("--task", metavar="NAME", help="Of a long table of labels, a row an answer: the samples' column."),
    click.option("--worker", metavar="NAME", help="Of a long table: the teachers' column."),
    click.option("--label", metavar="NAME", help="Of a long table or a tool's export: the column of answers."),
    click.option("--one-of", metavar="SIGN", help="Of labels: separates the classes of an answer that leaves several "
                                                  "open, as | in cat|dog (in JSON: a list)."),
    click.option("--match", type=click.Choice(["slashes", "name", "stem", "path", "case", "zeros", "beginning"]),
                 help="How ids of labels and features are matched.  [default: as they are]"),
)  # fmt: skip


def COLUMNS(command: Callable[..., Any]) -> Callable[..., Any]:  # noqa: N802 (a decorator among options)
    """Add the options that say what is in files of labels."""
    for option in reversed(_COLUMNS):
        command = option(command)
    return command


def one_source(given: Sequence[str]) -> str:
    """Say that one source of features is needed, where none or several are given."""
    return (
        f"{'more than one' if given else 'no'} source of features is named; give one of --features FILE, "
        "--images FOLDER, --text FILE"
    )
