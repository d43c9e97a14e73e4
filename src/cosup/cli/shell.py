"""Serve all commands: errors reach the terminal, names are listed, interruptions are met."""

from __future__ import annotations

import errno
import importlib
import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

import cosup
from cosup.io.tables.urls import unsigned
from cosup.utils.errors import CosupError, suggest

__all__ = ["Commands", "names", "resumable", "versions"]


class InputError(click.ClickException):
    """One line on standard error, and exit code 2, as click does for wrong options."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(unsigned(" ".join(message.split())))


STOPPED = "stopped; what was finished is kept, and the same command goes on from there, or begins anew"


class Stopped(click.ClickException):
    """Interrupted from the keyboard; the exit code is a shell's for that."""

    exit_code = 130


class Commands(click.Group):
    """A group that imports a command when it is asked for, and reports wrong input in one line instead of a traceback.

    Parameters
    ----------
    groups : mapping of str to mapping of str to str
        What commands are for -> their names -> ``"module:attribute"`` in `cosup.cli`.
    """

    def __init__(self, *args: Any, groups: Mapping[str, Mapping[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.groups = groups
        self.commands_at = {name: place for group in groups.values() for name, place in group.items()}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section a group, a line a command."""
        width = max(map(len, self.commands_at))
        for title, group in self.groups.items():
            rows = []
            for name in group:
                command = self.get_command(ctx, name)
                if command is not None and not command.hidden:
                    rows.append((name.ljust(width), command.get_short_help_str(formatter.width - width - 6)))
            with formatter.section(title):
                formatter.write_dl(rows)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in alphabetical order."""
        return sorted(self.commands_at)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None where there is none of that name."""
        if cmd_name not in self.commands_at:
            return None
        module, _, name = self.commands_at[cmd_name].partition(":")
        command = getattr(importlib.import_module(f"cosup.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that a line begins with; a name that is none is told its near matches."""
        name = args[0]
        if name not in self.commands_at and not name.startswith("-"):
            ctx.fail(f"there is no command {name!r}.{suggest(name, self.commands_at)}")
        return super().resolve_command(ctx, args)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the options of the group."""
        with _in_words():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        with _in_words():
            return super().invoke(ctx)


@contextmanager
def _in_words() -> Iterator[None]:
    """Say wrong input, a full disk and an interrupt in one line each."""
    try:
        yield
    except CosupError as error:
        raise InputError(str(error)) from error
    except KeyboardInterrupt as error:
        raise Stopped(STOPPED) from error
    except MemoryError as error:
        raise InputError(f"memory ran out ({str(error) or 'no more was given'}); take fewer samples at once") from error
    except OSError as error:
        # Nobody reads on, as behind `| head`: click ends quietly.
        if error.strerror is None or error.errno == errno.EPIPE:
            raise
        raise InputError(f"{_place(error)}: {error.strerror}") from error


def _place(error: OSError) -> str:
    """Name the file that an error is about; one without a name is of standard output, or of a temporary file."""
    if error.filename:
        return str(error.filename)
    try:
        sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 (what is left in it goes nowhere)
        return "standard output"
    return f"a temporary file in {tempfile.gettempdir()}, or standard output"


def names(text: str, what: str) -> list[str]:
    """Names separated by commas in the option `what`; CosupError where there is none."""
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise CosupError(f"--{what} names nothing; give names separated by commas")
    return found


@contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """Say, when interrupted, what is kept in `folder` and how to go on."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Stopped(
            f"stopped; what was measured is kept in {folder}, and the same command goes on from there"
        ) from error


def versions() -> str:
    """Name the packages that a model was made by, from their records: torch takes a second to import."""
    others = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("scikit-learn", "torch"))
    return f"cosup {cosup.__version__}, {others}"
