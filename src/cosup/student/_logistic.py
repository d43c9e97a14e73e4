"""Logistic probe: multinomial cross-entropy with an L2 penalty, trained to convergence and cross-fitted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import minimize
from sklearn.model_selection import KFold

from cosup._validation import BoolArray, CosupError, FloatArray, IntArray, check_positive
from cosup.losses import log_softmax
from cosup.student._protocol import LinearHead

__all__ = ["LogisticProbe"]

GRID = np.logspace(1, -4, 11)
"""Candidate strengths from strong to weak, so that each solution starts the next."""

WEAKEST_AGREEMENT = 0.95
"""The strongest strength whose held-out agreement is at least this share of the best is taken."""

GRADIENT_NORM = 1e-4
"""Training stops when no entry of the gradient of the mean loss is larger."""


@dataclass(frozen=True)
class LogisticProbe:
    """A linear layer under a softmax, trained with L-BFGS on hard or soft targets.

    Parameters
    ----------
    strength : float, optional
        L2 penalty in units of the features' mean variance. None chooses it without truth: the strongest whose
        cross-fitted agreement with the teacher is at least 95 % of the best. The best itself would reward imitating
        the teacher's predictable mistakes.
    folds : int
        Of the cross-fitting that gives out-of-sample predictions and chooses the strength.
    max_iter : int
        L-BFGS iterations a training.
    """

    strength: float | None = None
    folds: int = 5
    max_iter: int = 200

    def __post_init__(self) -> None:
        if self.strength is not None:
            check_positive(self.strength, "strength of LogisticProbe")
        check_positive(self.folds, "folds of LogisticProbe", integer=True)
        check_positive(self.max_iter, "max_iter of LogisticProbe", integer=True)
        if self.folds < 2:
            raise CosupError(f"folds of LogisticProbe must be at least 2, got {self.folds}")

    def prepare(self, X: FloatArray) -> LogisticTrainer:
        """Tie the recipe to features (n_samples, n_features)."""
        return LogisticTrainer(self, X)


class LogisticTrainer:
    """A `LogisticProbe` tied to features."""

    def __init__(self, probe: LogisticProbe, X: FloatArray) -> None:
        self.probe = probe
        self.X = X
        self._mean = X.mean(axis=0, dtype=np.float64)
        self._Z = X - self._mean
        self._unit = max(float(np.mean(self._Z**2)), 1e-12)

    def train(
        self,
        targets: FloatArray,
        *,
        keep: BoolArray | None = None,
        random_state: int = 0,
        strength: float | None = None,
    ) -> LogisticFit:
        """Choose the strength by cross-fitting, then train on all; see `cosup.student.Trainer`."""
        members = np.arange(len(self.X)) if keep is None else np.flatnonzero(keep)
        folds = self.probe.folds
        if len(members) < folds:
            raise CosupError(f"{folds}-fold cross-fitting needs at least {folds} samples, got {len(members)}")
        strength = self.probe.strength if strength is None else strength
        grid = GRID if strength is None else np.array([strength])
        n, n_classes = len(self.X), targets.shape[1]
        held_out = np.zeros((len(grid), n, n_classes))
        outside = np.setdiff1d(np.arange(n), members, assume_unique=True)
        for kept, held in KFold(folds, shuffle=True, random_state=random_state).split(members):
            start: FloatArray | None = None
            for i, candidate in enumerate(grid):
                start = self._minimise(targets, members[kept], float(candidate), start)
                head = self._head(start)
                held_out[i, members[held]] = head.predict_proba(self.X[members[held]])
                if outside.size:
                    held_out[i, outside] += head.predict_proba(self.X[outside]) / folds
        named = targets[members].argmax(axis=1)
        agreement = (held_out[:, members].argmax(axis=2) == named).mean(axis=1)
        best = int(np.flatnonzero(agreement >= WEAKEST_AGREEMENT * agreement.max())[0])
        head = self._head(self._minimise(targets, members, float(grid[best]), None))
        return LogisticFit(head, float(grid[best]), held_out[best], self.X)

    def _head(self, packed: FloatArray) -> LinearHead:
        weight, bias = packed[:-1], packed[-1]
        return LinearHead(weight, bias - self._mean @ weight)

    def _minimise(self, targets: FloatArray, rows: IntArray, strength: float, start: FloatArray | None) -> FloatArray:
        """Weights (n_features + 1, n_classes) on centred features, the bias in the last row."""
        Z, T = self._Z[rows], targets[rows]
        shape = (Z.shape[1] + 1, T.shape[1])
        penalty = strength * self._unit

        def loss(flat: FloatArray) -> tuple[float, Any]:
            packed = flat.reshape(shape)
            log_p = log_softmax(Z @ packed[:-1] + packed[-1])
            value = -(T * log_p).sum() / len(Z) + 0.5 * penalty * (packed[:-1] ** 2).sum()
            residual = (np.exp(log_p) - T) / len(Z)
            gradient = np.concatenate([Z.T @ residual + penalty * packed[:-1], residual.sum(axis=0)[None]])
            return float(value), gradient.ravel()

        first = np.zeros(shape) if start is None else start
        options = {"maxiter": self.probe.max_iter, "gtol": GRADIENT_NORM}
        found = minimize(loss, first.ravel(), jac=True, method="L-BFGS-B", options=options)
        return np.asarray(found.x).reshape(shape)


@dataclass(frozen=True)
class LogisticFit:
    """What `LogisticTrainer.train` gives; see `cosup.student.Fit`."""

    head: LinearHead
    strength: float
    out_of_sample: FloatArray
    _X: FloatArray
    takes_soft: bool = True

    @cached_property
    def in_sample(self) -> FloatArray:
        """Probabilities by the trained probe itself."""
        return self.head.predict_proba(self._X)
