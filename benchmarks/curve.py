"""Draw docs/figures/growth.svg from the growth row of benchmarks/results.json: python benchmarks/curve.py.

bench.py draws it itself whenever it measures that row.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
FIGURE = HERE.parent / "docs" / "figures" / "growth.svg"
INK = "#123456"  # stands for the colour of the text around
PANELS = (("cpu_seconds", "CPU seconds"), ("mb", "MB of data and training"))


def curves(points: Sequence[dict[str, Any]], axis: str, measure: str) -> tuple[list[float], list[float]]:
    """Sizes, and the median over rounds of what was measured at each, of the points along one axis."""
    found = defaultdict(list)
    for point in points:
        found[point[axis]].append(point[measure])
    return sorted(found), [median(found[size]) for size in sorted(found)]


def draw(row: dict[str, Any], path: Path) -> None:
    """Draw time and memory against samples, teachers, classes and columns; dashed: what grows in proportion."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    axes_of = dict.fromkeys(p["axis"] for p in row["points"])
    along = {axis: [p for p in row["points"] if p["axis"] == axis] for axis in axes_of}
    style: Any = {
        "svg.hashsalt": "growth", "svg.fonttype": "none", "font.size": 9, "text.color": INK, "axes.edgecolor": INK,
        "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False,
        "axes.spines.right": False,
    }  # fmt: skip
    with rc_context(style):
        figure = Figure(figsize=(3.4 * len(along), 4.6), layout="constrained")
        axes = figure.subplots(2, len(along), squeeze=False)
        for panels, (measure, label) in zip(axes, PANELS, strict=True):
            for panel, (axis, points) in zip(panels, along.items(), strict=True):
                sizes, values = curves(points, axis, measure)
                panel.loglog(sizes, values, "o-", color="#0072b2")
                panel.loglog(sizes, [values[-1] * size / sizes[-1] for size in sizes], "--", color=INK, linewidth=0.8)
                panel.set_xlabel("samples" if axis == "n" else axis)
                panel.set_ylabel(label)
                panel.set_xticks(sizes, [f"{size:,}" for size in sizes], minor=False)
                panel.minorticks_off()
        figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
    ink = "<style>svg{color:#222}@media(prefers-color-scheme:dark){svg{color:#ddd}}</style>"
    svg = path.read_text(encoding="utf-8").replace(INK, "currentColor")
    path.write_text(re.sub(r"(<svg[^>]*>)", r"\1" + ink, svg, count=1), encoding="utf-8")


if __name__ == "__main__":
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "results.json"
    draw(json.loads(given.read_text(encoding="utf-8"))["rows"]["growth"], FIGURE)
    print(FIGURE)
