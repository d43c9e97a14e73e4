"""Find what is suspicious about a fit, card by card: each says what was seen, and leads to the samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cosup.labels.summary import specialty_flag
from cosup.provenance import Account
from cosup.utils.validation import FloatArray, IntArray

__all__ = ["find_suspicious"]

FEW_VOTES = 5
"""Annotations below which a teacher is not judged."""

UNBELIEVED = 0.1
"""A teacher of whose annotations no larger share was trained on is one that nobody believes."""

TOGETHER, CONTRADICT = 10, 0.5
"""Two teachers that both speak on so many samples, and differ on so large a share, contradict each other."""

NAMED, LOST = 0.01, 0.25
"""A class that makes up so large a share of the annotations, and so much less of the answers, was lost."""

DUPLICATE = 0.13
"""Samples so near to each other, in units of the usual distance to the nearest, are nearly the same: cleanlab's bar."""

SHOWN = 8
"""Pairs of near duplicates that a card leads to."""

FEW_LABELS = 10
"""Annotations of a class that were trained on, below which a student hardly learns it."""

SPECIALIST = 0.5
"""A teacher that names some classes only, and speaks on so many samples, may be one for these."""


def find_suspicious(
    account: Account, named: IntArray, disagreement: Sequence[Sequence[Sequence[int]]], overall: FloatArray | None
) -> list[dict[str, Any]]:
    """Look for teachers, pairs and classes that a person should look at.

    Parameters
    ----------
    account : Account
    named : ndarray of shape (n_teachers, n_classes), int
        How often each names each class.
    disagreement : nested list (n_teachers, n_teachers, 2)
        On how many samples two both speak, and differ.
    overall : ndarray of shape (n_teachers + 1, 3), optional
        Estimated accuracies with their intervals.

    Returns
    -------
    list of dict
        ``kind``, ``title``, ``text``, ``links`` (text, page, query) and ``flag``, an option to paste, or None.
    """
    return [
        *_unbelieved(account, overall),
        *_contradicting(account, disagreement),
        *_lost_classes(account, named),
        *_duplicates(account),
        *_few_labels(account),
        *_specialists(account, named),
    ]


def _card(kind: str, title: str, text: str, links: Sequence[Any], flag: str | None = None) -> dict[str, Any]:
    return {"kind": kind, "title": title, "text": text, "links": list(links), "flag": flag}


def _unbelieved(account: Account, overall: FloatArray | None) -> list[dict[str, Any]]:
    found = []
    for t, name in enumerate(account.teachers):
        speaks = account.annotated[:, t] >= 0
        level = account.teacher_levels[t]
        if level not in account.levels or speaks.sum() < FEW_VOTES:
            continue
        k = account.levels.index(level)
        kept = (speaks & account.kept[:, k] & (account.annotation[:, k] == account.annotated[:, t])).sum()
        chance = overall is not None and overall[t, 2] <= 1 / len(account.class_names)
        if kept <= UNBELIEVED * speaks.sum() or chance:
            found.append([name, "teacher", {"teacher": t}])
    if not found:
        return []
    what = "A teacher that nobody believes" if len(found) == 1 else f"{len(found)} teachers that nobody believes"
    text = (
        "Hardly any of the annotations was trained on. Is the rule right, and are the class names spelt as elsewhere?"
    )
    return [_card("unbelieved", what, text, found)]


def _contradicting(account: Account, disagreement: Sequence[Sequence[Sequence[int]]]) -> list[dict[str, Any]]:
    pairs = [
        (differ / both, a, b, differ)
        for a in range(len(account.teachers))
        for b, (both, differ) in enumerate(disagreement[a][:a])
        if both >= TOGETHER and differ >= CONTRADICT * both
    ]
    if not pairs:
        return []
    links = []
    for share, a, b, differ in sorted(pairs, reverse=True):
        who = f"{_apart(account.teachers[a])} and {_apart(account.teachers[b])}"
        query = {"teacher": a, "against": b, "relation": ""}
        links.append([f"{who}: {differ} of {round(differ / share)}", "disagreements", query])
    what = (
        "Two teachers that contradict each other" if len(pairs) == 1 else f"{len(pairs)} pairs of teachers contradict"
    )
    return [_card("contradicting", what, "They name different classes on most samples where both speak.", links)]


def _apart(name: str) -> str:
    """A name in whatever direction it is written, which leaves what stands around it alone."""
    return f"\u2068{name}\u2069"


def _lost_classes(account: Account, named: IntArray) -> list[dict[str, Any]]:
    answers = np.bincount(account.answer[account.answer >= 0], minlength=named.shape[1])
    if not answers.sum() or not named.sum():
        return []
    votes, share = named.sum(axis=0) / named.sum(), answers / answers.sum()
    lost = np.flatnonzero((votes >= NAMED) & (share < LOST * votes))
    if not lost.size:
        return []
    links = [[f"{account.class_names[c]}: {answers[c]} answers", "samples", {"says": int(c)}] for c in lost]
    what = "A class that was lost" if len(lost) == 1 else f"{len(lost)} classes were lost"
    return [_card("lost", what, "Teachers name them, the student hardly ever does. Look at who names them.", links)]


def _duplicates(account: Account) -> list[dict[str, Any]]:
    """Samples that are nearly the same, and that the student or the annotations give different classes."""
    if account.nearest is None or account.distance is None:
        return []
    one, place = np.nonzero(account.distance <= DUPLICATE)
    other, far = account.nearest[one, place], account.distance[one, place]
    a, b = np.minimum(one, other), np.maximum(one, other)
    answers, annotations = account.answer, account.annotation[:, -1]
    differ = answers[a] != answers[b]
    differ |= (annotations[a] != annotations[b]) & (annotations[a] >= 0) & (annotations[b] >= 0)
    pairs = sorted({(float(f), int(i), int(j)) for f, i, j in zip(far[differ], a[differ], b[differ], strict=True)})
    first = {(i, j): far for far, i, j in reversed(pairs)}  # each was found from both of its ends, or from one
    if not first:
        return []
    links = []
    for i, j in sorted(first, key=lambda pair: (first[pair], pair))[:SHOWN]:
        values = answers if answers[i] != answers[j] else annotations
        classes = " and ".join(_apart(account.class_names[values[k]]) for k in (i, j))
        samples = " and ".join(_apart(account.ids[k]) for k in (i, j))
        links.append([f"{samples}: {classes}", "samples", {"open": account.ids[i]}])
    what = "Near duplicates with other answers" if len(first) > 1 else "A near duplicate with another answer"
    count = f"{len(first)} pairs have" if len(first) > 1 else "A pair has"
    text = f"{count} nearly the same features, and the student or the annotations name different classes."
    return [_card("duplicates", what, f"{text} Which one is right?", links)]


def _few_labels(account: Account) -> list[dict[str, Any]]:
    kept = account.annotation[:, -1][account.kept[:, -1]]
    counts = np.bincount(kept[kept >= 0], minlength=len(account.class_names))
    few = np.flatnonzero(counts < FEW_LABELS)
    if not few.size or len(account) < FEW_LABELS * len(account.class_names):
        return []
    links = [[f"{account.class_names[c]}: {counts[c]}", "samples", {"answer": int(c)}] for c in few]
    what = "A class with few labels" if len(few) == 1 else f"{len(few)} classes with few labels"
    return [_card("few", what, f"The last level trained on fewer than {FEW_LABELS} of them: label some.", links)]


def _specialists(account: Account, named: IntArray) -> list[dict[str, Any]]:
    out = []
    for t, name in enumerate(account.teachers):
        names = np.flatnonzero(named[t])
        speaks = named[t].sum() / len(account)
        if account.specialties[t] is None and 0 < len(names) < named.shape[1] and speaks >= SPECIALIST:
            classes = [account.class_names[c] for c in names]
            text = (
                f"It names {len(names)} of {named.shape[1]} classes, on {speaks:.0%} of the samples. If these are its "
            )
            flag = specialty_flag(name, classes)
            out.append(_card("specialty", f"{name} may be a specialist", text + "specialty, say so when you fit:",
                             [[name, "teacher", {"teacher": t}]], flag))  # fmt: skip
    return out
