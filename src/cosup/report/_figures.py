"""The report's figures, drawn by matplotlib as SVG text that takes its colours from the page.

Figures are made with matplotlib's object interface: pyplot and its global state are not touched.
"""

from __future__ import annotations

import contextlib
import html
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cosup._validation import CosupError
from cosup.metrics import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Stand-ins that the page's style sheet replaces, so that one drawing serves light, dark and print.
INK, SOFT, RULE, PAPER = "#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04"
SERIES = ("#0a0c01", "#0a0c02", "#0a0c03", "#0a0c04", "#0a0c05", "#0a0c06")
MARKERS = ("o", "s", "^", "D", "v", "P")
_VARIABLES = {
    INK: "--ink",
    SOFT: "--soft",
    RULE: "--rule",
    PAPER: "--paper",
    **{colour: f"--c{place + 1}" for place, colour in enumerate(SERIES)},
}
WIDTH = 7.6
LOWEST = -25.0
"""PGR below this (in %) is drawn at the edge with its value beside it: it would squash everything else."""


@dataclass(frozen=True)
class Dot:
    """One row of `dots`: a PGR with its interval."""

    label: str
    pgr: Interval
    colour: int  # position in SERIES
    filled: bool = True


@dataclass(frozen=True)
class Line:
    """One line of `lines`; a colour and marker of its own, the same in every figure."""

    label: str
    values: Sequence[float]
    colour: int


def require() -> None:
    """Raise CosupError where matplotlib isn't installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise CosupError("the report's figures need matplotlib: pip install cosup[report]") from error


@contextlib.contextmanager
def _canvas(height: float) -> Iterator[Figure]:
    import matplotlib
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "font.family": "sans-serif",
        "font.size": 10,
        "svg.fonttype": "none",
        "text.parse_math": False,  # a "$" in a name is a "$"
        "text.color": INK,
        "axes.edgecolor": SOFT,
        "axes.labelcolor": INK,
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "xtick.color": INK,
        "ytick.color": INK,
        "figure.facecolor": "none",
        "legend.frameon": False,
    }
    with matplotlib.rc_context(style):
        yield Figure(figsize=(WIDTH, height), layout="constrained")


def _svg(figure: Figure, name: str, description: str) -> str:
    """Turn a figure into SVG for a page: no ids that clash, no fixed size, colours from the style sheet."""
    import matplotlib

    buffer = io.StringIO()
    # A salt of its own for every figure: references inside one drawing must not meet those of another.
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r"<!--.*?-->", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'<g id="[^"]*"', "<g", drawing)
    label = html.escape(description, quote=True)
    box = re.search(r'viewBox="([-0-9. ]+)"', drawing)
    if box is None:
        raise RuntimeError("matplotlib wrote an SVG without a viewBox")
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box.group(1)}" role="img" aria-label="{label}">'
    )
    drawing = opening + drawing[drawing.index(">") + 1 :]
    for colour, variable in _VARIABLES.items():
        drawing = drawing.replace(colour, f"var({variable})")
    # The page's own font: matplotlib names a list of its own.
    return re.sub(r"font: ([0-9.]+px)[^;\"]*", r"font: \1 system-ui, sans-serif", drawing)


def dots(rows: Sequence[Dot], *, reference: float | None, name: str, description: str) -> str:
    """Draw PGR with intervals, best on top; a line marks `reference` (vanilla, a share)."""
    ordered = sorted(rows, key=lambda row: row.pgr.estimate)
    with _canvas(0.9 + 0.3 * len(rows)) as figure:
        axes = figure.subplots()
        for y, row in enumerate(ordered):
            low, middle, high = (100 * v for v in (row.pgr.low, row.pgr.estimate, row.pgr.high))
            colour = SERIES[row.colour]
            if middle < LOWEST:
                axes.plot([LOWEST], [y], marker="<", color=colour, markersize=7)
                axes.text(LOWEST + 2.5, y, f"{middle:.0f}", va="center", color=INK, fontsize=9)
                continue
            axes.plot([max(low, LOWEST), high], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt")
            axes.plot(
                [middle],
                [y],
                marker="o",
                markersize=7.5,
                markeredgewidth=1.8,
                color=colour,
                markerfacecolor=colour if row.filled else PAPER,
            )
        axes.set_yticks(range(len(ordered)), [_short(row.label) for row in ordered])
        right = max(103.0, *(100 * row.pgr.high + 3 for row in rows))
        left = min(0.0, *(max(LOWEST - 3, 100 * row.pgr.low - 3) for row in rows))
        axes.set_xlim(left, right)
        axes.set_ylim(-0.7, len(ordered) - 0.3)
        for at in (0, 100):
            axes.axvline(at, color=RULE, linewidth=1, zorder=0)
        if reference is not None and reference * 100 > LOWEST:
            axes.axvline(100 * reference, color=SOFT, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
        axes.set_xlabel("PGR, %  (0: weak teacher, 100: ceiling)")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        return _svg(figure, name, description)


def lines(panels: Mapping[str, Sequence[Line]], *, name: str, description: str, floor: float | None = None) -> str:
    """Draw shares by level in % , a panel each; levels that were not measured (NaN) are left out."""
    labels: dict[str, Line] = {}
    with _canvas(3.5) as figure:
        grid: Any = figure.subplots(1, len(panels), squeeze=False)
        for axes, (title, series) in zip(grid[0], panels.items(), strict=True):
            for line in series:
                labels.setdefault(line.label, line)
                points = [(k, 100 * v) for k, v in enumerate(line.values) if not math.isnan(v)]
                if floor is not None:
                    points = [(k, max(v, floor)) for k, v in points]
                axes.plot(
                    [k for k, _ in points],
                    [v for _, v in points],
                    color=SERIES[line.colour],
                    marker=MARKERS[line.colour],
                    linewidth=2,
                    markersize=6.5,
                )
            depth = max((len(line.values) for line in series), default=1)
            axes.set_xticks(range(depth))
            axes.set_xlim(-0.25, depth - 0.75)
            axes.set_xlabel("level")
            axes.set_ylabel(title)
            axes.grid(axis="y", color=RULE, linewidth=0.8)
            axes.set_axisbelow(True)
        handles = [_entry(line) for line in labels.values()]
        figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 4))
        return _svg(figure, name, description)


def _short(text: str, most: int = 40) -> str:
    """Cut a long name, so that a figure keeps its room; the table below it has the whole."""
    return text if len(text) <= most else text[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _entry(line: Line) -> Any:
    """Make a legend's entry for `line`."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=SERIES[line.colour], marker=MARKERS[line.colour], linewidth=2, label=_short(line.label))


def heat(
    blocks: Sequence[tuple[str, Sequence[str], Sequence[Sequence[float]]]],
    columns: Sequence[str],
    *,
    name: str,
    description: str,
) -> str:
    """Draw shares (0 to 1) as shaded cells: blocks of (title, row names, rows) under one set of columns."""
    from matplotlib.patches import Rectangle

    heights = [len(rows) for _, _, rows in blocks]
    columns = [_short(column, 16) for column in columns]
    written = len(columns) <= 16
    with _canvas(0.9 + 0.36 * sum(heights) + 0.42 * len(blocks)) as figure:
        grid: Any = figure.subplots(len(blocks), 1, squeeze=False, height_ratios=heights)
        for axes, (title, names, rows) in zip(grid[:, 0], blocks, strict=True):
            for y, row in enumerate(rows):
                for x, value in enumerate(row):
                    if math.isnan(value):
                        continue
                    # Shaded by transparency: legible on light and on dark paper alike.
                    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=SERIES[0], alpha=0.04 + 0.66 * value, linewidth=0))
                    if written and value >= 0.005:
                        axes.text(x + 0.5, y + 0.5, f"{100 * value:.0f}", ha="center", va="center", fontsize=8.5)
            axes.set_xlim(0, len(columns))
            axes.set_ylim(len(rows), 0)
            axes.set_yticks([y + 0.5 for y in range(len(rows))], [_short(name) for name in names])
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
        return _svg(figure, name, description)
