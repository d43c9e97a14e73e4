"""What all commands share: how errors reach the terminal, lists of names, interruption."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

import cosup
from cosup.io.tables import unsigned
from cosup.utils.validation import CosupError

__all__ = ["FILE", "FOLDER", "Commands", "named_value", "names", "resumable", "versions"]

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


class InputError(click.ClickException):
    """One line on standard error, and exit code 2, as click does for wrong options."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(unsigned(" ".join(message.split())))


class Stopped(click.ClickException):
    """Interrupted from the keyboard; the exit code is a shell's for that."""

    exit_code = 130


class Commands(click.Group):
    """A group whose commands report wrong input in one line instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except CosupError as error:
            raise InputError(str(error)) from error
        except OSError as error:
            if error.strerror is None:
                raise
            where = f"{error.filename}: " if error.filename else ""
            raise InputError(f"{where}{error.strerror}") from error


def named_value(text: str) -> tuple[str, Any] | None:
    """``NAME=VALUE`` taken apart, the value read as JSON or else as text; None for what is no such thing."""
    name, sign, value = text.partition("=")
    name = name.strip()
    if not sign or not name:
        return None
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


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
    """What a model was made by, for people; asked of the packages' records, as torch takes a second to import."""
    others = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("scikit-learn", "torch"))
    return f"cosup {cosup.__version__}, {others}"
