"""One teacher's annotations of a block of samples as probabilities to calculate with: sparse where most are zero."""

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
        """Return it in another precision."""
        ...

    def dense(self) -> FloatArray:
        """Return p."""
        ...

    def totals(self, right: FloatArray, open_sum: float) -> FloatArray:
        """Return ``p @ right`` for (n_classes,); `open_sum` is the sum of right in the teacher's specialty."""
        ...

    def together(self, weight: FloatArray, student_proba: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Sum p by class: ``(weight * p).T @ student_proba``, (n_classes, n_classes), and ``(weight * p).sum(axis=0)``.

        `weight` has shape (n_rows, 1).
        """
        ...

    def expected_log(self, student_proba: FloatArray) -> FloatArray:
        """Return ``sum_y student_proba * log p``, (n_rows,), where p has a uniform part of `FLOOR`."""
        ...


@dataclass(frozen=True)
class DenseProba:
    """Probabilities as a whole matrix."""

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

    def together(self, weight: FloatArray, student_proba: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `TeacherProba`."""
        table = self.p.T @ np.hstack([weight * student_proba, weight])
        return table[:, :-1], table[:, -1]

    def expected_log(self, student_proba: FloatArray) -> FloatArray:
        """See `TeacherProba`."""
        return np.asarray((student_proba * np.log((1 - FLOOR) * self.p + FLOOR / self.p.shape[1])).sum(axis=1))


@dataclass(frozen=True)
class SparseProba:
    """Probabilities of a few listed classes a row; those of all other classes that are `open` are equal.

    Attributes
    ----------
    rows, columns : int ndarrays of shape (n_listed,)
        Positions of the listed classes, row by row.
    excess : ndarray of shape (n_listed,)
        Their probabilities, less `share` where they are open.
    share : ndarray of shape (n_rows,)
        The probability of every open class that is not listed.
    open : bool ndarray of shape (n_classes,)
        The teacher's specialty.
    """

    rows: IntArray
    columns: IntArray
    excess: FloatArray
    share: FloatArray
    open: BoolArray

    @cached_property
    def shares(self) -> bool:
        """Tell whether any class that is not listed has probability."""
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

    def together(self, weight: FloatArray, student_proba: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `TeacherProba`."""
        excess, shape = weight[self.rows, 0] * self.excess, (len(self.share), len(self.open))
        bounds = np.searchsorted(self.rows, np.arange(len(self.share) + 1))
        table: FloatArray = np.asarray(csr_array((excess, self.columns, bounds), shape=shape).T @ student_proba)
        usage = np.bincount(self.columns, weights=excess, minlength=shape[1]).astype(np.float64)
        if self.shares:
            share = weight[:, 0] * self.share
            table[self.open] += share @ student_proba
            usage[self.open] += share.sum(dtype=np.float64)
        return table, usage

    def expected_log(self, student_proba: FloatArray) -> FloatArray:
        """See `TeacherProba`."""
        floor = FLOOR / student_proba.shape[1]
        common = np.where(self.open[self.columns], self.share[self.rows], 0.0)
        with_share = np.log((1 - FLOOR) * self.share + floor)
        inside = student_proba[:, self.open].sum(axis=1)
        out = inside * with_share + (student_proba.sum(axis=1) - inside) * np.log(floor)
        gain = np.log((1 - FLOOR) * (self.excess + common) + floor) - np.log((1 - FLOOR) * common + floor)
        weights = student_proba[self.rows, self.columns] * gain
        return np.asarray(out + np.bincount(self.rows, weights=weights, minlength=len(student_proba)))


def add_mixture(total: FloatArray, probas: Sequence[TeacherProba], weights: FloatArray) -> None:
    """Add ``sum_m weights[:, m] * p_m`` to a total (n_rows, n_classes), for weights (n_rows, n_teachers)."""
    for m, proba in enumerate(probas):
        if isinstance(proba, SparseProba):
            total[proba.rows, proba.columns] += weights[proba.rows, m] * proba.excess
        else:
            total += weights[:, m, None] * proba.dense()
    _add_shares(total, probas, weights, None)


def add_meanings(
    total: FloatArray, probas: Sequence[TeacherProba], weights: FloatArray, right: FloatArray, opened: FloatArray
) -> None:
    """Add ``sum_m weights[:, m] * (p_m @ right[m])`` to a total.

    Parameters
    ----------
    total : ndarray of shape (n_rows, k)
    probas : sequence of TeacherProba
    weights : ndarray of shape (n_rows, n_teachers)
    right : ndarray of shape (n_teachers, n_classes, k)
    opened : ndarray of shape (n_teachers, k)
        The sums of right's rows in every teacher's specialty.
    """
    rows, columns, listed = [], [], []
    for m, proba in enumerate(probas):
        if isinstance(proba, SparseProba):
            rows.append(proba.rows)
            columns.append(proba.columns + m * right.shape[1])
            listed.append(weights[proba.rows, m] * proba.excess)
        else:
            total += (weights[:, m, None] * proba.dense()) @ right[m]
    if rows:
        # All teachers at once, so that a row of the total is read and written only once.
        of = np.concatenate(rows)
        order = np.argsort(of, kind="stable")
        bounds = np.concatenate([[0], np.cumsum(np.bincount(of, minlength=len(total)))])
        total += _product(
            bounds, np.concatenate(columns)[order], np.concatenate(listed)[order], right.reshape(-1, right.shape[2])
        )
        _add_shares(total, probas, weights, opened)


def _add_shares(
    total: FloatArray, probas: Sequence[TeacherProba], weights: FloatArray, opened: FloatArray | None
) -> None:
    """Add the probabilities of classes that are not listed; `opened` as in `add_meanings`, default: the classes."""
    some = {m: proba for m, proba in enumerate(probas) if isinstance(proba, SparseProba) and proba.shares}
    if some:
        share = np.stack([proba.share for proba in some.values()], axis=1) * weights[:, list(some)]
        classes = np.array([proba.open for proba in some.values()], dtype=total.dtype) if opened is None else opened
        total += share @ (classes if len(classes) == len(some) else classes[list(some)])


def _product(bounds: IntArray, columns: IntArray, values: FloatArray, right: FloatArray) -> FloatArray:
    """Multiply a sparse matrix with `right`: in single precision by torch, which takes a fifth of the time."""
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

    The active classes must hold all that the teacher gives probability.
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
        # The rest of some rows lies outside of the specialty: too irregular for the sparse form.
        return DenseProba(labels.probabilities(teacher, rows)[:, active])
    share = np.where(rest > 0, rest / np.maximum(n_open, 1), 0.0)
    columns = place[ids].ravel()
    used = np.flatnonzero(columns >= 0)
    excess = (values - share[:, None] * inside).ravel()
    return SparseProba(used // ids.shape[1], columns[used], excess[used], share, covers[active])
