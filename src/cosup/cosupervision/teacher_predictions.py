"""Calculate with one teacher's annotations of a block of samples: sparse where it is mostly zeros."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from scipy.sparse import csr_array

from cosup.labels import TeacherLabels
from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = ["TeacherProba", "add_meanings", "add_mixture", "teacher_proba"]

FLOOR = 0.01
"""Uniform share mixed into a teacher's probabilities: a specialist puts zeros outside its classes."""


class TeacherProba(Protocol):
    """Probabilities p (n_rows, n_classes) of one teacher; rows of zeros where it abstains."""

    def astype(self, dtype: Any) -> TeacherProba:
        """Convert to another precision."""
        ...

    def dense(self) -> FloatArray:
        """Return p."""
        ...

    def totals(self, right: FloatArray, open_sum: float) -> FloatArray:
        """``p @ right`` for (n_classes,); `open_sum` is the sum of right in the teacher's specialty."""
        ...

    def together(self, weight: FloatArray, beliefs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``(weight * p).T`` with beliefs, (n_classes, n_classes), and with ones, (n_classes,); weights (n_rows, 1)."""
        ...

    def expected_log(self, beliefs: FloatArray) -> FloatArray:
        """``sum_y beliefs * log p``, (n_rows,), with p's floor of `FLOOR` uniform."""
        ...


@dataclass(frozen=True)
class DenseProba:
    """All probabilities."""

    p: FloatArray

    def astype(self, dtype: Any) -> TeacherProba:
        """See `TeacherProba`."""
        return self if self.p.dtype == dtype else DenseProba(self.p.astype(dtype))

    def dense(self) -> FloatArray:
        """See `TeacherProba`."""
        return self.p

    def totals(self, right: FloatArray, open_sum: float) -> FloatArray:
        """See `TeacherProba`."""
        return np.asarray(self.p @ right)

    def together(self, weight: FloatArray, beliefs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `TeacherProba`."""
        table = self.p.T @ np.hstack([weight * beliefs, weight])
        return table[:, :-1], table[:, -1]

    def expected_log(self, beliefs: FloatArray) -> FloatArray:
        """See `TeacherProba`."""
        return np.asarray((beliefs * np.log((1 - FLOOR) * self.p + FLOOR / self.p.shape[1])).sum(axis=1))


@dataclass(frozen=True)
class SparseProba:
    """A few listed classes, and a share of the others that is the same for all that are `open`.

    Attributes
    ----------
    rows, columns : int ndarrays of shape (n_listed,)
        Where a class is listed, row by row.
    excess : ndarray of shape (n_listed,)
        What listed classes have more than the share.
    share : ndarray of shape (n_rows,)
    open : bool ndarray of shape (n_classes,)
    """

    rows: IntArray
    columns: IntArray
    excess: FloatArray
    share: FloatArray
    open: BoolArray

    @cached_property
    def shares(self) -> bool:
        """Whether classes that are not listed have anything."""
        return bool(self.share.any())

    def astype(self, dtype: Any) -> TeacherProba:
        """See `TeacherProba`."""
        if self.share.dtype == dtype:
            return self
        return replace(self, excess=self.excess.astype(dtype), share=self.share.astype(dtype))

    def dense(self) -> FloatArray:
        """See `TeacherProba`."""
        out = self.share[:, None] * self.open if self.shares else np.zeros((len(self.share), len(self.open)))
        out[self.rows, self.columns] += self.excess
        return np.asarray(out)

    def totals(self, right: FloatArray, open_sum: float) -> FloatArray:
        """See `TeacherProba`."""
        listed = np.bincount(self.rows, weights=self.excess * right[self.columns], minlength=len(self.share))
        return np.asarray(listed + self.share * open_sum)

    def together(self, weight: FloatArray, beliefs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `TeacherProba`."""
        excess, shape = weight[self.rows, 0] * self.excess, (len(self.share), len(self.open))
        bounds = np.searchsorted(self.rows, np.arange(len(self.share) + 1))
        table: FloatArray = np.asarray(csr_array((excess, self.columns, bounds), shape=shape).T @ beliefs)
        usage = np.bincount(self.columns, weights=excess, minlength=shape[1]).astype(np.float64)
        if self.shares:
            share = weight[:, 0] * self.share
            table[self.open] += share @ beliefs
            usage[self.open] += share.sum(dtype=np.float64)
        return table, usage

    def expected_log(self, beliefs: FloatArray) -> FloatArray:
        """See `TeacherProba`."""
        floor = FLOOR / beliefs.shape[1]
        common = np.where(self.open[self.columns], self.share[self.rows], 0.0)
        with_share = np.log((1 - FLOOR) * self.share + floor)
        inside = beliefs[:, self.open].sum(axis=1)
        out = inside * with_share + (beliefs.sum(axis=1) - inside) * np.log(floor)
        gain = np.log((1 - FLOOR) * (self.excess + common) + floor) - np.log((1 - FLOOR) * common + floor)
        weights = beliefs[self.rows, self.columns] * gain
        return np.asarray(out + np.bincount(self.rows, weights=weights, minlength=len(beliefs)))


def add_mixture(total: FloatArray, words: Sequence[TeacherProba], weights: FloatArray) -> None:
    """Add ``sum_m weights[:, m] * p_m`` to a total (n_rows, n_classes), for weights (n_rows, n_teachers)."""
    for m, proba in enumerate(words):
        if isinstance(proba, SparseProba):
            total[proba.rows, proba.columns] += weights[proba.rows, m] * proba.excess
        else:
            total += weights[:, m, None] * proba.dense()
    _add_shares(total, words, weights, None)


def add_meanings(
    total: FloatArray, words: Sequence[TeacherProba], weights: FloatArray, right: FloatArray, opened: FloatArray
) -> None:
    """Add ``sum_m weights[:, m] * (p_m @ right[m])`` to a total.

    Parameters
    ----------
    total : ndarray of shape (n_rows, k)
    words : sequence of Said
    weights : ndarray of shape (n_rows, n_teachers)
    right : ndarray of shape (n_teachers, n_classes, k)
    opened : ndarray of shape (n_teachers, k)
        The sums of right's rows in every teacher's specialty.
    """
    rows, columns, listed = [], [], []
    for m, proba in enumerate(words):
        if isinstance(proba, SparseProba):
            rows.append(proba.rows)
            columns.append(proba.columns + m * right.shape[1])
            listed.append(weights[proba.rows, m] * proba.excess)
        else:
            total += (weights[:, m, None] * proba.dense()) @ right[m]
    if rows:
        # All teachers at once: a row of the total is read and written but once.
        of = np.concatenate(rows)
        order = np.argsort(of, kind="stable")
        bounds = np.concatenate([[0], np.cumsum(np.bincount(of, minlength=len(total)))])
        total += _product(
            bounds, np.concatenate(columns)[order], np.concatenate(listed)[order], right.reshape(-1, right.shape[2])
        )
        _add_shares(total, words, weights, opened)


def _add_shares(
    total: FloatArray, words: Sequence[TeacherProba], weights: FloatArray, opened: FloatArray | None
) -> None:
    """Add the share of the classes that are not listed; `opened` are the classes themselves unless given."""
    some = {m: proba for m, proba in enumerate(words) if isinstance(proba, SparseProba) and proba.shares}
    if some:
        share = np.stack([proba.share for proba in some.values()], axis=1) * weights[:, list(some)]
        classes = np.array([proba.open for proba in some.values()], dtype=total.dtype) if opened is None else opened
        total += share @ (classes if len(classes) == len(some) else classes[list(some)])


def _product(bounds: IntArray, columns: IntArray, values: FloatArray, right: FloatArray) -> FloatArray:
    """A sparse matrix times `right`; in single precision, where samples are many, by torch in a fifth of the time."""
    if right.dtype != np.float32:
        return np.asarray(csr_array((values, columns, bounds), shape=(len(bounds) - 1, len(right))) @ right)
    import torch  # takes a second

    with torch.no_grad():
        at, of, weights = (torch.from_numpy(array) for array in (columns, bounds[:-1], values))
        found = torch.nn.functional.embedding_bag(
            at, torch.from_numpy(right), of, mode="sum", per_sample_weights=weights
        )
        return np.asarray(found.numpy())


def teacher_proba(labels: TeacherLabels, teacher: int, rows: slice, active: IntArray) -> TeacherProba:
    """Return the probabilities of `teacher` for `rows`, over the `active` classes.

    Every class that it gives probability must be among these.
    """
    n_classes = len(active)
    if labels.is_soft and not labels.is_sparse:
        p = labels.probabilities(teacher, rows)
        return DenseProba(p if n_classes == labels.n_classes else p[:, active])
    place = np.full(labels.n_classes + 1, -1)
    place[active] = np.arange(n_classes)
    if not labels.is_soft:
        ids = place[labels.annotations[rows, teacher]]  # -1 is the last place: nothing
        spoken = np.flatnonzero(ids >= 0)
        nothing = np.zeros(len(ids)), np.zeros(n_classes, dtype=bool)
        return SparseProba(spoken, ids[spoken], np.ones(len(spoken)), *nothing)
    return _of_top_k(labels, teacher, rows, place, active)


def _of_top_k(labels: TeacherLabels, teacher: int, rows: slice, place: IntArray, active: IntArray) -> TeacherProba:
    ids, values, rest = labels.annotations.entries(teacher, rows)
    covers = labels.covers(teacher)
    inside = np.append(covers, False)[ids]
    n_open = covers.sum() - inside.sum(axis=1)
    if (n_open <= 0)[rest > 0].any():
        # What is missing goes outside of the specialty for some samples: too irregular to be worth a form of its own.
        return DenseProba(labels.probabilities(teacher, rows)[:, active])
    share = np.where(rest > 0, rest / np.maximum(n_open, 1), 0.0)
    columns = place[ids].ravel()
    used = np.flatnonzero(columns >= 0)
    excess = (values - share[:, None] * inside).ravel()
    return SparseProba(used // ids.shape[1], columns[used], excess[used], share, covers[active])
