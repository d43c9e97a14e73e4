"""Files that were tampered with: every field of every JSON file; files cut short, emptied, swapped, flipped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reliability.commands import in_process, spoken
from reliability.rows import Row, Share
from reliability.world import World

WRONG: tuple[Any, ...] = (None, "x", -1, 10**30, 1e308, True, [], {}, [None], {"x": None}, "../../etc/passwd")


PERHAPS: dict[str, tuple[tuple[tuple[Any, ...], str], ...]] = {
    "history.json": (
        ((0, "agreement"), "None"), ((0, "alpha"), "None"), ((0, "notes"), "[]"), ((0, "notes", 0), "deleted"),
        ((1, "agreement"), "None"), ((1, "alpha"), "None"), ((1, "notes"), "[]"), ((1, "notes", 0), "deleted"),
    ),
    "estimates.json": ((("byClass",), "None"),),
    "timings.json": ((("levels", 0), "None"), (("levels", 1), "None"), (("levels",), "[None]")),
    "provenance.json": (
        (("teachers", 0, "specialty"), "[]"), (("teachers", 1, "specialty"), "[]"),
        (("facts",), "{}"), (("nearest",), "deleted"),
        *((("facts", name), "deleted") for name in ("Method", "Features", "Labels", "Versions")),
    ),
}  # fmt: skip
"""Changes that give what a fit writes, too: of values that are not known, remarks, facts in words."""


@dataclass(frozen=True)
class Reader:
    """A command that reads a folder, and what it gives: what it prints, or what is in its output."""

    words: list[Any]
    output: Callable[[], str] | None = None

    def given(self) -> tuple[str, str]:
        """What came out, "" behind an error in words; and what went wrong, "" where nothing did."""
        code, said, crash = spoken(self.words)
        if crash or code not in (0, 2):
            return "", crash or f"exit code {code}: {said[-200:]}"
        if code:
            return "", "" if said.strip() else "an error without a word"
        return said if self.output is None else self.output(), ""


def fields_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all fields of JSON; of a list, those of its first and last item."""
    if path:
        yield path
    keys: Any = (
        value if isinstance(value, dict) else sorted({0, len(value) - 1}) if isinstance(value, list) and value else ()
    )
    for key in keys:
        yield from fields_of(value[key], (*path, key))


def changed(content: Any, path: tuple[Any, ...], value: Any, *, delete: bool = False) -> str:
    content = json.loads(json.dumps(content))
    held = content
    for key in path[:-1]:
        held = held[key]
    if delete:
        del held[path[-1]]
    else:
        held[path[-1]] = value
    return json.dumps(content)


@dataclass(frozen=True)
class Case:
    """One field, and what became of it."""

    path: tuple[Any, ...]
    text: str
    what: str
    wrong: bool
    """Whether no writer writes it: a text in the place of another text may have been meant."""


def cases(content: Any) -> list[Case]:
    """Every field deleted, and in turn each of `WRONG`."""
    found = []
    for path in fields_of(content):
        held = content
        for key in path:
            held = held[key]
        found.append(Case(path, changed(content, path, None, delete=True), "deleted", True))
        for value in WRONG:
            if value == held and type(value) is type(held):
                continue
            meant = isinstance(value, str) and isinstance(held, str)
            found.append(Case(path, changed(content, path, value), repr(value)[:40], not meant))
    return found


def readers_of_a_fit(world: World, out: Path, work: Path) -> dict[str, list[Reader]]:
    """Commands that read each JSON file of a fit."""
    root, more = world.root, work / "more"
    page = Reader(["explore", out, "--out", work / "page.html"], lambda: (work / "page.html").read_text())
    return {
        "model.json": [
            Reader(["predict", "--model", out, "--features", root / "new.npz", "--out", work / "p.npz"],
                   lambda: (work / "p.npz").read_bytes().hex())
        ],
        "fit.json": [
            Reader(["fit", "--update", out, "--features", root / "new.npz", "--labels", root / "new.csv", "--out",
                    more], lambda: outcome(more))
        ],
        "provenance.json": [Reader(["look", out]), page],
        "history.json": [page],
        "estimates.json": [page, Reader(["check", out, "--answers", root / "person.csv"])],
        "timings.json": [page],
    }  # fmt: skip


def outcome(folder: Path) -> str:
    """What a fit came to: all but the fit's id, times, and what it says of its inputs."""
    parts = []
    for path in sorted(folder.iterdir()):
        if path.suffix == ".json" and path.name not in ("fit.json", "timings.json"):
            content = json.loads(path.read_text())
            for item in content if isinstance(content, list) else [content]:
                item.pop("fit", None)
            parts.append(json.dumps(content))
        elif path.suffix not in (".json", ".html") and path.is_file() and not path.name.startswith("."):
            parts.append(path.read_bytes().hex())
    return "\n".join(parts)


def tampered(world: World, name: str, share: Share, work: Path) -> Row:
    """Every field of a JSON file of a fit."""
    out = work / "spoilt"
    shutil.copytree(world.root / "model", out)
    row = Row(f"every field of `{name}` deleted, of another kind, huge, negative")
    return _each_field(row, out / name, readers_of_a_fit(world, out, work)[name], share)


def tampered_store(world: World, share: Share, work: Path) -> Row:
    """Every field of a store's manifest."""
    out, more = work / "spoilt", work / "more"
    shutil.copytree(world.root / "store", out)
    words = ["fit", "--features", out, "--labels", world.root / "photos.csv", "--out", more]
    row = Row("every field of a store's `manifest.json` likewise")
    return _each_field(row, out / "manifest.json", [Reader(words, lambda: outcome(more))], share)


def _each_field(row: Row, path: Path, readers: Sequence[Reader], share: Share) -> Row:
    whole = path.read_text()
    untouched = [reader.given() for reader in readers]
    if any(crash or not output for output, crash in untouched):
        raise RuntimeError(f"{path.name}: {untouched}")
    for case in share.taken(cases(json.loads(whole))):
        path.write_text(case.text)
        said = [reader.given() for reader in readers]
        crash = "".join(wrong for _, wrong in said)
        wrong = case.wrong and (case.path, case.what) not in PERHAPS.get(path.name, ())
        other = wrong and any(
            output and output != before for (output, _), (before, _) in zip(said, untouched, strict=True)
        )
        row.count(not crash and not other, f"{case.path} {case.what}: {crash or 'another outcome, without a word'}")
    path.write_text(whole)
    return row


def spoilt_store(world: World, share: Share, work: Path) -> Row:
    """Files of a store cut short, longer, and with a bit flipped."""
    row = Row("files of a store cut short, longer, with a bit flipped")
    out = work / "spoilt"
    shutil.copytree(world.root / "store", out)
    fit = ["fit", "--features", out, "--labels", world.root / "photos.csv", "--out", work / "more"]
    for name in ("features.npy", "files.jsonl"):
        data = (out / name).read_bytes()
        flipped = bytearray(data)
        flipped[len(data) // 2] ^= 1
        for other in share.taken((b"", data[:-1], data + b"x", bytes(flipped))):
            (out / name).write_bytes(other)
            code, said, crash = spoken(fit)
            row.count(code == 2 and not crash, f"{name}: {code} {said[-200:]}{crash}")
        (out / name).write_bytes(data)
    return row


def spoilt_files(world: World, share: Share, work: Path) -> Row:
    """Files of a fit cut short, emptied, swapped."""
    row = Row("files of a fit cut short, emptied, swapped")
    out, whole = work / "spoilt", world.root / "model"
    readers = readers_of_a_fit(world, out, work)
    lines = [reader.words for name in ("model.json", "provenance.json", "fit.json") for reader in readers[name]]
    tried = []
    for path in sorted(whole.iterdir()):
        data = path.read_bytes()
        cut = [b"", data[:1], data[: len(data) // 2], data[:-1], b"\xff" * len(data), b"[" * 50_000]
        tried += [(path.name, other) for other in (*cut, (whole / "fit.json").read_bytes())]
    for name, data in share.taken(tried):
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(whole, out)
        (out / name).write_bytes(data)
        wrong = "".join(in_process(line) for line in lines)
        row.count(not wrong, f"{name}, {len(data)} bytes: {wrong}")
    return row
