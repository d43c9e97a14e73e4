"""A level's annotations of a block of samples as probabilities to calculate with: sparse where most are zero.

All functions take p_m (n_rows, n_classes), the probabilities of teacher m, with rows of zeros where it abstains.
Sparse ones of all teachers are one sparse matrix, of classes side by side, so that a level takes one product.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from scipy.sparse import csr_array

from cosup.labels import TeacherLabels
from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = ["FLOOR", "LevelProba", "level_proba"]

FLOOR = 0.01
"""Uniform share mixed into a teacher's probabilities: a specialist puts zeros outside its classes."""

EMBEDDED = 1 << 20
"""Entries of a matrix from which gathering its rows is worth the second that it takes to import torch."""


class LevelProba(Protocol):
    """Probabilities p_m of every teacher m of a level.

    `weights` have shape (n_rows, n_teachers) or (n_teachers,); None is one everywhere. `right` has shape (n_teachers,
    n_classes, k), and `opened` (n_teachers, k) holds the sums of its rows in every teacher's specialty.
    """

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        ...

    def part(self, rows: slice) -> LevelProba:
        """Return those of some rows, as views."""
        ...

    def astype(self, dtype: Any) -> LevelProba:
        """Return them in another precision."""
        ...

    def dense(self, teacher: int) -> FloatArray:
        """Return p_m of one teacher, (n_rows, n_classes)."""
        ...

    def add_mixture(self, total: FloatArray, weights: FloatArray) -> None:
        """Add ``sum_m weights[:, m] * p_m`` to a total (n_rows, n_classes)."""
        ...

    def add_meanings(
        self, total: FloatArray, weights: FloatArray | None, right: FloatArray, opened: FloatArray
    ) -> None:
        """Add ``sum_m weights[:, m] * (p_m @ right[m])`` to a total (n_rows, k)."""
        ...

    def totals(self, right: FloatArray, opened: FloatArray) -> FloatArray:
        """Return ``p_m @ right[m]``, (n_rows, n_teachers), for right (n_teachers, n_classes) and its sums `opened`."""
        ...

    def add_together(
        self, weights: FloatArray | None, student_proba: FloatArray, table: FloatArray, spread: FloatArray
    ) -> FloatArray:
        """Add ``(weights * p_m).T @ student_proba`` to a table, and return the sums of ``weights * p_m``.

        The table is (n_teachers, n_classes, n_classes). What is the same for all classes of a specialty is added to
        `spread` (n_teachers, n_classes) instead, to be added to each of their rows in the end.
        """
        ...

    def by_class(self, factor: FloatArray) -> FloatArray:
        """Sum ``p_m * factor`` over rows, (n_teachers, n_classes), for a factor (n_rows, n_classes)."""
        ...

    def expected_log(self, student_proba: FloatArray) -> FloatArray:
        """Return ``sum_y student_proba * log p_m``, (n_rows, n_teachers), where p has a uniform part of `FLOOR`."""
        ...


@dataclass(frozen=True)
class DenseLevel:
    """Probabilities as a whole array p (n_teachers, n_rows, n_classes)."""

    p: FloatArray

    @property
    def nbytes(self) -> int:
        """See `LevelProba`."""
        return self.p.nbytes

    def part(self, rows: slice) -> LevelProba:
        """See `LevelProba`."""
        return DenseLevel(self.p[:, rows])

    def astype(self, dtype: Any) -> LevelProba:
        """See `LevelProba`."""
        return self if self.p.dtype == dtype else DenseLevel(self.p.astype(dtype))

    def dense(self, teacher: int) -> FloatArray:
        """See `LevelProba`."""
        return np.asarray(self.p[teacher])

    def _weighted(self, m: int, weights: FloatArray | None) -> FloatArray:
        return np.asarray(self.p[m] if weights is None else weights[..., m, None] * self.p[m])

    def add_mixture(self, total: FloatArray, weights: FloatArray) -> None:
        """See `LevelProba`."""
        for m in range(len(self.p)):
            total += self._weighted(m, weights)

    def add_meanings(
        self, total: FloatArray, weights: FloatArray | None, right: FloatArray, opened: FloatArray
    ) -> None:
        """See `LevelProba`."""
        for m in range(len(self.p)):
            total += self._weighted(m, weights) @ right[m]

    def totals(self, right: FloatArray, opened: FloatArray) -> FloatArray:
        """See `LevelProba`."""
        return np.stack([p @ r for p, r in zip(self.p, right, strict=True)], axis=1)

    def add_together(
        self, weights: FloatArray | None, student_proba: FloatArray, table: FloatArray, spread: FloatArray
    ) -> FloatArray:
        """See `LevelProba`."""
        weighted = [self._weighted(m, weights) for m in range(len(self.p))]
        for of_teacher, p in zip(table, weighted, strict=True):
            of_teacher += p.T @ student_proba
        return np.stack([p.sum(axis=0) for p in weighted])

    def by_class(self, factor: FloatArray) -> FloatArray:
        """See `LevelProba`."""
        return np.stack([np.einsum("ij,ij->j", p, factor) for p in self.p])

    def expected_log(self, student_proba: FloatArray) -> FloatArray:
        """See `LevelProba`."""
        floor = FLOOR / self.p.shape[2]
        logs = (np.log((1 - FLOOR) * p + floor) for p in self.p)
        return np.stack([np.einsum("ij,ij->i", student_proba, log) for log in logs], axis=1)


@dataclass(frozen=True)
class SparseLevel:
    """Probabilities of a few listed classes a row and teacher; those of its other classes that are `open` are equal.

    Attributes
    ----------
    bounds : int32 ndarray of shape (n_rows + 1,)
        Where every row's listed classes start.
    columns : int32 ndarray of shape (n_listed,)
        The listed classes, teacher by teacher: ``teacher * n_classes + class``.
    excess : ndarray of shape (n_listed,), float32 unless cast
        Their probabilities, less `share` where they are open.
    share : ndarray of shape (n_rows, n_teachers), or None
        The probability of every open class that is not listed; None where all are zero.
    open : bool ndarray of shape (n_teachers, n_classes)
        The teachers' specialties.
    """

    bounds: IntArray
    columns: IntArray
    excess: FloatArray
    share: FloatArray | None
    open: BoolArray

    @property
    def nbytes(self) -> int:
        """See `LevelProba`."""
        shared = 0 if self.share is None else self.share.nbytes
        return self.bounds.nbytes + self.columns.nbytes + self.excess.nbytes + shared

    def part(self, rows: slice) -> LevelProba:
        """See `LevelProba`."""
        bounds = self.bounds[rows.start : rows.stop + 1]
        listed = slice(bounds[0], bounds[-1])
        share = None if self.share is None else self.share[rows]
        return SparseLevel(bounds - bounds[0], self.columns[listed], self.excess[listed], share, self.open)

    @property
    def _shape(self) -> tuple[int, int, int]:
        return len(self.bounds) - 1, *self.open.shape

    @cached_property
    def _cells(self) -> tuple[IntArray, IntArray]:
        """Positions of the listed classes in arrays of rows by teachers, and of rows by classes."""
        n, n_teachers, n_classes = self._shape
        # Narrow integers take a third of the time; those that index and count are as wide as pointers.
        rows = np.repeat(np.arange(n, dtype=np.int32), np.diff(self.bounds))
        teachers = self.columns // np.int32(n_classes)
        found = rows * np.int32(n_teachers) + teachers, (rows - teachers) * np.int32(n_classes) + self.columns
        return found[0].astype(np.intp), found[1].astype(np.intp)

    def astype(self, dtype: Any) -> LevelProba:
        """See `LevelProba`."""
        if self.excess.dtype == dtype:
            return self
        share = None if self.share is None else self.share.astype(dtype)
        return replace(self, excess=self.excess.astype(dtype), share=share)

    def dense(self, teacher: int) -> FloatArray:
        """See `LevelProba`."""
        total = np.zeros((self._shape[0], self._shape[2]), dtype=self.excess.dtype)
        self.add_mixture(total, np.eye(self._shape[1], dtype=total.dtype)[teacher])
        return total

    def _weighted(self, weights: FloatArray | None) -> FloatArray:
        if weights is None:
            return self.excess
        return np.asarray(self.excess * np.broadcast_to(weights, self._shape[:2]).ravel()[self._cells[0]])

    def _shared(self, weights: FloatArray | None) -> FloatArray | None:
        return self.share if weights is None or self.share is None else self.share * weights

    def add_mixture(self, total: FloatArray, weights: FloatArray) -> None:
        """See `LevelProba`."""
        flat, shared = total.reshape(-1), self._shared(weights)
        at, values = self._cells[1], self._weighted(weights)
        if 4 * len(at) < total.size:
            np.add.at(flat, at, values.astype(total.dtype, copy=False))
        else:
            flat += _summed(at, values, total.size)
        if shared is not None:
            total += shared @ self.open.astype(total.dtype)

    def add_meanings(
        self, total: FloatArray, weights: FloatArray | None, right: FloatArray, opened: FloatArray
    ) -> None:
        """See `LevelProba`."""
        total += _product(self.bounds, self.columns, self._weighted(weights), right.reshape(-1, right.shape[2]))
        shared = self._shared(weights)
        if shared is not None:
            total += shared @ opened

    def totals(self, right: FloatArray, opened: FloatArray) -> FloatArray:
        """See `LevelProba`."""
        listed = self._by_teacher(self.excess * right.ravel()[self.columns])
        return listed if self.share is None else listed + self.share * opened

    def _by_teacher(self, values: FloatArray) -> FloatArray:
        n, n_teachers, _ = self._shape
        return _summed(self._cells[0], values, n * n_teachers).reshape(n, n_teachers)

    def add_together(
        self, weights: FloatArray | None, student_proba: FloatArray, table: FloatArray, spread: FloatArray
    ) -> FloatArray:
        """See `LevelProba`."""
        n, n_teachers, n_classes = self._shape
        values, shared = self._weighted(weights), self._shared(weights)
        shape = (n, n_teachers * n_classes)
        listed = csr_array((values, self.columns, self.bounds), shape=shape).T
        if table.size < len(values):
            table += (listed @ student_proba).reshape(table.shape)
        else:
            # Only the rows of classes that are listed: the others of a large table would be written for nothing.
            listed = listed.tocsr()
            used = np.flatnonzero(np.diff(listed.indptr))
            bounds = np.append(listed.indptr[used], listed.indptr[-1:])
            table.reshape(shape[1], -1)[used] += _product(bounds, listed.indices, listed.data, student_proba)
        usage = _summed(self.columns, values, self.open.size).reshape(self.open.shape)
        if shared is None:
            return usage
        spread += shared.T @ student_proba
        return np.asarray(usage + self.open * shared.sum(axis=0, dtype=np.float64)[:, None])

    def by_class(self, factor: FloatArray) -> FloatArray:
        """See `LevelProba`."""
        values = self.excess * factor.ravel()[self._cells[1]]
        listed = _summed(self.columns, values, self.open.size).reshape(self.open.shape)
        return listed if self.share is None else listed + self.open * (self.share.T @ factor)

    def expected_log(self, student_proba: FloatArray) -> FloatArray:
        """See `LevelProba`."""
        floor = FLOOR / self._shape[2]
        common: FloatArray = np.zeros(1)
        out = np.outer(student_proba.sum(axis=1), np.full(self._shape[1], np.log(floor)))
        if self.share is not None:
            inside = student_proba @ self.open.T.astype(student_proba.dtype)
            out += inside * (np.log((1 - FLOOR) * self.share + floor) - np.log(floor))
            common = self.share.ravel()[self._cells[0]] * self.open.ravel()[self.columns]
        gain = np.log((1 - FLOOR) * (self.excess + common) + floor) - np.log((1 - FLOOR) * common + floor)
        return np.asarray(out + self._by_teacher(student_proba.ravel()[self._cells[1]] * gain))


def _summed(at: IntArray, values: FloatArray, size: int) -> FloatArray:
    """Sum values by position, (size,) float64."""
    return np.asarray(np.bincount(at, weights=values, minlength=size), dtype=np.float64)


def _product(bounds: IntArray, columns: IntArray, values: FloatArray, right: FloatArray) -> FloatArray:
    """Multiply a sparse matrix with `right`: by torch, which takes less time, where that is large and in float32."""
    if right.dtype != np.float32 or right.size < EMBEDDED:
        return np.asarray(csr_array((values, columns, bounds), shape=(len(bounds) - 1, len(right))) @ right)
    import torch  # takes a second

    with torch.no_grad():
        at, of, weights = (torch.from_numpy(array) for array in (columns, bounds[:-1], values))
        found = torch.nn.functional.embedding_bag(
            at, torch.from_numpy(right), of, mode="sum", per_sample_weights=weights
        )
        return np.asarray(found.numpy())


def level_proba(labels: TeacherLabels, teachers: IntArray, rows: slice, active: IntArray) -> LevelProba:
    """Return the probabilities of some teachers for `rows`, over the `active` classes.

    The active classes must hold all that the teachers give probability.
    """
    n_classes = len(active)
    if labels.is_soft and not labels.is_sparse:
        return _dense(labels, teachers, rows, active)
    place = np.full(labels.n_classes + 1, -1)
    place[active] = np.arange(n_classes)
    if labels.is_soft:
        return _of_top_k(labels, teachers, rows, place, active)
    classes = place[labels.annotations[rows][:, teachers]]  # -1 is the last place: nothing
    excess = np.ones((*classes.shape, 1), dtype=np.float32)
    return _listed(classes[:, :, None], excess, None, np.zeros((len(teachers), n_classes), bool))


def _dense(labels: TeacherLabels, teachers: IntArray, rows: slice, active: IntArray) -> DenseLevel:
    every = len(active) == labels.n_classes
    found = (labels.probabilities(int(t), rows) for t in teachers)
    return DenseLevel(np.stack([p if every else p[:, active] for p in found]))


def _of_top_k(labels: TeacherLabels, teachers: IntArray, rows: slice, place: IntArray, active: IntArray) -> LevelProba:
    ids, values, rest = labels.annotations.entries(teachers, rows)
    covers = np.stack([labels.covers(int(t)) for t in teachers])
    beyond = np.hstack([covers, np.zeros((len(covers), 1), dtype=bool)])
    inside = beyond[np.arange(len(covers))[:, None], ids]
    n_open = covers.sum(axis=1) - inside.sum(axis=2)
    if (n_open <= 0)[rest > 0].any():
        # The rest of some rows lies outside of the specialty: too irregular for the sparse form.
        return _dense(labels, teachers, rows, active)
    share = np.where(rest > 0, rest / np.maximum(n_open, 1), 0.0)
    excess = (values - share[:, :, None] * inside).astype(np.float32)
    return _listed(place[ids], excess, share.astype(np.float32) if share.any() else None, covers[:, active])


def _listed(classes: IntArray, excess: FloatArray, share: FloatArray | None, opened: BoolArray) -> SparseLevel:
    """Make it of arrays (n_rows, n_teachers, n_listed), class -1 for none."""
    used = classes >= 0
    bounds = np.zeros(len(classes) + 1, dtype=np.int32)
    np.cumsum(used.sum(axis=(1, 2)), out=bounds[1:])
    columns = classes + opened.shape[1] * np.arange(opened.shape[0])[:, None]
    return SparseLevel(bounds, columns[used].astype(np.int32), excess[used], share, opened)
