"""The published protocol beside the clean one, and what choosing the epoch on test samples is worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cosup.metrics import Interval, paired_difference, performance_gap_recovered
from cosup.report.markup import Child, Markup, join, table, tag
from cosup.report.summary import DASH, MethodSummary, TaskSummary, bits, mean, percent, signed, span


def protocols(tasks: Sequence[TaskSummary]) -> Markup | None:
    """Tabulate, for every method that was measured under the published protocol, both figures and the optimism."""
    published = [task for task in tasks if task.protocol == "published"]
    if not published:
        return None
    clean = {(t.title, m.label): (t, m) for t in tasks if t.protocol == "clean" for m in t.methods}
    rows: list[Sequence[Child]] = []
    for task in published:
        for method in task.methods:
            rows.append((task.title, *_row(task, method, clean.get((task.title, method.label)))))
    header = (
        "task", "method", "clean: PGR %", "90 %", "published: PGR %", "90 %", "chosen on test",
        "same training, last epoch: PGR %", "optimism, points of accuracy", "optimism, points of PGR",
    )  # fmt: skip
    caption = (
        "The same methods under both protocols. Clean: a regularised student, the last iterate, nothing chosen on "
        "test. Published: the released code's student, the best epoch on the test samples for student and ceiling."
    )
    explanation = (
        "Optimism is what the choice on test alone brings: the best epoch minus the last one of the very same "
        "training, with the ceiling's last epoch as the end of the gap. The two protocols also differ in the student, "
        "so that the difference of their columns is not optimism."
    )
    return join(table(caption, header, rows, text=(1,)), tag("p", explanation))


def _row(task: TaskSummary, method: MethodSummary, clean: tuple[TaskSummary, MethodSummary] | None) -> list[str]:
    there = clean[1].pgr if clean is not None else None
    row = [
        method.label,
        DASH if there is None else percent(there.estimate),
        span(there),
        "undefined" if method.pgr is None else percent(method.pgr.estimate),
        span(method.pgr),
    ]
    if not method.selected:
        return [*row, "nothing: last epoch", DASH, DASH, DASH]
    weak, last, ceiling = (mean([r[f] for r in method.records]) for f in ("weak", "last", "last_ceiling"))
    pgr = performance_gap_recovered(last, weak, ceiling, undefined="nan")
    accuracy, share = optimism(method)
    return [
        *row,
        "best epoch ON TEST",
        percent(pgr),
        f"{100 * accuracy:+.2f}",
        "undefined" if share is None else signed(share),
    ]


def optimism(method: MethodSummary) -> tuple[float, Interval | None]:
    """Best epoch minus last one: in accuracy, and in PGR with its interval; None where there is no gap."""
    records = method.records
    accuracy = float(np.mean([record["student"] - record["last"] for record in records]))
    if mean([record["last_ceiling"] for record in records]) <= mean([record["weak"] for record in records]):
        return accuracy, None
    columns = [bits(records, f) for f in ("correct", "last_correct", "weak_correct", "last_ceiling_correct")]
    return accuracy, paired_difference(*columns)
