"""The explorer as one self-contained HTML file."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np

from cosup.estimators.accuracy import Estimates
from cosup.provenance import Account
from cosup.report.explorer.comparison import Comparison
from cosup.report.explorer.query import draw_order
from cosup.report.explorer.summary import summarise_account
from cosup.report.explorer.thumbnails import ACROSS, check_count, make_sheets
from cosup.report.markup import Markup, tag

__all__ = ["LARGEST", "build_explorer", "fit_key", "served_policy", "skeleton"]

LARGEST = 20_000
"""Samples that one file holds; all of more are served."""

STYLES = ("base", "list", "label")
SCRIPTS = ("base", "source", "list", "sample", "overview", "teachers", "levels", "answers", "label", "frame")
"""Files of `static`, in this order; they share a scope."""

UNKNOWN = 65535
"""A probability that isn't known, in the 16 bits that hold one as ten-thousandths."""


def build_explorer(
    account: Account,
    history: Sequence[Mapping[str, Any]] = (),
    *,
    title: str = "A co-supervised student",
    facts: Mapping[str, str] | None = None,
    estimates: Estimates | None = None,
    images: Any = None,
    texts: Sequence[str] | None = None,
    folder: str | None = None,
    against: Comparison | None = None,
) -> str:
    """Make the page: overview, label mode, samples, teachers, disagreements, levels.

    Parameters
    ----------
    account : Account
        Of more than `LARGEST` samples, the file holds those most worth a look, and the summary of all.
    history : sequence of dict
        ``history_`` of the fitted estimator, or what ``cosup fit`` wrote of it.
    title : str
    facts : mapping of str to str, optional
        What else is worth knowing of the fit: files, versions.
    estimates : Estimates, optional
        Accuracies of the teachers and the student. Without them the page shows agreement with the student, and says so.
    images : uint8 ndarray (n, h, w) or (n, h, w, 3), or sequence of n paths, optional
        The samples' pictures.
    texts : sequence of n str, optional
        The samples' texts.
    folder : str, optional
        Of the fit, in the commands that the page shows.
    against : Comparison, optional
        With another model, of which the page shows what changed.

    Returns
    -------
    str
        HTML that fetches nothing: its policy lets no request through.

    Raises
    ------
    CosupError
        For images or texts of another number.
    """
    check_count("images", images, len(account))
    check_count("texts", texts, len(account))
    summary = summarise_account(account, history, title=title, facts=facts, estimates=estimates)
    columns: dict[str, Any] = {"draw": np.argsort(draw_order(len(account)))}
    if against is not None:
        summary["compare"] = against.to_json(account, estimates)
        columns["before"] = against.before(account)
    key = fit_key(account)
    if len(account) > LARGEST:
        rows = np.sort(np.argsort(account.rank, kind="stable")[:LARGEST])
        account, columns = account.take(rows), {name: values[rows] for name, values in columns.items()}
        texts = None if texts is None else [texts[i] for i in rows]
        if images is not None:
            images = images[rows] if isinstance(images, np.ndarray) else [images[i] for i in rows]
    boot: dict[str, Any] = {
        "summary": summary, "ids": account.ids, "columns": _columns(account, columns), "folder": folder, "key": key,
    }  # fmt: skip
    if texts is not None:
        boot["texts"] = list(texts)
    sheets: list[str] = []
    if images is not None:
        side, sheets = make_sheets(images)
        boot["sheets"] = {"side": side, "across": ACROSS, "n": len(sheets)}
    return skeleton(title, boot, sheets)


def fit_key(account: Account) -> str:
    """Name a fit by its samples and classes: under it, a browser keeps a person's answers."""
    text = json.dumps([account.ids, account.class_names], ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def assets() -> tuple[str, str]:
    """Style and script of the page, of the files that hold an idea each."""
    here = resources.files("cosup.report.explorer") / "static"
    style, script = (
        "".join((here / f"{name}.{suffix}").read_text(encoding="utf-8") for name in names)
        for names, suffix in ((STYLES, "css"), (SCRIPTS, "js"))
    )
    return style, f'"use strict";\n(() => {{\n{script}}})();'


def skeleton(title: str, boot: Mapping[str, Any], sheets: Sequence[str] = (), *, remote: bool = False) -> str:
    """The document around what the script needs to begin."""
    style, script = assets()
    policy = _policy(style, script, remote)
    data = json.dumps(boot, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        Markup('<link rel="icon" href="data:,">'),  # or browsers ask a server for one
        tag("style", Markup(style)),
    )
    body = tag(
        "body",
        tag("a", "Skip to the content", href="#main", id="skip"),
        tag("header", tag("h1", title), id="top"),
        tag("main", tag("p", "Loading ...", class_="soft"), id="main", tabindex="-1"),
        tag("noscript", tag("p", "This page shows its data with a script; switch scripts on to see it.")),
        tag("script", Markup(data), type="application/json", id="data"),
        # Before the sheets: the page is drawn before the browser has read the pictures.
        [tag("script", Markup(script))],
        [tag("script", Markup(sheet), type="text/plain", id=f"sheet-{place}") for place, sheet in enumerate(sheets)],
    )
    return "<!DOCTYPE html>\n" + tag("html", head, body, lang="en") + "\n"


def served_policy() -> str:
    """Make the header that a server sends beside the page: the page's policy, and that no other page may frame it."""
    style, script = assets()
    return f"{_policy(style, script, remote=True)}; frame-ancestors 'none'"


def _policy(style: str, script: str, remote: bool) -> str:
    # Only this style and this script: whatever got into the data, no browser would run or fetch it.
    return (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'; "
        + ("img-src 'self' data:; connect-src 'self'" if remote else "img-src data: blob:")
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


def _columns(account: Account, more: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The account's arrays column by column, in few bits: whole numbers in the narrowest type, shares in 16 bits."""
    whole = {
        "annotated": account.annotated, "assigned": account.assigned, "annotation": account.annotation,
        "kept": account.kept, "reason": account.reason, "levelAnswer": account.level_answer, "answer": account.answer,
        "second": account.second, "rank": account.rank,
        **({} if account.nearest is None else {"nearest": account.nearest}), **more,
    }  # fmt: skip
    shares = {
        "support": account.support, "probability": account.probability, "confidence": account.confidence,
        "secondConfidence": account.second_confidence, "doubt": account.doubt, "dispute": account.dispute,
        "influence": account.influence, **({} if account.distance is None else {"distance": account.distance}),
    }  # fmt: skip
    out = {}
    for name, values in whole.items():
        widest = int(values.max(initial=0))
        kind = next(kind for kind in ("i1", "i2", "i4") if widest <= np.iinfo(kind).max)
        out[name] = _encoded(kind, values)
    for name, shares_ in shares.items():
        known = np.isfinite(shares_)
        fixed = np.where(known, np.clip(np.round(np.where(known, shares_, 0) * 1e4), 0, UNKNOWN - 1), UNKNOWN)
        out[name] = _encoded("u2", fixed)
    return out


def _encoded(kind: str, values: Any) -> dict[str, str]:
    data = np.asarray(values, dtype=f"<{kind}").tobytes(order="F")
    return {"kind": kind, "data": base64.b64encode(data).decode("ascii")}
