"""The explorer served: for more samples than a file holds."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from cosup.estimators.accuracy import Estimates
from cosup.provenance import Account
from cosup.report.explorer.label_store import LabelStore, label_routes
from cosup.report.explorer.page import fit_key, served_policy, skeleton
from cosup.report.explorer.query import Query, describe_rows, find_samples
from cosup.report.explorer.summary import summarise_account
from cosup.report.explorer.thumbnails import check_count
from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import IntArray

__all__ = ["LOOPBACK", "make_app"]

MOST = 500
"""Samples that one request gets."""

_HOST = re.compile(r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[^:\[\]/@\s]+))(?::\d{1,5})?")

LOOPBACK = ("127.0.0.1", "localhost", "::1")
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
    token: str | None = None,
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
    token : str, optional
        The first part of every address: who does not know it gets nothing.
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
        if images is None or place >= len(account) or not _is_within(Path(images[place]), root):
            return answers.PlainTextResponse("there is no such picture", status_code=404)
        return answers.FileResponse(images[place], headers={"Cache-Control": "private, max-age=3600"})

    root = _root(images)
    served = [
        routing.Route("/", index),
        routing.Route("/api/samples", samples),
        routing.Route("/image/{place:int}", picture),
        *routes,
    ]
    return applications.Starlette(
        routes=served if token is None else [routing.Mount(f"/{token}", routes=served)],
        middleware=[
            middleware.Middleware(_Guard, hosts=frozenset(map(str.lower, hosts)), policy=served_policy()),
            middleware.Middleware(zipped.GZipMiddleware),
        ],
    )


class _Guard:
    """Answers under the names that are allowed only, and says to browsers what a page may do."""

    def __init__(self, app: Any, hosts: frozenset[str], policy: str) -> None:
        self._app, self._hosts = app, hosts
        self._headers = [
            (b"content-security-policy", policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"DENY"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-resource-policy", b"same-origin"),
        ]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":  # its start and end; nothing here is a socket
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *self._headers]}
            await send(message)

        given = [value for name, value in scope["headers"] if name == b"host"]
        if len(given) == 1 and host_name(given[0].decode("latin-1")) in self._hosts:
            await self._app(scope, receive, send_guarded)
            return
        text = b"this name is not the server's; start it with --host-name NAME to answer to it\n"
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(text)).encode())]
        await send_guarded({"type": "http.response.start", "status": 400, "headers": headers})
        await send({"type": "http.response.body", "body": text})


def host_name(header: str) -> str:
    """The name in a Host header, without its port and an address's brackets, in lower case."""
    found = _HOST.fullmatch(header.strip().lower())
    return "" if found is None else (found["six"] or found["name"]).rstrip(".")


def _root(images: Sequence[str | Path] | None) -> Path | None:
    """The folder that all pictures lie in."""
    if not images:
        return None
    return Path(os.path.commonpath([Path(image).absolute().parent for image in images])).resolve()


def _is_within(path: Path, root: Path | None) -> bool:
    """Whether a picture is there now, and no link leads from it out of its folder."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return False
    return root is not None and real.is_file() and root in real.parents
