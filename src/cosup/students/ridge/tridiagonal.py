"""Eigenvectors for products in float32 in three quarters of the time of those in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import lapack, solveh_banded

from cosup.utils.validation import FloatArray

__all__ = ["Tridiagonal"]


class Tridiagonal:
    """A symmetric matrix as ``Q T Q'``, T tridiagonal and Q a product of reflections (LAPACK's dsytrd), in float64.

    From it follow eigenvalues in float64, eigenvectors that are rounded to float32 before they are reflected (within
    1e-6 of orthonormal), and solutions of shifted systems in float64, which need no eigenvectors.

    Parameters
    ----------
    square : ndarray of shape (n, n), float64
        Symmetric, n at least 2; overwritten.
    """

    def __init__(self, square: FloatArray) -> None:
        work = int(lapack.dsytrd_lwork(len(square), lower=1)[0])
        # Symmetric: its transpose is in LAPACK's order, so nothing is copied.
        found = lapack.dsytrd(square.T, lower=1, lwork=work, overwrite_a=1)
        reflections, self._diagonal, self._beside, self._tau = _checked(found, "dsytrd")
        self._reflections = reflections[1:, :-1]

    def eigen(self) -> tuple[FloatArray, FloatArray]:
        """Compute eigenvalues (n,) float64, in ascending order, and eigenvectors (n, n) float32, in columns."""
        values, vectors = _checked(lapack.dstevd(self._diagonal, self._beside), "dstevd")
        vectors = np.asfortranarray(vectors, dtype=np.float32)
        vectors[1:] = self._reflected(vectors[1:], transposed=False)
        return values, vectors

    def solve(self, given: FloatArray, penalty: float) -> FloatArray:
        """Solve ``(Q T Q' + penalty) x = given`` in float64, given (n, k)."""
        turned = np.vstack([given[:1], self._reflected(given[1:], transposed=True)])
        banded = np.vstack([self._diagonal + penalty, np.append(self._beside, 0.0)])
        solved = solveh_banded(banded, turned, lower=True, overwrite_ab=True, check_finite=False)
        return np.vstack([solved[:1], self._reflected(solved[1:], transposed=False)])

    def _reflected(self, given: FloatArray, *, transposed: bool) -> FloatArray:
        """Multiply Q, less its first row and column, with `given` (n - 1, k), in the precision of `given`."""
        single = given.dtype == np.float32
        ormqr: Any = lapack.sormqr if single else lapack.dormqr
        reflections, tau = (np.asfortranarray(a, dtype=given.dtype) for a in (self._reflections, self._tau))
        columns, side = np.asfortranarray(given), "T" if transposed else "N"
        work = int(_checked(ormqr("L", side, reflections, tau, columns, -1), "ormqr")[1][0])
        return np.asarray(_checked(ormqr("L", side, reflections, tau, columns, work), "ormqr")[0])


def _checked(found: tuple[Any, ...], routine: str) -> tuple[Any, ...]:
    """Return the results of a LAPACK routine without its sign of success, which is checked."""
    if found[-1] != 0:
        raise np.linalg.LinAlgError(f"LAPACK's {routine} ended with {found[-1]}")
    return found[:-1]
