"""Logistic probe: multinomial cross-entropy with an L2 penalty, trained to convergence and cross-fitted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from sklearn.model_selection import KFold

from cosup._validation import BoolArray, CosupError, FloatArray, IntArray, check_positive
from cosup.student._protocol import Fit, LinearHead

if TYPE_CHECKING:
    from cosup.student._softmax_solver import Solution

__all__ = ["LogisticProbe"]

GRID = np.logspace(1, -4, 11)
"""Candidate strengths from strong to weak, so that each solution starts the next."""

WEAKEST_AGREEMENT = 0.95
"""The strongest strength whose held-out agreement is at least this share of the best is taken."""

GRADIENT_NORM = 1e-4
"""Training stops when no entry of the gradient of the mean loss is larger (features of unit mean variance)."""


@dataclass(frozen=True)
class LogisticProbe:
    """A linear layer under a softmax, trained on hard or soft targets until no entry of the gradient exceeds 1e-4.

    See `cosup.student._softmax_solver` for how.

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
        from cosup.student._softmax_solver import second_moment  # imports torch, which takes a second

        self.probe = probe
        self.X = X
        self._mean = X.mean(axis=0, dtype=np.float64)
        Z = X - self._mean.astype(X.dtype)
        self._scale = max(float(np.sqrt(np.einsum("ij,ij->", Z, Z, dtype=np.float64) / Z.size)), 1e-6)
        self._Z = np.ascontiguousarray(Z / X.dtype.type(self._scale), dtype=np.float32)
        self._moment = second_moment(self._Z)

    def like(self, fit: Fit) -> LogisticTrainer:
        """The same: nothing is calibrated here."""
        return self

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
            for i, solution in enumerate(self.path(targets, members[kept], grid)):
                head = self._head(solution)
                held_out[i, members[held]] = head.predict_proba(self.X[members[held]])
                if outside.size:
                    held_out[i, outside] += head.predict_proba(self.X[outside]) / folds
        named = targets[members].argmax(axis=1)
        agreement = (held_out[:, members].argmax(axis=2) == named).mean(axis=1)
        best = int(np.flatnonzero(agreement >= WEAKEST_AGREEMENT * agreement.max())[0])
        solution = self.path(targets, members, grid[best : best + 1])[0]
        return LogisticFit(self._head(solution), float(grid[best]), held_out[best], solution.gradient_norm, self.X)

    def _head(self, solution: Solution) -> LinearHead:
        weight = solution.weight.astype(np.float64) / self._scale
        return LinearHead(weight, solution.bias - self._mean @ weight)

    def path(self, targets: FloatArray, rows: IntArray, strengths: FloatArray) -> list[Solution]:
        """Solutions on centred features of unit variance, each started from the one before."""
        from cosup.student._softmax_solver import SoftmaxProblem, solve_softmax

        whole = len(rows) == len(self._Z)
        problem = SoftmaxProblem(self._Z if whole else self._Z[rows], targets if whole else targets[rows], self._moment)
        found: list[Solution] = []
        for strength in strengths:
            before = found[-1] if found else None
            found.append(
                solve_softmax(
                    problem, float(strength), start=before, gradient_norm=GRADIENT_NORM, max_iter=self.probe.max_iter
                )
            )
        return found


@dataclass(frozen=True)
class LogisticFit:
    """What `LogisticTrainer.train` gives; see `cosup.student.Fit`."""

    head: LinearHead
    strength: float
    out_of_sample: FloatArray
    gradient_norm: float
    """Largest entry of the gradient where training ended; above `GRADIENT_NORM` if `max_iter` ended it."""
    _X: FloatArray
    takes_soft: bool = True

    @cached_property
    def in_sample(self) -> FloatArray:
        """Probabilities by the trained probe itself."""
        return self.head.predict_proba(self._X)
