"""Commands that list what there is, one line each."""

from __future__ import annotations

import click

from cosup.benchmark import load_plugins
from cosup.embedding import list_backbones
from cosup.methods import list_methods
from cosup.tasks import list_tasks

__all__ = ["backbones", "methods", "tasks"]


def _listing(lines: dict[str, str]) -> None:
    width = max(map(len, lines))
    for name, line in lines.items():
        click.echo(f"{name.ljust(width)}  {line}")


plugin = click.option(
    "--plugin", "plugins", multiple=True, metavar="MODULE", help="Module or .py file that registers some of its own."
)


@click.command()
@plugin
def methods(plugins: tuple[str, ...]) -> None:
    """List the methods, one line each.

    \b
    Example: cosup methods --plugin my_method.py
    """  # noqa: D301
    load_plugins(plugins)
    _listing(list_methods())


@click.command()
@plugin
def tasks(plugins: tuple[str, ...]) -> None:
    """List the tasks, one line each.

    \b
    Example: cosup tasks --plugin my_task.py
    """  # noqa: D301
    load_plugins(plugins)
    _listing(list_tasks())


@click.command()
def backbones() -> None:
    """List the backbones, one line each."""
    _listing(list_backbones())
