"""Commands that list what there is, one line each."""

from __future__ import annotations

import click

from cosup.cli.options import PLUGIN

__all__ = ["backbones", "methods", "tasks"]


def _listing(lines: dict[str, str]) -> None:
    width = max(map(len, lines))
    for name, line in lines.items():
        click.echo(f"{name.ljust(width)}  {line}")


@click.command()
@PLUGIN
def methods() -> None:
    """List the methods, one line each.

    \b
    Example: cosup methods --plugin my_method.py
    """  # noqa: D301
    from cosup.methods import list_methods

    _listing(list_methods())


@click.command()
@PLUGIN
def tasks() -> None:
    """List the tasks, one line each.

    \b
    Example: cosup tasks --plugin my_task.py
    """  # noqa: D301
    from cosup.tasks import list_tasks

    _listing(list_tasks())


@click.command()
@PLUGIN
def backbones() -> None:
    """List the backbones, one line each.

    \b
    Example: cosup backbones --plugin my_backbones.py
    """  # noqa: D301
    from cosup.embedding import list_backbones

    _listing(list_backbones())
