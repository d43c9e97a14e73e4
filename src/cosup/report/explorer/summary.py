"""Count what the explorer's pages show of an account; the browser only draws it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cosup.estimators.accuracy import Estimates
from cosup.labels.summary import specialty_flag, tally
from cosup.provenance import Account
from cosup.report.explorer.findings import find_suspicious
from cosup.utils.validation import FloatArray, IntArray

__all__ = ["summarise_account"]

BINS = 20
"""Bars of the histogram of confidences."""

CONFUSIONS = 144
"""Pairs of classes, a teacher's and the student's, that a teacher's page shows: all of twelve classes."""

RIVALS = 8
"""Teachers that contradict another most often, as its page shows."""

USUAL = 4
"""Changes of class that are named for a teacher that corrects another."""


def summarise_account(
    account: Account,
    history: Sequence[Mapping[str, Any]] = (),
    *,
    title: str,
    facts: Mapping[str, str] | None = None,
    estimates: Estimates | None = None,
) -> dict[str, Any]:
    """Count what the pages show.

    Parameters
    ----------
    account : Account
    history : sequence of dict
        ``history_`` of the fitted estimator, or what ``cosup fit`` wrote of it; may be empty.
    title : str
    facts : mapping of str to str, optional
    estimates : Estimates, optional

    Returns
    -------
    dict
        Of plain values, for JSON; shares are between 0 and 1, unknown ones None.
    """
    if estimates is not None:
        estimates.check(len(account.teachers), len(account.class_names))
    n, C = len(account), len(account.class_names)
    annotated, answer = account.annotated, account.answer
    speaks = annotated >= 0
    known = answer >= 0
    disagreement = _disagreement(annotated, speaks)
    totals, named, _ = tally(annotated, C)
    teachers = [_teacher(account, t, totals[t], named[t], disagreement[t]) for t in range(len(account.teachers))]
    return {
        "title": title,
        "n": n,
        "classes": list(account.class_names),
        "facts": [[key, value] for key, value in (facts or {}).items()],
        "reasons": list(account.reason_texts),
        "teachers": teachers,
        "levels": _levels(account, history),
        "answers": np.bincount(answer[known], minlength=C).tolist(),
        "histogram": np.histogram(account.confidence[known], bins=BINS, range=(0.0, 1.0))[0].tolist(),
        "confidence": _mean(account.confidence[known]),
        "disputed": float((speaks & (annotated != answer[:, None])).any(axis=1).mean()),
        "corrections": _corrections(account),
        "disagreement": disagreement,
        "estimates": None if estimates is None else estimates.to_json(),
        "findings": find_suspicious(account, named, disagreement, None if estimates is None else estimates.overall),
        "ranked": bool((account.rank >= 0).all()),
    }


def _teacher(
    account: Account, t: int, totals: IntArray, named: IntArray, against: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """Sum up a teacher; everybody who names a class counts, whatever the class."""
    level, C, n = account.teacher_levels[t], len(account.class_names), len(account)
    k = account.levels.index(level) if level in account.levels else None
    annotated = account.annotated[:, t]
    speaks = annotated >= 0
    its, names = account.answer[speaks], np.flatnonzero(named)
    counted = np.bincount(its[its >= 0], minlength=C)
    agreed = np.bincount(its[(its >= 0) & (annotated[speaks] == its)], minlength=C)
    kept = 0 if k is None else int((speaks & account.kept[:, k] & (account.annotation[:, k] == annotated)).sum())
    pairs, counts = np.unique(annotated[speaks].astype(np.int64) * C + np.maximum(its, 0), return_counts=True)
    often: list[int] = np.argsort(-counts, kind="stable")[:CONFUSIONS].tolist() if (its >= 0).any() else []
    rivals = sorted((u for u, (_, differ) in enumerate(against) if differ), key=lambda u: -against[u][1])[:RIVALS]
    partly = account.specialties[t] is None and 0 < len(names) < C
    return {
        "name": account.teachers[t],
        "level": level,
        "specialty": account.specialties[t],
        "names": names.tolist(),
        "votes": int(totals[0]),
        "coverage": float(totals[0] / n),
        "overlaps": float(totals[1] / n),
        "conflicts": float(totals[2] / n),
        "kept": kept,
        "overruled": int(totals[0]) - kept,
        "agreement": float(agreed.sum() / counted.sum()) if counted.sum() else None,
        "heard": counted.tolist(),
        "agreed": agreed.tolist(),
        "confusion": [[int(pairs[place] // C), int(pairs[place] % C), int(counts[place])] for place in often],
        "against": [[u, *against[u]] for u in rivals],
        "flag": specialty_flag(account.teachers[t], [account.class_names[c] for c in names]) if partly else None,
    }


def _levels(account: Account, history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    told = {int(entry["level"]): entry for entry in history}
    out = []
    for k, level in enumerate(account.levels):
        entry = told.get(level, {})
        assigned = account.assigned[:, k]
        counts = np.bincount(assigned[assigned >= 0], minlength=len(account.teachers))
        silent = account.annotation[:, k] < 0
        lost = np.bincount(account.reason[~account.kept[:, k] & ~silent, k], minlength=len(account.reasons))
        now, before = account.level_answer[:, k], account.level_answer[:, k - 1] if k else None
        out.append(
            {
                "level": level,
                "teachers": [t for t, at in enumerate(account.teacher_levels) if at == level],
                "assigned": [[t, int(counts[t])] for t in np.argsort(-counts, kind="stable").tolist() if counts[t]],
                "voted": int(((assigned < 0) & (account.annotation[:, k] >= 0)).sum()),
                "nobody": int(silent.sum()),
                "kept": int(account.kept[:, k].sum()),
                "overruled": int((~account.kept[:, k] & ~silent).sum()),
                "lost": [[r, int(lost[r])] for r in np.argsort(-lost, kind="stable").tolist() if lost[r]],
                "changed": None if before is None or (now < 0).any() else float((now != before).mean()),
                "agreement": _finite(entry.get("agreement")),
                "rounds": entry.get("rounds"),
                "alpha": _finite(entry.get("alpha")),
                "seconds": _finite(entry.get("seconds")),
                "notes": [str(note) for note in entry.get("notes", ())],
            }
        )
    return out


def _corrections(account: Account) -> list[dict[str, Any]]:
    """Who was assigned in whose place, where the two name different classes: the most frequent first."""
    C = len(account.class_names)
    out = []
    for k in range(1, len(account.levels)):
        before, now = account.annotation[:, k - 1], account.annotation[:, k]
        changed = np.flatnonzero((before >= 0) & (now >= 0) & (before != now))
        pairs = account.assigned[changed][:, [k - 1, k]]
        for one, other in np.unique(pairs, axis=0).tolist():
            its = changed[(pairs == (one, other)).all(axis=1)]
            kinds, counts = np.unique(before[its].astype(np.int64) * C + now[its], return_counts=True)
            usual = np.argsort(-counts, kind="stable")[:USUAL]
            upheld = account.answer[its] == now[its]
            out.append(
                {
                    "level": k,
                    "from": one,
                    "to": other,
                    "count": len(its),
                    "upheld": float(upheld.mean()) if (account.answer[its] >= 0).any() else None,
                    "usual": [[int(kinds[u] // C), int(kinds[u] % C), int(counts[u])] for u in usual],
                }
            )
    return sorted(out, key=lambda row: -row["count"])


def _disagreement(annotated: IntArray, speaks: Any) -> list[list[list[int]]]:
    """For every two teachers, on how many samples both name a class, and on how many of these not the same one."""
    m = annotated.shape[1]
    out = [[[0, 0] for _ in range(m)] for _ in range(m)]
    for a in range(m):
        for b in range(a):
            both = speaks[:, a] & speaks[:, b]
            found = [int(both.sum()), int((both & (annotated[:, a] != annotated[:, b])).sum())]
            out[a][b] = out[b][a] = found
    return out


def _finite(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _mean(values: FloatArray) -> float | None:
    return float(values.mean()) if len(values) else None
