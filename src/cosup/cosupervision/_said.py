"""What one teacher said of a block of samples, as something to calculate with: sparse where it is mostly zeros."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from scipy.sparse import csr_array

from cosup._validation import BoolArray, FloatArray, IntArray
from cosup.teachers import TeacherLabels

__all__ = ["Said", "said_by"]

FLOOR = 0.01
"""Uniform share mixed into a teacher's probabilities: a specialist puts zeros outside its classes."""


class Said(Protocol):
    """Probabilities p (n_rows, n_classes) of one teacher; rows of zeros where it abstains."""

    def astype(self, dtype: Any) -> Said:
        """The same in another precision."""
        ...

    def dense(self) -> FloatArray:
        """Return p."""
        ...

    def add_to(self, total: FloatArray, weight: FloatArray) -> None:
        """Add ``weight * p`` to a total (n_rows, n_classes), for weights (n_rows, 1)."""
        ...

    def times(self, right: FloatArray, open_sum: FloatArray) -> FloatArray:
        """``p @ right`` for (n_classes, k); `open_sum` (k,) is the sum of right's rows in the teacher's specialty."""
        ...

    def together(self, weight: FloatArray, beliefs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``(weight * p).T`` with beliefs, (n_classes, n_classes), and with ones, (n_classes,); weights (n_rows, 1)."""
        ...

    def expected_log(self, beliefs: FloatArray) -> FloatArray:
        """``sum_y beliefs * log p``, (n_rows,), with p's floor of `FLOOR` uniform."""
        ...


@dataclass(frozen=True)
class DenseSaid:
    """All probabilities."""

    p: FloatArray

    def astype(self, dtype: Any) -> Said:
        """See `Said`."""
        return self if self.p.dtype == dtype else DenseSaid(self.p.astype(dtype))

    def dense(self) -> FloatArray:
        """See `Said`."""
        return self.p

    def add_to(self, total: FloatArray, weight: FloatArray) -> None:
        """See `Said`."""
        total += weight * self.p

    def times(self, right: FloatArray, open_sum: FloatArray) -> FloatArray:
        """See `Said`."""
        return np.asarray(self.p @ right)

    def together(self, weight: FloatArray, beliefs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `Said`."""
        table = self.p.T @ np.hstack([weight * beliefs, weight])
        return table[:, :-1], table[:, -1]

    def expected_log(self, beliefs: FloatArray) -> FloatArray:
        """See `Said`."""
        return np.asarray((beliefs * np.log((1 - FLOOR) * self.p + FLOOR / self.p.shape[1])).sum(axis=1))


@dataclass(frozen=True)
class SparseSaid:
    """A few listed classes, and a share of the others that is the same for all that are `open`.

    Attributes
    ----------
    excess : csr_array of shape (n_rows, n_classes)
        What listed classes have more than the share.
    share : ndarray of shape (n_rows,)
    open : bool ndarray of shape (n_classes,)
    """

    excess: Any
    share: FloatArray
    open: BoolArray

    @cached_property
    def _rows(self) -> IntArray:
        """The row of every listed class."""
        return np.repeat(np.arange(len(self.share)), np.diff(self.excess.indptr))

    @cached_property
    def _shares(self) -> bool:
        return bool(self.share.any())

    def astype(self, dtype: Any) -> Said:
        """See `Said`."""
        if self.share.dtype == dtype:
            return self
        return SparseSaid(self.excess.astype(dtype), self.share.astype(dtype), self.open)

    def dense(self) -> FloatArray:
        """See `Said`."""
        if not self._shares:
            return np.asarray(self.excess.toarray())
        out = self.share[:, None] * self.open
        out[self._rows, self.excess.indices] += self.excess.data
        return np.asarray(out)

    def add_to(self, total: FloatArray, weight: FloatArray) -> None:
        """See `Said`."""
        total[self._rows, self.excess.indices] += weight[self._rows, 0] * self.excess.data
        if self._shares:
            total += (weight[:, 0] * self.share)[:, None] * self.open

    def times(self, right: FloatArray, open_sum: FloatArray) -> FloatArray:
        """See `Said`."""
        out = np.asarray(self.excess @ right)
        if self._shares:
            out += np.outer(self.share, open_sum)
        return out

    def together(self, weight: FloatArray, beliefs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `Said`."""
        excess, shape = weight[self._rows, 0] * self.excess.data, self.excess.shape
        table: FloatArray = np.asarray(
            csr_array((excess, self.excess.indices, self.excess.indptr), shape=shape).T @ beliefs
        )
        usage = np.bincount(self.excess.indices, weights=excess, minlength=shape[1]).astype(np.float64)
        if self._shares:
            share = weight[:, 0] * self.share
            table[self.open] += share @ beliefs
            usage[self.open] += share.sum(dtype=np.float64)
        return table, usage

    def expected_log(self, beliefs: FloatArray) -> FloatArray:
        """See `Said`."""
        floor = FLOOR / beliefs.shape[1]
        rows = self._rows
        columns = self.excess.indices
        common = np.where(self.open[columns], self.share[rows], 0.0)
        with_share = np.log((1 - FLOOR) * self.share + floor)
        inside = beliefs[:, self.open].sum(axis=1)
        out = inside * with_share + (beliefs.sum(axis=1) - inside) * np.log(floor)
        gain = np.log((1 - FLOOR) * (self.excess.data + common) + floor) - np.log((1 - FLOOR) * common + floor)
        return np.asarray(out + np.bincount(rows, weights=beliefs[rows, columns] * gain, minlength=len(beliefs)))


def said_by(labels: TeacherLabels, teacher: int, rows: slice, active: IntArray) -> Said:
    """What `teacher` said of `rows`, over the `active` classes.

    Every class that it gives probability must be among these.
    """
    n_classes = len(active)
    if labels.is_soft and not labels.is_sparse:
        p = labels.probabilities(teacher, rows)
        return DenseSaid(p if n_classes == labels.n_classes else p[:, active])
    place = np.full(labels.n_classes + 1, -1)
    place[active] = np.arange(n_classes)
    if not labels.is_soft:
        ids = place[labels.annotations[rows, teacher]]  # -1 is the last place: nothing
        spoken = ids >= 0
        bounds = np.concatenate([[0], np.cumsum(spoken)])
        excess = csr_array((np.ones(bounds[-1]), ids[spoken], bounds), shape=(len(ids), n_classes))
        return SparseSaid(excess, np.zeros(len(ids)), np.zeros(n_classes, dtype=bool))
    return _of_top_k(labels, teacher, rows, place, active)


def _of_top_k(labels: TeacherLabels, teacher: int, rows: slice, place: IntArray, active: IntArray) -> Said:
    ids, values, rest = labels.annotations.entries(teacher, rows)
    covers = labels.covers(teacher)
    listed_inside = np.append(covers, False)[ids].sum(axis=1)
    n_open = covers.sum() - listed_inside
    if (n_open <= 0)[rest > 0].any():
        # What is missing goes outside of the specialty for some samples: too irregular to be worth a form of its own.
        return DenseSaid(labels.probabilities(teacher, rows)[:, active])
    share = np.where(rest > 0, rest / np.maximum(n_open, 1), 0.0)
    columns = place[ids]
    used = columns >= 0
    inside = np.append(covers, False)[ids]
    bounds = np.concatenate([[0], np.cumsum(used.sum(axis=1))])
    excess = csr_array(((values - share[:, None] * inside)[used], columns[used], bounds), shape=(len(ids), len(active)))
    return SparseSaid(excess, share, covers[active])
