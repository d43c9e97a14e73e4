"""One round at one level: assign, local, reject, pool, train."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cosup.cosupervision.assignment import ASSIGNERS, Beliefs, by_mass, choose
from cosup.cosupervision.class_priors import class_shares, named_shares
from cosup.cosupervision.config import Pieces
from cosup.cosupervision.hierarchy import Level, Problem, shrunk
from cosup.cosupervision.local_students import train_local
from cosup.cosupervision.pooling import Opinion, hold_marginals, pool
from cosup.cosupervision.rejection import NEEDS_LOCAL, REJECTORS, Evidence
from cosup.students import Fit, Trainer
from cosup.utils.losses import TINY, cross_entropy
from cosup.utils.row_blocks import let_go
from cosup.utils.row_store import Again, Rows, RowStore, row_slices
from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = ["Believed", "Run", "State", "believes", "play_round", "start"]

FEWEST = 10
"""Samples that a global student is trained on at the least."""

ABSTAINED, OVERRULED, REJECTED = 1, 2, 3
"""Positions in `Run.reasons`; a rejection's is `REJECTED` and its position among those asked for."""


@dataclass(frozen=True)
class Run:
    """What stays the same from round to round."""

    problem: Problem
    trainer: Trainer
    pieces: Pieces

    @property
    def n_classes(self) -> int:
        """Of the problem, as the student sees them."""
        return len(self.problem.active)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why an annotation may not count; samples hold positions in this."""
        return ("", "abstained", "overruled", *self.pieces.reject)

    def seen(self, fit: Fit) -> Iterator[tuple[slice, FloatArray]]:
        """The predictions that assignment and rejection go by, a block of samples at a time."""
        return fit.blocks(self.pieces.out_of_sample, self.problem.slices[0].stop)

    def train(self, targets: FloatArray | IntArray, rows: BoolArray, seed: int) -> Fit:
        """Train a global student."""
        return self.trainer.train(targets, keep=rows, random_state=seed, n_classes=self.n_classes)


@dataclass(frozen=True)
class Believed:
    """Whose annotation counts on every sample, and whether it stands; vectors of n_samples.

    Attributes
    ----------
    assigned : ndarray of int
        The teacher's column, -1 for none.
    said : ndarray of int
        Its most probable class, in positions of `Problem.active`; -1 for none. Several generalists speak as one.
    kept : bool ndarray
    reason : ndarray of uint8
        Why not, a position in `Run.reasons`.
    """

    assigned: IntArray
    said: IntArray
    kept: BoolArray
    reason: IntArray

    def without(self, dropped: BoolArray, reason: int) -> Believed:
        """The same, less what is `dropped` for `reason`, a position in `Run.reasons`."""
        newly = self.kept & dropped
        return replace(self, kept=self.kept & ~dropped, reason=np.where(newly, np.uint8(reason), self.reason))

    def probabilities(self, problem: Problem) -> RowStore:
        """The annotations' probabilities: the assigned teacher's, or all on what was said where that is several's."""
        store = RowStore(len(self.said), len(problem.active))
        for rows in store.slices:
            assigned, said = self.assigned[rows], self.said[rows]
            block = np.zeros((len(said), len(problem.active)))
            heard = np.flatnonzero(said >= 0)
            block[heard, said[heard]] = 1.0
            for t in np.unique(assigned[assigned >= 0]):
                its = np.flatnonzero(assigned == t)
                block[its] = problem.labels.probabilities(int(t), rows.start + its)[:, problem.active]
            store.put(rows, block)
        return store


@dataclass(frozen=True)
class State:
    """What a round hands to the next."""

    fit: Fit
    targets: FloatArray | IntArray
    believed: Believed
    objective: float
    prior: FloatArray
    """The class shares that beliefs and posterior are held at."""
    calibrated: bool
    """Whether the generalists' probabilities are taken at their word, from which the class shares were counted."""
    counted: FloatArray
    """Where the class shares start: by the generalists' words, or by what the first student names."""
    posterior: Rows | None = None
    """The pooled posterior that targets were made of, where there is a pool."""


def start(run: Run, level: Level, seed: int) -> State:
    """theta_0: the student on the generalists' most probable classes."""
    said = run.problem.named
    heard = said >= 0
    fit = run.train(said, heard, seed)
    column = level.columns[0] if len(level.columns) == 1 else -1
    believed = Believed(np.where(heard, column, -1), said, heard, np.where(heard, 0, ABSTAINED).astype(np.uint8))
    seen, prior, counted = _predictions(run, fit), run.problem.prior, run.problem.prior
    soft = run.problem.labels.is_soft
    if run.pieces.pool and run.pieces.match_marginals:
        named = named_shares(seen, level, prior, soft=soft)
        if named is not None:
            prior, counted = named, shrunk(named)
    calibrated = soft and run.pieces.pool and _calibrated(run, level, seen)
    return State(fit, said, believed, _loss(run, fit, said, heard), prior, calibrated, counted)


def _calibrated(run: Run, level: Level, seen: Rows) -> bool:
    """Whether the generalists' probabilities can be taken at their word."""
    beliefs = _held(run, seen, run.problem.prior)
    opinion = Opinion(level, by_mass(level, Beliefs(beliefs, run.trainer, 0)), beliefs, run.problem.prior)
    return not opinion.corrected


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
    notes: list[str] = []
    seen = _predictions(run, state.fit)
    if pieces.pool and pieces.match_marginals:
        if state.counted is not run.problem.prior:
            notes.append(
                "classes are held at shares that the first student names: the generalists learnt on other shares"
            )
        before, state = state.prior, _with_shares(run, state, seen)
        if state.prior is not before:
            notes.append(
                "classes are held at shares read from the student's scores, which bear out the generalists' less"
            )
    held = state.prior if pieces.match_marginals else None
    beliefs = Beliefs(_held(run, seen, state.prior), run.trainer, seed)
    gate = ASSIGNERS[pieces.assign](level, beliefs)
    chosen = choose(gate)
    believed = _assign(run.problem, level, chosen, state.believed, with_rejection=bool(pieces.reject))
    # Targets are probabilities only where these are to be trained on.
    soft = None if pieces.hard or pieces.pool else believed.probabilities(run.problem)
    if pieces.reject:
        believed = _reject(run, chosen, believed, soft, state.fit, seed)

    targets = believed.said if soft is None else soft.whole()
    trains, objective = believed.kept, float("nan")
    posterior: RowStore | None = None
    if pieces.pool:
        experts, of_experts = _experts(run, k, gate, beliefs, state.prior)
        notes += of_experts
        posterior, objective = pool(beliefs.probabilities, experts, held)
        named = _most_probable(posterior)
        targets = named if pieces.hard else posterior.whole()
        if not pieces.reject:
            # The posterior speaks for every sample; an annotation that it contradicts is overruled, not left out.
            trains = np.ones(len(named), dtype=bool)
            believed = believed.without(named != believed.said, OVERRULED)

    hindrance = _hindrance(trains, targets)
    if hindrance:
        notes.append(f"{hindrance}; the student of the level above stays")
        return replace(state, believed=believed), False, notes
    fit = run.train(targets, trains, seed)
    if not pieces.pool:
        objective = _loss(run, fit, targets, trains)
    return (
        State(fit, targets, believed, objective, state.prior, state.calibrated, state.counted, posterior),
        True,
        notes,
    )


def _with_shares(run: Run, state: State, seen: Rows) -> State:
    """With the class shares that the student's scores bear out."""
    posterior = believes(run, state.fit, state.prior) if state.posterior is None else state.posterior
    prior = class_shares(seen, posterior, state.prior, state.counted, calibrated=state.calibrated)
    return replace(state, prior=prior)


def believes(run: Run, fit: Fit, prior: FloatArray) -> Rows:
    """What a student believes, with the marginals held where that is asked for."""
    return _held(run, _predictions(run, fit), prior)


def _predictions(run: Run, fit: Fit) -> Rows:
    """What assignment goes by, stored where it is looked at again and again."""
    shape = (len(run.problem.named), run.n_classes)
    if not (run.pieces.match_marginals or run.pieces.pool):
        return Again(shape, lambda: run.seen(fit))
    return RowStore.of(run.seen(fit), *shape)


def _held(run: Run, seen: Rows, prior: FloatArray) -> Rows:
    """The same, with the marginals held where that is asked for: in place."""
    if run.pieces.match_marginals and isinstance(seen, RowStore):
        hold_marginals(seen, prior)
    return seen


def _assign(problem: Problem, level: Level, chosen: IntArray, above: Believed, *, with_rejection: bool) -> Believed:
    """Believe the chosen teachers; where there is none, the level above keeps its say, with its rejection."""
    here = chosen >= 0
    assigned = np.where(here, level.columns[chosen], above.assigned)
    said = np.where(here, problem.said(level, chosen), above.said)
    stands = here | above.kept | (not with_rejection)
    kept = (said >= 0) & stands
    reason = np.where(kept, 0, np.where(said >= 0, above.reason, ABSTAINED)).astype(np.uint8)
    return Believed(assigned, said, kept, reason)


def _reject(run: Run, chosen: IntArray, believed: Believed, soft: RowStore | None, student: Fit, seed: int) -> Believed:
    local = None
    if NEEDS_LOCAL & set(run.pieces.reject):
        local = train_local(
            run.trainer, chosen, believed.said if soft is None else soft.whole(), n_classes=run.n_classes,
            strength=student.strength, out_of_sample=run.pieces.out_of_sample, seed=seed,
        )  # fmt: skip
    evidence = Evidence.of(believed.said, run.seen(student), soft=None if soft is None else soft.get, local=local)
    for place, name in enumerate(run.pieces.reject):
        believed = believed.without(~REJECTORS[name](evidence), REJECTED + place)
    return believed


def _experts(
    run: Run, k: int, gate: FloatArray, beliefs: Beliefs, prior: FloatArray
) -> tuple[list[Opinion], list[str]]:
    """What every level up to `k` says."""
    experts, notes = [], []
    for j, level in enumerate(run.problem.levels[: k + 1]):
        if level is None:
            continue
        its_gate = gate if j == k else ASSIGNERS[run.pieces.assign](level, beliefs)
        opinion = Opinion(level, its_gate, beliefs.probabilities, prior)
        if opinion.corrected and j == 0 and len(level.columns) == 1:
            # The student began as the lone generalist's pupil: what it makes of its words would count twice.
            continue
        experts.append(opinion)
        if opinion.corrected and j == k:
            notes.append("annotations are read through the teachers' confusions, which the student finds likelier")
    return experts, notes


def _most_probable(store: RowStore) -> IntArray:
    named = np.empty(store.shape[0], dtype=np.int64)
    for rows, p in store.blocks():
        named[rows] = p.argmax(axis=1)
    return named


def _loss(run: Run, fit: Fit, targets: FloatArray | IntArray, which: BoolArray) -> float:
    """Mean cross-entropy of the student's predictions against its targets, in nats."""
    total = 0.0
    given: Any
    for rows, p in run.seen(fit):
        own = np.flatnonzero(which[rows])
        given = targets[rows][own]
        if given.ndim == 1:
            total -= float(np.log(np.maximum(p[own, given], TINY)).sum())
        else:
            total += float(cross_entropy(given, p[own]).sum())
        let_go(targets)
    return total / max(int(which.sum()), 1)


def _hindrance(trains: BoolArray, targets: FloatArray | IntArray) -> str | None:
    """Why no student can be trained on these samples, or None."""
    if not trains.any():
        return "every annotation was rejected"
    if targets.ndim == 1:
        classes = len(np.unique(targets if trains.all() else targets[trains]))
    else:
        found = np.zeros(targets.shape[1], dtype=bool)
        for rows in row_slices(*targets.shape):
            found |= (targets[rows][trains[rows]] > 0).any(axis=0)
            let_go(targets)
        classes = int(found.sum())
    if classes < 2 or trains.sum() < FEWEST:
        return f"only {int(trains.sum())} annotations of {classes} classes survived"
    return None
