"""Assignment: how far each teacher of a level is followed on each sample (gate g_m and responsibility r_m).

Every rule maps a `Level` and the student's predictions to responsibilities (n_samples, n_teachers): zero where a
teacher abstains, rows summing to at most one. The rest of a row belongs to no teacher: it is the student's probability
of the classes that no speaking teacher of the level covers.

The paper's responsibility r_m(x) ~ g_m(x) exp(-d(pi_m(x), f(x))) is the rule "distance", its gate g_m alone "mass".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from cosup.cosupervision.hierarchy import Level
from cosup.cosupervision.teacher_predictions import FLOOR
from cosup.students import Trainer
from cosup.utils.losses import row_sum
from cosup.utils.registry import Registry
from cosup.utils.row_store import Rows
from cosup.utils.validation import FloatArray, IntArray

__all__ = ["ASSIGNERS", "AssignmentContext", "by_mass", "choose", "register_assigner", "uncovered"]

Assigner = Callable[[Level, "AssignmentContext"], FloatArray]
AnyAssigner = TypeVar("AnyAssigner", bound=Assigner)

ASSIGNERS: Registry[Assigner] = Registry("assigner")
"""Assignment rules by name."""

DISTANCE_WEIGHT = 2.0
"""Factor of the distance between teacher and student in a responsibility."""

GATE_ROUNDS = 3
"""Rounds in which the gating network is trained on its own responsibilities."""

WEIGHT_ROUNDS = 20
"""Rounds of expectation-maximisation of the weights that are the same for every sample."""


@dataclass(frozen=True)
class AssignmentContext:
    """Inputs of an assignment rule.

    Attributes
    ----------
    student_proba : Rows of shape (n_samples, n_classes)
        The latest student's probabilities.
    trainer : Trainer
        The student tied to the features, for gates that are trained.
    seed : int
    """

    student_proba: Rows
    trainer: Trainer
    seed: int


def register_assigner(name: str) -> Callable[[AnyAssigner], AnyAssigner]:
    """Register the decorated function as an assignment rule.

    Parameters
    ----------
    name : str
        The name in ``assign="..."``.

    Returns
    -------
    decorator
        For a function ``(level, context) -> responsibilities`` (n_samples, n_teachers), in the order of
        ``level.columns``: not negative, zero where a teacher abstains (`Level.speaks`), rows summing to at most one.

    Raises
    ------
    CosupError
        If the name is taken.

    Examples
    --------
    >>> from cosup import register_assigner
    >>> @register_assigner("first")  # doctest: +SKIP
    ... def first(level, context):
    ...     return level.speaks & (level.speaks.cumsum(axis=1) == 1)
    """
    return ASSIGNERS.decorator(name, lambda rule: rule)


@register_assigner("mass")
def by_mass(level: Level, context: AssignmentContext) -> FloatArray:
    """Follow teachers by the student's probability of their specialties; overlapping specialties share it."""
    return _mass(level, context.student_proba.blocks())


@register_assigner("distance")
def by_distance(level: Level, context: AssignmentContext) -> FloatArray:
    """Weigh `by_mass` with exp(-distance): the paper's responsibilities. Distances are cross-entropies, in nats."""
    return _reweight(by_mass(level, context), _log_likelihood(level, context))


@register_assigner("student")
def by_student(level: Level, context: AssignmentContext) -> FloatArray:
    """Follow `by_mass` where specialties are known, and a trained gating network where they are not.

    The gating network of a hierarchical mixture of experts (Jordan & Jacobs 1994): the student's own architecture,
    trained on the responsibilities and read out of sample, so that samples that look alike share a teacher.
    """
    if level.known or len(level.columns) == 1:
        return by_mass(level, context)
    mass = by_mass(level, context)
    likelihood = _log_likelihood(level, context)
    responsibilities = _reweight(mass, likelihood)
    gate = mass
    for _ in range(GATE_ROUNDS):
        total = responsibilities.sum(axis=1, keepdims=True)
        learnt = responsibilities / np.where(total > 0, total, 1.0)
        fit = context.trainer.train(learnt, train_mask=total[:, 0] > 0, random_state=context.seed)
        gate = np.maximum(fit.out_of_sample, FLOOR, dtype=np.float64) * level.speaks
        gate *= mass.sum(axis=1, keepdims=True) / np.maximum(gate.sum(axis=1, keepdims=True), 1e-12)
        responsibilities = _reweight(gate, likelihood)
    return np.asarray(gate)


@register_assigner("argmax")
def by_argmax(level: Level, context: AssignmentContext) -> FloatArray:
    """Follow the teachers whose specialties hold the student's most probable class (the released code's rule).

    Where a specialty is unknown, that rule cannot be applied; `by_distance` takes its place.
    """
    if not level.known:
        return by_distance(level, context)
    n_classes = context.student_proba.shape[1]
    return _mass(level, ((rows, np.eye(n_classes)[p.argmax(axis=1)]) for rows, p in context.student_proba.blocks()))


@register_assigner("likelihood")
def by_likelihood(level: Level, context: AssignmentContext) -> FloatArray:
    """Follow teachers by exp(-distance) alone, whatever their specialties."""
    return _reweight(_equal(level), _log_likelihood(level, context))


@register_assigner("learned")
def by_learned_weights(level: Level, context: AssignmentContext) -> FloatArray:
    """Follow every teacher by one weight, the same on all samples: a mixture without a gate.

    The weights are learnt by expectation-maximisation, the student's output standing in for the truth.
    """
    likelihood = _log_likelihood(level, context)
    speaking = level.speaks.sum(axis=0)
    weights = np.ones(len(speaking))
    for _ in range(WEIGHT_ROUNDS):
        weights = _reweight(_equal(level, weights), likelihood).sum(axis=0) / np.maximum(speaking, 1)
    return _equal(level, weights)


@register_assigner("random")
def at_random(level: Level, context: AssignmentContext) -> FloatArray:
    """Follow one of the speaking teachers, drawn at random: a baseline for the other rules."""
    draw = np.random.default_rng(context.seed).random(level.speaks.shape) * level.speaks
    out = np.zeros(draw.shape)
    out[np.arange(len(out)), draw.argmax(axis=1)] = 1.0
    return out * level.speaks


ASSIGNERS.mark_shipped()


def uncovered(level: Level, prior: FloatArray, rows: slice = slice(None)) -> FloatArray:
    """Return the prior over the classes that no speaking teacher covers, (n_rows, n_classes); rows sum to one.

    Where all classes are covered, it is the prior over all.
    """
    covering = level.speaks[rows].astype(np.float64) @ level.covers
    rest = np.where(covering == 0, prior, 0.0)
    total = rest.sum(axis=1, keepdims=True)
    return np.asarray(np.where(total > 0, rest / np.where(total > 0, total, 1.0), prior))


def choose(responsibilities: FloatArray) -> IntArray:
    """Assign every sample to the teacher with the largest responsibility: its position, z(x_i).

    -1 for none, where that is zero or smaller than the rest of the row, which belongs to no teacher.
    """
    z = responsibilities.argmax(axis=1)
    largest = responsibilities[np.arange(len(z)), z]
    rest = 1.0 - responsibilities.sum(axis=1)
    return np.where((largest <= 0) | (rest > largest + 1e-9), -1, z)


def _mass(level: Level, blocks: Iterable[tuple[slice, FloatArray]]) -> FloatArray:
    out = np.empty(level.speaks.shape)
    covers = level.covers.astype(np.float64)
    shared = covers / np.maximum(covers.sum(axis=0), 1.0)  # where everyone speaks
    for rows, p in blocks:
        speaking = level.speaks[rows]
        if speaking.all():
            out[rows] = p @ shared.T.astype(p.dtype)
            continue
        covering = speaking.astype(p.dtype) @ covers.astype(p.dtype)
        out[rows] = ((p / np.maximum(covering, 1.0)) @ covers.T.astype(p.dtype)) * speaking
    return out


def _equal(level: Level, weights: FloatArray | None = None) -> FloatArray:
    """Return responsibilities of the speaking teachers that are equal, or proportional to `weights`."""
    out = level.speaks * (np.ones(level.speaks.shape[1]) if weights is None else weights)
    return np.asarray(out / np.maximum(out.sum(axis=1, keepdims=True), 1e-300))


def _log_likelihood(level: Level, context: AssignmentContext) -> FloatArray:
    out = np.empty(level.speaks.shape)
    for rows, p in context.student_proba.blocks():
        out[rows] = level.probabilities(rows).expected_log(p)
    return out


def _reweight(gate: FloatArray, log_likelihood: FloatArray) -> FloatArray:
    """Multiply a gate with exp(`DISTANCE_WEIGHT` * log-likelihood), and scale every row back to its total."""
    # Log-likelihoods are not under that of `FLOOR`, so that no row's weights can all vanish.
    weighted = gate * np.exp(DISTANCE_WEIGHT * log_likelihood)
    total = row_sum(weighted)
    weighted *= row_sum(gate) / np.where(total > 0, total, 1.0)
    return np.asarray(weighted)
