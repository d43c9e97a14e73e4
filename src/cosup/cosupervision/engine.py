"""Co-supervised learning, level by level (Liu & Alahi 2024, algorithm 1), from named pieces."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cosup._validation import BoolArray, CosupError, FloatArray, IntArray, check_choice, check_positive
from cosup.cosupervision._problem import Level, Problem
from cosup.cosupervision.assign import ASSIGNERS, Beliefs, choose
from cosup.cosupervision.local import train_local
from cosup.cosupervision.pool import expert, match_marginals, pool
from cosup.cosupervision.reject import NEEDS_LOCAL, REJECTORS, Evidence
from cosup.estimator import Supervision, level_record, one_hot, provenance_rows
from cosup.losses import cross_entropy
from cosup.student import Fit, Head, LinearHead, MeanHead, Trainer, as_student, average_heads
from cosup.teachers import TeacherLabels

__all__ = ["Pieces", "co_supervise"]


@dataclass(frozen=True)
class Pieces:
    """Which piece does each step; every one can be replaced by name or switched off.

    Attributes
    ----------
    assign : {"student", "mass", "distance", "argmax", "random"}
        See `cosup.cosupervision.assign`.
    reject : tuple of {"teacher-student", "local-global", "top1", "top2", "top3"}
        Checks that an annotation must pass, see `cosup.cosupervision.reject`. Empty keeps all.
    pool : bool
        Train on the pooled posterior of student and all levels' experts (see `cosup.cosupervision.pool`), instead
        of on the assigned teachers' annotations.
    match_marginals : bool
        Hold the marginals of beliefs and posterior at the generalists' class shares.
    out_of_sample : bool
        Assign and reject by predictions of students that were not trained on the sample.
    hard : bool, optional
        Train on the most probable class of the targets instead of on the targets. None leaves it to the student
        (`cosup.student.Fit.takes_soft`).
    rounds : int
        Rounds a level.
    ensemble : {"mean", "last"}
        The final student: the mean of all rounds' students, or the last one.
    all_classes : bool
        Give the student an output for classes that nobody names, too: it learns nothing there, but an iterative
        student's path depends on them, and the released code has them.
    """

    assign: str = "student"
    reject: tuple[str, ...] = ()
    pool: bool = True
    match_marginals: bool = True
    out_of_sample: bool = True
    hard: bool | None = None
    rounds: int = 5
    ensemble: str = "mean"
    all_classes: bool = False

    def __post_init__(self) -> None:
        check_choice(self.assign, ASSIGNERS, "assignment")
        if isinstance(self.reject, str):
            raise CosupError(
                f"reject must be a tuple of names, got the string {self.reject!r}: write ({self.reject!r},)"
            )
        for name in self.reject:
            check_choice(name, REJECTORS, "rejection")
        check_choice(self.ensemble, ("mean", "last"), "ensemble")
        check_positive(self.rounds, "rounds", integer=True)


@dataclass
class _State:
    """What a round hands to the next; arrays over samples, classes in positions of `Problem.active`."""

    fit: Fit
    targets: FloatArray
    assigned: IntArray
    annotations: FloatArray
    kept: BoolArray
    reason: Any
    objective: float


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
    started = time.perf_counter()
    problem = Problem.of(labels, all_classes=pieces.all_classes)
    trainer = as_student(student).prepare(X)
    first = problem.levels[0]
    assert first is not None
    state = _generalists(problem, first, trainer, pieces, random_state)
    if pieces.hard is None:
        pieces = replace(pieces, hard=not state.fit.takes_soft)
    history = []
    provenance = []
    heads: list[Head] = []
    specialised = False
    level_heads: list[Head] = []
    for k, level in enumerate(problem.levels):
        notes = _notes_on_teachers(labels, k, level)
        rounds = 0
        if level is not None and (k > 0 or len(level.columns) > 1):
            of_level: list[Head] = []
            for rounds in range(1, pieces.rounds + 1):
                seed = random_state + 7919 * k + rounds
                trained = _round(problem, k, trainer, pieces, state, seed, notes)
                if trained is None:
                    break
                state = trained
                of_level.append(state.fit.head)
            if of_level:
                # The generalists' students have no part in the mean once specialists were heard.
                heads = [*heads, *of_level] if specialised else of_level
                specialised = k > 0
            notes.extend(_notes_on_assignment(labels, level, state))
        heads = heads or [state.fit.head]
        current = average_heads(heads) if pieces.ensemble == "mean" else heads[-1]
        level_heads.append(_over_all_classes(current, problem, labels.n_classes))
        record = level_record(
            k, labels.at_level(k), state.assigned, state.kept, fit=state.fit, targets=state.targets,
            objective=state.objective, rounds=rounds, seconds=time.perf_counter() - started, notes=_once(notes),
        )  # fmt: skip
        history.append(record)
        said = np.where(state.annotations.sum(axis=1) > 0, problem.active[state.annotations.argmax(axis=1)], -1)
        shown = np.zeros((len(X), labels.n_classes))
        shown[:, problem.active] = state.fit.out_of_sample if pieces.out_of_sample else state.fit.in_sample
        provenance.append(provenance_rows(state.assigned, said, state.kept, state.reason, shown))
        started = time.perf_counter()
    return Supervision(level_heads[-1], tuple(level_heads), history, np.stack(provenance, axis=1))


def _generalists(problem: Problem, level: Level, trainer: Trainer, pieces: Pieces, seed: int) -> _State:
    """theta_0: the student on the generalists' (hard) annotations."""
    heard = problem.generalist.sum(axis=1) > 0
    named = np.where(heard, problem.generalist.argmax(axis=1), -1)
    targets = one_hot(named, len(problem.active))
    fit = trainer.train(targets, keep=heard, random_state=seed)
    column = level.columns[0] if len(level.columns) == 1 else -1
    loss = cross_entropy(targets[heard], fit.out_of_sample[heard] if pieces.out_of_sample else fit.in_sample[heard])
    return _State(
        fit=fit,
        targets=targets,
        assigned=np.where(heard, column, -1),
        annotations=targets,
        kept=heard,
        reason=np.where(heard, "", "abstained"),
        objective=float(loss.mean()),
    )


def _round(
    problem: Problem, k: int, trainer: Trainer, pieces: Pieces, state: _State, seed: int, notes: list[str]
) -> _State | None:
    """One round at level k: assign, local, reject, pool, train. None where nothing is left to train on."""
    level = problem.levels[k]
    assert level is not None
    student = state.fit.out_of_sample if pieces.out_of_sample else state.fit.in_sample
    prior = problem.prior if pieces.match_marginals else None
    beliefs = Beliefs(student if prior is None else match_marginals(student, prior), trainer, seed)
    gate = ASSIGNERS[pieces.assign](level, beliefs)

    # Where nobody of this level speaks for the class that the student sees, the level above keeps its say.
    chosen = choose(gate)
    here = chosen >= 0
    annotations = np.where(here[:, None], level.annotations(chosen, bool(pieces.hard)), state.annotations)
    assigned = np.where(here, level.columns[chosen], state.assigned)
    kept = annotations.sum(axis=1) > 0
    reason = np.where(kept, "", "abstained").astype("U24")
    if pieces.reject:
        # An annotation that stands in from above brings its rejection along.
        stands_in = ~here & kept & ~state.kept
        reason[stands_in] = state.reason[stands_in]
        kept &= ~stands_in

    if pieces.reject:
        local = None
        if NEEDS_LOCAL & set(pieces.reject):
            local = train_local(
                trainer,
                chosen,
                annotations,
                strength=state.fit.strength,
                out_of_sample=pieces.out_of_sample,
                seed=seed,
            )
        evidence = Evidence(annotations, student, local)
        for name in pieces.reject:
            passed = REJECTORS[name](evidence)
            reason[kept & ~passed] = name
            kept &= passed

    experts: dict[int, FloatArray] = {}
    objective = float("nan")
    targets = annotations
    if pieces.pool:
        for j in range(k + 1):
            other = problem.levels[j]
            if other is None:
                continue
            its_gate = gate if j == k else ASSIGNERS[pieces.assign](other, beliefs)
            opinion, corrected = expert(other, its_gate, beliefs.probabilities, problem.prior)
            if corrected and j == 0 and len(other.columns) == 1:
                # The student began as the lone generalist's pupil: what it makes of its words would count twice.
                continue
            experts[j] = opinion
            if corrected and j == k:
                notes.append("annotations are read through the teachers' confusions, which the student finds likelier")
        targets, objective = pool(beliefs.probabilities, list(experts.values()), prior)
        overruled = kept & (targets.argmax(axis=1) != annotations.argmax(axis=1))
        if not pieces.reject:
            reason[overruled] = "overruled"
    if pieces.hard:
        targets = np.where((targets.sum(axis=1) > 0)[:, None], one_hot(targets.argmax(axis=1), targets.shape[1]), 0.0)

    trains = kept if pieces.reject or not pieces.pool else np.ones(len(kept), dtype=bool)
    problem_here = _cannot_train(trains, targets)
    if problem_here:
        notes.append(f"{problem_here}; the student of the level above stays")
        return None
    fit = trainer.train(targets, keep=trains, random_state=seed)
    if not pieces.pool:
        shown = fit.out_of_sample if pieces.out_of_sample else fit.in_sample
        objective = float(cross_entropy(targets[kept], shown[kept]).mean())
    elif not pieces.reject:
        kept = kept & ~overruled
    return _State(fit, targets, assigned, annotations, kept, reason, objective)


def _cannot_train(trains: BoolArray, targets: FloatArray) -> str | None:
    """Why no student can be trained on these samples, or None."""
    if not trains.any():
        return "every annotation was rejected"
    classes = int((targets[trains].sum(axis=0) > 0).sum())
    if classes < 2 or trains.sum() < 10:
        return f"only {int(trains.sum())} annotations of {classes} classes survived"
    return None


def _notes_on_teachers(labels: TeacherLabels, k: int, level: Level | None) -> list[str]:
    if level is None:
        return [f"nobody of level {k} speaks in these samples; the student of the level above stays"]
    notes = []
    speaks = labels.speaks()
    for t in labels.at_level(k):
        if not speaks[:, t].any():
            notes.append(f"teacher {labels.names[t]!r} abstains on all of these samples")
        elif t not in level.columns:
            notes.append(f"teacher {labels.names[t]!r} repeats another of its level and counts once")
    return notes


def _notes_on_assignment(labels: TeacherLabels, level: Level, state: _State) -> list[str]:
    return [f"teacher {labels.names[t]!r} was never assigned" for t in level.columns if not (state.assigned == t).any()]


def _once(notes: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(notes))


@dataclass(frozen=True)
class _Spread:
    """A head over some classes, seen over all."""

    head: Head
    active: IntArray
    n_classes: int

    def predict_proba(self, X: FloatArray) -> FloatArray:
        out = np.zeros((len(X), self.n_classes))
        out[:, self.active] = self.head.predict_proba(X)
        return out


UNSEEN = -1e4
"""Logit of a class that no teacher ever named."""


def _over_all_classes(head: Head, problem: Problem, n_classes: int) -> Head:
    if len(problem.active) == n_classes:
        return head
    if isinstance(head, LinearHead):
        weight = np.zeros((head.weight.shape[0], n_classes))
        bias = np.full(n_classes, UNSEEN)
        weight[:, problem.active], bias[problem.active] = head.weight, head.bias
        return LinearHead(weight, bias)
    if isinstance(head, MeanHead):
        return replace(head, heads=tuple(_over_all_classes(h, problem, n_classes) for h in head.heads))
    return _Spread(head, problem.active, n_classes)
