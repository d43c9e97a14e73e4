"""Write docs/reference/configuration.md from `CSLConfig` and the registries: python docs/configuration.py."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

from cosup import CSLConfig
from cosup.cosupervision.assignment import ASSIGNERS
from cosup.cosupervision.rejection import REJECTIONS
from cosup.methods import METHODS, make_method
from cosup.students import STUDENTS

PAGE = Path(__file__).parent / "reference" / "configuration.md"
SIDE_BY_SIDE = ("co-supervised", "csl", "csl-published")
HEAD = """# Configuration

`CSLConfig` says which rule does each step of [Algorithm 1](../explanation/algorithm.md). Its fields are also
parameters of `CoSupervisedClassifier`. The page is written by `python docs/configuration.py`.
"""


def described(thing: type) -> dict[str, str]:
    """Attribute -> text of a class's numpydoc section `Attributes`."""
    section = inspect.cleandoc(thing.__doc__ or "").split("Attributes\n----------\n", 1)[1]
    entries = re.findall(r"^(\w+) : .*\n((?:    .*\n?|\n)+)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def cell(text: str) -> str:
    """Text that stands in a cell of a table."""
    return text.replace("|", "\\|")


def summary(thing: object) -> str:
    """First sentence of a docstring, or of that of the function inside a partial one."""
    text = inspect.getdoc(getattr(thing, "func", thing)) or ""
    return cell(" ".join(text.split("\n\n")[0].split()))


def methods_table() -> list[str]:
    """Every field's value in the methods that are settings of the same steps."""
    models = {name: make_method(name).get_params() for name in SIDE_BY_SIDE if name in METHODS}
    fields = [field.name for field in dataclasses.fields(CSLConfig)]
    shared = [f for f in fields if any(f in params for params in models.values())]
    lines = [f"| field | {' | '.join(f'`{name}`' for name in models)} |", "| --- |" + " --- |" * len(models)]
    for field in shared:
        values = [f"`{params[field]!r}`" if field in params else "fixed by its recipe" for params in models.values()]
        lines.append(f"| `{field}` | {' | '.join(values)} |")
    return lines


def page() -> str:
    """The whole page."""
    texts = described(CSLConfig)
    lines = [HEAD, "## Fields\n", "| field | default | meaning |", "| --- | --- | --- |"]
    for field in dataclasses.fields(CSLConfig):
        lines.append(f"| `{field.name}` | `{field.default!r}` | {cell(texts[field.name])} |")
    lines += ["", "## Methods side by side\n", *methods_table()]
    lines += ["", "## Assignment rules\n", "| `assign` | rule |", "| --- | --- |"]
    lines += [f"| `{name}` | {summary(rule)} |" for name, rule in ASSIGNERS.shipped.items()]
    lines += ["", "## Rejection rules\n", "| in `reject` | an annotation is rejected because | local students |"]
    lines += ["| --- | --- | --- |"]
    lines += [
        f"| `{name}` | {cell(rule.reason)} | {'yes' if rule.needs_local else 'no'} |"
        for name, rule in REJECTIONS.shipped.items()
    ]
    lines += ["", "## Students\n", "| `student` | trains |", "| --- | --- |"]
    lines += [f"| `{name}` | {summary(make)} |" for name, make in STUDENTS.shipped.items()]
    lines += ["", "Rules and students of your own: [extend cosup](../how-to/extend.md)."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
