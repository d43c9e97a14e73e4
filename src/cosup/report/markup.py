"""HTML that is safe by construction: every text is escaped unless it was made here."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources

from cosup.report.drawing import Drawing

REPORT_NAME = "report.html"
"""The page that a bench or a fit leaves in its folder."""

VOID = ("img", "meta", "br")


class Markup(str):
    """HTML made by this module; everything else is text and gets escaped."""

    __slots__ = ()


Child = Markup | str | None


def tag(element: str, *children: Child | Iterable[Child], **attributes: str | None) -> Markup:
    """Make one element. Texts and attributes are escaped; in their names ``_`` stands for ``-``."""
    parts = []
    for key, value in attributes.items():
        if value is not None:
            parts.append(f' {key.rstrip("_").replace("_", "-")}="{html.escape(value, quote=True)}"')
    opening = f"<{element}{''.join(parts)}>"
    if element in VOID:
        return Markup(opening)
    return Markup(f"{opening}{join(*children)}</{element}>")


def join(*children: Child | Iterable[Child]) -> Markup:
    """Put pieces one after the other, escaping those that are not markup."""
    out = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, Markup):
            out.append(str(child))
        elif isinstance(child, str):
            out.append(html.escape(child, quote=False))
        else:
            out.append(str(join(*child)))
    return Markup("".join(out))


def table(
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[Child]],
    *,
    strong: Iterable[int] = (),
    text: Iterable[int] = (),
) -> Markup:
    """Make a table with a caption; the first cell of each row is its heading, the others are numbers.

    Parameters
    ----------
    caption : str
    header : sequence of str
    rows : iterable of rows
    strong : iterable of int
        Positions of the rows that stand out.
    text : iterable of int
        Positions of the columns of words, which are set from the left.
    """
    marked, words = set(strong), set(text)
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row"),
            [tag("td", cell, class_="text" if at in words else None) for at, cell in enumerate(row[1:], start=1)],
            class_="strong" if place in marked else None,
        )
        for place, row in enumerate(rows)
    ]
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption),
            tag(
                "thead",
                tag(
                    "tr",
                    [
                        tag("th", cell, scope="col", class_="text" if at in words else None)
                        for at, cell in enumerate(header)
                    ],
                ),
            ),
            tag("tbody", body),
        ),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


@dataclass(frozen=True)
class Data:
    """The numbers of a figure: a table of plain cells."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Panel:
    """A figure with its caption and its numbers."""

    drawing: Drawing
    caption: str
    data: Sequence[Data]

    def markup(self) -> Markup:
        """The drawing, with its numbers in tables that open."""
        return tag(
            "figure",
            Markup(self.drawing.page()),
            tag("figcaption", self.caption),
            tag(
                "details",
                tag("summary", "The numbers in this figure"),
                [table(d.title, d.header, d.rows) for d in self.data],
            ),
        )


def page(title: str, *body: Child | Iterable[Child]) -> str:
    """Make a whole document, with its style inside and nothing fetched from anywhere."""
    style = resources.files("cosup.report").joinpath("style.css").read_text(encoding="utf-8")
    # No script, no request: even if something hostile got into the page, no browser would run or fetch it.
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Markup(style)),
    )
    return "<!DOCTYPE html>\n" + tag("html", head, tag("body", tag("main", *body)), lang="en") + "\n"
