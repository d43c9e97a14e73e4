"""Set the figures that papers report for a task beside those measured here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cosup.methods import DEFAULT
from cosup.report.markup import Child, Markup, table
from cosup.report.summary import DASH, TaskSummary, percent, signed, span
from cosup.tasks import published_figures

OWN = ("csl-published", "csl-published-tuned", "csl", DEFAULT)
"""Methods whose figures stand beside those of the paper's."""


def anchors(tasks: Sequence[TaskSummary]) -> Markup | None:
    """Tabulate the published figures of every task that has some, side by side with ours."""
    rows: list[Sequence[Child]] = []
    for task in tasks:
        for figure in published_figures(task.name):
            settings = [figure.get(f) for f in ("labels", "levels", "teacher", "student")]
            rows.append(
                (
                    task.title if task.protocol == "clean" else f"{task.title} ({task.protocol})",
                    f"{figure['method']}, {figure['metric']}",
                    ", ".join(str(value) for value in settings if value),
                    " ".join(filter(None, (figure.get("bound"), percent(figure["value"])))),
                    _ours(task, figure),
                    str(figure["source"]),
                )
            )
    if not rows:
        return None
    caption = (
        "Figures of papers, in %, beside what was measured here. Those of Liu & Alahi are the best epoch on the test "
        "samples; ours are the last one unless the protocol is “published”. Teachers, student and samples are theirs, "
        "and ours those of the task: where they differ, so may the figures."
    )
    return table(caption, ("task", "figure", "their setting", "published", "here", "source"), rows, text=(1, 2, 4, 5))


def _ours(task: TaskSummary, figure: Mapping[str, Any]) -> str:
    if figure["method"] == "weak teacher":
        return percent(task.weak)
    if figure["method"] == "ceiling":
        return percent(task.ceiling)
    wanted = OWN if figure["method"] == "csl" else (figure["method"],)
    found = []
    for method in task.methods:
        if method.method not in wanted or not method.whole:
            continue
        if figure["metric"] == "accuracy":
            value = percent(method.accuracy)
        elif figure["metric"] == "pgr":
            value = "undefined" if method.pgr is None else f"{percent(method.pgr.estimate)} ({span(method.pgr)})"
        else:
            value = signed(method.versus)
        found.append(f"{method.label} {value}")
    return "; ".join(found) or DASH
