"""Logistic probe: multinomial cross-entropy with an L2 penalty, trained to convergence and cross-fitted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cosup.students.cross_fitting import CrossFit, check_folds, fold_of, folds_of
from cosup.students.heads import LinearHead
from cosup.students.held_out_choice import strongest
from cosup.students.protocol import BlockFit, CheckedTrainer, Fit
from cosup.students.targets import Targets
from cosup.utils.row_blocks import BLOCK_BYTES, column_means, predicted, row_blocks, widen
from cosup.utils.validation import FloatArray, IntArray, check_positive

if TYPE_CHECKING:
    from cosup.students.logistic.lbfgs import Solution

__all__ = ["LogisticProbe"]

GRID = np.logspace(1, -4, 11)
"""Candidate alphas from strong to weak, so that each solution starts the next."""

GRADIENT_NORM = 1e-4
"""Largest entry of the mean loss's gradient at which training stops (features of unit mean variance)."""


@dataclass(frozen=True)
class LogisticProbe:
    """A linear layer under a softmax, trained on hard or soft targets until no entry of the gradient exceeds 1e-4.

    See `cosup.students.logistic.lbfgs` for how.

    Parameters
    ----------
    alpha : float, optional
        L2 penalty in units of the features' mean variance. None chooses it without truth: the strongest whose
        cross-fitted agreement with the teacher is at least 95 % of the best. The best itself would reward imitating
        the teacher's predictable mistakes.
    folds : int
        Folds of the cross-fitting that gives out-of-sample predictions and chooses the regularisation.
    max_iter : int
        L-BFGS iterations a training.
    """

    alpha: float | None = None
    folds: int = 5
    max_iter: int = 200

    def __post_init__(self) -> None:
        if self.alpha is not None:
            check_positive(self.alpha, "alpha of LogisticProbe")
        check_folds(self.folds, "LogisticProbe")
        check_positive(self.max_iter, "max_iter of LogisticProbe", integer=True)

    def prepare(self, X: FloatArray) -> LogisticTrainer:
        """Tie the recipe to features (n_samples, n_features)."""
        return LogisticTrainer(self, X)

    def peak_bytes(self, X: Any, n_classes: int) -> int:
        """Count bytes at the most, beside features and targets; see `cosup.students.peak_bytes`."""
        n, d = (int(length) for length in X.shape)
        heads = 8 * len(GRID) * self.folds * d * n_classes
        return 10 * n * d + 4 * d * d + 22 * n * n_classes + 80 * d * n_classes + heads + 4 * BLOCK_BYTES


class LogisticTrainer(CheckedTrainer["LogisticFit"]):
    """A `LogisticProbe` tied to features."""

    def __init__(self, probe: LogisticProbe, X: FloatArray) -> None:
        from cosup.students.logistic.lbfgs import second_moment  # imports torch, which takes a second

        self.probe = probe
        self.X = X
        self._near: LogisticFit | None = None
        self._mean = column_means(X)
        # In float32 whatever the features are: the solver goes over them dozens of times.
        self._Z = np.empty(X.shape, dtype=np.float32)
        total = 0.0
        for rows in row_blocks(len(X), X.shape[1]):
            part = widen(X[rows])
            np.subtract(part, self._mean.astype(part.dtype), out=self._Z[rows], casting="same_kind")
            total += float(np.einsum("ij,ij->", self._Z[rows], self._Z[rows], dtype=np.float64))
        self._scale = max(float(np.sqrt(total / X.size)), 1e-6)
        self._Z /= np.float32(self._scale)
        self._moment = second_moment(self._Z)

    def like(self, fit: Fit) -> LogisticTrainer:
        """Return a trainer that starts where `fit` ended: the next level's solution is near."""
        if not isinstance(fit, LogisticFit):
            return self
        other = copy(self)
        other._near = fit
        return other

    @property
    def n_samples(self) -> int:
        """Number of prepared samples."""
        return len(self.X)

    def fit(self, targets: Targets, random_state: int, alpha: float | None) -> LogisticFit:
        """Choose the regularisation by cross-fitting, then train on all; see `cosup.students.Trainer`."""
        alpha = self.probe.alpha if alpha is None else alpha
        grid = GRID if alpha is None else np.array([alpha])
        named = targets.predicted_class(slice(None))
        right = np.zeros(len(grid))
        found: list[list[Solution]] = []
        held: list[IntArray] = []
        for kept, left_out in folds_of(targets.members, self.probe.folds, random_state):
            # Four folds in five are the same samples: the fold before ended near where this one will.
            found.append(self.path(targets, kept, grid, found[-1] if found else self._starts(grid, targets.n_classes)))
            held.append(left_out)
            if len(grid) > 1:
                for i, solution in enumerate(found[-1]):
                    p = self._head(solution).predict_proba(self.X[left_out])
                    right[i] += (p.argmax(axis=1) == named[left_out]).sum()
        best = strongest(right / len(targets.members))
        solution = self.path(targets, targets.members, grid[best : best + 1], [_mean([f[best] for f in found])])[0]
        heads = tuple(self._head(f[best]) for f in found)
        iterations = solution.iterations + sum(f.iterations for fold in found for f in fold)
        cross = CrossFit(heads, fold_of(held, len(self.X)), targets.n_classes)
        return LogisticFit(
            self._head(solution), float(grid[best]), solution.gradient_norm, iterations, solution, cross, self.X
        )

    def _starts(self, grid: FloatArray, n_classes: int) -> list[Solution | None]:
        """Start the path where the fit of `like` ended, at its regularisation."""
        near = self._near
        usable = near is not None and len(near.head.bias) == n_classes
        return [near._solution if usable and near is not None and s == near.alpha else None for s in grid]

    def _head(self, solution: Solution) -> LinearHead:
        weight = solution.weight.astype(np.float64) / self._scale
        return LinearHead(weight, solution.bias - self._mean @ weight)

    def path(
        self, targets: Targets, rows: IntArray, alphas: FloatArray, starts: Sequence[Solution | None]
    ) -> list[Solution]:
        """Return solutions on centred features of unit variance, each started from its own start or the one before."""
        from cosup.students.logistic.lbfgs import SoftmaxProblem, solve_softmax

        whole = len(rows) == len(self._Z)
        some = slice(None) if whole else rows
        given = targets.dense(some) if targets.ids is None else targets.ids[some]
        problem = SoftmaxProblem(self._Z[some], given, targets.n_classes, self._moment)
        found: list[Solution] = []
        for alpha, start in zip(alphas, starts, strict=True):
            before = found[-1] if found and start is None else start
            found.append(
                solve_softmax(
                    problem, float(alpha), start=before, gradient_norm=GRADIENT_NORM, max_iter=self.probe.max_iter
                )
            )
        return found


def _mean(solutions: Sequence[Solution]) -> Solution:
    """Average solutions, for a start between them."""
    weight = np.mean([s.weight for s in solutions], axis=0)
    return replace(solutions[0], weight=weight, bias=np.mean([s.bias for s in solutions], axis=0))


@dataclass(frozen=True)
class LogisticFit(BlockFit):
    """The outcome of `LogisticTrainer.train`; see `cosup.students.Fit`."""

    head: LinearHead
    alpha: float
    gradient_norm: float
    """Largest entry of the gradient where training ended; above `GRADIENT_NORM` if `max_iter` ended it."""
    iterations: int
    """L-BFGS steps of all trainings that led here."""
    _solution: Solution
    _folds: CrossFit
    _X: FloatArray
    takes_soft: bool = True

    def blocks(self, out_of_sample: bool, rows_per_block: int | None = None) -> Iterator[tuple[slice, FloatArray]]:
        """Predict by the trained probe itself, or cross-fitted; see `cosup.students.Fit.blocks`."""
        if out_of_sample:
            return self._folds.blocks(self._X, rows_per_block)
        return predicted(self.head.predict_proba, self._X, len(self.head.bias), rows_per_block)
