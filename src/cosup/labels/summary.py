"""Summarise labels, a teacher a line: coverage, overlaps, conflicts, agreement, as Snorkel's LFAnalysis."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosup.metrics import Agreement, annotator_agreement
from cosup.utils.slices import rows_within, slices
from cosup.utils.tables import align, foremost, frame, html_table, left_out
from cosup.utils.texts import code_points, join_pair, join_row, look_alikes
from cosup.utils.validation import FloatArray, IntArray

__all__ = ["Summary", "specialty_flag", "summarise", "tally"]

HEAD = ("teacher", "level", "coverage", "overlaps", "conflicts", "agreement", "votes", "names")

BLOCK = 1 << 22
"""Entries of samples by classes that are counted together."""

SPECIALIST_COVERAGE, SPECIALIST_EXCESS = 0.5, 1.25
"""A teacher who names some classes only is suggested as a specialist if it speaks on so many samples, and on so many
times the share that the others' votes give these classes: it then speaks beyond what it can be right about."""

RARE = 0.001
"""A class named on so small a share of the samples may be another class's name, misspelt."""


@dataclass(frozen=True)
class Summary:
    """Counts of the teachers' annotations.

    Attributes
    ----------
    teachers : list of dict
        A teacher each: ``teacher``; ``level``; ``votes``, samples that it speaks on; ``coverage``, their share;
        ``overlaps``, share of all samples on which it and another speak; ``conflicts``, on which another contradicts
        it; ``agreement``, share of the samples on which the others have a majority where it names that majority's
        class (NaN where they never have); ``polarity``, the names of the classes that it ever names; ``specialty``,
        names of classes, or None. How often a teacher is right is estimated by a fit: ``estimates_``.
    n_samples, unlabelled, several, conflicts : int
        Numbers of samples: all, without an annotation, with several, with contradictory ones.
    class_names : tuple of str
    class_shares : ndarray of shape (n_classes,)
        Share of all votes that names each class.
    suggestions : dict of str to tuple of str
        Teachers of unknown specialty who speak often and name some classes only -> those; nothing is assumed.
    notes : tuple of str
        Further remarks.
    among : Agreement
        Agreement of the teachers: Krippendorff's ``alpha``, Fleiss' ``kappa``, and the share of agreeing ``pairs``.
    """

    teachers: list[dict[str, Any]]
    n_samples: int
    unlabelled: int
    several: int
    conflicts: int
    class_names: tuple[str, ...]
    class_shares: FloatArray
    suggestions: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]
    among: Agreement

    def __str__(self) -> str:
        """Write a table, a line of totals, suggestions and notes; of many teachers, those who annotate most."""
        return "\n".join([*align([HEAD, *self._rows()], range(1, len(HEAD) - 1)), *self._remarks()])

    def to_frame(self) -> Any:
        """Return a row a teacher, as a pandas data frame; shares are between 0 and 1."""
        return frame({key: [row[key] for row in self.teachers] for key in self.teachers[0]}).set_index("teacher")

    def _repr_html_(self) -> str:
        return html_table(HEAD, self._rows(), notes=self._remarks())

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                row["teacher"], str(row["level"]), _percent(row["coverage"]), _percent(row["overlaps"]),
                _percent(row["conflicts"]), _percent(row["agreement"]), f"{row['votes']:,}",
                _named(row["polarity"], len(self.class_names)),
            )
            for row in (self.teachers[t] for t in foremost(row["votes"] for row in self.teachers))
        ]  # fmt: skip

    def _remarks(self) -> list[str]:
        shown = ", ".join(self.class_names[:6]) + (", ..." if len(self.class_names) > 6 else "")
        total = (
            f"{self.n_samples:,} samples, {len(self.class_names)} classes ({shown}); {self.unlabelled:,} without a "
            f"label, {self.several:,} with several, {self.conflicts:,} with a conflict"
        )
        suggestions = [
            f"Suggestion: {teacher!r} only ever names {', '.join(classes)}; if these are its specialty, say so: "
            f"{specialty_flag(teacher, classes)}"
            for teacher, classes in self.suggestions.items()
        ]
        among = (
            f"Agreement on {self.among.samples:,} samples with several labels: {_percent(self.among.pairs)} of pairs, "
            f"Krippendorff's alpha {self.among.alpha:.2f}, Fleiss' kappa {self.among.kappa:.2f}"
        )
        return [
            *left_out(len(self.teachers), "teachers annotate fewer samples"),
            total,
            *([among] if self.among.samples else []),
            *suggestions,
            *(f"Note: {note}" for note in self.notes),
        ]


def specialty_flag(teacher: str, classes: Sequence[str]) -> str:
    """Write the option of ``cosup fit`` that gives a teacher its specialty, to be pasted."""
    return "--specialty " + shlex.quote(join_pair(teacher, join_row(classes)))


def summarise(
    hard: IntArray,
    class_names: tuple[str, ...],
    names: Sequence[str],
    levels: IntArray,
    specialties: Sequence[IntArray | None],
    notes: Sequence[str] = (),
) -> Summary:
    """Count the teachers' annotations.

    Parameters
    ----------
    hard : ndarray of shape (n_samples, n_teachers), int
        Class ids, -1 abstains; soft annotations by their most probable class.
    class_names : tuple of str
    names, levels, specialties : sequences, one entry a teacher
    notes : sequence of str
    """
    n_samples, n_classes = len(hard), len(class_names)
    totals, named, samples = tally(hard, n_classes)
    votes = totals[:, 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        agreement = totals[:, 3] / totals[:, 4]
    by_class = named.sum(axis=0)
    teachers = []
    suggestions = {}
    for t, name in enumerate(names):
        polarity = tuple(class_names[c] for c in np.flatnonzero(named[t]))
        specialty = specialties[t]
        teachers.append(
            {
                "teacher": name,
                "level": int(levels[t]),
                "votes": int(votes[t]),
                "coverage": float(votes[t] / n_samples),
                "overlaps": float(totals[t, 1] / n_samples),
                "conflicts": float(totals[t, 2] / n_samples),
                "agreement": float(agreement[t]),
                "polarity": polarity,
                "specialty": None if specialty is None else tuple(class_names[c] for c in specialty),
            }
        )
        others = by_class - named[t]
        share = others[named[t] > 0].sum() / max(int(others.sum()), 1)
        enough = votes[t] >= n_samples * max(SPECIALIST_COVERAGE, SPECIALIST_EXCESS * share)
        if specialty is None and len(polarity) < n_classes and others.any() and enough:
            suggestions[name] = polarity
    return Summary(
        teachers, n_samples, int(samples[0]), int(samples[1]), int(samples[2]), class_names,
        by_class / max(int(by_class.sum()), 1), suggestions, (*notes, *_doubts(class_names, by_class, n_samples)),
        annotator_agreement(hard, n_classes),
    )  # fmt: skip


def tally(hard: IntArray, n_classes: int) -> tuple[IntArray, IntArray, IntArray]:
    """Count votes, overlaps and conflicts of all teachers that speak.

    Parameters
    ----------
    hard : ndarray of shape (n_samples, n_teachers), int
        Class ids, -1 abstains.
    n_classes : int

    Returns
    -------
    totals : ndarray of shape (n_teachers, 5)
        Votes; those beside another's; those that another contradicts; those that name the others' majority; those
        where the others have a majority.
    named : ndarray of shape (n_teachers, n_classes)
        Number of samples on which each teacher names each class.
    samples : ndarray of shape (3,)
        Samples without a label, with several, and with several that contradict one another.
    """
    totals = np.zeros((hard.shape[1], 5), dtype=np.int64)
    named = np.zeros((hard.shape[1], n_classes), dtype=np.int64)
    samples = np.zeros(3, dtype=np.int64)
    for rows in slices(len(hard), rows_within(BLOCK, n_classes)):
        _count(hard[rows], totals, named, samples)
    return totals, named, samples


def _count(annotated: IntArray, totals: IntArray, named: IntArray, samples: IntArray) -> None:
    """Add one block of samples to the sums."""
    n_classes = named.shape[1]
    rows = np.arange(len(annotated))
    speaks = annotated >= 0
    counts = np.zeros((len(annotated), n_classes), dtype=np.int16)
    for t in range(annotated.shape[1]):
        own = np.flatnonzero(speaks[:, t])
        counts[own, annotated[own, t]] += 1
    n_votes = speaks.sum(axis=1)
    if n_classes == 1:
        first, second = counts[:, 0], np.zeros(len(annotated), dtype=np.int16)
    else:
        top = np.partition(counts, n_classes - 2, axis=1)
        first, second = top[:, -1], top[:, -2]
    samples += [int((n_votes == 0).sum()), int((n_votes > 1).sum()), int((second > 0).sum())]
    for t in range(annotated.shape[1]):
        own = rows[speaks[:, t]]
        ids = annotated[own, t]
        mine = counts[own, ids]
        # Votes of the others for this class, and their most votes for another one.
        others, rival = mine - 1, np.where(mine == first[own], second[own], first[own])
        totals[t] += [
            len(own), int((n_votes[own] > 1).sum()), int((mine < n_votes[own]).sum()), int((others > rival).sum()),
            int((others != rival).sum()),
        ]  # fmt: skip
        named[t] += np.bincount(ids, minlength=n_classes)


def _doubts(class_names: Sequence[str], by_class: IntArray, n_samples: int) -> list[str]:
    """Find classes that look like another's name, misspelt, and classes that no teacher names."""
    out = []
    for c in np.flatnonzero((by_class > 0) & (by_class <= max(1, RARE * n_samples))).tolist():
        often = [name for name, count in zip(class_names, by_class, strict=True) if count > 20 * by_class[c]]
        near = [
            name for name in difflib.get_close_matches(class_names[c], often, n=1, cutoff=0.8) if not name.isdigit()
        ]
        if near:
            out.append(
                f"the class {class_names[c]!r} is named {int(by_class[c])} times only, and is much like {near[0]!r}; "
                "if it is a slip, mend it (class names that are given make it an error)"
            )
    for group in look_alikes(class_names):
        listed = " and ".join(map(code_points, group[:3]))
        out.append(f"the classes {listed} look alike; they are {len(group)} classes: if they are one, write them alike")
    silent = [name for name, count in zip(class_names, by_class, strict=True) if not count]
    if silent:
        shown = ", ".join(map(repr, silent[:5])) + (", ..." if len(silent) > 5 else "")
        out.append(f"nobody ever names {shown}; no student can learn it")
    return out


def _percent(share: float) -> str:
    return "-" if share != share else f"{100 * share:.1f} %"


def _named(polarity: Sequence[str], n_classes: int) -> str:
    if len(polarity) == n_classes:
        return f"all {n_classes}"
    return ", ".join(polarity[:4]) + (f", ... ({len(polarity)})" if len(polarity) > 4 else "")
