"""Commands that list what there is, one line each."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import click

from cosup.cli.options import PLUGIN

__all__ = ["backbones", "methods", "tasks"]


WIDTH = 80
"""Columns of a line: a terminal's."""

ALL = click.option("--all", "every", is_flag=True, help="Members of families one by one, and whole lines.")


def _listing(lines: Mapping[str, str], *, width: int | None = None) -> None:
    names = max(map(len, lines))
    for name, line in lines.items():
        text = f"{name.ljust(names)}  {line}"
        click.echo(text if width is None or len(text) <= width else f"{text[: width - 3].rstrip()}...")


def _families(lines: Mapping[str, str]) -> dict[str, str]:
    """A line a family: of names that differ in a last number, one with all numbers."""
    members: dict[str, list[tuple[str, str]]] = {}
    for name in lines:
        family, sign, number = name.rpartition("-")
        if sign and number.isdecimal():
            members.setdefault(family, []).append((name, number))
    out = {}
    for name, line in lines.items():
        family = name.rpartition("-")[0]
        group = members.get(family, []) if name.rpartition("-")[2].isdecimal() else []
        if len(group) < 2:
            out[name] = line
        elif name == group[0][0]:
            numbers = sorted(int(number) for _, number in group)
            # What the members' lines begin with is said once; a number is no part of it.
            begins = zip(*(lines[member].split() for member, _ in group), strict=False)
            same = itertools.takewhile(lambda words: len(set(words)) == 1, begins)
            common = " ".join(words[0] for words in same).rstrip(",:")
            out[f"{family}-N"] = f"{common}, N from {numbers[0]:,} to {numbers[-1]:,}"
    return out


@click.command()
@PLUGIN
@ALL
def methods(every: bool) -> None:
    """List the methods, one line each.

    \b
    Example: cosup methods --plugin my_method.py
    """  # noqa: D301
    from cosup.methods import list_methods

    _listing(list_methods(), width=None if every else WIDTH)
    if not every:
        click.echo("Whole lines: cosup methods --all")


@click.command()
@PLUGIN
@ALL
def tasks(every: bool) -> None:
    """List the tasks, a family in one line.

    \b
    Example: cosup tasks --plugin my_task.py
    """  # noqa: D301
    from cosup.tasks import list_tasks

    lines = list_tasks()
    if every:
        _listing(lines)
    else:
        _listing(_families(lines), width=WIDTH)
        click.echo("Whole lines, and the members of families one by one: cosup tasks --all")


@click.command()
@PLUGIN
def backbones() -> None:
    """List the backbones, one line each.

    \b
    Example: cosup backbones --plugin my_backbones.py
    """  # noqa: D301
    from cosup.embedding import list_backbones

    _listing(list_backbones())
