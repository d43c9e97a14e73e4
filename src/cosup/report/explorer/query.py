"""Find the samples that match what was asked, in the order asked for, as static/source.js does in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from cosup.provenance import Account
from cosup.utils.validation import CosupError, IntArray, check_choice

__all__ = ["Query", "describe_rows", "draw_order", "find_samples"]

RELATIONS = ("", "spoke", "abstained", "agrees", "differs", "assigned")
FATES = ("", "kept", "overruled", "silent")
SORTS = ("look", "file", "id", "answer", "confidence", "differ", "assigned", "fate", "draw")


@dataclass(frozen=True)
class Query:
    """A request for samples; -1 and empty texts ask for nothing.

    Attributes
    ----------
    q : str
        Part of the id or text, whatever its case.
    answer : int
        Class that the student answers.
    teacher : int
        Whom `relation`, `says` and `against` are about; any of them.
    relation : {"", "spoke", "abstained", "agrees", "differs", "assigned"}
        ``agrees`` and ``differs``: with the student's answer, wherever the teacher names a class.
        ``assigned``: at the teacher's level.
    says : int
        Class that the teacher says.
    against : int
        Another teacher that names another class.
    instead : int
        The teacher assigned one level before, where that named another class: `teacher` was assigned in its place.
    kept : {"", "kept", "overruled", "silent"}
        What became of the annotation: trained on, not trained on, or there was none.
    reason : int
        Why it was not trained on, a position in the account's reasons.
    level : int
        Position of the level that `kept` and `reason` are about; the last.
    low, high : int
        Range of the confidence, in per cent.
    sort : {"look", "file", "id", "answer", "confidence", "differ", "assigned", "fate", "draw"}
        By the order in which to look, as in the file, by id, class of the answer, confidence, number of teachers that
        differ from it, class that was assigned, fate, or as `draw_order` draws; "-" before it: backwards.
    """

    q: str = ""
    answer: int = -1
    teacher: int = -1
    relation: str = ""
    says: int = -1
    against: int = -1
    instead: int = -1
    kept: str = ""
    reason: int = -1
    level: int = -1
    low: int = 0
    high: int = 100
    sort: str = "look"

    @classmethod
    def read(cls, given: Mapping[str, str], account: Account) -> Query:
        """Read a query string.

        Raises
        ------
        CosupError
            For a value that can't be.
        """
        classes, teachers = len(account.class_names), len(account.teachers)
        bounds = {
            "answer": classes, "says": classes, "teacher": teachers, "against": teachers, "instead": teachers,
            "level": len(account.levels), "reason": len(account.reasons), "low": 101, "high": 101,
        }  # fmt: skip
        values: dict[str, Any] = {}
        for field in fields(cls):
            if field.name not in given:
                continue
            text = given[field.name]
            if field.name not in bounds:
                values[field.name] = text
                continue
            if not text.removeprefix("-").isdecimal() or not -1 <= int(text) < bounds[field.name]:
                raise CosupError(f"{field.name}={text!r}: a whole number below {bounds[field.name]} is expected")
            values[field.name] = int(text)
        query = cls(**values)
        check_choice(query.relation, RELATIONS, "relation")
        check_choice(query.kept, FATES, "kept")
        check_choice(query.sort.removeprefix("-"), SORTS, "sort")
        return query


def find_samples(account: Account, query: Query, texts: Sequence[str] | None = None) -> IntArray:
    """Positions of the samples that match, in the order asked for, (n_found,) int64.

    Parameters
    ----------
    account : Account
    query : Query
    texts : sequence of str, optional
        The samples' texts, searched beside their ids.
    """
    n = len(account)
    match = np.ones(n, dtype=bool)
    if query.answer >= 0:
        match &= account.answer == query.answer
    if query.low > 0 or query.high < 100:
        percent = np.round(account.confidence.astype(np.float64), 4) * 100
        match &= (percent >= query.low) & (percent <= query.high)
    if query.kept:
        match &= _fate(account, query.level) == FATES.index(query.kept) - 1
    if query.reason >= 0:
        match &= ~account.kept[:, query.level] & (account.reason[:, query.level] == query.reason)
    if query.relation or max(query.says, query.against, query.instead) >= 0:
        match &= _by_teacher(account, query)
    found = np.flatnonzero(match)
    if query.q:
        part = query.q.lower()
        hit = [
            part in account.ids[i].lower() or (texts is not None and part in texts[i].lower()) for i in found.tolist()
        ]
        found = found[np.array(hit, dtype=bool)]
    key = _sort_key(account, query)
    order = found[np.argsort(-key[found] if query.sort.startswith("-") else key[found], kind="stable")]
    return np.asarray(order)


def draw_order(n: int, seed: int = 0) -> IntArray:
    """Draw all samples uniformly, one after the other: positions, in the order of the draw, (n,) int64.

    Whoever stops early has still seen a uniform draw.
    """
    return np.random.default_rng(seed).permutation(n)


def _sort_key(account: Account, query: Query) -> Any:
    """Make the keys that samples are sorted by, the smallest first, (n,)."""
    name = query.sort.removeprefix("-")
    if name == "draw":
        return np.argsort(draw_order(len(account)))
    if name == "id":
        return np.argsort(np.array(sorted(range(len(account)), key=account.ids.__getitem__)))
    if name == "differ":
        return ((account.annotated >= 0) & (account.annotated != account.answer[:, None])).sum(axis=1)
    if name == "fate":
        return _fate(account, query.level)
    keys = {
        "look": account.rank, "answer": account.answer, "confidence": account.confidence,
        "assigned": account.annotation[:, query.level],
    }  # fmt: skip
    return keys.get(name, np.arange(len(account)))


def _fate(account: Account, k: int) -> Any:
    """0: kept, 1: overruled, 2: there was no annotation; at one level, (n,)."""
    return np.where(account.kept[:, k], 0, np.where(account.annotation[:, k] < 0, 2, 1))


def _by_teacher(account: Account, query: Query) -> Any:
    """Where the teacher, or any of them, stands as asked for."""
    columns = [query.teacher] if query.teacher >= 0 else range(len(account.teachers))
    any_of = np.zeros(len(account), dtype=bool)
    for t in columns:
        annotated, level = account.annotated[:, t], account.teacher_levels[t]
        k = account.levels.index(level) if level in account.levels else None
        its = np.ones(len(account), dtype=bool)
        if query.relation == "abstained":
            its &= annotated < 0
        elif query.relation == "assigned":
            its &= False if k is None else account.assigned[:, k] == t
        elif query.relation:
            its &= annotated >= 0
            if query.relation != "spoke":
                its &= (annotated == account.answer) == (query.relation == "agrees")
        if query.says >= 0:
            its &= annotated == query.says
        if query.against >= 0:
            other = account.annotated[:, query.against]
            its &= (annotated >= 0) & (other >= 0) & (annotated != other)
        if query.instead >= 0:
            its &= False if not k else _in_place_of(account, t, query.instead, k)
        any_of |= its
    return any_of


def _in_place_of(account: Account, teacher: int, other: int, k: int) -> Any:
    before, now = account.annotation[:, k - 1], account.annotation[:, k]
    assigned = (account.assigned[:, k] == teacher) & (account.assigned[:, k - 1] == other)
    return assigned & (before >= 0) & (now >= 0) & (before != now)


def describe_rows(account: Account, places: IntArray, texts: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Some samples as explorer.js shows them: plain values for JSON, probabilities None where unknown."""
    out = []
    for i in places.tolist():
        row = {
            "i": i,
            "id": account.ids[i],
            "answer": int(account.answer[i]),
            "confidence": _number(account.confidence[i]),
            "second": int(account.second[i]),
            "secondConfidence": _number(account.second_confidence[i]),
            "rank": int(account.rank[i]),
            "doubt": _number(account.doubt[i]),
            "dispute": _number(account.dispute[i]),
            "influence": _number(account.influence[i]),
            "annotated": account.annotated[i].tolist(),
            "support": [_number(value) for value in account.support[i]],
            "levels": [
                {
                    "assigned": int(account.assigned[i, k]),
                    "annotation": int(account.annotation[i, k]),
                    "kept": bool(account.kept[i, k]),
                    "reason": int(account.reason[i, k]),
                    "probability": _number(account.probability[i, k]),
                    "answer": int(account.level_answer[i, k]),
                }
                for k in range(len(account.levels))
            ],
        }
        if account.nearest is not None and account.distance is not None:
            row["near"] = [
                {"i": j, "id": account.ids[j], "answer": int(account.answer[j]),
                 "annotation": int(account.annotation[j, -1]), "distance": _number(account.distance[i, place])}
                for place, j in enumerate(account.nearest[i].tolist()) if j >= 0
            ]  # fmt: skip
        if texts is not None:
            row["text"] = texts[i]
        out.append(row)
    return out


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
