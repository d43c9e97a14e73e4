"""Compare methods across tasks: the leaderboard, mean ranks, sweeps over a family, strength and gap, cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cosup.methods import DEFAULT
from cosup.metrics import Comparison, Interval, Ranks, compare_with, mean_ranks
from cosup.report import figures
from cosup.report.markup import Data, Markup, Panel, join, table, tag
from cosup.report.sections import FIXED_COLOURS, colour
from cosup.report.summary import DASH, MethodSummary, TaskSummary, percent, span
from cosup.tasks import sweep_of

ENOUGH_TASKS = 6
"""Tasks below which nothing is said of significance: with fewer, hardly any difference of ranks could be found."""

MOST_RANKED = 40
"""The quantile of the critical difference is slow, and of little use, beyond."""


@dataclass(frozen=True)
class Board:
    """PGR of every method on every task of one protocol.

    Attributes
    ----------
    protocol : str
    tasks : tuple of TaskSummary
    labels : tuple of str
        Methods, the best mean rank first; those without ranks after them.
    cells : dict
        (label, position of the task) -> MethodSummary.
    ranks : Ranks or None
        Of the first methods, over the tasks in `ranked`; None with fewer than two of either.
    ranked : tuple of int
        Positions of the tasks that count: where the gap is positive.
    compared : tuple of Comparison
        The default with every other of the first methods, by their places in `labels`; empty without ranks or without
        the default.
    """

    protocol: str
    tasks: tuple[TaskSummary, ...]
    labels: tuple[str, ...]
    cells: dict[tuple[str, int], MethodSummary]
    ranks: Ranks | None
    ranked: tuple[int, ...]
    compared: tuple[Comparison, ...] = ()


def boards(tasks: Sequence[TaskSummary]) -> list[Board]:
    """Make one board a protocol."""
    return [
        _board(protocol, [task for task in tasks if task.protocol == protocol])
        for protocol in dict.fromkeys(task.protocol for task in tasks)
    ]


def _board(protocol: str, tasks: Sequence[TaskSummary]) -> Board:
    cells = {(m.label, place): m for place, task in enumerate(tasks) for m in task.methods}
    labels = list(dict.fromkeys(label for label, _ in cells))
    ranked = [place for place, task in enumerate(tasks) if any(m.pgr is not None for m in task.methods)]
    # Ranks want every method on every task: whole methods only, and those that were measured everywhere.
    full = [
        label for label in labels
        if ranked and all((label, p) in cells and cells[label, p].whole for p in ranked)
        and all(cells[label, p].pgr is not None for p in ranked)
    ]  # fmt: skip
    ranks, compared = None, []
    if len(ranked) >= 2 and 2 <= len(full) <= MOST_RANKED:
        scores = np.array([[cells[label, p].accuracy for label in full] for p in ranked])
        found = mean_ranks(scores)
        order = np.argsort(found.ranks, kind="stable")
        full = [full[i] for i in order]
        ranks = Ranks(found.ranks[order], found.critical, found.p_value, found.n_tasks)
        if DEFAULT in full:
            compared = compare_with(scores[:, order], full.index(DEFAULT))
    rest = [label for label in labels if label not in full]
    return Board(protocol, tuple(tasks), (*full, *rest), cells, ranks, tuple(ranked), tuple(compared))


def board_rows(board: Board) -> tuple[list[str], list[list[str]]]:
    """The leaderboard as header and plain cells: PGR with its interval by task, and the mean rank."""
    header = ["", *(task.title for task in board.tasks)] + (["mean rank"] if board.ranks is not None else [])
    rows = []
    for place, label in enumerate(board.labels):
        row = [label]
        for p in range(len(board.tasks)):
            method = board.cells.get((label, p))
            if method is None:
                row.append(DASH)
            elif method.pgr is None:
                row.append("undefined")
            else:
                row.append(f"{percent(method.pgr.estimate)} ({span(method.pgr)})")
        if board.ranks is not None:
            row.append(f"{board.ranks.ranks[place]:.1f}" if place < len(board.ranks.ranks) else DASH)
        rows.append(row)
    return header, rows


def leaderboard(board: Board) -> Markup:
    """Tabulate all methods on all tasks, and the ranks where there are enough of both."""
    header, rows = board_rows(board)
    ours = [place for place, label in enumerate(board.labels) if label == DEFAULT]
    caption = f"Performance gap recovered in %, 90 % intervals in brackets, by task; protocol “{board.protocol}”."
    if board.protocol == "published":
        caption += " CHOSEN ON TEST: the best epoch on the test samples, for the ceiling too."
    parts: list[Markup] = [table(caption, header, rows, strong=ours)]
    tested = board.ranks is not None and board.ranks.n_tasks >= ENOUGH_TASKS
    if tested:
        parts.append(tag("p", _verdict(board)))
    elif board.ranks is not None:
        few = f"{board.ranks.n_tasks} tasks are too few to test ranks: significance is not tested below "
        parts.append(tag("p", f"{few}{ENOUGH_TASKS}.", class_="soft"))
    if tested and board.compared:
        caption = (
            f"{DEFAULT} with each other method over {len(board.ranked)} tasks. Accuracy, mean over seeds; p by "
            "Wilcoxon's signed-rank test, corrected for the number of methods (Holm)."
        )
        parts.append(table(caption, *compared_rows(board)))
    return join(parts)


def compared_rows(board: Board) -> tuple[list[str], list[list[str]]]:
    """The default with every other method as header and plain cells."""
    header = ["", "tasks better", "the same", "worse", "median difference, points", "p"]
    return header, [
        [
            board.labels[c.method], str(c.wins), str(c.ties), str(c.losses), f"{100 * c.difference:+.1f}",
            "under 0.001" if c.p_value < 0.001 else f"{c.p_value:.3f}",
        ]
        for c in board.compared
    ]  # fmt: skip


def _verdict(board: Board) -> str:
    ranks = board.ranks
    assert ranks is not None
    best = board.labels[0]
    text = f"{best} has the best mean rank over {ranks.n_tasks} tasks. "
    p = "under 0.001" if ranks.p_value < 0.001 else f"{ranks.p_value:.3f}"
    text += f"That all methods are equal has p {p} (Friedman, Iman and Davenport). "
    text += f"Ranks that are {ranks.critical:.1f} or more apart differ at 5 % (Nemenyi). "
    return text + "Tasks are taken for independent; members of one family are not quite."


def rank_figure(board: Board, name: str) -> list[Panel]:
    """Draw mean ranks with half the critical difference to both sides: bars that do not meet differ."""
    ranks = board.ranks
    if ranks is None or ranks.n_tasks < ENOUGH_TASKS:
        return []
    half = ranks.critical / 2
    kinds = {label: method for (label, _), method in board.cells.items()}
    rows = [
        figures.Dot(label, Interval(float(r), float(r) - half, float(r) + half), colour(kinds[label]))
        for label, r in zip(board.labels, ranks.ranks, strict=False)
    ]
    drawing = figures.spans(
        rows, zero=None, axis="mean rank (1: best)", name=name,
        description=f"Mean rank of every method over {ranks.n_tasks} tasks; the values follow.",
    )  # fmt: skip
    caption = (
        f"Mean ranks over {ranks.n_tasks} tasks, protocol “{board.protocol}”. Bars are as long as the critical "
        f"difference ({ranks.critical:.2f}; Nemenyi, 5 %): two methods differ where their bars do not meet."
    )
    data = Data("Mean ranks", ("", "mean rank"), [(row.label, f"{row.pgr.estimate:.2f}") for row in rows])
    return [Panel(drawing, caption, [data])]


def sweeps(board: Board, name: str) -> list[Panel]:
    """Draw PGR over the members of every family that is there with three members or more."""
    families: dict[str, list[tuple[int, int]]] = {}
    for place, task in enumerate(board.tasks):
        found = sweep_of(task.name)
        if found is not None:
            families.setdefault(found[0], []).append((found[1], place))
    panels = []
    for family, members in families.items():
        numbers = sorted(members)
        if len(numbers) < 3 or len({number for number, _ in numbers}) != len(numbers):
            continue
        labels = [label for label in board.labels if all((label, place) in board.cells for _, place in numbers)]
        methods = {label: [board.cells[label, place] for _, place in numbers] for label in labels}
        series = [
            figures.Line(label, [_pgr(m) for m in some], colour(some[0]))
            for label, some in methods.items()
            if some[0].method in FIXED_COLOURS and some[0].whole
        ]
        ticks = [f"{number:,}" for number, _ in numbers]
        data = Data(
            f"{family}: PGR, %", ("", *ticks),
            [(label, *(percent(_pgr(m)) for m in some)) for label, some in methods.items()],
        )  # fmt: skip
        if not series:
            continue
        drawing = figures.lines(
            {"performance gap recovered, %": series}, name=f"{name}-{family}", floor=figures.LOWEST, ticks=ticks,
            axis=family, description=f"PGR over the members of {family}; the values follow.",
        )  # fmt: skip
        about = board.tasks[numbers[0][1]].description
        caption = f"{family}: PGR against the number in the name ({', '.join(ticks)}). The first: {about}."
        panels.append(Panel(drawing, caption, [data]))
    return panels


def strength_and_gap(board: Board, name: str) -> list[Panel]:
    """Draw PGR of the main methods against the weak teacher's accuracy and against the gap, a point a task."""
    rows = [
        (method.label, task.title, task.weak, task.ceiling - task.weak, method.pgr.estimate, colour(method))
        for task in board.tasks
        for method in task.methods
        if method.pgr is not None and method.whole and method.method in FIXED_COLOURS
    ]
    if len({row[1] for row in rows}) < 3:
        return []
    panels = {
        "accuracy of the weak teacher, %": [figures.Point(r[0], 100 * r[2], r[4], r[5]) for r in rows],
        "gap: ceiling \N{MINUS SIGN} weak teacher, points": [figures.Point(r[0], 100 * r[3], r[4], r[5]) for r in rows],
    }
    drawing = figures.points(
        panels, axis="performance gap recovered, %", name=name,
        description="PGR against the strength of the weak teacher and against the gap; the values follow.",
    )  # fmt: skip
    data = Data(
        "PGR by strength and gap, %", ("", "task", "weak teacher", "gap", "PGR"),
        [(r[0], r[1], percent(r[2]), percent(r[3]), percent(r[4])) for r in rows],
    )  # fmt: skip
    return [
        Panel(drawing, "PGR against the weak teacher's accuracy (left) and the gap (right), a point a task.", [data])
    ]


def cost(task: TaskSummary, name: str) -> list[Panel]:
    """Draw what a method costs against what it brings."""
    shown = [m for m in task.methods if m.pgr is not None and m.whole and m.seconds > 0]
    if len(shown) < 3:
        return []

    def some(values: Sequence[float]) -> list[figures.Point]:
        return [
            figures.Point(m.label if m.method in FIXED_COLOURS else "other rivals", v, _pgr(m), colour(m), name=m.label)
            for m, v in zip(shown, values, strict=True)
            if not math.isnan(v)
        ]

    panels = {"seconds of one fit on one core": some([m.seconds for m in shown])}
    # Less than a MB is a fit that ran in memory which the process had kept from before.
    memory = some([max(m.memory, 1.0) for m in shown])
    if memory:
        panels["MB that a fit adds at its peak"] = memory
    drawing = figures.points(
        panels, axis="performance gap recovered, %", name=name, log=True,
        description=f"PGR against seconds and memory on {task.title}; the values follow.",
    )  # fmt: skip
    data = Data(
        "Cost and PGR", ("", "seconds", "MB", "PGR, %"),
        [
            (m.label, f"{m.seconds:.2f}", DASH if math.isnan(m.memory) else f"{m.memory:.0f}", percent(_pgr(m)))
            for m in shown
        ],
    )  # fmt: skip
    caption = (
        "Cost of a fit against the gap that it recovers; features are factorised beforehand, once for all. The memory "
        "is a lower bound: what a fit takes out of memory that the process kept from earlier fits is not seen."
    )
    return [Panel(drawing, caption, [data])]


def _pgr(method: MethodSummary) -> float:
    return math.nan if method.pgr is None else method.pgr.estimate
