"""Teachers as the method sees them: levels of distinct teachers in an order that does not depend on the caller's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from cosup._validation import BoolArray, CosupError, FloatArray, IntArray
from cosup.teachers import TeacherLabels

__all__ = ["Level", "Problem"]


PRIOR_SHRINKAGE = 0.25
"""Share of the class marginals' estimate that is uniform. A weak generalist names some classes too often, hard labels
more so, and a class that only specialists name must not be ruled out. Over 13 development tasks with class ratios from
1:1 to 20:1 a quarter won or tied on all but the most imbalanced planted one; none and three quarters lost."""


DENSE = 0.1
"""Share of entries that are not zero from which a dense product is the faster one."""


@dataclass(frozen=True)
class Level:
    """The distinct teachers of one level who speak at all, over the classes that anyone names.

    Attributes
    ----------
    columns : ndarray of shape (n_teachers,)
        Their columns in the caller's labels.
    probabilities : ndarray of shape (n_teachers, n_samples, n_classes)
        Zeros where a teacher abstains.
    speaks : bool ndarray of shape (n_samples, n_teachers)
    covers : bool ndarray of shape (n_teachers, n_classes)
        A teacher of unknown specialty covers everything.
    known : bool
        Whether every specialty is known.
    """

    columns: IntArray
    probabilities: FloatArray
    speaks: BoolArray
    covers: BoolArray
    known: bool

    @cached_property
    def operators(self) -> list[Any]:
        """Every teacher's probabilities as something to multiply by, sparse where they are mostly zeros (hard ones)."""
        return [csr_array(p) if np.count_nonzero(p) < DENSE * p.size else p for p in self.probabilities]

    def annotations(self, chosen: IntArray, hard: bool) -> FloatArray:
        """What the teacher at position `chosen` (n_samples,) said, (n_samples, n_classes); zeros for -1."""
        said = self.probabilities[np.maximum(chosen, 0), np.arange(len(chosen))]
        said = np.where((chosen >= 0)[:, None], said, 0.0)
        if not hard:
            return said
        out = np.zeros_like(said)
        rows = np.flatnonzero(said.sum(axis=1) > 0)
        out[rows, said[rows].argmax(axis=1)] = 1.0
        return out


@dataclass(frozen=True)
class Problem:
    """The levels, and the classes that anyone ever names (the others can not be learned and are left out).

    Attributes
    ----------
    levels : tuple of (Level or None)
        None where nobody of a level speaks.
    active : ndarray of int
        Class ids that are named; everything else here is in terms of positions in it.
    generalist : ndarray of shape (n_samples, n_classes)
        Mean probabilities of level 0, zeros where all abstain.
    prior : ndarray of shape (n_classes,)
        The generalists' mean over samples, shrunk towards uniform: the estimate of the class marginals.
    """

    levels: tuple[Level | None, ...]
    active: IntArray
    generalist: FloatArray
    prior: FloatArray

    @classmethod
    def of(cls, labels: TeacherLabels, *, all_classes: bool = False) -> Problem:
        """Arrange `labels`; with `all_classes`, keep the classes that nobody names.

        Raises
        ------
        CosupError
            If no generalist speaks, or fewer than two classes are named.
        """
        probabilities = [labels.probabilities(t) for t in range(labels.n_teachers)]
        speaks = labels.speaks()
        named = np.zeros(labels.n_classes, dtype=bool)
        for p in probabilities:
            named |= p.max(axis=0) > 0
        if named.sum() < 2:
            raise CosupError(f"training needs at least two classes, these annotations name {int(named.sum())}")
        active = np.arange(labels.n_classes) if all_classes else np.flatnonzero(named)
        levels = tuple(
            _level(labels, labels.at_level(k), probabilities, speaks, active) for k in range(labels.n_levels)
        )
        first = levels[0]
        if first is None:
            raise CosupError("no teacher of level 0 speaks in these samples; training starts from the generalists")
        heard = first.speaks.sum(axis=1)
        generalist = first.probabilities.sum(axis=0) / np.maximum(heard, 1)[:, None]
        prior = generalist[heard > 0].mean(axis=0)
        prior = (1 - PRIOR_SHRINKAGE) * prior + PRIOR_SHRINKAGE / len(active)
        return cls(levels, active, generalist, prior)


def _level(
    labels: TeacherLabels,
    columns: IntArray,
    probabilities: list[FloatArray],
    speaks: BoolArray,
    active: IntArray,
) -> Level | None:
    distinct: list[int] = []
    for t in columns:
        if not speaks[:, t].any():
            continue
        twin = any(
            _specialty(labels, t) == _specialty(labels, u) and np.array_equal(probabilities[t], probabilities[u])
            for u in distinct
        )
        if not twin:
            distinct.append(int(t))
    if not distinct:
        return None

    # Ties are broken by order, so the order must come from what teachers say, not from where they stand.
    generalists = labels.vote(labels.at_level(0))

    def key(t: int) -> tuple[object, ...]:
        mean = probabilities[t].mean(axis=0)
        together = generalists.T @ probabilities[t] / len(generalists)
        return (_specialty(labels, t), tuple(np.round(mean, 9)), tuple(np.round(together.ravel(), 9)))

    distinct.sort(key=key)
    covers = np.array([_mask(labels.specialties[t], labels.n_classes)[active] for t in distinct])
    return Level(
        columns=np.array(distinct),
        probabilities=np.stack([probabilities[t][:, active] for t in distinct]),
        speaks=speaks[:, distinct],
        covers=covers,
        known=all(labels.specialties[t] is not None for t in distinct),
    )


def _specialty(labels: TeacherLabels, teacher: int) -> tuple[int, ...]:
    classes = labels.specialties[teacher]
    return (-1,) if classes is None else tuple(classes.tolist())


def _mask(classes: IntArray | None, n_classes: int) -> BoolArray:
    mask = np.zeros(n_classes, dtype=bool)
    mask[slice(None) if classes is None else classes] = True
    return mask
