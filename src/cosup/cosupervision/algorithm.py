"""Co-supervised learning, level by level (Liu & Alahi 2024, algorithm 1), from named pieces."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cosup.cosupervision.accuracy_estimates import Estimates, estimate_accuracies
from cosup.cosupervision.config import Pieces
from cosup.cosupervision.hierarchy import Level, Problem
from cosup.cosupervision.round import Run, State, believes, play_round, start
from cosup.cosupervision.teacher_screening import trusted
from cosup.estimators.supervision import Supervision, level_record, provenance_rows
from cosup.labels import TeacherLabels
from cosup.students import Head, as_student, average_heads, spread_head
from cosup.utils.row_blocks import let_go
from cosup.utils.row_store import Again
from cosup.utils.validation import BoolArray, FloatArray

__all__ = ["co_supervise"]


def co_supervise(
    X: FloatArray,
    labels: TeacherLabels,
    *,
    student: Any = "ridge",
    pieces: Pieces | None = None,
    random_state: int = 0,
) -> Supervision:
    """Train a strong student under a hierarchy of weak teachers.

    The student is first trained on the generalists; then, level by level and round by round, its own predictions
    say which teacher to believe on which sample (assign), local students and the global one reject what
    contradicts them, and a fresh student is trained on what remains.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Finite features.
    labels : TeacherLabels of n_samples
    student : {"ridge", "logistic", "adam"}, Student or scikit-learn classifier
    pieces : Pieces, optional
        Default: the rule that `CoSupervisedClassifier` uses.
    random_state : int

    Returns
    -------
    Supervision

    Raises
    ------
    CosupError
        If no generalist speaks, or fewer than two classes are named.
    """
    pieces = pieces or Pieces()
    clock = time.perf_counter()
    keep, support = trusted(labels) if pieces.trust else (np.ones(labels.n_teachers, dtype=bool), None)
    problem = Problem.of(labels, all_classes=pieces.all_classes, heard=keep)
    run = Run(problem, as_student(student).prepare(X), pieces)
    first = problem.levels[0]
    assert first is not None
    state = start(run, first, random_state)
    # From here on targets are the method's own words: what depends on the student's calibration is settled now.
    hard = not state.fit.takes_soft if pieces.hard is None else pieces.hard
    run = Run(problem, run.trainer.like(state.fit), replace(pieces, hard=hard))

    vanilla = state.fit.head
    heads: list[Head] = [vanilla]
    of_specialists = False
    level_heads, history, provenance = [], [], []
    for k, level in enumerate(problem.levels):
        notes = _notes_on_teachers(labels, k, level, keep, support)
        trained: list[Head] = []
        if level is not None and (k > 0 or len(level.columns) > 1):
            for t in range(1, pieces.rounds + 1):
                state, went, said = play_round(run, k, state, random_state + 7919 * k + t)
                notes += said
                if not went:
                    break
                trained.append(state.fit.head)
            notes += _notes_on_assignment(labels, level, state)
        if trained:
            # The generalists' students have no part in the mean once specialists were heard.
            heads = [*heads, *trained] if of_specialists else trained
            of_specialists = k > 0
        final = average_heads(heads) if pieces.ensemble == "mean" else heads[-1]
        level_heads.append(spread_head(final, problem.active, labels.n_classes))
        seconds, clock = time.perf_counter() - clock, time.perf_counter()
        agreement, probability = _look(run, state)
        history.append(_record(k, labels, state, agreement, len(trained), seconds, notes))
        provenance.append(_provenance(labels, run, state, probability))
    estimates = _estimates(run, state)
    if pieces.pool and of_specialists and history[-1]["agreement"] < pieces.fall_back:
        # They come from the posterior that is not believed.
        nothing = {name: np.full_like(value, np.nan) for name, value in vars(estimates).items()}
        estimates = Estimates(**nothing)
        level_heads[-1] = spread_head(vanilla, problem.active, labels.n_classes)
        history[-1]["notes"].append(
            f"the students fall back to the generalists' own: out of sample they name the class of what they are taught"
            f" on {history[-1]['agreement']:.0%} of the samples only, under {pieces.fall_back:.0%}"
        )
    return Supervision(level_heads[-1], tuple(level_heads), history, np.stack(provenance, axis=1), estimates)


def _estimates(run: Run, state: State) -> Estimates:
    posterior = believes(run, state.fit, state.prior) if state.posterior is None else state.posterior
    return estimate_accuracies(run.problem, posterior, Again(posterior.shape, lambda: run.seen(state.fit)))


def _record(
    k: int, labels: TeacherLabels, state: State, agreement: float, rounds: int, seconds: float, notes: Sequence[str]
) -> dict[str, Any]:
    return level_record(
        k, labels.at_level(k), state.believed.assigned, state.believed.kept, strength=state.fit.strength,
        agreement=agreement, objective=state.objective, rounds=rounds, seconds=seconds,
        notes=list(dict.fromkeys(notes)),
    )  # fmt: skip


def _look(run: Run, state: State) -> tuple[float, FloatArray]:
    """The student's agreement with its targets, and the probability that it gives to every believed annotation."""
    said, targets = state.believed.said, state.targets
    probability = np.full(len(said), np.nan)
    same = count = 0
    for rows, p in run.seen(state.fit):
        believed = np.flatnonzero(said[rows] >= 0)
        probability[rows.start + believed] = p[believed, said[rows][believed]]
        given = (
            targets[rows]
            if targets.ndim == 1
            else np.where(targets[rows].sum(axis=1) > 0, targets[rows].argmax(axis=1), -1)
        )
        same += int((p.argmax(axis=1) == given).sum())
        count += int((given >= 0).sum())
        let_go(targets)
    return same / count if count else float("nan"), probability


def _provenance(labels: TeacherLabels, run: Run, state: State, probability: FloatArray) -> Any:
    believed = state.believed
    annotation = np.where(believed.said >= 0, run.problem.active[believed.said], -1)
    reason = np.array(run.reasons)[believed.reason]
    return provenance_rows(believed.assigned, annotation, believed.kept, reason, probability)


def _notes_on_teachers(
    labels: TeacherLabels, k: int, level: Level | None, keep: BoolArray, support: FloatArray | None
) -> list[str]:
    notes = [
        f"teacher {labels.names[t]!r} is left out: it always names one class, or the others do not bear it out"
        + ("" if support is None or np.isnan(support[t]) else f" (support {support[t]:.2f})")
        for t in labels.at_level(k)
        if not keep[t]
    ]
    if level is None:
        word = "is heard" if notes else "speaks"
        return [*notes, f"nobody of level {k} {word} in these samples; the student of the level above stays"]
    speaks = labels.speaks()
    for t in labels.at_level(k):
        if not speaks[:, t].any():
            notes.append(f"teacher {labels.names[t]!r} abstains on all of these samples")
        elif keep[t] and t not in level.columns:
            notes.append(f"teacher {labels.names[t]!r} repeats another of its level and counts once")
    return notes


def _notes_on_assignment(labels: TeacherLabels, level: Level, state: State) -> list[str]:
    assigned = state.believed.assigned
    return [f"teacher {labels.names[t]!r} was never assigned" for t in level.columns if not (assigned == t).any()]
