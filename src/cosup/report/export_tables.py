"""Export a paper's figures as SVG and PDF with their numbers as CSV, and its tables as LaTeX and Markdown."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from cosup.report.across import Board, board_rows
from cosup.report.markup import Data, Panel
from cosup.utils.atomic_files import write_whole

__all__ = ["export", "slug"]

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\N{EN DASH}": "--", "\N{MINUS SIGN}": "$-$",
}  # fmt: skip


def slug(text: str) -> str:
    """A name for files: lower case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:80] or "x"


def export(panels: Sequence[Panel], boards: Sequence[Board], folder: Path) -> None:
    """Write all figures and leaderboards into `folder`, replacing those of the same name."""
    folder.mkdir(parents=True, exist_ok=True)
    for panel in panels:
        panel.drawing.save(folder)
        write_whole(folder / f"{panel.drawing.name}.csv", _csv(panel.data))
    for board in boards:
        header, rows = board_rows(board)
        name = f"leaderboard-{board.protocol}"
        note = "" if board.protocol == "clean" else "Epochs chosen on the test samples (published protocol)."
        write_whole(folder / f"{name}.md", markdown(header, rows, note))
        write_whole(folder / f"{name}.tex", latex(header, rows, note))


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> str:
    """A Markdown table."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    rule = "| --- |" + " ---: |" * (len(header) - 1)
    return "\n".join([line(header), rule, *map(line, rows)]) + (f"\n\n{note}" if note else "") + "\n"


def latex(header: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> str:
    """A LaTeX tabular with booktabs' rules."""

    def line(cells: Sequence[str]) -> str:
        return " & ".join("".join(_LATEX.get(c, c) for c in cell) for cell in cells) + r" \\"

    comment = f"% {note}\n" if note else ""
    columns = "l" + "r" * (len(header) - 1)
    body = [line(header), r"\midrule", *map(line, rows)]
    return comment + "\n".join(
        [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", *body, r"\bottomrule", r"\end{tabular}", ""]
    )


def _csv(tables: Sequence[Data]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for place, table in enumerate(tables):
        if place:
            writer.writerow([])
        writer.writerow([table.title])
        writer.writerow(table.header)
        writer.writerows(table.rows)
    return out.getvalue()
