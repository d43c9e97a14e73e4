"""Run a page's code as its reader would, and hold what it shows to what is printed.

    python docs/pages.py --write PAGE ...     put today's numbers into pages

Fenced Python and shell blocks run in order, in one namespace and a folder that is empty but for what the page is
given: ``<!-- given: NAME -->`` names a maker of `GIVEN` in docs/given.py. A block that can't run has the reason in the
line before it, ``<!-- not run: REASON -->``; a page that another test runs has ``<!-- run by: tests/FILE -->``. Lines
of a ``text`` block must be printed or written by the blocks before it (``<!-- not checked: REASON -->``): the words
exactly, numbers within `TOLERANCE`.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from cosup.cli import main

DOCS = Path(__file__).resolve().parent
FENCE = re.compile(
    r"^([ ]*)(?:<!-- (not run|not checked): (.+?) -->\n[ ]*)?```(\w*)\n(.*?)^[ ]*```$", re.MULTILINE | re.DOTALL
)
RUN_BY = re.compile(r"^<!-- run by: (\S+) -->$", re.MULTILINE)
GIVEN_NAME = re.compile(r"^<!-- given: ([\w-]+) -->$", re.MULTILINE)
SHELL = ("bash", "sh", "shell", "console")
RUNNABLE = ("python", *SHELL)
NUMBER = re.compile(r"\d[\d.,]*")
TOLERANCE = 0.15
"""Relative, or of a hundred per cent: a page's numbers may differ by so much between machines and versions."""


@dataclass(frozen=True)
class Block:
    """A fenced block: language, code, and why it is not run or not checked."""

    language: str
    code: str
    not_run: str | None = None
    not_checked: str | None = None


def blocks(text: str) -> list[Block]:
    """All fenced blocks of a page, without the indentation of a list."""
    found = []
    for indent, what, reason, language, code in FENCE.findall(text):
        plain = "\n".join(line.removeprefix(indent) for line in code.splitlines()) + "\n"
        reasons = {"not run": "not_run", "not checked": "not_checked"}
        found.append(Block(language, plain, **({reasons[what]: reason} if what else {})))
    return found


def prose(text: str) -> str:
    """A page without fenced and indented code, and comments."""
    text = re.sub(r"<!--.*?-->", "", FENCE.sub("", text), flags=re.DOTALL)
    return re.sub(r"(?m)^ {4,}\S.*$", "", text)


def commands(code: str) -> list[list[str]]:
    """Commands of a shell block, comments and continuations apart."""
    lines = code.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip() and not line.lstrip().startswith("#")]


def runs_here(text: str) -> bool:
    """Whether a page has blocks to run, and no other test runs it."""
    return any(block.language in RUNNABLE and not block.not_run for block in blocks(text)) and not RUN_BY.search(text)


def cosup_runs(arguments: list[str]) -> str:
    """What a command prints; it must succeed."""
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, f"cosup {shlex.join(arguments)}\n{result.output}{result.exception!r}"
    return result.output


def plain(line: str) -> str:
    """A line without numbers and widths."""
    return re.sub(r"[-─]{4,}", "-", re.sub(r"\s+", " ", NUMBER.sub("#", line))).strip()


def near(shown: str, printed: str) -> bool:
    """Whether a line's numbers are those of another, within the tolerance."""
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True)
    for old, new in pairs:
        a, b = (float(number.replace(",", "").rstrip(".") or 0) for number in (old, new))
        if abs(a - b) > TOLERANCE * max(abs(a), abs(b), 100 if "." in old else 1):
            return False
    return True


@dataclass
class Run:
    """What a page's blocks printed and wrote, and the lines shown that are not among it."""

    printed: str = ""
    missing: list[str] = field(default_factory=list)
    today: dict[str, str] = field(default_factory=dict)

    def check(self, block: Block, folder: Path) -> None:
        """Compare a block of output with what was printed so far."""
        written = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.csv")))
        candidates: dict[str, list[str]] = {}
        for line in (self.printed + "\n" + written).splitlines():
            candidates.setdefault(plain(line), []).append(line)
        for line in block.code.splitlines():
            same = candidates.get(plain(line), [])
            if not line.strip() or line in same:
                continue
            self.missing.extend([] if any(near(line, other) for other in same) else [line])
            if same:
                self.today[line] = same[0].rstrip()


def run_page(text: str, folder: Path, name: str) -> Run:
    """Run all blocks in a folder, which is the working directory."""
    namespace: dict[str, Any] = {"__name__": "page"}
    run = Run()
    for block in blocks(text):
        if block.not_run:
            continue
        if block.language == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(block.code, name, "exec"), namespace)
            run.printed += printed.getvalue()
        elif block.language in SHELL:
            for words in commands(block.code):
                assert words[0] == "cosup", (
                    f"{words} can't be run here; say why before the block: <!-- not run: ... -->"
                )
                run.printed += cosup_runs(words[1:])
        elif block.language == "text" and not block.not_checked:
            run.check(block, folder)
    return run


def given(text: str, makers: dict[str, Callable[[Path], None]], folder: Path) -> None:
    """Make what the page is given."""
    for name in GIVEN_NAME.findall(text):
        makers[name](folder)


@contextlib.contextmanager
def empty_folder() -> Iterator[Path]:
    """A temporary working directory."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(before)


def rewrite(path: Path) -> None:
    """Run a page and put today's numbers into the lines that it shows."""
    from given import GIVEN

    text = path.read_text(encoding="utf-8")
    with empty_folder() as folder:
        given(text, GIVEN, folder)
        run = run_page(text, folder, path.name)
    for old, new in run.today.items():
        text = text.replace(f"\n{old}\n", f"\n{new}\n")
    path.write_text(text, encoding="utf-8")
    print(f"{path}: {len(run.today)} lines rewritten, {[m for m in run.missing if m not in run.today]} not printed")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        if argument != "--write":
            rewrite(Path(argument).resolve())
