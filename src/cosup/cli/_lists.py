"""Commands that list what there is, one line each."""

from __future__ import annotations

import click

from cosup.datasets import list_backbones, list_tasks
from cosup.methods import list_methods

__all__ = ["backbones", "methods", "tasks"]


def _listing(lines: dict[str, str]) -> None:
    width = max(map(len, lines))
    for name, line in lines.items():
        click.echo(f"{name.ljust(width)}  {line}")


@click.command()
def methods() -> None:
    """List the methods, one line each."""
    _listing(list_methods())


@click.command()
def tasks() -> None:
    """List the tasks, one line each."""
    _listing(list_tasks())


@click.command()
def backbones() -> None:
    """List the backbones, one line each."""
    _listing(list_backbones())
