"""Records of a fit: history, provenance, notes, estimates, and the final student. Nothing here steers a round."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from cosup.cosupervision.accuracy_estimates import estimate_accuracies
from cosup.cosupervision.hierarchy import Level
from cosup.cosupervision.round import held_predictions
from cosup.cosupervision.state import Outcome, Setup, State
from cosup.estimators.supervision import LevelRecord, Supervision, provenance_rows
from cosup.labels import TeacherLabels
from cosup.students import Head, average_heads, spread_head
from cosup.utils.progress import fit_bar
from cosup.utils.row_blocks import release_pages
from cosup.utils.row_store import LazyRows, Rows
from cosup.utils.validation import FloatArray, IntArray

__all__ = ["Diagnostics"]

NAMED = 6
"""Teachers that one note names."""


class Diagnostics:
    """The record of a fit as it goes on.

    Parameters
    ----------
    labels : TeacherLabels
        As the caller gave them.
    """

    def __init__(self, labels: TeacherLabels) -> None:
        self._labels = labels
        self._clock = time.perf_counter()
        self._history: list[dict[str, Any]] = []
        self._provenance: list[Any] = []
        self._level_heads: list[Head] = []
        self._notes: list[str] = []
        self._trained: list[Head] = []
        self._rounds_left = 0
        self._outcome: Outcome | None = None
        self._of_specialists = False

    def start(self, setup: Setup, state: State) -> None:
        """Begin with the initial student."""
        self._setup, self._initial = setup, state.fit.head
        self._heads: list[Head] = [state.fit.head]
        # A level that ends early leaves the rest of its rounds out, and one that has twice as many moves on slower.
        self._bar = fit_bar(len(setup.hierarchy.levels) * setup.config.rounds)

    def round(self, state: State, outcome: Outcome, *notes: tuple[str, ...]) -> None:
        """Record a round: its outcome, and the student that was trained."""
        for some in notes:
            self._notes += some
        if outcome is Outcome.TRAINED:
            self._trained.append(state.fit.head)
        else:
            self._notes += [note for note in state.training.notes if note not in self._notes]
        self._outcome = outcome
        if self._bar.n < self._round_of(len(self._history) + 1):
            self._bar.update()

    def settled(self, rounds_left: int) -> None:
        """End a level's rounds early: its last student stands for those of the rounds that are left."""
        self._rounds_left = rounds_left

    def _round_of(self, k: int) -> int:
        """Rounds before level `k`, of the bar."""
        return k * self._setup.config.rounds

    def level(self, k: int, level: Level | None, state: State) -> None:
        """Record a level after its last round: the student so far, a record of history, a column of provenance."""
        notes = [*self._notes_on_teachers(k, level), *self._notes]
        if self._outcome is not None and level is not None:
            notes += self._notes_on_assignment(level, state)
        if self._trained:
            # The generalists' students have no part in the mean once specialists were trained on.
            trained = [*self._trained, *self._trained[-1:] * self._rounds_left]
            self._heads = [*self._heads, *trained] if self._of_specialists else trained
            self._of_specialists = k > 0
        config, hierarchy = self._setup.config, self._setup.hierarchy
        final = average_heads(self._heads) if config.ensemble == "mean" else self._heads[-1]
        self._level_heads.append(spread_head(final, hierarchy.active, self._labels.n_classes))
        now = time.perf_counter()
        agreement, probability = self._agreement(state)
        outcome = self._outcome or (Outcome.SILENT if level is None else Outcome.INITIAL_STUDENT)
        record = LevelRecord(
            level=k, teachers=self._labels.at_level(k), assigned=state.assignment.teacher, kept=state.assignment.kept,
            alpha=state.fit.alpha, agreement=agreement, objective=state.objective, rounds=len(self._trained),
            seconds=now - self._clock, outcome=outcome.value, notes=list(dict.fromkeys(notes)),
        )  # fmt: skip
        self._history.append(record.to_dict())
        self._provenance.append(self._provenance_of(state, probability))
        self._clock, self._notes, self._trained, self._outcome, self._rounds_left = now, [], [], None, 0
        self._bar.update(self._round_of(k + 1) - self._bar.n)
        self._bar.set_description(f"level {k + 1}" if k + 1 < len(hierarchy.levels) else "estimates")

    @property
    def agreement(self) -> float:
        """Share of its targets that the last level's student predicts, out of sample."""
        return float(self._history[-1]["agreement"])

    def supervision(self, state: State, fallen_back: str = "") -> Supervision:
        """Estimate accuracies and sum up; `fallen_back` says why the answer is the initial student, if it is."""
        setup, hierarchy = self._setup, self._setup.hierarchy
        posterior = state.training.posterior
        if posterior is None:
            posterior = held_predictions(setup, state.fit, state.class_prior)
        student_proba = LazyRows(posterior.shape, lambda: setup.student_proba(state.fit))
        estimates = estimate_accuracies(hierarchy, posterior, student_proba, state.class_prior.unknown)
        wide: Rows | None = _spread_rows(posterior, hierarchy.active, self._labels.n_classes)
        if fallen_back:
            # They come from the posterior that the student could not learn, or that explains less.
            estimates, wide = estimates.unknown(), None
            last = self._history[-1]
            self._level_heads[-1] = spread_head(self._initial, hierarchy.active, self._labels.n_classes)
            last["outcome"] = Outcome.FELL_BACK.value
            last["notes"].append(f"the students fall back to the initial one: {fallen_back}")
        provenance = np.stack(self._provenance, axis=1)
        self._bar.close()
        return Supervision(self._level_heads[-1], tuple(self._level_heads), self._history, provenance, estimates, wide)

    def _agreement(self, state: State) -> tuple[float, FloatArray]:
        """Measure how many targets the student predicts, and the probability that it gives to every annotation."""
        annotation, targets = state.assignment.annotation, state.training.targets
        probability = np.full(len(annotation), np.nan)
        same = count = 0
        for rows, p in self._setup.student_proba(state.fit):
            annotated = np.flatnonzero(annotation[rows] >= 0)
            probability[rows.start + annotated] = p[annotated, annotation[rows][annotated]]
            given = (
                targets[rows]
                if targets.ndim == 1
                else np.where(targets[rows].sum(axis=1) > 0, targets[rows].argmax(axis=1), -1)
            )
            same += int((p.argmax(axis=1) == given).sum())
            count += int((given >= 0).sum())
            release_pages(targets)
        return same / count if count else float("nan"), probability

    def _provenance_of(self, state: State, probability: FloatArray) -> Any:
        assignment, active = state.assignment, self._setup.hierarchy.active
        annotation = np.where(assignment.annotation >= 0, active[assignment.annotation], -1)
        reasons = np.array(self._setup.reasons, dtype=object)[assignment.reason]
        return provenance_rows(assignment.teacher, annotation, assignment.kept, reasons, probability)

    def _notes_on_teachers(self, k: int, level: Level | None) -> list[str]:
        labels, included, support = self._labels, self._setup.included, self._setup.support
        notes = [
            f"teacher {labels.names[t]!r} is left out: it always names one class, or the others do not agree with it"
            + ("" if support is None or np.isnan(support[t]) else f" (support {support[t]:.2f})")
            for t in labels.at_level(k)
            if not included[t]
        ]
        if level is None:
            verb = "is left" if notes else "speaks"
            return [*notes, f"nobody of level {k} {verb} in these samples; the student of the level above stays"]
        speaks = labels.speaks()
        silent = [t for t in labels.at_level(k) if not speaks[:, t].any()]
        repeated = [t for t in labels.at_level(k) if included[t] and t not in level.columns and t not in silent]
        return [
            *notes,
            *self._note_of(silent, "abstains on all of these samples", "abstain on all of these samples"),
            *self._note_of(repeated, "repeats another of its level and counts once", "repeat others and count once"),
        ]

    def _notes_on_assignment(self, level: Level, state: State) -> list[str]:
        never = np.setdiff1d(level.columns, state.assignment.teacher)
        return self._note_of(never, "was never assigned", "were never assigned")

    def _note_of(self, teachers: Iterable[int], does: str, do: str) -> list[str]:
        """Write one note of a teacher or several, none of nobody."""
        names = [self._labels.names[t] for t in teachers]
        if len(names) < 2:
            return [f"teacher {name!r} {does}" for name in names]
        more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
        return [f"{len(names):,} teachers {do}: {', '.join(map(repr, names[:NAMED]))}{more}"]


def _spread_rows(rows: Rows, classes: IntArray, n_classes: int) -> Rows:
    """Spread probabilities of some `classes` to all `n_classes`; the others get probability zero."""

    def blocks() -> Iterator[tuple[slice, FloatArray]]:
        for which, block in rows.blocks():
            wide = np.zeros((len(block), n_classes))
            wide[:, classes] = block
            yield which, wide

    return LazyRows((rows.shape[0], n_classes), blocks)
