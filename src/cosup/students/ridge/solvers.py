"""Solvers of the ridge's normal equations: an eigendecomposition for all alphas, a Cholesky factor for one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from scipy.linalg import cho_solve, cholesky, eigh, solve_triangular
from scipy.linalg.lapack import dtrtri

from cosup.students.ridge.gram import Features, Moment, Sample
from cosup.students.ridge.grid import GRID, VAST, remainder
from cosup.students.ridge.loo_errors import GridErrors
from cosup.students.ridge.tridiagonal import Tridiagonal
from cosup.utils.row_blocks import cache_blocks, product
from cosup.utils.validation import FloatArray

__all__ = ["Direct", "Factor", "Whole", "leave_one_out"]

SURE = 1e-3
"""Regularisation from which leverages by a triangular factor in float32 are within 1e-5 of what they leave to the
others."""


class Factor:
    """Eigendecomposition of the second moments, in the smaller of the two spaces: for all alphas.

    Attributes
    ----------
    values : ndarray of shape (n_directions,)
    vectors : ndarray of shape (n_features, n_directions)
        float32 where products of samples are, and the samples are not all of the features'.
    unit : float
        The factor of alphas: the mean of the features' scatters.
    """

    def __init__(self, sample: Sample, square: FloatArray | None = None) -> None:
        self.sample = sample
        primal, given = sample.d <= sample.n, square is not None
        Z = np.empty(0) if primal else sample.rows()
        square = (sample.gram() if primal else Z @ Z.T) if square is None else square
        # Trainings on all samples need weights often, which eigenvectors in float64 give sooner.
        brief = primal and sample.single and (given or not sample.whole)
        self._tridiagonal = Tridiagonal(square) if brief else None
        if self._tridiagonal is not None:
            values, vectors = self._tridiagonal.eigen()
        else:
            # Symmetric: its transpose is in LAPACK's order, so nothing is copied.
            values, vectors = eigh(square.T, driver="evd", overwrite_a=True, check_finite=False)
        # Directions that are zero but for rounding carry no information, and would blow up in the dual.
        use = values > max(values[-1], 0.0) * 1e-12
        self.values = values[use]
        self.vectors = vectors[:, use] if primal else Z.T @ (vectors[:, use] / np.sqrt(self.values))
        self.unit = float(self.values.sum()) / sample.d if self.values.size else 1.0
        self._last: tuple[float, FloatArray] | None = None

    def penalty(self, alpha: float) -> float:
        """Return the penalty of a regularisation, which is added to the eigenvalues."""
        return float(alpha * self.unit)

    def shrinkage(self, alphas: FloatArray) -> FloatArray:
        """Return the factor of every direction, (n_directions, n_alphas)."""
        return np.asarray(1.0 / (self.values[:, None] + alphas * self.unit))

    def _projected(self, *, single: bool) -> Iterator[tuple[slice, FloatArray]]:
        """Project the samples, about their own mean, on the vectors, over the root of `unit`."""
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
        """Coordinates of all samples, (n_samples, n_directions) float32, where they are held."""
        if not (self.sample.single and self.sample.features.kept):
            return None
        out = np.empty((self.sample.n, len(self.values)), dtype=np.float32)
        for rows, U in self._projected(single=True):
            out[rows] = U
        return out

    def leverages(self, alphas: FloatArray) -> FloatArray:
        """Compute the diagonals of the hat matrices, (n_samples, n_alphas)."""
        out = np.empty((self.sample.n, len(alphas)))
        shrinkage, held, single = self.unit * self.shrinkage(alphas), self.coordinates, self.sample.single
        blocks = self._projected(single=single)
        if held is not None:
            blocks = ((rows, held[rows]) for rows in cache_blocks(*held.shape))
        shrinkage = shrinkage.astype(np.float32 if single else np.float64)
        for rows, U in blocks:
            out[rows] = np.square(U) @ shrinkage
        out += 1.0 / self.sample.n
        return out

    @cached_property
    def grid_leverages(self) -> FloatArray:
        """Leverages on the grid: they do not depend on the targets."""
        return self.leverages(GRID)

    def leverage(self, alpha: float) -> FloatArray:
        """Compute the diagonal of one hat matrix, (n_samples,)."""
        at = np.flatnonzero(alpha == GRID)
        if at.size and "grid_leverages" in self.__dict__:
            return self.grid_leverages[:, at[0]].copy()  # a view would keep those of all alphas
        if self._last is None or self._last[0] != alpha:
            # Methods that are compared with each other train at the same regularisation again and again.
            self._last = (alpha, self.leverages(np.array([alpha]))[:, 0])
        return self._last[1]

    def weight(self, moment: Moment, alpha: float) -> FloatArray:
        """Compute the ridge's weights, (n_features, n_classes)."""
        if self._tridiagonal is not None:
            return self._tridiagonal.solve(moment.product, self.penalty(alpha))
        return np.asarray(self.vectors @ (self.shrinkage(np.array([alpha])) * (self.vectors.T @ moment.product)))

    @cached_property
    def grid_errors(self) -> GridErrors:
        """The part of leave-one-out errors that all trainings on these samples share."""
        return self.errors_on_grid()

    def errors_on_grid(self) -> GridErrors:
        """Prepare the leave-one-out errors on the grid, anew."""
        vectors = self.vectors / np.sqrt(self.unit)
        shrinkage = self.unit * self.shrinkage(GRID).T
        return GridErrors(self.sample, self.coordinates, self.grid_leverages, vectors, shrinkage)

    def best_alpha(self, moment: Moment) -> float:
        """Find the regularisation of `GRID` with the smallest leave-one-out squared error."""
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
        """The factor of all regularisations, made when it is first asked for."""
        return Factor(self.sample)

    def at(self, alpha: float) -> Factor | Direct:
        """Factorise for one regularisation, the last of which is kept; where the factor for all is there, take it."""
        if "factor" in self.__dict__:
            return self.factor
        if self._direct is None or self._direct[0] != alpha:
            self._direct = (alpha, Direct(self.sample, alpha))
        return self._direct[1]


class Direct:
    """A ridge of one regularisation: its Cholesky factor costs a tenth of an eigendecomposition."""

    def __init__(self, sample: Sample, alpha: float) -> None:
        self.sample, self._alpha = sample, alpha
        n, d = sample.n, sample.d
        self._rows = None if d <= n else sample.rows()
        square = sample.gram() if self._rows is None else self._rows @ self._rows.T
        self._penalty = max(alpha * float(np.trace(square)) / d, 1e-12)
        square[np.diag_indices(len(square))] += self._penalty
        self._factor = cholesky(square.T, lower=True, overwrite_a=True, check_finite=False)

    def penalty(self, alpha: float) -> float:
        """See `Factor.penalty`."""
        return float(self._penalty)

    def leverage(self, alpha: float) -> FloatArray:
        """See `Factor.leverage`."""
        return self._leverages

    @cached_property
    def _leverages(self) -> FloatArray:
        n = self.sample.n
        if self._rows is not None:
            # I - H is penalty * inverse on centred rows; the mean takes another 1 / n.
            half = np.tril(dtrtri(self._factor, lower=1)[0])
            return np.asarray(1.0 - self._penalty * np.einsum("ij,ij->j", half, half) + 1.0 / n)
        out = np.empty(n)
        single = self.sample.single and self._alpha >= SURE
        factor, shift = (a.astype(np.float32) if single else a for a in (self._factor, self.sample.shift))
        for rows, Z in self.sample.blocks(single=single):
            half = solve_triangular(factor, (Z - shift).T, lower=True, check_finite=False)
            out[rows] = np.einsum("ij,ij->j", half, half)
        return out + 1.0 / n

    def weight(self, moment: Moment, alpha: float) -> FloatArray:
        """See `Factor.weight`."""
        if self._rows is None:
            return np.asarray(cho_solve((self._factor, True), moment.product, check_finite=False))
        centred = moment.targets.dense(self.sample.members) - moment.mean
        return np.asarray(self._rows.T @ cho_solve((self._factor, True), centred, check_finite=False))


def leave_one_out(fitted: FloatArray, targets: FloatArray, leverages: FloatArray) -> FloatArray:
    """Compute every sample's scores by the ridge that was trained without it (Allen 1974).

    Parameters
    ----------
    fitted : ndarray of shape (..., n_classes)
        Scores by the ridge that was trained with it.
    targets : ndarray that broadcasts against `fitted`
    leverages : ndarray of shape (...)
        The hat matrix's diagonal. Zero for a sample that was not trained on: its scores stay.
    """
    return np.asarray((fitted - leverages[..., None] * targets) / remainder(leverages)[..., None])
