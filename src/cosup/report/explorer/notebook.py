"""The explorer of a fitted model as a notebook shows it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from cosup.labels import TeacherLabels
from cosup.provenance import Account, find_nearest, look_first
from cosup.report.explorer.page import build_explorer
from cosup.utils.atomic_files import write_whole

__all__ = ["Page", "page_of"]

HEIGHT = 720


@dataclass(frozen=True, repr=False)
class Page:
    """A page of HTML that fetches nothing: shown in a frame of its own, and saved by `save`.

    Attributes
    ----------
    content : str
    """

    content: str

    def save(self, path: str | Path) -> Path:
        """Write the page, whole or not at all."""
        write_whole(Path(path), self.content)
        return Path(path)

    def __repr__(self) -> str:
        return f"Page({len(self.content):,} characters; save(path) writes it)"

    def _repr_html_(self) -> str:
        # On one line, and in a frame that shares nothing with the notebook.
        inside = html.escape(self.content, quote=True).replace("\n", "&#10;")
        return (
            f'<iframe title="The explorer of a fit" sandbox="allow-scripts allow-downloads" srcdoc="{inside}" '
            f'style="width:100%;height:{HEIGHT}px;border:1px solid #ddd"></iframe>'
        )


def page_of(
    model: Any,
    labels: TeacherLabels,
    X: ArrayLike,
    *,
    ids: Sequence[str] | None = None,
    images: Any = None,
    texts: Sequence[str] | None = None,
) -> Page:
    """Make the page of a fitted model; see `TeacherSupervised.report`."""
    ids = getattr(labels, "ids", None) if ids is None else ids
    looking = look_first(X, labels, model)
    account = Account.of(model, labels, X, class_names=[str(c) for c in model.classes_], ids=ids, looking=looking,
                         nearest=find_nearest(X, looking[0]))  # fmt: skip
    return Page(build_explorer(account, model.history_, estimates=model.estimates_, images=images, texts=texts))
