"""Ridge for many targets and alphas at once: leave-one-out errors from one factorisation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from cosup.students.ridge.gram import Features
from cosup.students.ridge.grid import GRID, remainder
from cosup.students.ridge.solvers import Factor, Whole, leave_one_out
from cosup.students.targets import Targets
from cosup.utils.row_blocks import row_blocks
from cosup.utils.slices import slices
from cosup.utils.validation import CosupError, FloatArray

__all__ = ["RidgePath", "ridge_path"]

PATH_ROWS = 2048
"""Samples whose products are summed in float32; half as many are predicted at a time."""

COLUMNS = 4096
"""Targets' classes times alphas that are predicted at a time."""


@dataclass(frozen=True)
class RidgePath:
    """Leave-one-out errors of ridges for several targets along a path of alphas.

    Attributes
    ----------
    alphas : ndarray of shape (n_alphas,)
        Penalties in units of the features' mean variance, as for `RidgeProbe`.
    errors : ndarray of shape (n_targets, n_alphas), float64
        Leave-one-out squared error, summed over classes, mean over samples.
    agreement : ndarray of shape (n_targets, n_alphas), float64
        Share of samples whose leave-one-out scores are largest for the target's most probable class.
    """

    alphas: FloatArray
    errors: FloatArray
    agreement: FloatArray
    _factor: Factor = field(repr=False)
    _targets: FloatArray = field(repr=False)

    @property
    def best(self) -> FloatArray:
        """The regularisation with the smallest error of every target, (n_targets,)."""
        return np.asarray(self.alphas[self.errors.argmin(axis=1)])

    def scores(self, target: int, alpha: float | None = None) -> FloatArray:
        """Leave-one-out scores (n_samples, n_classes) of one target; by default at its best regularisation."""
        chosen = float(self.best[target]) if alpha is None else alpha
        sample = self._factor.sample
        moment = sample.moment(Targets.of(self._targets[target], None, None, sample.n))
        weight = self._factor.weight(moment, chosen)
        leverage = self._factor.leverage(chosen)
        parts = [
            leave_one_out(Z @ weight + moment.mean, self._targets[target, rows], leverage[rows])
            for rows, Z in sample.blocks(len(moment.mean))
        ]
        return np.concatenate(parts)


def ridge_path(X: FloatArray, targets: ArrayLike, alphas: ArrayLike = GRID) -> RidgePath:
    """Leave-one-out errors of a ridge for every target and regularisation (Allen 1974), from one eigendecomposition.

    Products are in float32, the eigendecomposition in float64: errors agree with float64's to about 1e-5. Features and
    targets are read block by block; the memory taken beside them is given in docs/reference/memory.md.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    targets : array-like of shape (n_targets, n_samples, n_classes)
        Probabilities (or one-hot rows); say, the annotations of every teacher.
    alphas : array-like of shape (n_alphas,)
        Above zero.

    Returns
    -------
    RidgePath
        Weights for every alpha and every set of targets.

    Raises
    ------
    CosupError
        For shapes that do not fit, fewer than two samples or alphas that are not positive.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0], [0.2], [1.0], [1.2]])
    >>> path = ridge_path(X, np.eye(2)[None, [0, 0, 1, 1]], [0.01, 100.0])
    >>> path.best
    array([0.01])
    """
    Y = np.asarray(targets)
    chosen = np.atleast_1d(np.asarray(alphas, dtype=np.float64))
    if Y.ndim != 3 or Y.shape[1] != len(X) or not Y.shape[0]:
        raise CosupError(f"targets must have shape (n_targets, {len(X)}, n_classes), got {Y.shape}")
    if chosen.ndim != 1 or not chosen.size or not (np.isfinite(chosen).all() and (chosen > 0).all()):
        raise CosupError(f"alphas must be positive numbers, got {alphas!r}")
    features = Features(X, keep_centred=False)
    factor, moment = _factorise(features, Y)
    errors, agreement = _errors(factor, moment, Y, chosen)
    return RidgePath(chosen, errors, agreement, factor, Y)


def _flat(Y: FloatArray, rows: slice) -> FloatArray:
    """Return targets of some rows, (n_rows, n_classes * n_targets) float32, targets side by side within a class."""
    part = np.moveaxis(Y[:, rows], 0, 2)
    return np.ascontiguousarray(part, dtype=np.float32).reshape(part.shape[0], -1)


def _factorise(features: Features, Y: FloatArray) -> tuple[Factor, FloatArray]:
    """Factorise the features, and compute ``Z'T`` of all targets, (n_features, n_classes * n_targets)."""
    from cosup.utils.matmul import moments  # imports torch, which takes a second

    n, d = features.X.shape
    blocks = ((features.read_single(rows), _flat(Y, rows)) for rows in row_blocks(n, d, PATH_ROWS))
    square, moment = moments(blocks, d, Y.shape[0] * Y.shape[2])
    return Factor(Whole(features).sample, square if d <= n else None), moment


def _errors(factor: Factor, moment: FloatArray, Y: FloatArray, alphas: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Compute errors and agreement, both (n_targets, n_alphas).

    A block's coordinates along the eigenvectors give its leverages and, by another product, its predictions, for as
    many alphas at a time as `COLUMNS` allows. Classes come first in its columns, then alphas, then targets:
    reductions over classes then run along long rows.
    """
    import torch

    from cosup.utils.matmul import product

    features, (n_targets, n, n_classes) = factor.sample.features, Y.shape
    k, count = len(factor.values), len(alphas)
    vectors = torch.from_numpy(factor.vectors.T.astype(np.float32))
    shrinkage = factor.shrinkage(alphas)
    narrow = shrinkage.astype(np.float32)
    along = (moment.T @ factor.vectors).reshape(n_classes, 1, n_targets, k)
    step = max(1, COLUMNS // moment.shape[1])
    parts = []
    for some in slices(count, step):
        shrunk = np.multiply(along, shrinkage.T[some, None, :], dtype=np.float32, casting="same_kind")
        parts.append((some, torch.from_numpy(shrunk.reshape(-1, k))))
    offset = torch.from_numpy(Y.mean(axis=1, dtype=np.float64).T.astype(np.float32)).view(1, n_classes, 1, n_targets)
    errors, agreement = np.zeros((count, n_targets)), np.zeros((count, n_targets))
    for rows in row_blocks(n, k, PATH_ROWS // 2):
        projected = product(features.read_single(rows), vectors)
        # NumPy multiplies here: torch.mm takes five times as long where one side is this narrow.
        free = torch.from_numpy(remainder(projected.square().numpy() @ narrow + np.float32(1.0 / n)))
        T = torch.from_numpy(_flat(Y, rows)).view(-1, n_classes, 1, n_targets)
        named = torch.from_numpy(Y[:, rows].argmax(axis=2)).T[:, None, None]
        for some, weight in parts:
            left = free[:, some, None]
            miss = product(projected.numpy(), weight).view(len(T), n_classes, -1, n_targets).add_(offset - T)
            square = miss.square().sum(dim=1).div_(left.square())
            errors[some] += square.sum(dim=0, dtype=torch.float64).numpy()
            # A leave-one-out residual is a residual over what the sample leaves; times that, which changes no order,
            # the scores are targets times it plus the residual.
            scores = miss.addcmul_(left[:, None], T)
            of_named = scores.gather(1, named.expand(-1, 1, *square.shape[1:]))[:, 0]
            agreement[some] += (of_named >= scores.amax(dim=1)).sum(dim=0).numpy()
    return errors.T / n, agreement.T / n
