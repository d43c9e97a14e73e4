"""Commands of cosup in forked children, which have everything imported, and in this process."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

WRITES = ("replace", "rename", "unlink", "rmdir", "fsync", "mkdir")
"""Calls of the operating system at which a process is killed."""

KILLED = 9


def command(arguments: list[Any], before: Callable[[], None] | None = None) -> tuple[int, str]:
    """Run ``cosup`` in a forked child; its exit code (a signal's is negative), and all that it printed."""
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            code = 70
            try:
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
                sys.stdout = os.fdopen(1, "w", closefd=False)
                sys.stderr = os.fdopen(2, "w", closefd=False)
                if before is not None:
                    before()
                from cosup.cli import main

                try:
                    main([str(word) for word in arguments])
                except SystemExit as end:
                    code = end.code if isinstance(end.code, int) else 1
            except BaseException:
                traceback.print_exc()
            finally:
                for stream in (sys.stdout, sys.stderr):
                    with contextlib.suppress(Exception):
                        stream.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        said.seek(0)
        return os.waitstatus_to_exitcode(status), said.read().decode(errors="replace")


def killed_at(place: int, counter: Path | None = None) -> Callable[[], None]:
    """A hook that ends the process at a write, before it or behind it in turn; 0 counts the writes instead."""

    def hook() -> None:
        calls = 0

        def counted(name: str) -> None:
            real = getattr(os, name)

            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal calls
                calls += 1
                mine = calls
                if counter is not None:
                    counter.write_bytes(b"x" * mine)
                if mine == place and place % 2:
                    os._exit(KILLED)
                try:
                    return real(*arguments, **options)
                finally:
                    if mine == place:
                        os._exit(KILLED)

            setattr(os, name, call)

        for name in WRITES:
            counted(name)

    return hook


def spoken(arguments: list[Any]) -> tuple[int, str, str]:
    """Run a command in this process; exit code, what it printed, and "" or a traceback."""
    from click.testing import CliRunner

    from cosup.cli import main

    result = CliRunner().invoke(main, [str(word) for word in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return 70, result.output, "".join(traceback.format_exception(result.exception)[-3:])
    return result.exit_code, result.output, ""


def in_process(arguments: list[Any]) -> str:
    """Run a command here; "" where it ended in words, or else what went wrong."""
    code, said, crash = spoken(arguments)
    return crash or ("" if code in (0, 2) else f"exit code {code}: {said[-200:]}")


def must(arguments: list[Any]) -> str:
    """Run a command here that has to succeed."""
    code, said, crash = spoken(arguments)
    if code:
        raise RuntimeError(f"cosup {' '.join(map(str, arguments))}: {said}{crash}")
    return said
