"""The steps of a round: functions from the state that earlier steps wrote to the state that they write."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cosup.cosupervision.assignment import ASSIGNERS, AssignmentContext, choose
from cosup.cosupervision.class_priors import ClassPrior, estimate_class_prior
from cosup.cosupervision.config import CSLConfig
from cosup.cosupervision.hierarchy import Hierarchy, Level
from cosup.cosupervision.local_students import LocalStudents, train_local
from cosup.cosupervision.marginals import hold_marginals
from cosup.cosupervision.pooling import BLOCKS, LevelExpert, pool
from cosup.cosupervision.rejection import REJECTIONS, Evidence
from cosup.cosupervision.state import (
    ABSTAINED,
    OVERRULED,
    REJECTED,
    Annotations,
    Assignment,
    Outcome,
    Setup,
    State,
    TrainingTargets,
)
from cosup.cosupervision.teacher_screening import screen_teachers
from cosup.cosupervision.witnesses import Witnesses, annotation_evidence
from cosup.labels import TeacherLabels
from cosup.students import Fit, as_student
from cosup.utils.losses import TINY, cross_entropy
from cosup.utils.row_blocks import release_pages
from cosup.utils.row_store import LazyRows, Rows, RowStore, row_slices
from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = [
    "StudentView", "annotations_of", "assign", "choose_targets", "fall_back", "pool_targets", "prepare",
    "reject", "round_seeds", "settled", "student_view", "train_global", "train_initial", "train_local_students",
]  # fmt: skip

FEWEST_TRAINED = 10
"""Samples that a global student is trained on at the least."""

SETTLED = 0.01
"""Mean total variation by which a level's posterior may move in its last round, and be expected to in all after it."""

SEEDS_PER_LEVEL = 7919
"""Distance between the seeds of two levels, far over the number of rounds."""


@dataclass(frozen=True)
class StudentView:
    """The inputs of a round that come from the student of the round before.

    Attributes
    ----------
    k : int
        The level whose teachers are assigned.
    context : AssignmentContext
        The student's probabilities, their marginals held where the configuration asks for it.
    posterior : Rows of shape (n_samples, n_classes)
        The pooled posterior of the round before, by which confusions are counted; in the first round, the student's
        probabilities.
    class_prior : ClassPrior
    """

    k: int
    context: AssignmentContext
    posterior: Rows
    class_prior: ClassPrior


def prepare(X: FloatArray, labels: TeacherLabels, student: Any, config: CSLConfig) -> Setup:
    """Screen the teachers, arrange them in a hierarchy, and tie the student to the features."""
    included, support = np.ones(labels.n_teachers, dtype=bool), None
    if config.teacher_screening and labels.n_levels > 1:
        included, support = screen_teachers(labels)
    hierarchy = Hierarchy.of(labels, all_classes=config.all_classes, included=included)
    return Setup(hierarchy, as_student(student).prepare(X), config, included, support)


def train_initial(setup: Setup, seed: int) -> State:
    """Train theta_0: the student on the generalists' most probable classes.

    Where a lone generalist leaves several classes open, on its probabilities.
    """
    hierarchy, config = setup.hierarchy, setup.config
    level = _level(setup, 0)
    consensus = hierarchy.consensus
    annotated = consensus >= 0
    targets: FloatArray | IntArray = consensus
    if level.leaves_open:
        targets = np.concatenate([level.probabilities(rows).dense(0) for rows in hierarchy.slices])
    fit = setup.train(targets, annotated, seed)
    column = level.columns[0] if len(level.columns) == 1 else -1
    reason = np.where(annotated, 0, ABSTAINED).astype(np.uint8)
    assignment = Assignment(np.where(annotated, column, -1), consensus, annotated, reason)
    prior = ClassPrior(np.full(setup.n_classes, 1 / setup.n_classes))
    student_proba = _predictions(setup, fit)
    if config.match_marginals:
        prior = estimate_class_prior(level, student_proba, consensus)
    loss = _loss(student_proba.blocks(), targets, annotated)
    training = TrainingTargets(targets, annotated)
    return State(fit, training, assignment, prior, loss)


def choose_targets(setup: Setup, fit: Fit) -> Setup:
    """Choose whether students train on class ids or on probabilities, where the configuration leaves it open.

    Students of class ids keep the initial student's calibration: later targets are made by the method itself, and
    students calibrated on these would only grow more confident.
    """
    config = setup.config
    hard = not (setup.reads_as_witnesses(0) or fit.takes_soft) if config.hard is None else config.hard
    return replace(setup, trainer=setup.trainer.like(fit) if hard else setup.trainer, config=replace(config, hard=hard))


def round_seeds(setup: Setup, k: int, random_state: int) -> list[int]:
    """Return a seed for every round of level `k`.

    There is no round where all teachers abstain, and none for a lone generalist, unless it leaves several classes open:
    the initial student has learnt its annotations already.
    """
    level = setup.hierarchy.levels[k]
    if level is not None and (k > 0 or len(level.columns) > 1 or (setup.config.pool and level.leaves_open)):
        # Generalists without a later level get the rounds that it would have had.
        only_level = setup.reads_as_witnesses(k) and len(setup.hierarchy.levels) == 1
        rounds = setup.config.rounds * (2 if only_level else 1)
        return [random_state + SEEDS_PER_LEVEL * k + t for t in range(1, rounds + 1)]
    return []


def student_view(setup: Setup, k: int, state: State, seed: int) -> StudentView:
    """Predict all samples by the latest student, the marginals held at the class prior."""
    student_proba = held_predictions(setup, state.fit, state.class_prior)
    posterior = state.training.posterior
    context = AssignmentContext(student_proba, setup.trainer, seed)
    return StudentView(k, context, student_proba if posterior is None else posterior, state.class_prior)


def assign(setup: Setup, view: StudentView, above: Assignment) -> tuple[FloatArray, Assignment]:
    """Assign a teacher of the level to every sample (step 1).

    A sample for which the level has no teacher keeps the assignment of the level above, and whether it was rejected.

    Returns
    -------
    gate : ndarray of shape (n_samples, n_teachers)
        The responsibilities r_m(x_i), in the order of the level's teachers.
    assignment : Assignment
    """
    level = _level(setup, view.k)
    # Several generalists are all used at once, so no gate between them is trained.
    rule = "distance" if setup.config.assign == "student" and setup.reads_as_witnesses(view.k) else setup.config.assign
    gate = ASSIGNERS.find(rule)(level, view.context)
    chosen = choose(gate)
    assigned = chosen >= 0
    teacher = np.where(assigned, level.columns[chosen], above.teacher)
    annotation = np.where(assigned, setup.hierarchy.annotations_of(level, chosen), above.annotation)
    kept = (annotation >= 0) & (assigned | above.kept | (not setup.config.reject))
    reason = np.where(kept, 0, np.where(annotation >= 0, above.reason, ABSTAINED)).astype(np.uint8)
    return gate, Assignment(teacher, annotation, kept, reason)


def annotations_of(setup: Setup, assignment: Assignment) -> Annotations:
    """Gather the assigned teachers' annotations, and their probabilities where students are trained on these."""
    if setup.config.hard or setup.config.pool:
        return Annotations(assignment.annotation, None)
    labels, active = setup.hierarchy.labels, setup.hierarchy.active
    store = RowStore(len(assignment.annotation), len(active))
    for rows in store.slices:
        teacher, annotation = assignment.teacher[rows], assignment.annotation[rows]
        block = np.zeros((len(annotation), len(active)))
        annotated = np.flatnonzero(annotation >= 0)
        block[annotated, annotation[annotated]] = 1.0  # remains where no single teacher is assigned: their consensus
        for t in np.unique(teacher[teacher >= 0]):
            its = np.flatnonzero(teacher == t)
            block[its] = labels.probabilities(int(t), rows.start + its)[:, active]
        store.put(rows, block)
    return Annotations(assignment.annotation, store)


def train_local_students(
    setup: Setup, gate: FloatArray, annotations: Annotations, student: Fit, seed: int
) -> LocalStudents | None:
    """Train theta_km for every teacher of the level (step 2), where a rejection rule needs them."""
    if not any(REJECTIONS.find(name).needs_local for name in setup.config.reject):
        return None
    return train_local(
        setup.trainer, choose(gate), annotations.targets, n_classes=setup.n_classes, alpha=student.alpha,
        out_of_sample=setup.config.out_of_sample, seed=seed,
    )  # fmt: skip


def reject(
    setup: Setup,
    assignment: Assignment,
    annotations: Annotations,
    local_students: LocalStudents | None,
    student: Fit,
) -> Assignment:
    """Reject annotations that contradict a student (step 3), by the configuration's rules, one after the other."""
    if not setup.config.reject:
        return assignment
    soft = None if annotations.soft is None else annotations.soft.get
    evidence = Evidence.of(annotations.hard, setup.student_proba(student), soft=soft, local=local_students)
    for place, name in enumerate(setup.config.reject):
        assignment = assignment.without(~REJECTIONS.find(name).keep(evidence), REJECTED + place)
    return assignment


def pool_targets(
    setup: Setup, view: StudentView, gate: FloatArray, annotations: Annotations, assignment: Assignment
) -> tuple[TrainingTargets, Assignment]:
    """Make targets: the kept annotations, or the pooled posterior of the student and the experts of all levels so far.

    The posterior has a target for every sample. Without rejection rules all are trained on, and an annotation counts
    as overruled where the posterior finds another class more probable.
    """
    config = setup.config
    if not config.pool:
        return TrainingTargets(annotations.targets, assignment.kept), assignment
    experts, notes = _experts(setup, view, gate)
    held = view.class_prior if config.match_marginals else None
    names = next((expert.names for expert in experts if isinstance(expert, Witnesses)), None)
    posterior, objective = pool(view.context.student_proba, experts, held, names)
    predicted = _most_probable(posterior)
    train_mask = assignment.kept
    if not config.reject:
        train_mask = np.ones(len(predicted), dtype=bool)
        assignment = assignment.without(predicted != assignment.annotation, OVERRULED)
    targets = predicted if config.hard else posterior.whole()
    moved = _distance(posterior, view.posterior)
    return TrainingTargets(targets, train_mask, objective, posterior, notes, moved), assignment


def train_global(
    setup: Setup, training: TrainingTargets, assignment: Assignment, view: StudentView, state: State, seed: int
) -> tuple[State, Outcome]:
    """Train theta_k, a fresh global student (step 4); the student before stays where nothing is left to train on."""
    outcome, why = _trainable(training)
    if outcome is not Outcome.TRAINED:
        training = replace(state.training, notes=(*training.notes, f"{why}; the student of the level above stays"))
        return replace(state, training=training, assignment=assignment, class_prior=view.class_prior), outcome
    # Targets change little from round to round: a level's students are as regularised as its first.
    alpha = state.fit.alpha if state.level == view.k and setup.config.pool else None
    fit = setup.train(training.targets, training.train_mask, seed, alpha)
    objective = training.objective
    if not setup.config.pool:
        objective = _loss(setup.student_proba(fit), training.targets, training.train_mask)
    return State(fit, training, assignment, view.class_prior, objective, view.k), outcome


def settled(before: TrainingTargets, training: TrainingTargets) -> bool:
    """Tell whether further rounds would hardly move the posterior: each as much less than the one before as now."""
    moved, less = training.moved, before.moved - training.moved
    return moved < SETTLED and moved**2 < SETTLED * less


def fall_back(setup: Setup, initial: State, state: State, agreement: float) -> str:
    """Tell why the initial student, the consensus', is a better answer than the last one; empty where it is not.

    Of several generalists, it is where it explains the annotations better (`annotation_evidence`). Specialists are
    alternatives, whose annotations count only where the gate names them: there, it is where the last student, out of
    sample, predicts too few of the targets that it was trained on (`agreement`).
    """
    config = setup.config
    if not config.pool or not config.fall_back or state.level < 0:
        return ""
    if state.level > 0:
        if not agreement < config.fall_back:
            return ""
        return f"out of sample they predict {agreement:.0%} of their training targets, under {config.fall_back:.0%}"
    shape = len(setup.hierarchy.consensus), setup.n_classes
    before, after = (
        annotation_evidence(_level(setup, 0), RowStore.of(setup.student_proba(fit), *shape), state.class_prior.shares)
        for fit in (initial.fit, state.fit)
    )
    return "" if after >= before else f"it explains the annotations better, by {before - after:.2g} nats a sample"


def held_predictions(setup: Setup, fit: Fit, prior: ClassPrior) -> Rows:
    """Predict all samples by a student, with the marginals held where the configuration asks for it."""
    return _hold(setup, _predictions(setup, fit), prior)


def _level(setup: Setup, k: int) -> Level:
    level = setup.hierarchy.levels[k]
    assert level is not None
    return level


def _predictions(setup: Setup, fit: Fit) -> Rows:
    """Return the predictions that assignment goes by, stored where they are read several times."""
    shape = (len(setup.hierarchy.consensus), setup.n_classes)
    if not (setup.config.match_marginals or setup.config.pool):
        return LazyRows(shape, lambda: setup.student_proba(fit))
    return RowStore.of(setup.student_proba(fit), *shape)


def _hold(setup: Setup, student_proba: Rows, prior: ClassPrior) -> Rows:
    """Hold the marginals at the prior, in place, where the configuration asks for it."""
    if setup.config.match_marginals and isinstance(student_proba, RowStore):
        hold_marginals(student_proba, prior)
    return student_proba


def _experts(
    setup: Setup, view: StudentView, gate: FloatArray
) -> tuple[list[LevelExpert | Witnesses], tuple[str, ...]]:
    """Make the experts of all levels up to the view's: several generalists as witnesses, other levels as mixtures."""
    experts: list[LevelExpert | Witnesses] = []
    notes: tuple[str, ...] = ()
    for j, level in enumerate(setup.hierarchy.levels[: view.k + 1]):
        if level is None:
            continue
        if setup.reads_as_witnesses(j):
            witnesses = Witnesses(level, view.posterior, view.class_prior.shares)
            experts.append(witnesses)
            if view.k == 0:
                notes = (
                    f"annotations corrected by confusion matrices; teachers' independence {witnesses.independence:.2f}",
                )
                if witnesses.names is not None:
                    moved = int((witnesses.names != np.arange(setup.n_classes)).sum())
                    notes += (f"{moved} classes exchanged names, under which the teachers agree with them more",)
            continue
        its_gate = gate if j == view.k else ASSIGNERS.find(setup.config.assign)(level, view.context)
        mixture = LevelExpert(level, its_gate, view.context.student_proba, view.class_prior.shares)
        if mixture.corrected and j == 0:
            # The initial student was trained on the lone generalist: its annotations would count twice.
            continue
        experts.append(mixture)
        if mixture.corrected and j == view.k:
            notes = ("annotations corrected by each teacher's confusion matrix",)
    return experts, notes


def _distance(one: Rows, other: Rows) -> float:
    """Average the total variation between two posteriors over samples: of many blocks, over some."""
    step = max(1, len(row_slices(*one.shape)) // BLOCKS)
    pairs = itertools.islice(zip(one.blocks(), other.blocks(), strict=True), 0, None, step)
    return float(np.mean(np.concatenate([np.abs(p - q).sum(axis=1) for (_, p), (_, q) in pairs]))) / 2


def _most_probable(store: RowStore) -> IntArray:
    predicted = np.empty(store.shape[0], dtype=np.int64)
    for rows, p in store.blocks():
        predicted[rows] = p.argmax(axis=1)
    return predicted


def _loss(
    student_proba: Iterable[tuple[slice, FloatArray]], targets: FloatArray | IntArray, train_mask: BoolArray
) -> float:
    """Average the cross-entropy of the student's predictions against its targets, in nats."""
    total = 0.0
    given: Any
    for rows, p in student_proba:
        own = np.flatnonzero(train_mask[rows])
        given = targets[rows][own]
        if given.ndim == 1:
            total -= float(np.log(np.maximum(p[own, given], TINY)).sum())
        else:
            total += float(cross_entropy(given, p[own]).sum())
        release_pages(targets)
    return total / max(int(train_mask.sum()), 1)


def _trainable(training: TrainingTargets) -> tuple[Outcome, str]:
    """Tell whether a student can be trained on these targets, and why not."""
    targets, train_mask = training.targets, training.train_mask
    kept = int(train_mask.sum())
    if not kept:
        return Outcome.NOTHING_KEPT, "every annotation was rejected"
    if targets.ndim == 1:
        classes = len(np.unique(targets if kept == len(train_mask) else targets[train_mask]))
    else:
        found = np.zeros(targets.shape[1], dtype=bool)
        for rows in row_slices(*targets.shape):
            found |= (targets[rows][train_mask[rows]] > 0).any(axis=0)
            if kept >= FEWEST_TRAINED and found.sum() > 1:
                break
            release_pages(targets)
        classes = int(found.sum())
    if classes < 2 or kept < FEWEST_TRAINED:
        return Outcome.TOO_FEW_KEPT, f"only {kept} annotations of {classes} classes survived"
    return Outcome.TRAINED, ""
