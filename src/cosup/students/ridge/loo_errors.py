"""Leave-one-out squared errors of a ridge for all alphas of the grid, whatever the number of classes.

With ``u`` a sample's coordinates along the eigenvectors, ``M`` those of the targets' moment (n_directions, n_classes),
``S`` the shrinkage (a diagonal, one a regularisation), ``t`` a target about the targets' mean and ``w = (1 -
leverage)^-2``, the error of a regularisation is

    sum_i w_i |M'S u_i - t_i|^2  =  sum_i w_i u_i'S MM' S u_i  -  2 sum_i w_i u_i'S (M t_i)  +  sum_i w_i |t_i|^2

The second and third sum take a product for all alphas together. The first is ``trace(S MM' S A)`` with
``A = sum_i w_i u_i u_i'``, which does not depend on the targets: it is computed once for all trainings on these
samples. Over the alphas a sample's w is a smooth curve, so a few curves make up all of them (`TOLERANCE`), and A is
needed for these only. With few classes predicting every sample at every regularisation is less work, and is done
instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from cosup.students.ridge.gram import Moment, Sample
from cosup.students.ridge.grid import GRID, VAST, remainder
from cosup.utils.losses import row_sum
from cosup.utils.paired import evenly_spaced, surely_positive
from cosup.utils.row_blocks import BLOCK_BYTES, cache_blocks, product, row_blocks
from cosup.utils.validation import FloatArray, IntArray

__all__ = ["GridErrors"]


TOLERANCE = 1e-5
"""Largest relative error of a sample's weight w at any regularisation: so also of the errors that are compared."""

CURVES = 16
"""Curves that the samples' weights are made of, at the most; where these are not enough, all samples are predicted."""

OUTLIER = 0.1
"""A sample that leaves less than this to the others is predicted: the sums above would cancel."""

WORTHWHILE = 4
"""Classes times alphas over directions, from which the sums are less work than predicting."""

SEARCHED = 4096
"""Samples that are asked first, about all regularisations."""

ERROR_ROWS = 4096
"""Samples whose products are summed in float32; their sums are added in float64."""


class GridErrors:
    """The part of leave-one-out errors that all trainings on the samples of one factor share.

    Parameters
    ----------
    sample : Sample
    coordinates : ndarray of shape (n_samples, n_directions) or None
        Coordinates of all samples along the vectors, where they are held.
    leverages : ndarray of shape (n_samples, n_alphas)
    vectors : ndarray of shape (n_features, n_directions)
    shrinkage : ndarray of shape (n_alphas, n_directions)
        Vectors and shrinkage are in units in which neither depends on the features' scale.
    """

    def __init__(
        self,
        sample: Sample,
        coordinates: FloatArray | None,
        leverages: FloatArray,
        vectors: FloatArray,
        shrinkage: FloatArray,
    ) -> None:
        self._sample, self._held, self._leverages = sample, coordinates, leverages
        self._vectors, self._shrinkage = vectors, shrinkage
        self._turn = self._vectors.astype(np.float32)
        self._shift = (sample.shift @ self._vectors).astype(np.float32)

    def of(self, moment: Moment) -> FloatArray:
        """Sum errors over samples and classes, (n_alphas,).

        Products are in float32: their error, about 1e-6 of the errors compared, is far under what tells neighbours
        on the grid apart.
        """
        if moment.targets.n_classes * len(GRID) < WORTHWHILE * len(self._vectors.T) or self._curves is None:
            return self._searched(moment)
        return np.asarray(self._summed(moment) + self._predicted(moment, self._outliers).sum(axis=0))

    def _searched(self, moment: Moment) -> FloatArray:
        """Sum the errors of samples, each predicted; infinite at regularisations that are not the best.

        Evenly spaced samples tell which ones surely are not, and where to begin among the others: along the path errors
        fall, then rise, so what is better than both neighbours is best.
        """
        everyone, some = np.arange(self._sample.n), evenly_spaced(self._sample.n, SEARCHED)
        if some is None:
            return np.asarray(self._predicted(moment, everyone).sum(axis=0))
        found, errors = self._predicted(moment, some), np.full(len(GRID), np.inf)
        best = int(found.sum(axis=0).argmin())
        likely = np.logical_not(surely_positive(found - found[:, [best]]))
        if likely.sum() == 1:
            errors[best] = found[:, best].sum()
            return errors
        while True:
            around = [a for a in (best - 1, best, best + 1) if 0 <= a < len(GRID) and likely[a]]
            asked = [a for a in around if np.isinf(errors[a])]
            if asked:
                errors[asked] = self._predicted(moment, everyone, np.array(asked)).sum(axis=0)
            best, before = min(around, key=errors.__getitem__), best
            if best == before:
                return errors

    def _predicted(self, moment: Moment, positions: IntArray, alphas: slice | IntArray = slice(None)) -> FloatArray:
        """Compute the errors of some samples, (n_samples, n_alphas), each predicted at some regularisations."""
        shrinkage = self._shrinkage[alphas].T
        errors = np.empty((len(positions), shrinkage.shape[1]))
        if not positions.size:
            return errors
        n_classes, s, sample, held = moment.targets.n_classes, shrinkage.shape[1], self._sample, self._held
        along = (self._vectors.T @ moment.product)[:, None, :] * shrinkage[:, :, None]
        weight, offset = along.reshape(-1, s * n_classes).astype(np.float32), np.tile(moment.mean, s)
        if held is None:
            weight = self._turn @ weight
            offset = offset - sample.shift @ weight
        offset = offset.astype(np.float32)
        vast = len(positions) * weight.size >= VAST
        for rows in cache_blocks(len(positions), max(sample.d, s * n_classes)):
            some = positions[rows]
            every = len(positions) == sample.n
            members = rows if sample.whole and every else sample.members[some]
            known = sample.features.read_single(members) if held is None else held[rows if every else some]
            miss = product(known, weight, vast)
            miss += offset
            cube = miss.reshape(len(miss), s, n_classes)
            if moment.targets.ids is None:
                cube -= moment.targets.dense(members, np.float32)[:, None, :]
            else:
                cube[np.arange(len(miss))[:, None], np.arange(s), moment.targets.ids[members][:, None]] -= 1.0
            square = row_sum(np.square(miss, out=miss).reshape(-1, n_classes)).reshape(-1, s)
            # A leave-one-out residual is the residual divided by one less the leverage.
            errors[rows] = square / remainder(self._leverages[some][:, alphas]) ** 2
        return errors

    def _weights(self, rows: slice) -> FloatArray:
        """Return ``(1 - leverage)^-2``, (n_rows, n_alphas); zero for outliers."""
        left = remainder(self._leverages[rows])
        return np.where(self._leverages[rows].max(axis=1, keepdims=True) > 1.0 - OUTLIER, 0.0, left**-2)

    @cached_property
    def _outliers(self) -> IntArray:
        return np.flatnonzero(self._leverages.max(axis=1) > 1.0 - OUTLIER)

    @cached_property
    def _curves(self) -> FloatArray | None:
        """Orthonormal curves over alphas that make up every sample's weights, (n_alphas, n_curves), or None."""
        n, s = self._leverages.shape
        if 2 * len(self._outliers) > n:
            return None
        square, worst = np.zeros((s, s)), np.zeros(CURVES)
        for rows in cache_blocks(n, s):
            w = self._weights(rows)
            square += w.T @ w
        curves = np.linalg.eigh(square)[1][:, : -CURVES - 1 : -1]
        for rows in cache_blocks(n, s):
            w = self._weights(rows)
            shares, rest, scale = w @ curves, w.copy(), np.where(w > 0, w, 1.0)
            for r in range(CURVES):
                rest -= shares[:, r, None] * curves[:, r]
                worst[r] = max(worst[r], float(np.abs(rest / scale).max()))
        good = np.flatnonzero(worst <= TOLERANCE)
        return np.asarray(curves[:, : good[0] + 1]) if good.size else None

    @cached_property
    def _moments(self) -> FloatArray:
        """``sum_i b_i u_i u_i'`` for the shares b of every curve, (n_curves, n_directions, n_directions) float32."""
        assert self._curves is not None
        k, r = len(self._vectors.T), self._curves.shape[1]
        total = np.zeros((r, k, k))
        for rows, U in self._coordinates(False):
            shares = (self._weights(rows) @ self._curves).T.astype(np.float32)
            for of_curve, share in zip(total, shares, strict=True):
                # A product with its own transpose is half the work; so positive and negative shares go apart.
                for sign in (1.0, -1.0):
                    some = np.flatnonzero(sign * share > 0)
                    if some.size:
                        part = U[some] * np.sqrt(np.abs(share[some]))[:, None]
                        of_curve += sign * (part.T @ part)
        return total.astype(np.float32)

    def _coordinates(self, large: bool) -> Iterator[tuple[slice, FloatArray]]:
        sample, held = self._sample, self._held
        for rows in row_blocks(sample.n, sample.d, min(ERROR_ROWS, max(1, BLOCK_BYTES // (8 * sample.d)))):
            if held is not None:
                yield rows, held[rows]
                continue
            members = rows if sample.whole else sample.members[rows]
            U = product(sample.features.read_single(members), self._turn, large)
            U -= self._shift
            yield rows, U

    def _summed(self, moment: Moment) -> FloatArray:
        """Sum the errors of all samples but outliers, from sums over samples."""
        assert self._curves is not None
        targets, mean, S = moment.targets, moment.mean, self._shrinkage
        M = self._vectors.T @ moment.product
        G = M @ M.T
        by_curve = [((S @ (G * A)) * S).sum(axis=1) for A in self._moments]
        errors = np.asarray((self._curves * np.stack(by_curve, axis=1)).sum(axis=1))
        of_class, of_mean = M.T.astype(np.float32), (M @ mean).astype(np.float32)
        norm, shrinkage = float(mean @ mean), S.T.astype(np.float32)
        for rows, U in self._coordinates(moment.large):
            members = rows if self._sample.whole else self._sample.members[rows]
            if targets.ids is not None:
                ids = targets.ids[members]
                moved, own = of_class[ids], 1.0 - 2.0 * mean[ids] + norm
            else:
                T = targets.dense(members)
                moved = product(T.astype(np.float32), of_class, moment.large)
                own = np.einsum("ij,ij->i", T, T) - 2.0 * (T @ mean) + norm
            moved -= of_mean
            moved *= U
            errors += (self._weights(rows) * (own[:, None] - 2.0 * (moved @ shrinkage))).sum(axis=0)
        return errors
