"""A drawing that serves twice: as SVG text that takes its colours from the page, and as files for a paper.

Figures are made with matplotlib's object interface: pyplot and its global state are not touched.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cosup.utils.atomic_files import write_whole
from cosup.utils.validation import CosupError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PAPER", "Drawing", "Palette", "require_figures"]

WIDTH = 7.6


@dataclass(frozen=True)
class Palette:
    """Colours: text, lines beside it, rules, background, and six series."""

    ink: str
    soft: str
    rule: str
    paper: str
    series: tuple[str, ...]


# Stand-ins that the page's style sheet replaces, so that one drawing serves light, dark and print.
PAGE = Palette(
    "#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04", ("#0a0c01", "#0a0c02", "#0a0c03", "#0a0c04", "#0a0c05", "#0a0c06")
)
# The page's colours on white.
PAPER = Palette(
    "#1b1f24", "#59636e", "#d5dbe1", "#ffffff", ("#0068a8", "#c25100", "#007a5a", "#a84a86", "#7a6a00", "#59636e")
)
_VARIABLES = {
    PAGE.ink: "--ink",
    PAGE.soft: "--soft",
    PAGE.rule: "--rule",
    PAGE.paper: "--paper",
    **{colour: f"--c{place + 1}" for place, colour in enumerate(PAGE.series)},
}

Paint = Callable[["Figure", Palette], None]


def require_figures() -> None:
    """Raise CosupError where matplotlib isn't installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise CosupError("the report's figures need matplotlib: pip install 'cosup[report]'") from error


@dataclass(frozen=True)
class Drawing:
    """A figure of a page: its name, its size, and the function that paints it.

    Attributes
    ----------
    name : str
        Different for every figure of a page.
    description : str
        For those who cannot see it.
    height : float
        Inches; the width is that of the page.
    paint : callable
        Paints on an empty figure with a palette.
    """

    name: str
    description: str
    height: float
    paint: Paint

    def page(self) -> str:
        """SVG for a page: no ids that clash, no fixed size, colours from the style sheet."""
        drawing = self._render(("svg",), PAGE)[0].decode("utf-8")
        drawing = drawing[drawing.index("<svg") :]
        drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
        drawing = re.sub(r"<!--.*?-->", "", drawing, flags=re.DOTALL)
        drawing = re.sub(r'<g id="[^"]*"', "<g", drawing)
        label = html.escape(self.description, quote=True)
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

    def save(self, folder: Path) -> list[Path]:
        """Write ``name.svg`` and ``name.pdf`` for papers, on white; where they are."""
        kinds = ("svg", "pdf")
        paths = [folder / f"{self.name}.{kind}" for kind in kinds]
        for path, drawn in zip(paths, self._render(kinds, PAPER), strict=True):
            write_whole(path, drawn)
        return paths

    def _render(self, kinds: Sequence[str], palette: Palette) -> list[bytes]:
        """Paint once, and write in every kind of file."""
        import matplotlib
        from matplotlib.figure import Figure

        style: dict[Any, Any] = {
            "font.family": "sans-serif",
            "font.size": 10,
            "svg.fonttype": "none",
            # A salt of its own for every figure: references inside one drawing must not meet those of another.
            "svg.hashsalt": self.name,
            "pdf.fonttype": 42,
            "text.parse_math": False,  # a "$" in a name is a "$"
            "text.color": palette.ink,
            "axes.edgecolor": palette.soft,
            "axes.labelcolor": palette.ink,
            "axes.facecolor": "none",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "xtick.color": palette.ink,
            "ytick.color": palette.ink,
            "figure.facecolor": "none",
            "legend.frameon": False,
        }
        nothing: dict[str, dict[str, Any]] = {
            "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
            "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
        }
        buffers = [io.BytesIO() for _ in kinds]
        with matplotlib.rc_context(style):
            figure = Figure(figsize=(WIDTH, self.height), layout="constrained")
            self.paint(figure, palette)
            for kind, buffer in zip(kinds, buffers, strict=True):
                figure.savefig(buffer, format=kind, metadata=nothing[kind])
                figure.set_layout_engine("none")  # what was laid out stays so
        return [buffer.getvalue() for buffer in buffers]
