"""The kinds of figure that the report knows; each gives a `Drawing`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cosup.metrics import Interval
from cosup.report.drawing import Drawing, Palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = ("o", "s", "^", "D", "v", "P")
LOWEST = -25.0
"""PGR below this (in %) is drawn at the edge with its value beside it: it would squash everything else."""

PGR_AXIS = "PGR, %  (0: weak teacher, 100: ceiling)"


@dataclass(frozen=True)
class Dot:
    """One row of `dots`: an estimate with its interval."""

    label: str
    pgr: Interval
    colour: int  # position in the palette's series
    filled: bool = True


@dataclass(frozen=True)
class Line:
    """One line of `lines`; a colour and marker of its own, the same in every figure."""

    label: str
    values: Sequence[float]
    colour: int


@dataclass(frozen=True)
class Point:
    """One point of `points`: of a series, with a name of its own where there is room."""

    series: str
    x: float
    y: float
    colour: int
    name: str = ""


def dots(rows: Sequence[Dot], *, reference: float | None, name: str, description: str) -> Drawing:
    """Draw PGR with intervals, best on top; a line marks `reference` (vanilla, a share)."""
    ordered = sorted(rows, key=lambda row: row.pgr.estimate)

    def paint(figure: Figure, pen: Palette) -> None:
        axes = figure.subplots()
        for y, row in enumerate(ordered):
            low, middle, high = (100 * v for v in (row.pgr.low, row.pgr.estimate, row.pgr.high))
            colour = pen.series[row.colour]
            if middle < LOWEST:
                axes.plot([LOWEST], [y], marker="<", color=colour, markersize=7)
                axes.text(LOWEST + 2.5, y, f"{middle:.0f}", va="center", color=pen.ink, fontsize=9)
                continue
            axes.plot([max(low, LOWEST), high], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt")
            axes.plot(
                [middle], [y], marker="o", markersize=7.5, markeredgewidth=1.8, color=colour,
                markerfacecolor=colour if row.filled else pen.paper,
            )  # fmt: skip
        axes.set_yticks(range(len(ordered)), [short(row.label) for row in ordered])
        right = max(103.0, *(100 * row.pgr.high + 3 for row in rows))
        left = min(0.0, *(max(LOWEST - 3, 100 * row.pgr.low - 3) for row in rows))
        axes.set_xlim(left, right)
        axes.set_ylim(-0.7, len(ordered) - 0.3)
        for at in (0, 100):
            axes.axvline(at, color=pen.rule, linewidth=1, zorder=0)
        if reference is not None and reference * 100 > LOWEST:
            axes.axvline(100 * reference, color=pen.soft, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
        axes.set_xlabel(PGR_AXIS)
        _bare_rows(axes)

    return Drawing(name, description, 0.9 + 0.3 * len(rows), paint)


def spans(rows: Sequence[Dot], *, zero: float | None, axis: str, name: str, description: str) -> Drawing:
    """Draw estimates with intervals in the given order, on an axis of their own; a line marks `zero`."""

    def paint(figure: Figure, pen: Palette) -> None:
        axes = figure.subplots()
        for y, row in enumerate(reversed(rows)):
            colour = pen.series[row.colour]
            axes.plot([row.pgr.low, row.pgr.high], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt")
            axes.plot([row.pgr.estimate], [y], marker="o", markersize=6.5, color=colour)
        axes.set_yticks(range(len(rows)), [short(row.label) for row in reversed(rows)])
        axes.set_ylim(-0.7, len(rows) - 0.3)
        if zero is not None:
            axes.axvline(zero, color=pen.soft, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
        axes.grid(axis="x", color=pen.rule, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.set_xlabel(axis)
        _bare_rows(axes)

    return Drawing(name, description, 0.9 + 0.26 * len(rows), paint)


def lines(
    panels: Mapping[str, Sequence[Line]],
    *,
    name: str,
    description: str,
    floor: float | None = None,
    ticks: Sequence[str] | None = None,
    axis: str = "level",
) -> Drawing:
    """Draw shares in %, a panel each, against levels or `ticks`; what was not measured (NaN) is left out."""

    def paint(figure: Figure, pen: Palette) -> None:
        labels: dict[str, Line] = {}
        grid: Any = figure.subplots(1, len(panels), squeeze=False)
        for axes, (title, series) in zip(grid[0], panels.items(), strict=True):
            for line in series:
                labels.setdefault(line.label, line)
                found = [(k, 100 * v) for k, v in enumerate(line.values) if not math.isnan(v)]
                if floor is not None:
                    found = [(k, max(v, floor)) for k, v in found]
                axes.plot(
                    [k for k, _ in found], [v for _, v in found], color=pen.series[line.colour],
                    marker=MARKERS[line.colour], linewidth=2, markersize=6.5,
                )  # fmt: skip
            depth = max((len(line.values) for line in series), default=1)
            axes.set_xticks(range(depth), ticks)
            axes.set_xlim(-0.25, depth - 0.75)
            axes.set_xlabel(axis)
            axes.set_ylabel(title)
            _rules(axes, pen)
        _legend(figure, pen, {label: line.colour for label, line in labels.items()}, joined=True)

    return Drawing(name, description, 3.5, paint)


def points(
    panels: Mapping[str, Sequence[Point]], *, axis: str, name: str, description: str, log: bool = False
) -> Drawing:
    """Draw points, a panel a property on the x axis; y is PGR in %, cut off below."""

    def paint(figure: Figure, pen: Palette) -> None:
        grid: Any = figure.subplots(1, len(panels), squeeze=False, sharey=True)
        colours: dict[str, int] = {}
        for axes, (title, some) in zip(grid[0], panels.items(), strict=True):
            for point in some:
                colours.setdefault(point.series, point.colour)
                y = max(100 * point.y, LOWEST)
                colour = pen.series[point.colour]
                axes.plot([point.x], [y], marker=MARKERS[point.colour], color=colour, markersize=6, alpha=0.85)
                if point.name:
                    axes.annotate(
                        short(point.name, 22), (point.x, y), xytext=(4, 3), textcoords="offset points", fontsize=7
                    )
            if log:
                _log_axis(axes)
            axes.set_xlabel(title)
            axes.margins(x=0.12)
            _rules(axes, pen)
        grid[0, 0].set_ylabel(axis)
        _legend(figure, pen, colours, joined=False)

    return Drawing(name, description, 4.2, paint)


def heat(
    blocks: Sequence[tuple[str, Sequence[str], Sequence[Sequence[float]]]],
    columns: Sequence[str],
    *,
    name: str,
    description: str,
) -> Drawing:
    """Draw shares (0 to 1) as shaded cells: blocks of (title, row names, rows) under one set of columns."""
    heights = [len(rows) for _, _, rows in blocks]
    columns = [short(column, 16) for column in columns]
    written = len(columns) <= 16

    def paint(figure: Figure, pen: Palette) -> None:
        from matplotlib.patches import Rectangle

        grid: Any = figure.subplots(len(blocks), 1, squeeze=False, height_ratios=heights)
        for axes, (title, names, rows) in zip(grid[:, 0], blocks, strict=True):
            for y, row in enumerate(rows):
                for x, value in enumerate(row):
                    if math.isnan(value):
                        continue
                    # Shaded by transparency: legible on light and on dark paper alike.
                    shade = 0.04 + 0.66 * value
                    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=pen.series[0], alpha=shade, linewidth=0))
                    if written and value >= 0.005:
                        axes.text(x + 0.5, y + 0.5, f"{100 * value:.0f}", ha="center", va="center", fontsize=8.5)
            axes.set_xlim(0, len(columns))
            axes.set_ylim(len(rows), 0)
            axes.set_yticks([y + 0.5 for y in range(len(rows))], [short(name) for name in names])
            axes.set_title(title, loc="left", fontsize=10)
            axes.tick_params(length=0)
            for spine in axes.spines.values():
                spine.set_visible(False)
            axes.set_xticks([])
        step = max(1, math.ceil(len(columns) / 25))
        shown = range(0, len(columns), step)
        long = max((len(columns[x]) for x in shown), default=0) > 4
        last = grid[-1, 0]
        last.set_xticks([x + 0.5 for x in shown], [columns[x] for x in shown], rotation=45 if long else 0)
        if long:
            for text in last.get_xticklabels():
                text.set_ha("right")
        last.set_xlabel("true class")

    return Drawing(name, description, 0.9 + 0.36 * sum(heights) + 0.42 * len(blocks), paint)


def short(text: str, most: int = 40) -> str:
    """Cut a long name, so that a figure keeps its room; the table below it has the whole."""
    return text if len(text) <= most else text[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _bare_rows(axes: Any) -> None:
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _log_axis(axes: Any) -> None:
    """Plain numbers instead of powers of ten, which would need mathematical text."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _rules(axes: Any, pen: Palette) -> None:
    axes.grid(axis="y", color=pen.rule, linewidth=0.8)
    axes.set_axisbelow(True)


def _legend(figure: Figure, pen: Palette, colours: Mapping[str, int], *, joined: bool) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [], [], color=pen.series[colour], marker=MARKERS[colour], linewidth=2 if joined else 0, label=short(label)
        )
        for label, colour in colours.items()
    ]
    if handles:
        figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 4))
