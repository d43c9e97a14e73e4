"""A person's answers in the fit's folder: written whole at every answer, and the requests that bring them."""

from __future__ import annotations

import csv
import io
import json
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cosup.utils.atomic_files import write_whole
from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import CosupError

__all__ = ["ANSWERS", "COLUMNS", "LabelStore", "label_routes"]

ANSWERS = "answers.csv"
COLUMNS = ("id", "person", "chosen", "status", "who", "when", "note")
"""``chosen``: "look" or "uniform", how the sample was chosen; ``status``: "label", "unsure" or "skip"."""

LONGEST = 2000
"""Characters of a text that is kept."""


class LabelStore:
    """The answers of a fit, in memory and in its folder.

    Parameters
    ----------
    path : Path
        The file; it is read where it is there.
    ids, class_names : sequences of str
        Of the fit: no other is taken.
    who : str
        Of the answers that name nobody.

    Raises
    ------
    CosupError
        If the file is there and no file of answers.
    """

    def __init__(self, path: Path, ids: Sequence[str], class_names: Sequence[str], who: str = "") -> None:
        self.path, self.who = path.resolve(), who
        self._ids, self._classes = frozenset(ids), tuple(class_names)
        self._lock = threading.Lock()
        self._rows: dict[str, dict[str, str]] = {}
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                reader = csv.DictReader(file)
                if not {"id", "person", "status"} <= set(reader.fieldnames or ()):
                    raise CosupError(f"{path} holds no answers of label mode; move it away, or name another folder")
                for row in reader:
                    self._rows[row["id"]] = {name: row.get(name) or "" for name in COLUMNS}

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, given: Mapping[str, Any]) -> None:
        """Take an answer, and write all of them before returning; status "removed" takes one back.

        Raises
        ------
        CosupError
            For a sample or class that the fit does not know, or an unknown status.
        """
        row = {name: str(given.get(name) or "")[:LONGEST] for name in COLUMNS}
        if row["id"] not in self._ids:
            raise CosupError(f"there is no sample {row['id']!r}")
        if row["status"] not in ("label", "unsure", "skip", "removed"):
            raise CosupError(f"status={row['status']!r}: label, unsure, skip or removed is expected")
        if row["chosen"] not in ("look", "uniform") and row["status"] != "removed":
            raise CosupError(f"chosen={row['chosen']!r}: look or uniform is expected")
        if (row["person"] not in self._classes) if row["status"] == "label" else bool(row["person"]):
            raise CosupError(f"person={row['person']!r} is no class of this fit")
        row["who"] = row["who"] or self.who
        row["when"] = _moment(row["when"])
        with self._lock:
            rows = {name: kept for name, kept in self._rows.items() if name != row["id"]}
            if row["status"] != "removed":
                rows[row["id"]] = row
            write_whole(self.path, _text(rows.values()))
            self._rows = rows

    def rows(self) -> list[dict[str, Any]]:
        """The answers as the page holds them: classes by position."""
        place = {name: c for c, name in enumerate(self._classes)}
        return [{**row, "person": place.get(row["person"], -1)} for row in self._rows.values()]


def _text(rows: Iterable[Mapping[str, str]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: (row["when"], row["id"])))
    return buffer.getvalue()


def _moment(text: str) -> str:
    """A moment as the page sends it, or now."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def label_routes(
    store: LabelStore, check: Callable[[], Mapping[str, Any]] | None = None
) -> tuple[list[Any], dict[str, str]]:
    """Make the routes that take answers, and what the page must know to use them.

    A page from elsewhere can neither read the token nor send it: it is a header, and no such page may set one.

    Parameters
    ----------
    store : LabelStore
    check : callable, optional
        Checks the fit by the answers, and says what moved.

    Returns
    -------
    routes : list of starlette.routing.Route
    boot : dict of str to str
    """
    answers: Any = import_extra("starlette.responses", extra="serve", purpose="label mode")
    routing: Any = import_extra("starlette.routing", extra="serve", purpose="label mode")
    concurrency: Any = import_extra("starlette.concurrency", extra="serve", purpose="label mode")
    token = secrets.token_urlsafe(32)

    def refused(request: Any) -> Any | None:
        given = request.headers.get("x-cosup-token", "")
        if secrets.compare_digest(given.encode(), token.encode()):
            return None
        return answers.JSONResponse({"error": "the page is of another run of cosup serve; reload it"}, status_code=403)

    async def hold(request: Any) -> Any:
        no = refused(request)
        if no is not None:
            return no
        if request.method == "GET":
            return answers.JSONResponse(store.rows())
        try:
            given = json.loads(await request.body())
            if not isinstance(given, dict):
                raise CosupError("an answer is expected")
            await concurrency.run_in_threadpool(store.put, given)
        except ValueError as error:  # a CosupError is one
            return answers.JSONResponse({"error": str(error)}, status_code=400)
        except OSError as error:
            return answers.JSONResponse({"error": f"{store.path}: {error.strerror}"}, status_code=507)
        return answers.JSONResponse({"answers": len(store)})

    async def run_check(request: Any) -> Any:
        no = refused(request)
        if no is not None:
            return no
        if check is None:
            return answers.JSONResponse({"error": "this server checks nothing"}, status_code=404)
        try:
            return answers.JSONResponse(dict(await concurrency.run_in_threadpool(check)))
        except CosupError as error:
            return answers.JSONResponse({"error": str(error)}, status_code=400)

    routes = [
        routing.Route("/api/answers", hold, methods=["GET", "POST"]),
        routing.Route("/api/check", run_check, methods=["POST"]),
    ]
    return routes, {"token": token, "path": str(store.path), "who": store.who}
