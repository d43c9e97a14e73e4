"""The linear algebra of ridges: features as blocks of rows, and factors of their second moments.

Nothing of the features' size is kept beside a centred copy where that is small (`KEPT`): every product goes over
blocks of rows. Positions are about the mean of *all* rows; a subset's own mean enters as a `shift`. So the second
moments of a subset are those of all rows less those of the few left out, whichever is less work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import cho_solve, cholesky, eigh, solve_triangular
from scipy.linalg.lapack import dtrtri
from scipy.sparse import csr_array

from cosup._validation import CosupError, FloatArray, IntArray
from cosup.student._ridge_eigen import Tridiagonal
from cosup.student._ridge_errors import GRID, VAST, GridErrors, remainder
from cosup.student._rows import LARGE, cache_blocks, column_means, product, take, widen
from cosup.student._targets import Targets

__all__ = ["GRID", "Direct", "Factor", "Features", "Sample", "Whole", "leave_one_out"]

MANY = 64
"""Classes from which adding up the rows of each is less work than a product with one-hot targets."""

KEPT = 1 << 28
"""Bytes up to which centred features are kept; beyond, they are read and centred anew for every product."""

SURE = 1e-3
"""Strength from which leverages by a triangular factor in float32 are within 1e-5 of what they leave to the others."""


class Features:
    """All rows, about their mean.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Any floating dtype, possibly memory-mapped.
    keep : bool
        Keep a centred copy where that is small.
    """

    def __init__(self, X: FloatArray, *, keep: bool = True) -> None:
        self.X = X
        self.mean = column_means(X)
        self.kept = keep and 8 * X.size <= KEPT
        self._latest: tuple[IntArray, FloatArray] = np.empty(0, dtype=np.int64), np.empty(0)

    @cached_property
    def _whole(self) -> FloatArray:
        return self._filled(np.float64)

    @cached_property
    def _whole_single(self) -> FloatArray:
        return self._filled(np.float32)

    def _filled(self, dtype: Any) -> FloatArray:
        out = np.empty(self.X.shape, dtype=dtype)
        for rows in cache_blocks(*self.X.shape):
            out[rows] = self._centred(rows, dtype)
        return out

    def _centred(self, rows: slice | IntArray, dtype: Any) -> FloatArray:
        part = widen(take(self.X, rows))
        return np.asarray(np.subtract(part, self.mean.astype(dtype), dtype=dtype, casting="same_kind"))

    def read(self, rows: slice | IntArray) -> FloatArray:
        """Some rows, (n_rows, n_features) float64."""
        return self._whole[rows] if self.kept else self._centred(rows, np.float64)

    def read_single(self, rows: slice | IntArray) -> FloatArray:
        """The same in float32."""
        return self._whole_single[rows] if self.kept else self._centred(rows, np.float32)

    @cached_property
    def gram(self) -> FloatArray:
        """``Z'Z`` of all rows, (n_features, n_features) float64."""
        return self.gram_of(np.arange(len(self.X)))

    def gram_of(self, members: IntArray) -> FloatArray:
        """``Z'Z`` of some rows, about the mean of all."""
        n, d = self.X.shape
        total = np.zeros((d, d))
        for rows in cache_blocks(len(members), d):
            Z = self.read(rows if len(members) == n else members[rows])
            total += Z.T @ Z
        return total

    def gram_less(self, members: IntArray, left_out: IntArray) -> FloatArray:
        """``Z'Z`` of `members`, all but those `left_out`, a new array; by way of the latter where that is less work.

        The last such sum over samples is kept: of two local students that share all samples, the second one's follow
        from the first one's.
        """
        summed, total = self._latest
        if not any(np.array_equal(summed, rows) for rows in (members, left_out)):
            summed = min(members, left_out, key=len)
            total = self.gram_of(summed)
            self._latest = summed, total
        return total.copy() if np.array_equal(summed, members) else np.asarray(self.gram - total)


class Sample:
    """The rows that a ridge is trained on."""

    def __init__(self, features: Features, members: IntArray) -> None:
        if len(members) < 2:
            raise CosupError(f"a ridge probe needs at least 2 samples, got {len(members)}")
        self.features, self.members = features, members
        self.n, self.d = len(members), features.X.shape[1]
        self.whole = self.n == len(features.X)
        # An error of about 1e-6 in leverages, which features of single precision and these products are worth.
        self.single = features.X.dtype != np.float64 and self.n * self.d**2 >= LARGE

    def blocks(self, width: int = 0, *, single: bool = False) -> Iterator[tuple[slice, FloatArray]]:
        """Slices of the members, and their rows about the mean of all, perhaps in float32; see `cache_blocks`."""
        read = self.features.read_single if single else self.features.read
        for rows in cache_blocks(self.n, max(self.d, width)):
            yield rows, read(rows if self.whole else self.members[rows])

    @cached_property
    def _outside(self) -> IntArray:
        return np.setdiff1d(np.arange(len(self.features.X)), self.members, assume_unique=True)

    @cached_property
    def shift(self) -> FloatArray:
        """Their mean about that of all, (n_features,)."""
        if self.whole:
            return np.zeros(self.d)
        return np.asarray(sum(Z.sum(axis=0) for _, Z in self.blocks()) / self.n)

    @property
    def mean(self) -> FloatArray:
        """Their mean, (n_features,)."""
        return np.asarray(self.features.mean + self.shift)

    def gram(self) -> FloatArray:
        """``Z'Z`` about their own mean, a new array."""
        features = self.features
        total = features.gram.copy() if self.whole else features.gram_less(self.members, self._outside)
        total -= self.n * np.outer(self.shift, self.shift)
        return total

    def rows(self) -> FloatArray:
        """All of them about their own mean, (n, n_features): for when they are fewer than features."""
        return np.concatenate([Z for _, Z in self.blocks()]) - self.shift

    def moment(self, targets: Targets) -> Moment:
        """What a ridge takes from targets."""
        n_classes = targets.n_classes
        by_class = targets.ids is not None and n_classes >= MANY
        mean, total = np.zeros(n_classes), np.zeros((self.d, n_classes))
        turned = np.zeros((n_classes, self.d)) if by_class else total.T  # in the order in which it is added to
        single = targets.single and self.features.X.dtype != np.float64
        for rows, Z in self.blocks(n_classes, single=single):
            if targets.ids is not None and by_class:
                ids = targets.ids[self.members[rows]]
                mean += np.bincount(ids, minlength=n_classes)
                one_hot = csr_array((np.ones(len(ids)), ids, np.arange(len(ids) + 1)), shape=(len(ids), n_classes))
                turned += one_hot.T @ Z
                continue
            T = targets.dense(self.members[rows], Z.dtype)
            mean += T.sum(axis=0, dtype=np.float64)
            total += Z.T @ T
        mean /= self.n
        total = np.ascontiguousarray(turned.T) if by_class else total
        total -= self.n * np.outer(self.shift, mean)
        return Moment(targets, mean, total)


@dataclass(frozen=True)
class Moment:
    """What a ridge takes from targets.

    Attributes
    ----------
    targets : Targets
    mean : ndarray of shape (n_classes,)
        Over the samples that are trained on.
    product : ndarray of shape (n_features, n_classes)
        ``Z'T`` of these, about both means.
    """

    targets: Targets
    mean: FloatArray
    product: FloatArray

    @property
    def large(self) -> bool:
        """Whether products over samples, features and classes are in float32 where that is fine; see `LARGE`."""
        return len(self.targets.members) * self.product.size >= LARGE


class Factor:
    """Eigendecomposition of the second moments, in the smaller of the two spaces: for all strengths.

    Attributes
    ----------
    values : ndarray of shape (n_directions,)
    vectors : ndarray of shape (n_features, n_directions)
        float32 where products of samples are, and the samples are not all of the features'.
    unit : float
        What strengths are multiplied by: the mean of the features' scatters.
    """

    def __init__(self, sample: Sample, square: FloatArray | None = None) -> None:
        self.sample = sample
        primal, given = sample.d <= sample.n, square is not None
        Z = np.empty(0) if primal else sample.rows()
        square = (sample.gram() if primal else Z @ Z.T) if square is None else square
        # For all samples many trainings ask for weights, which eigenvectors in float64 give sooner.
        brief = primal and sample.single and (given or not sample.whole)
        self._tridiagonal = Tridiagonal(square) if brief else None
        if self._tridiagonal is not None:
            values, vectors = self._tridiagonal.eigen()
        else:
            # Symmetric: its transpose is in LAPACK's order, so nothing is copied.
            values, vectors = eigh(square.T, driver="evd", overwrite_a=True, check_finite=False)
        # Directions that rounding cannot tell from zero carry nothing, and would blow up in the dual.
        use = values > max(values[-1], 0.0) * 1e-12
        self.values = values[use]
        self.vectors = vectors[:, use] if primal else Z.T @ (vectors[:, use] / np.sqrt(self.values))
        self.unit = float(self.values.sum()) / sample.d if self.values.size else 1.0
        self._last: tuple[float, FloatArray] | None = None

    def penalty(self, strength: float) -> float:
        """What a strength adds to the eigenvalues."""
        return float(strength * self.unit)

    def shrinkage(self, strengths: FloatArray) -> FloatArray:
        """What every direction is multiplied by, (n_directions, n_strengths)."""
        return np.asarray(1.0 / (self.values[:, None] + strengths * self.unit))

    def _projected(self, *, single: bool) -> Iterator[tuple[slice, FloatArray]]:
        """Coordinates of the samples along the vectors, over the root of `unit`, about their own mean."""
        vectors = self.vectors / np.sqrt(self.unit)
        shift = self.sample.shift @ vectors
        vectors, shift = (a.astype(np.float32) if single else a for a in (vectors, shift))
        vast = self.sample.n * vectors.size >= VAST
        for rows, Z in self.sample.blocks(single=single):
            U = product(Z, vectors, vast)
            U -= shift
            yield rows, U

    @cached_property
    def coordinates(self) -> FloatArray | None:
        """The same of all samples, (n_samples, n_directions) float32, where they are held."""
        if not (self.sample.single and self.sample.features.kept):
            return None
        out = np.empty((self.sample.n, len(self.values)), dtype=np.float32)
        for rows, U in self._projected(single=True):
            out[rows] = U
        return out

    def leverages(self, strengths: FloatArray) -> FloatArray:
        """Diagonals of the hat matrices, (n_samples, n_strengths)."""
        out = np.empty((self.sample.n, len(strengths)))
        shrinkage, held, single = self.unit * self.shrinkage(strengths), self.coordinates, self.sample.single
        blocks = self._projected(single=single)
        if held is not None:
            blocks = ((rows, held[rows]) for rows in cache_blocks(*held.shape))
        for rows, U in blocks:
            out[rows] = np.square(U) @ shrinkage.astype(U.dtype)
        out += 1.0 / self.sample.n
        return out

    @cached_property
    def grid_leverages(self) -> FloatArray:
        """Leverages on the grid: they do not depend on the targets."""
        return self.leverages(GRID)

    def leverage(self, strength: float) -> FloatArray:
        """Diagonal of one hat matrix, (n_samples,)."""
        at = np.flatnonzero(strength == GRID)
        if at.size and "grid_leverages" in self.__dict__:
            return self.grid_leverages[:, at[0]].copy()  # a view would keep those of all strengths
        if self._last is None or self._last[0] != strength:
            # Methods that are compared with each other train at the same strength again and again.
            self._last = (strength, self.leverages(np.array([strength]))[:, 0])
        return self._last[1]

    def weight(self, moment: Moment, strength: float) -> FloatArray:
        """The ridge's weights, (n_features, n_classes)."""
        if self._tridiagonal is not None:
            return self._tridiagonal.solve(moment.product, self.penalty(strength))
        return np.asarray(self.vectors @ (self.shrinkage(np.array([strength])) * (self.vectors.T @ moment.product)))

    @cached_property
    def grid_errors(self) -> GridErrors:
        """What the leave-one-out errors of all trainings on these samples share."""
        return GridErrors(self)

    def best_strength(self, moment: Moment) -> float:
        """The strength of `GRID` with the smallest leave-one-out squared error."""
        return float(GRID[int(np.argmin(self.grid_errors.of(moment)))])


class Whole:
    """All rows, and what the trainings on all of them share.

    Not kept by the features themselves: what refers to each other in a circle stays in memory until Python looks for
    circles, which it does by the number of objects, not by their size.
    """

    def __init__(self, features: Features) -> None:
        self.sample = Sample(features, np.arange(len(features.X)))
        self._direct: tuple[float, Direct] | None = None

    @cached_property
    def factor(self) -> Factor:
        """From when it is first asked for."""
        return Factor(self.sample)

    def at(self, strength: float) -> Factor | Direct:
        """For one strength, the last of which is kept; the factor for all where it is at hand."""
        if "factor" in self.__dict__:
            return self.factor
        if self._direct is None or self._direct[0] != strength:
            self._direct = (strength, Direct(self.sample, strength))
        return self._direct[1]


class Direct:
    """For one strength: a Cholesky factor costs a tenth of an eigendecomposition."""

    def __init__(self, sample: Sample, strength: float) -> None:
        self.sample, self._strength = sample, strength
        n, d = sample.n, sample.d
        self._rows = None if d <= n else sample.rows()
        square = sample.gram() if self._rows is None else self._rows @ self._rows.T
        self._penalty = max(strength * float(np.trace(square)) / d, 1e-12)
        square[np.diag_indices(len(square))] += self._penalty
        self._factor = cholesky(square.T, lower=True, overwrite_a=True, check_finite=False)

    def penalty(self, strength: float) -> float:
        """As `Factor.penalty`."""
        return float(self._penalty)

    def leverage(self, strength: float) -> FloatArray:
        """As `Factor.leverage`."""
        return self._leverages

    @cached_property
    def _leverages(self) -> FloatArray:
        n = self.sample.n
        if self._rows is not None:
            # I - H is penalty * inverse on centred rows; the mean takes another 1 / n.
            half = np.tril(dtrtri(self._factor, lower=1)[0])
            return np.asarray(1.0 - self._penalty * np.einsum("ij,ij->j", half, half) + 1.0 / n)
        out = np.empty(n)
        single = self.sample.single and self._strength >= SURE
        factor, shift = (a.astype(np.float32) if single else a for a in (self._factor, self.sample.shift))
        for rows, Z in self.sample.blocks(single=single):
            half = solve_triangular(factor, (Z - shift).T, lower=True, check_finite=False)
            out[rows] = np.einsum("ij,ij->j", half, half)
        return out + 1.0 / n

    def weight(self, moment: Moment, strength: float) -> FloatArray:
        """As `Factor.weight`."""
        if self._rows is None:
            return np.asarray(cho_solve((self._factor, True), moment.product, check_finite=False))
        centred = moment.targets.dense(self.sample.members) - moment.mean
        return np.asarray(self._rows.T @ cho_solve((self._factor, True), centred, check_finite=False))


def leave_one_out(fitted: FloatArray, targets: FloatArray, leverages: FloatArray) -> FloatArray:
    """Scores of every sample by the ridge that was trained without it (Allen 1974).

    Parameters
    ----------
    fitted : ndarray of shape (..., n_classes)
        Scores by the ridge that was trained with it.
    targets : ndarray that broadcasts against `fitted`
    leverages : ndarray of shape (...)
        The hat matrix's diagonal. Zero for a sample that was not trained on: its scores stay.
    """
    return np.asarray((fitted - leverages[..., None] * targets) / remainder(leverages)[..., None])
