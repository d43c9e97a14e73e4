"""Ridge for many targets and strengths at once: leave-one-out errors from one factorisation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from cosup._validation import CosupError, FloatArray
from cosup.student._ridge import GRID, _Factor

__all__ = ["RidgePath", "ridge_path"]

ROWS = 2048
"""Samples whose predictions are held at a time."""


@dataclass(frozen=True)
class RidgePath:
    """Leave-one-out errors of ridges for several targets along a path of strengths.

    Attributes
    ----------
    strengths : ndarray of shape (n_strengths,)
        In units of the features' mean variance, as for `RidgeProbe`.
    errors : ndarray of shape (n_targets, n_strengths), float64
        Leave-one-out squared error, summed over classes, mean over samples.
    agreement : ndarray of shape (n_targets, n_strengths), float64
        How often the leave-one-out scores name the target's most probable class.
    """

    strengths: FloatArray
    errors: FloatArray
    agreement: FloatArray
    _factor: _Factor = field(repr=False)
    _targets: FloatArray = field(repr=False)

    @property
    def best(self) -> FloatArray:
        """The strength with the smallest error of every target, (n_targets,)."""
        return np.asarray(self.strengths[self.errors.argmin(axis=1)])

    def scores(self, target: int, strength: float | None = None) -> FloatArray:
        """Leave-one-out scores (n_samples, n_classes) of one target; by default at its best strength."""
        chosen = float(self.best[target]) if strength is None else strength
        return self._factor.solve(self._targets[target], chosen)[2]


def ridge_path(X: FloatArray, targets: ArrayLike, strengths: ArrayLike = GRID) -> RidgePath:
    """Leave-one-out errors of a ridge for every target and strength (Allen 1974), from one eigendecomposition.

    Products are in float32, the eigendecomposition in float64: errors agree with float64's to about 1e-5. The memory
    taken is 4 bytes x n_samples x (2 n_features + n_targets x n_classes), beside small terms.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    targets : array-like of shape (n_targets, n_samples, n_classes)
        Probabilities (or one-hot rows); say, the annotations of every teacher.
    strengths : array-like of shape (n_strengths,)
        Above zero.

    Returns
    -------
    RidgePath

    Raises
    ------
    CosupError
        For shapes that do not fit, fewer than two samples or strengths that are not positive.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0], [0.2], [1.0], [1.2]])
    >>> path = ridge_path(X, np.eye(2)[None, [0, 0, 1, 1]], [0.01, 100.0])
    >>> path.best
    array([0.01])
    """
    from cosup.student._single import product  # imports torch, which takes a second

    Y = np.asarray(targets)
    chosen = np.atleast_1d(np.asarray(strengths, dtype=np.float64))
    if Y.ndim != 3 or Y.shape[1] != len(X) or not Y.shape[0]:
        raise CosupError(f"targets must have shape (n_targets, {len(X)}, n_classes), got {Y.shape}")
    if chosen.ndim != 1 or not chosen.size or not (np.isfinite(chosen).all() and (chosen > 0).all()):
        raise CosupError(f"strengths must be positive numbers, got {strengths!r}")
    factor = _Factor(X, single=True)
    factor.projected = np.ascontiguousarray(factor.projected, dtype=np.float32)
    n_targets, n, n_classes = Y.shape
    leverage = product(factor.projected**2, factor.shrinkage(chosen)) + 1.0 / n
    free = np.maximum(1.0 - leverage, 1e-9)
    flat = np.ascontiguousarray(Y.swapaxes(0, 1), dtype=np.float32).reshape(n, -1)
    mean = flat.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = flat - mean
    moment = product(np.ascontiguousarray(factor.projected.T), centred)
    errors = np.zeros((n_targets, len(chosen)))
    agreement = np.zeros((n_targets, len(chosen)))
    named = Y.argmax(axis=2)
    for s, shrunk in enumerate(factor.shrinkage(chosen).T):
        weight = moment * shrunk[:, None].astype(np.float32)
        for start in range(0, n, ROWS):
            rows = slice(start, start + ROWS)
            residual = product(factor.projected[rows], weight)
            np.subtract(centred[rows], residual, out=residual)
            residual /= free[rows, s, None]
            cube = residual.reshape(-1, n_targets, n_classes)
            errors[:, s] += np.einsum("itc,itc->t", cube, cube)
            held_out = flat[rows].reshape(cube.shape) - cube
            agreement[:, s] += (held_out.argmax(axis=2) == named[:, rows].T).sum(axis=0)
    return RidgePath(chosen, errors / n, agreement / n, factor, Y)
