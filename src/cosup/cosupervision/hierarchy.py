"""Teachers as the method sees them: levels of distinct teachers in an order that does not depend on the caller's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

import numpy as np

from cosup.cosupervision.teacher_predictions import LevelProba, level_proba
from cosup.cosupervision.teacher_screening import rules
from cosup.labels import TeacherLabels
from cosup.utils.row_store import Rows, RowStore, row_slices
from cosup.utils.validation import BoolArray, CosupError, FloatArray, IntArray

__all__ = ["Hierarchy", "Level"]


REMEMBERED = 1 << 28
"""Bytes of annotations, in the form that is calculated with, up to which a level keeps them."""

PER_CLASS = 4
"""Samples a class whose annotations are counted together at the least: tables of classes by classes are added up."""


@dataclass(frozen=True)
class Level:
    """The distinct teachers of one level who speak at all, over the classes that anyone names.

    Attributes
    ----------
    labels : TeacherLabels
    active : ndarray of int
        Class ids that are named; classes here are positions in it.
    columns : ndarray of shape (n_teachers,)
        The teachers' columns in the labels.
    speaks : bool ndarray of shape (n_samples, n_teachers)
    covers : bool ndarray of shape (n_teachers, n_classes)
        A teacher of unknown specialty covers everything; one who names a single class and abstains elsewhere, that.
    known : bool
        Whether every specialty is known.
    vote_weights : ndarray of shape (n_teachers,)
        Weight of each teacher's vote among its level: one over how often it speaks, so that all have the same in sum.
    """

    labels: TeacherLabels
    active: IntArray
    columns: IntArray
    speaks: BoolArray
    covers: BoolArray
    known: bool
    vote_weights: FloatArray
    _memory: dict[int, LevelProba] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def annotated(self) -> BoolArray:
        """Mask of the samples on which anyone speaks."""
        return np.asarray(self.speaks.any(axis=1))

    @cached_property
    def leaves_open(self) -> bool:
        """Whether it is a lone teacher whose annotations are sets of classes, "one of these".

        Every annotation gives equal probabilities to its classes, and some have several.
        """
        if len(self.columns) != 1 or not self.labels.is_soft or self.labels.is_sparse:
            return False
        several = False
        for rows in row_slices(*self.speaks.shape):
            p = self.probabilities(rows).dense(0)
            n_open = (p > 0).sum(axis=1)
            if not np.allclose(p.max(axis=1) * n_open, n_open > 0, atol=1e-3):
                return False
            several |= bool((n_open > 1).any())
        return several

    def probabilities(self, rows: slice) -> LevelProba:
        """Return the teachers' probabilities for `rows`, in single precision."""
        n, step = len(self.speaks), self._together
        start = rows.start // step * step
        if rows.stop > start + step:
            return level_proba(self.labels, self.columns, rows, self.active).astype(np.float32)
        if start not in self._memory:
            several = slice(start, min(start + step, n))
            found = level_proba(self.labels, self.columns, several, self.active).astype(np.float32)
            if found.nbytes * n > REMEMBERED * (several.stop - several.start):
                self._memory.clear()
            self._memory[start] = found
        return self._memory[start].part(slice(rows.start - start, rows.stop - start))

    @cached_property
    def _together(self) -> int:
        """Samples whose annotations are converted and counted together."""
        n_classes = len(self.active)
        each: int = row_slices(len(self.speaks), n_classes)[0].stop
        return each * -(-PER_CLASS * n_classes // each)

    def together(self, student_proba: Rows, gate: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
        """Count annotated (second axis) and probable classes together, and annotated ones.

        Parameters
        ----------
        student_proba : Rows of shape (n_samples, n_classes)
        gate : ndarray of shape (n_samples, n_teachers), optional
            Weights of the annotations.

        Returns
        -------
        table : ndarray of shape (n_teachers, n_classes, n_classes)
        usage : ndarray of shape (n_teachers, n_classes)
        """
        n_teachers, n_classes = self.covers.shape
        table, (spread, usage) = np.zeros((n_teachers, n_classes, n_classes)), np.zeros((2, n_teachers, n_classes))
        blocks = student_proba.blocks(self._together) if isinstance(student_proba, RowStore) else student_proba.blocks()
        for rows, p in blocks:
            weights = None if gate is None else gate[rows].astype(p.dtype, copy=False)
            usage += self.probabilities(rows).astype(p.dtype).add_together(weights, p, table, spread)
        for of_teacher, t, share in zip(table, self.columns, spread, strict=True):
            of_teacher[self.labels.covers(int(t))[self.active]] += share
        return table, usage


@dataclass(frozen=True)
class Hierarchy:
    """The levels, and the classes that anyone ever names (the others can not be learned and are left out).

    Attributes
    ----------
    labels : TeacherLabels
    levels : tuple of (Level or None)
        None where nobody of a level speaks.
    active : ndarray of int
        Class ids that are named; everything else here is in terms of positions in it.
    consensus : ndarray of shape (n_samples,)
        The generalists' most probable class, -1 where all abstain.
    """

    labels: TeacherLabels
    levels: tuple[Level | None, ...]
    active: IntArray
    consensus: IntArray

    @property
    def slices(self) -> list[slice]:
        """The blocks of samples that all work goes by."""
        return row_slices(len(self.consensus), len(self.active))

    def annotations_of(self, level: Level, chosen: IntArray) -> IntArray:
        """Return the chosen teachers' most probable classes, in positions of `active`; -1 for none.

        `chosen` (n_samples,) holds positions in the level, -1 for none.
        """
        place = np.full(self.labels.n_classes + 1, -1)
        place[self.active] = np.arange(len(self.active))
        out = np.full(len(chosen), -1)
        for m, t in enumerate(level.columns):
            rows = np.flatnonzero(chosen == m)
            out[rows] = place[self.labels.predicted_class(int(t), rows)]
        return out

    @classmethod
    def of(cls, labels: TeacherLabels, *, all_classes: bool = False, included: BoolArray | None = None) -> Hierarchy:
        """Arrange `labels`, of the teachers in the mask `included`; with `all_classes`, keep classes that nobody names.

        Raises
        ------
        CosupError
            If no generalist speaks, or fewer than two classes are named.
        """
        speaks = labels.speaks()
        included = np.ones(labels.n_teachers, dtype=bool) if included is None else included
        speaks = speaks & included
        named = _named(labels, included)
        if named.sum() < 2:
            raise CosupError(f"training needs at least two classes, these annotations name {int(named.sum())}")
        active = np.arange(labels.n_classes) if all_classes else np.flatnonzero(named)
        distinct = [_distinct(labels, labels.at_level(k), speaks) for k in range(labels.n_levels)]
        if not distinct[0]:
            raise CosupError("no teacher of level 0 speaks in these samples; training starts from the generalists")
        summary = _Summary.of(labels, speaks, active, distinct)
        rule_of = rules(labels, labels.hard())
        levels = tuple(_level(labels, teachers, summary, speaks, active, rule_of) for teachers in distinct)
        return cls(labels, levels, active, summary.named)


def _named(labels: TeacherLabels, included: BoolArray) -> BoolArray:
    """The classes that any included teacher gives probability, (n_classes,)."""
    named = np.zeros(labels.n_classes, dtype=bool)
    if not labels.is_soft:
        annotated = labels.annotations[:, included]
        named[np.unique(annotated[annotated >= 0])] = True
        return named
    for rows in row_slices(len(labels), labels.n_classes):
        for t in np.flatnonzero(included).tolist():
            if labels.is_sparse:
                ids, values, rest = labels.annotations.entries(t, rows)
                named[ids[values > 0]] = True
                if rest.any():
                    named |= labels.probabilities(t, rows).max(axis=0) > 0
            else:
                named |= labels.probabilities(t, rows).max(axis=0) > 0
            if named.all():
                return named
    return named


def _distinct(labels: TeacherLabels, columns: IntArray, speaks: BoolArray) -> list[int]:
    """Those who speak and do not repeat another of the level with the same specialty."""
    distinct: list[int] = []
    for t in columns:
        twins = (u for u in distinct if _specialty(labels, t) == _specialty(labels, u) and labels.repeats(int(t), u))
        if speaks[:, t].any() and next(twins, None) is None:
            distinct.append(int(t))
    return distinct


@dataclass(frozen=True)
class _Summary:
    """Counts of one pass over the annotations.

    Attributes
    ----------
    named : ndarray of shape (n_samples,)
    means, agreement : dict of int to ndarray of shape (n_classes,)
        Every teacher's mean probabilities, and those of it and the generalists naming the class together.
    """

    named: IntArray
    means: dict[int, FloatArray]
    agreement: dict[int, FloatArray]

    @classmethod
    def of(
        cls, labels: TeacherLabels, speaks: BoolArray, active: IntArray, distinct: Sequence[Sequence[int]]
    ) -> _Summary:
        n, n_classes = len(labels), len(active)
        generalists = labels.at_level(0)
        named = np.full(n, -1)
        everyone = np.array([t for teachers in distinct for t in teachers])
        means, agreement = np.zeros((2, len(everyone), n_classes))
        annotated = np.asarray(speaks[:, generalists].any(axis=1))
        for rows in row_slices(n, n_classes):
            vote = _vote(labels, distinct[0], speaks, rows, active)
            named[rows] = np.where(annotated[rows], vote.argmax(axis=1), -1)
            annotations = level_proba(labels, everyone, rows, active)
            means += annotations.by_class(np.ones(vote.shape)) / n
            agreement += annotations.by_class(vote) / n
        by_teacher = (dict(zip(everyone.tolist(), found, strict=True)) for found in (means, agreement))
        return cls(named, *by_teacher)


def _vote_weights(speaks: BoolArray) -> FloatArray:
    """See `Level.vote_weights`; `speaks` is (n_samples, n_teachers)."""
    return np.asarray(len(speaks) / np.maximum(speaks.sum(axis=0), 1))


def _vote(
    labels: TeacherLabels, distinct: Sequence[int], speaks: BoolArray, rows: slice, active: IntArray
) -> FloatArray:
    """Weighted mean of the probabilities of the distinct generalists who speak."""
    weights = _vote_weights(speaks[:, list(distinct)])
    total = np.zeros((rows.stop - rows.start, len(active)))
    annotated = level_proba(labels, np.array(distinct), rows, active)
    annotated.add_mixture(total, weights)
    of_all = speaks[rows][:, list(distinct)] @ weights
    return np.asarray(total / np.where(of_all > 0, of_all, 1.0)[:, None])


def _level(
    labels: TeacherLabels,
    distinct: Sequence[int],
    summary: _Summary,
    speaks: BoolArray,
    active: IntArray,
    rule_of: IntArray,
) -> Level | None:
    if not distinct:
        return None

    # Ties are broken by order, so the order must come from what teachers say, not from where they stand.
    def key(t: int) -> tuple[object, ...]:
        return (
            _specialty(labels, t), tuple(np.round(summary.means[t], 9)), tuple(np.round(summary.agreement[t], 9))
        )  # fmt: skip

    order: list[int] = []
    for _, tied in groupby(sorted(distinct, key=key), key=key):
        twins = list(tied)
        order += twins if len(twins) == 1 else sorted(twins, key=lambda t: _table(labels, t, summary.named, active))
    return Level(
        labels=labels,
        active=active,
        columns=np.array(order),
        speaks=speaks[:, order],
        covers=np.array([_covers(labels, t, rule_of) for t in order])[:, active],
        known=all(labels.specialties[t] is not None or rule_of[t] >= 0 for t in order),
        vote_weights=_vote_weights(speaks[:, order]),
    )


def _covers(labels: TeacherLabels, teacher: int, rule_of: IntArray) -> BoolArray:
    """A teacher's specialty; a rule that says one class or nothing is a specialist of that class."""
    if labels.specialties[teacher] is None and rule_of[teacher] >= 0:
        return np.asarray(np.arange(labels.n_classes) == rule_of[teacher])
    return labels.covers(teacher)


def _table(labels: TeacherLabels, teacher: int, named: IntArray, active: IntArray) -> tuple[float, ...]:
    """A teacher's mean probabilities by the class that the generalists name: tells apart what the sums do not."""
    table = np.zeros((len(active) + 1, len(active)))
    for rows in row_slices(len(named), len(active)):
        np.add.at(table, named[rows], level_proba(labels, np.array([teacher]), rows, active).dense(0))
    return tuple(np.round(table.ravel() / len(named), 9))


def _specialty(labels: TeacherLabels, teacher: int) -> tuple[int, ...]:
    classes = labels.specialties[teacher]
    return (-1,) if classes is None else tuple(classes.tolist())
