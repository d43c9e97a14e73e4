"""Draw docs/figures/idea.svg and loop.svg: python docs/diagrams.py (needs nothing).

A diagram is a list of boxes and arrows. Ink and fills follow the page's light or dark scheme.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

FIGURES = Path(__file__).parent / "figures"
STYLE = """
    svg { color: #222; --fill: #eef3fb; --edge: #3b5b92; --soft: #5a5a5a; --warm: #fdf1e3; --warm-edge: #a8642a }
    @media (prefers-color-scheme: dark) {
      svg { color: #ddd; --fill: #27324a; --edge: #8fb0ea; --soft: #b0b0b0; --warm: #43331f; --warm-edge: #e0a368 }
    }
    text { fill: currentColor; text-anchor: middle; font-family: sans-serif; font-size: 14px }
    .note { fill: var(--soft); font-size: 12px }
    .head { font-weight: bold }
    rect { fill: var(--fill); stroke: var(--edge); stroke-width: 1.5; rx: 8px }
    .warm { fill: var(--warm); stroke: var(--warm-edge) }
    .frame { fill: none; stroke-dasharray: 5 4 }
    .arrow { fill: none; stroke: var(--edge); stroke-width: 1.8; marker-end: url(#tip) }
    marker path { fill: var(--edge) }
"""
TIP = (
    '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
    'orient="auto-start-reverse"><path d="M0 0L10 5L0 10z"/></marker></defs>'
)
LINE = 17


@dataclass(frozen=True)
class Box:
    """A rectangle with a bold head and lines of notes."""

    x: int
    y: int
    width: int
    height: int
    head: str
    notes: tuple[str, ...] = ()
    kind: str = ""

    def svg(self) -> str:
        """The rectangle and its text."""
        middle = self.x + self.width // 2
        top = self.y + (self.height - LINE * len(self.notes)) // 2 + 5
        if self.kind == "frame":
            top = self.y - 8
        parts = [f'<rect class="{self.kind}" x="{self.x}" y="{self.y}" width="{self.width}" height="{self.height}"/>']
        parts.append(f'<text class="head" x="{middle}" y="{top}">{escape(self.head)}</text>')
        for place, note in enumerate(self.notes, 1):
            parts.append(f'<text class="note" x="{middle}" y="{top + LINE * place}">{escape(note)}</text>')
        return "".join(parts)


@dataclass(frozen=True)
class Note:
    """A line of text by itself."""

    x: int
    y: int
    text: str

    def svg(self) -> str:
        """The text."""
        return f'<text class="note" x="{self.x}" y="{self.y}">{escape(self.text)}</text>'


@dataclass(frozen=True)
class Arrow:
    """A path with a tip."""

    path: str

    def svg(self) -> str:
        """The path."""
        return f'<path class="arrow" d="{self.path}"/>'


Part = Box | Note | Arrow

IDEA: tuple[Part, ...] = (
    Box(10, 20, 150, 60, "photos, texts", ("nobody knows the classes",)),
    Box(215, 20, 150, 60, "strong model", ("pre-trained, frozen",)),
    Box(420, 20, 130, 60, "features", ("a row for each sample",)),
    Arrow("M160 50H213"),
    Arrow("M365 50H418"),
    Box(10, 125, 150, 42, "old model", ("knows all a little",), "warm"),
    Box(10, 177, 150, 42, "rule", ("often abstains",), "warm"),
    Box(10, 229, 150, 42, "expert", ("knows some classes",), "warm"),
    Box(215, 150, 150, 96, "annotations", ("cat | cat | blank", "dog | blank | dog", "cat | dog | dog"), "warm"),
    Arrow("M160 146L213 175"),
    Arrow("M160 198H213"),
    Arrow("M160 250L213 222"),
    Box(
        420, 140, 175, 116, "co-supervision",
        ("which teacher, on which", "sample? The student", "decides, learns, and", "decides better"),
    ),
    Arrow("M365 198H418"),
    Arrow("M485 80V138"),
    Arrow("M595 165C650 165 650 105 700 85"),
    Arrow("M595 198H698"),
    Arrow("M595 230C650 230 650 285 698 285"),
    Box(700, 40, 200, 74, "student", ("predicts new samples,", "without any teacher")),
    Box(700, 160, 200, 74, "provenance", ("whom it followed on each", "sample, and why")),
    Box(700, 256, 200, 60, "estimates", ("accuracy, without a label",)),
)  # fmt: skip
LOOP: tuple[Part, ...] = (
    Box(10, 70, 130, 62, "features", ("of a strong model",)),
    Box(10, 185, 130, 78, "teachers", ("level 0: generalists", "level 1 …: specialists"), "warm"),
    Box(185, 70, 125, 62, "initial student", ("on level 0",)),
    Arrow("M140 101H183"),
    Arrow("M140 210C170 205 178 160 215 134"),
    Box(345, 34, 400, 262, "at every level, several rounds", (), "frame"),
    Box(365, 62, 150, 80, "assign", ("which teacher to follow", "on which sample")),
    Box(570, 62, 150, 80, "reject or pool", ("what the evidence", "contradicts is dropped")),
    Box(468, 196, 150, 80, "train", ("a new student", "on what is kept")),
    Arrow("M310 101H363"),
    Arrow("M515 101H568"),
    Arrow("M655 142C655 190 650 220 620 230"),
    Arrow("M468 232C435 222 430 185 432 144"),
    Note(543, 168, "its predictions, on samples"),
    Note(543, 184, "that it did not train on"),
    Arrow("M140 232C235 232 290 165 363 125"),
    Note(245, 252, "annotations of this level"),
    Arrow("M745 165H778"),
    Box(780, 70, 130, 46, "student"),
    Box(780, 140, 130, 46, "provenance"),
    Box(780, 210, 130, 46, "estimates"),
)
DIAGRAMS: dict[str, tuple[tuple[int, int], str, tuple[Part, ...]]] = {
    "idea": ((910, 330), "The idea of co-supervised learning", IDEA),
    "loop": ((920, 310), "The loop of co-supervised learning", LOOP),
}


def render(name: str) -> str:
    """A diagram as SVG."""
    (width, height), title, parts = DIAGRAMS[name]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="title">'
    body = "\n".join(f"  {part.svg()}" for part in parts)
    return f'{head}\n  <title id="title">{title}</title>\n  <style>{STYLE}  </style>\n  {TIP}\n{body}\n</svg>\n'


if __name__ == "__main__":
    for name in DIAGRAMS:
        (FIGURES / f"{name}.svg").write_text(render(name), encoding="utf-8")
