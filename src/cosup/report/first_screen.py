"""The first screen of a benchmark's report: a task in one sentence and one bar; and its verdict for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cosup.metrics import Interval
from cosup.report.markup import Child, Markup, join, tag
from cosup.report.summary import TaskSummary, percent

__all__ = ["first_screen", "verdict"]

MARGIN = 0.12
"""Share of the bar's axis to the left of the weak teacher and to the right of the ceiling."""


def first_screen(tasks: Sequence[TaskSummary]) -> Markup | None:
    """Say and draw what came out, a task after the other."""
    if not tasks:
        return None
    return join(
        [tag("section", tag("p", _sentence(task), class_="lead"), _bar(task), class_="task") for task in tasks],
        tag(
            "p",
            "The bar runs from the weak teacher to the ceiling, the same student trained on the truth: that is the "
            "gap. Its filled part is the performance gap recovered (PGR): (student \N{MINUS SIGN} weak) / (ceiling "
            "\N{MINUS SIGN} weak), in accuracy on test samples.",
            class_="soft",
        ),
    )


def _sentence(task: TaskSummary) -> Child:
    ours, vanilla = task.ours, task.vanilla
    if ours is None or ours.pgr is None:
        return join(tag("strong", task.title), ": ", _without_ours(task))
    text = f": without one true label, the student is right on {percent(ours.accuracy)} % of the test samples, and "
    text += f"closes {percent(ours.pgr.estimate, 0)} % of the gap"
    if vanilla is not None and vanilla.pgr is not None and vanilla is not ours:
        text += f"; plain training on the weak teachers closes {percent(vanilla.pgr.estimate, 0)} %"
    return join(tag("strong", task.title), text, ".")


def _without_ours(task: TaskSummary) -> str:
    if task.ours is not None:
        return "there is no gap between the weak teacher and the ceiling, so nothing to recover."
    best = max(task.methods, key=lambda m: m.accuracy)
    return f"the best of the methods, {best.label}, is right on {percent(best.accuracy)} % of the test samples."


def _bar(task: TaskSummary) -> Markup | None:
    """The gap as a bar, its recovered share filled; texts keep their size however wide the page is."""
    gap = task.ceiling - task.weak
    ours = task.ours or max(task.methods, key=lambda m: m.accuracy)
    if not gap > 0 or math.isnan(ours.accuracy):
        return None
    marks = [("weak teacher", task.weak, "below"), (ours.label, ours.accuracy, "above")]
    if task.vanilla is not None and task.vanilla is not ours:
        marks.append(("plain training", task.vanilla.accuracy, "under"))
    marks.append(("ceiling", task.ceiling, "below"))

    def place(accuracy: float) -> float:
        share = (accuracy - task.weak) / gap
        return 100 * min(max((share + MARGIN) / (1 + 2 * MARGIN), 0.01), 0.99)

    start, end, reached = place(task.weak), place(task.ceiling), place(ours.accuracy)
    parts = [
        _rect(start, end - start, "gap"),
        _rect(min(start, reached), abs(reached - start), "recovered" if reached >= start else "lost"),
    ]
    heights = {"above": (26, 18), "below": (70, 88), "under": (70, 108)}
    for name, accuracy, where in marks:
        x = place(accuracy)
        edge, text = heights[where]
        parts.append(
            tag("line", x1=f"{x:.2f}%", x2=f"{x:.2f}%", y1="36" if edge > 36 else str(edge), y2=str(max(edge, 60)))
        )
        anchor = "start" if x < 25 else "end" if x > 75 else "middle"
        label = f"{name} {percent(accuracy)} %"
        parts.append(tag("text", label, x=f"{x:.2f}%", y=str(text), text_anchor=anchor, class_=f"mark-{where}"))
    told = ", ".join(f"{name} {percent(accuracy)} %" for name, accuracy, _ in marks)
    return tag("svg", parts, class_="gap-bar", width="100%", height="116", role="img", aria_label=told)


def _rect(x: float, width: float, kind: str) -> Markup:
    return tag("rect", x=f"{x:.2f}%", width=f"{width:.2f}%", y="36", height="24", class_=kind)


def verdict(tasks: Sequence[TaskSummary]) -> list[str]:
    """Two lines for the end of the terminal's table: what the default closes, and against plain training."""
    shown = [task for task in tasks if task.ours is not None and task.ours.pgr is not None]
    if not shown:
        return []
    closed = ", ".join(
        f"{percent(task.ours.pgr.estimate, 0)} % on {task.title}"
        for task in shown[:4]
        if task.ours is not None and task.ours.pgr is not None
    )
    more = f", and {len(shown) - 4} more tasks" if len(shown) > 4 else ""
    lines = [f"Verdict: without one true label, the gap from weak teacher to ceiling closes by {closed}{more}."]
    compared = [task for task in shown if task.ours is not None and task.ours.versus is not None]
    if compared:
        better, worse = (sum(_beyond(task.ours.versus, sign) for task in compared if task.ours) for sign in (1, -1))
        same = len(compared) - better - worse
        lines.append(
            f"Against plain training on the same teachers (90 % intervals): better on {better}, worse on {worse}, not "
            f"told apart on {same} of {len(compared)} task{'' if len(compared) == 1 else 's'}."
        )
    return lines


def _beyond(difference: Interval | None, sign: int) -> bool:
    return difference is not None and (difference.low > 0 if sign > 0 else difference.high < 0)
