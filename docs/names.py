"""Write docs/reference/python/index.md, the names that `cosup` exports: python docs/names.py."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import cosup

FOLDER = Path(__file__).parent / "reference" / "python"
HEAD = """# Python

`cosup` exports these names. `CosupError` is the one exception for wrong input: it says what is wrong, where, and
what to do. The page is written by `python docs/names.py`.

| name | summary |
| --- | --- |
"""


def homes() -> dict[str, str]:
    """Name -> link to where a page of this folder describes it."""
    found: dict[str, str] = {}
    for path in sorted(FOLDER.glob("*.md")):
        for module in re.findall(r"^::: (\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE):
            for name in importlib.import_module(module).__all__:
                found.setdefault(name, f"{path.name}#{module}.{name}")
    return found


def page() -> str:
    """The whole page."""
    links, lines = homes(), []
    for name in cosup.__all__:
        text = " ".join((inspect.getdoc(getattr(cosup, name)) or "").split("\n\n")[0].split())
        shown = f"[`{name}`]({links[name]})" if name in links else f"`{name}`"
        lines.append(f"| {shown} | {text.replace('|', chr(92) + '|')} |")
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    (FOLDER / "index.md").write_text(page(), encoding="utf-8")
