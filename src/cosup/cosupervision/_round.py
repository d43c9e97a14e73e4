"""One round at one level: assign, local, reject, pool, train."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cosup._validation import BoolArray, FloatArray, IntArray
from cosup.cosupervision._pieces import Pieces
from cosup.cosupervision._problem import Level, Problem
from cosup.cosupervision.assign import ASSIGNERS, Beliefs, choose
from cosup.cosupervision.local import train_local
from cosup.cosupervision.pool import expert, match_marginals, pool
from cosup.cosupervision.reject import NEEDS_LOCAL, REJECTORS, Evidence
from cosup.estimator import one_hot
from cosup.losses import cross_entropy
from cosup.student import Fit, Trainer

__all__ = ["Believed", "Run", "State", "play_round", "start"]

FEWEST = 10
"""Samples that a global student is trained on at the least."""


@dataclass(frozen=True)
class Run:
    """What stays the same from round to round."""

    problem: Problem
    trainer: Trainer
    pieces: Pieces

    def seen(self, fit: Fit) -> FloatArray:
        """The predictions that assignment and rejection go by, (n_samples, n_classes)."""
        return fit.out_of_sample if self.pieces.out_of_sample else fit.in_sample


@dataclass(frozen=True)
class Believed:
    """Whose annotation counts on every sample, and whether it stands.

    Attributes
    ----------
    assigned : ndarray of shape (n_samples,)
        The teacher's column, -1 for none.
    annotations : ndarray of shape (n_samples, n_classes)
        What it said, zeros for none; classes in positions of `Problem.active`.
    kept : bool ndarray of shape (n_samples,)
    reason : str ndarray of shape (n_samples,)
        Why not, "" where kept.
    """

    assigned: IntArray
    annotations: FloatArray
    kept: BoolArray
    reason: Any

    def without(self, dropped: BoolArray, reason: str) -> Believed:
        """The same, less what is `dropped` for `reason`."""
        newly = self.kept & dropped
        return replace(self, kept=self.kept & ~dropped, reason=np.where(newly, reason, self.reason))


@dataclass(frozen=True)
class State:
    """What a round hands to the next."""

    fit: Fit
    targets: FloatArray
    believed: Believed
    objective: float


def start(run: Run, level: Level, seed: int) -> State:
    """theta_0: the student on the generalists' most probable classes."""
    said = run.problem.generalist
    heard = said.sum(axis=1) > 0
    targets = one_hot(np.where(heard, said.argmax(axis=1), -1), said.shape[1])
    fit = run.trainer.train(targets, keep=heard, random_state=seed)
    column = level.columns[0] if len(level.columns) == 1 else -1
    believed = Believed(np.where(heard, column, -1), targets, heard, np.where(heard, "", "abstained").astype("U24"))
    return State(fit, targets, believed, _loss(run, fit, targets, heard))


def play_round(run: Run, k: int, state: State, seed: int) -> tuple[State, bool, list[str]]:
    """Go once from assignment to a new global student at level `k`.

    Returns
    -------
    state : State
        With the new student, or with the old one where nothing was left to train on.
    trained : bool
    notes : list of str
    """
    pieces, level = run.pieces, run.problem.levels[k]
    assert level is not None
    student = run.seen(state.fit)
    held = run.problem.prior if pieces.match_marginals else None
    beliefs = Beliefs(student if held is None else match_marginals(student, held), run.trainer, seed)
    gate = ASSIGNERS[pieces.assign](level, beliefs)
    chosen = choose(gate)
    believed = _assign(level, chosen, state.believed, hard=bool(pieces.hard), with_rejection=bool(pieces.reject))
    if pieces.reject:
        believed = _reject(run, chosen, believed, student, state.fit.strength, seed)

    notes: list[str] = []
    targets, trains, objective = believed.annotations, believed.kept, float("nan")
    if pieces.pool:
        experts, notes = _experts(run, k, gate, beliefs)
        targets, objective = pool(beliefs.probabilities, experts, held)
        if not pieces.reject:
            # The posterior speaks for every sample; an annotation that it contradicts is overruled, not left out.
            trains = np.ones(len(targets), dtype=bool)
            overruled = targets.argmax(axis=1) != believed.annotations.argmax(axis=1)
            believed = believed.without(overruled, "overruled")
    if pieces.hard:
        targets = one_hot(np.where(targets.sum(axis=1) > 0, targets.argmax(axis=1), -1), targets.shape[1])

    hindrance = _hindrance(trains, targets)
    if hindrance:
        notes.append(f"{hindrance}; the student of the level above stays")
        return replace(state, believed=believed), False, notes
    fit = run.trainer.train(targets, keep=trains, random_state=seed)
    if not pieces.pool:
        objective = _loss(run, fit, targets, trains)
    return State(fit, targets, believed, objective), True, notes


def _assign(level: Level, chosen: IntArray, above: Believed, *, hard: bool, with_rejection: bool) -> Believed:
    """Believe the chosen teachers; where there is none, the level above keeps its say, with its rejection."""
    here = chosen >= 0
    annotations = np.where(here[:, None], level.annotations(chosen, hard), above.annotations)
    said = annotations.sum(axis=1) > 0
    stands = here | above.kept | (not with_rejection)
    return Believed(
        assigned=np.where(here, level.columns[chosen], above.assigned),
        annotations=annotations,
        kept=said & stands,
        reason=np.where(said & stands, "", np.where(said, above.reason, "abstained")),
    )


def _reject(
    run: Run, chosen: IntArray, believed: Believed, student: FloatArray, strength: float | None, seed: int
) -> Believed:
    local = None
    if NEEDS_LOCAL & set(run.pieces.reject):
        local = train_local(
            run.trainer, chosen, believed.annotations, strength=strength,
            out_of_sample=run.pieces.out_of_sample, seed=seed,
        )  # fmt: skip
    evidence = Evidence(believed.annotations, student, local)
    for name in run.pieces.reject:
        believed = believed.without(~REJECTORS[name](evidence), name)
    return believed


def _experts(run: Run, k: int, gate: FloatArray, beliefs: Beliefs) -> tuple[list[FloatArray], list[str]]:
    """What every level up to `k` says."""
    experts, notes = [], []
    for j, level in enumerate(run.problem.levels[: k + 1]):
        if level is None:
            continue
        its_gate = gate if j == k else ASSIGNERS[run.pieces.assign](level, beliefs)
        opinion, corrected = expert(level, its_gate, beliefs.probabilities, run.problem.prior)
        if corrected and j == 0 and len(level.columns) == 1:
            # The student began as the lone generalist's pupil: what it makes of its words would count twice.
            continue
        experts.append(opinion)
        if corrected and j == k:
            notes.append("annotations are read through the teachers' confusions, which the student finds likelier")
    return experts, notes


def _loss(run: Run, fit: Fit, targets: FloatArray, rows: BoolArray) -> float:
    return float(cross_entropy(targets[rows], run.seen(fit)[rows]).mean())


def _hindrance(trains: BoolArray, targets: FloatArray) -> str | None:
    """Why no student can be trained on these samples, or None."""
    if not trains.any():
        return "every annotation was rejected"
    classes = int((targets[trains].sum(axis=0) > 0).sum())
    if classes < 2 or trains.sum() < FEWEST:
        return f"only {int(trains.sum())} annotations of {classes} classes survived"
    return None
