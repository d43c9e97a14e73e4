"""The explorer served: for more samples than a file holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from cosup.provenance import Account
from cosup.report.explorer.label_store import LabelStore, label_routes
from cosup.report.explorer.page import fit_key, skeleton
from cosup.report.explorer.query import Query, describe_rows, find_samples
from cosup.report.explorer.summary import Estimates, summarise_account
from cosup.report.explorer.thumbnails import check_count
from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import IntArray

__all__ = ["LOOPBACK", "make_app"]

MOST = 500
"""Samples that one request gets."""

LOOPBACK = ("127.0.0.1", "localhost")
"""Names of this machine for itself."""


def make_app(
    account: Account,
    history: Sequence[Mapping[str, Any]] = (),
    *,
    title: str = "A co-supervised student",
    facts: Mapping[str, str] | None = None,
    estimates: Estimates | None = None,
    images: Sequence[str | Path] | None = None,
    texts: Sequence[str] | None = None,
    hosts: Sequence[str] = LOOPBACK,
    folder: str | None = None,
    labels: LabelStore | None = None,
    check: Callable[[], Mapping[str, Any]] | None = None,
) -> Any:
    """Make a Starlette application that serves the explorer.

    Parameters
    ----------
    account, history, title, facts, estimates, texts
        As of `cosup.report.explorer.build_explorer`, for any number of samples.
    images : sequence of n paths, optional
        The samples' pictures; only these files are served.
    hosts : sequence of str
        Names under which it answers: a page from elsewhere can't reach it under a name of its own.
    folder : str, optional
        Of the fit, in the commands that the page shows.
    labels : LabelStore, optional
        Takes a person's answers; without it nothing is ever written.
    check : callable, optional
        Checks the fit by these answers: see `label_routes`.

    Returns
    -------
    starlette.applications.Starlette

    Raises
    ------
    CosupError
        If Starlette is missing, or images or texts are of another number.
    """
    purpose = "serving the explorer"
    applications: Any = import_extra("starlette.applications", extra="serve", purpose=purpose)
    answers: Any = import_extra("starlette.responses", extra="serve", purpose=purpose)
    routing: Any = import_extra("starlette.routing", extra="serve", purpose=purpose)
    middleware: Any = import_extra("starlette.middleware", extra="serve", purpose=purpose)
    trusted: Any = import_extra("starlette.middleware.trustedhost", extra="serve", purpose=purpose)
    zipped: Any = import_extra("starlette.middleware.gzip", extra="serve", purpose=purpose)
    check_count("images", images, len(account))
    check_count("texts", texts, len(account))
    summary = summarise_account(account, history, title=title, facts=facts, estimates=estimates)
    routes, label = ([], None) if labels is None else label_routes(labels, check)
    boot = {
        "summary": summary, "remote": True, "pictures": images is not None, "textual": texts is not None,
        "folder": folder, "key": fit_key(account), "label": label,
    }  # fmt: skip
    page = skeleton(title, boot, remote=True)

    @lru_cache(maxsize=8)  # paging goes on within what was found
    def found(query: Query) -> IntArray:
        return find_samples(account, query, texts)

    async def index(_: Any) -> Any:
        return answers.HTMLResponse(page)

    def samples(request: Any) -> Any:
        given = request.query_params
        try:
            query = Query.read(given, account)
            offset, limit = (int(given.get(name, "0")) for name in ("offset", "limit"))
        except ValueError as error:  # a CosupError is one
            return answers.JSONResponse({"error": str(error)}, status_code=400)
        places = found(query)
        some = places[max(offset, 0) : max(offset, 0) + min(max(limit, 0), MOST)]
        return answers.JSONResponse({"total": len(places), "rows": describe_rows(account, some, texts)})

    def picture(request: Any) -> Any:
        place = request.path_params["place"]
        if images is None or place >= len(account) or not Path(images[place]).is_file():
            return answers.PlainTextResponse("there is no such picture", status_code=404)
        return answers.FileResponse(images[place], headers={"Cache-Control": "private, max-age=3600"})

    return applications.Starlette(
        routes=[
            routing.Route("/", index),
            routing.Route("/api/samples", samples),
            routing.Route("/image/{place:int}", picture),
            *routes,
        ],
        middleware=[
            middleware.Middleware(trusted.TrustedHostMiddleware, allowed_hosts=list(hosts)),
            middleware.Middleware(zipped.GZipMiddleware),
        ],
    )
