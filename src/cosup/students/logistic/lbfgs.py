"""Multinomial logistic regression to a stated gradient norm: L-BFGS in the metric of the features' second moments.

The Hessian of the mean cross-entropy is bounded by a Kronecker product of ``X'X / n`` with a matrix over classes
(Boehning 1992, *Multinomial logistic regression algorithm*). Taken as the metric in which L-BFGS starts
(``curvature * X'X / n + penalty``, inverted once), it removes the spread of the features' spectrum, which is
what makes plain L-BFGS slow. The loss along a direction needs no product with the features: the logits move on a
line. So a step costs two products, however many lengths the line search tries. Far from the end these are in bfloat16
where the processor multiplies it natively; the end is in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from cosup.utils.matmul import linear_into
from cosup.utils.validation import FloatArray, IntArray

__all__ = ["SoftmaxProblem", "Solution", "solve_softmax"]

MEMORY = 6
"""Pairs of steps and gradient differences that L-BFGS keeps."""

ENOUGH_ROWS = 6
"""The metric is estimated from at most this many samples a feature: more would cost more than they bring."""

SLOPE = 0.3
"""The line search ends where the slope is at most this share of the slope at its start."""

LINE_STEPS = 12

ROUGH, NOISE, ROUGH_STEPS = 1.5, 0.03, 30
"""bfloat16 does while the gradient is over `ROUGH` times the norm to reach, and over what its own errors make of it:
`NOISE` times the residuals' root mean square over that of the number of samples, a few times the largest that was seen.
After so many steps it ends in any case."""

ROUGH_ROWS, ROUGH_WORK = 4096, 1 << 27
"""Samples, and samples times features times classes, from which bfloat16 is used: small products gain nothing."""

Tensor = torch.Tensor


@dataclass(frozen=True)
class Solution:
    """Where training ended.

    Attributes
    ----------
    weight : ndarray of shape (n_features, n_classes), float32
    bias : ndarray of shape (n_classes,), float32
    gradient_norm : float
        Largest entry of the gradient of the mean loss plus penalty, in magnitude.
    iterations : int
    """

    weight: FloatArray
    bias: FloatArray
    gradient_norm: float
    iterations: int


def second_moment(Z: FloatArray) -> Tensor:
    """Compute ``Z'Z / n`` of some of the rows, evenly spaced, (n_features, n_features)."""
    step = max(1, len(Z) // (ENOUGH_ROWS * Z.shape[1]))
    part = np.ascontiguousarray(Z[::step])
    return torch.from_numpy(part.T @ part / np.float32(len(part)))  # NumPy computes half of a symmetric product


class SoftmaxProblem:
    """Features and targets of one training.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_features), float32
        Centred features of unit mean variance: the gradient norm that ends the training then has one meaning.
    targets : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Class ids, or probabilities.
    n_classes : int
    moment : Tensor of shape (n_features, n_features)
        See `second_moment`.
    """

    def __init__(self, Z: FloatArray, targets: FloatArray | IntArray, n_classes: int, moment: Tensor) -> None:
        self.Z = torch.from_numpy(np.ascontiguousarray(Z, dtype=np.float32))
        self.moment = moment
        self.n, self.n_classes = len(targets), n_classes
        self._flat: Tensor | None = None
        self._targets: Tensor | None = None
        if targets.ndim == 1:
            self.prior = torch.from_numpy(np.bincount(targets, minlength=n_classes) / self.n).float()
            self._flat = torch.from_numpy(targets + np.arange(self.n) * n_classes)
            self._minus = torch.full((self.n,), -1.0)
        else:
            self.prior = torch.from_numpy(targets.mean(axis=0, dtype=np.float64)).float()
            self._targets = torch.from_numpy(np.ascontiguousarray(targets, dtype=np.float32))
            self._mass = self._targets.sum(dim=1, keepdim=True)
        self._linear = linear_into("cpu", self.Z.numel() * self.n_classes)
        self._out = torch.empty(self.n, self.n_classes)
        self._gradient = torch.empty(self.n_classes, self.Z.shape[1])
        work = self.Z.numel() * n_classes
        fast = self.n >= ROUGH_ROWS and work >= ROUGH_WORK and _multiplies_bfloat16()
        self.half = self.Z.bfloat16() if fast else None

    def logits(self, packed: Tensor, rough: bool) -> Tensor:
        """Compute ``Z @ weight.T + bias``, which the next call may overwrite; roughly, by `half`."""
        weight, bias = packed[:, :-1].contiguous(), packed[:, -1].contiguous()
        if rough:
            assert self.half is not None
            return (self.half @ weight.bfloat16().T).float().add_(bias)
        return self._linear(self.Z, weight, bias, self._out)

    def residual(self, logits: Tensor, out: Tensor) -> Tensor:
        """Subtract targets from probabilities, in `out`."""
        torch._softmax(logits, 1, False, out=out)
        if self._flat is not None:
            out.view(-1).scatter_add_(0, self._flat, self._minus)
        else:
            assert self._targets is not None
            out.mul_(self._mass).sub_(self._targets)
        return out

    def curvature(self, logits: Tensor, scratch: Tensor) -> float:
        """Average ``p (1 - p)`` over samples and classes: one measure of the loss's curvature for all classes."""
        p = torch._softmax(logits, 1, False, out=scratch)
        return max((1.0 - _dot(p, p) / self.n) / self.n_classes, 1e-6)

    def gradient(self, residual: Tensor, packed: Tensor, penalty: float, rough: bool) -> Tensor:
        """Compute the gradient of loss plus penalty, (n_classes, n_features + 1), the bias's in the last column."""
        if rough:
            assert self.half is not None
            found = (residual.bfloat16().T @ self.half).float().div_(self.n)
        else:
            found = self._linear(residual.T, self.Z.T, None, self._gradient).div(self.n)
        found.add_(packed[:, :-1], alpha=penalty)
        return torch.cat([found, residual.mean(dim=0)[:, None]], dim=1)


def _multiplies_bfloat16() -> bool:
    """Tell whether the processor has instructions for it, as this build of torch knows it; else it is emulated."""
    asked = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(ask() for ask in asked if ask is not None)


def solve_softmax(
    problem: SoftmaxProblem, penalty: float, *, start: Solution | None, gradient_norm: float, max_iter: int
) -> Solution:
    """Minimise the mean cross-entropy plus ``penalty / 2`` times the squared weights (not the bias).

    Parameters
    ----------
    problem : SoftmaxProblem
    penalty : float
    start : Solution or None
        The solution of a similar problem, say with another penalty. None starts at the classes' shares.
    gradient_norm : float
        Training ends when no entry of the gradient is larger, or when float32 can not tell a better point.
    max_iter : int

    Returns
    -------
    Solution
    """
    d = problem.Z.shape[1]
    with torch.no_grad():
        packed = torch.zeros(problem.n_classes, d + 1)
        rough, stuck, length = problem.half is not None, False, 1.0
        if start is None:
            packed[:, d] = problem.prior.clamp_min(1e-6).log()
            packed[:, d] -= packed[:, d].mean()
            logits = packed[:, d].repeat(problem.n, 1)
        else:
            packed[:, :d] = torch.from_numpy(np.ascontiguousarray(start.weight.T))
            packed[:, d] = torch.from_numpy(start.bias)
            logits = problem.logits(packed, rough).clone()
        residual, trial = torch.empty_like(logits), torch.empty_like(logits)
        prior = float((problem.prior * (1.0 - problem.prior)).mean())
        metric = _Metric(problem.moment, penalty, max(prior, 1e-6))
        gradient = problem.gradient(problem.residual(logits, residual), packed, penalty, rough)
        pairs: list[tuple[Tensor, Tensor, float]] = []
        size, iterations = float(gradient.abs().max()), 0
        noise = NOISE * float(residual.norm()) / (problem.n * problem.n_classes**0.5)
        while True:
            if rough and (stuck or iterations >= ROUGH_STEPS or size <= max(ROUGH * gradient_norm, noise)):
                rough = stuck = False
                logits = problem.logits(packed, rough).clone()
                gradient = problem.gradient(problem.residual(logits, residual), packed, penalty, rough)
                size = float(gradient.abs().max())
            if stuck or size <= gradient_norm or iterations >= max_iter:
                break
            if iterations == 1 and start is None and d * d <= problem.n * problem.n_classes:
                # Away from equal scores the loss bends less, and the next steps change that little. It costs a step.
                metric = _Metric(problem.moment, penalty, problem.curvature(logits, trial))
            direction = _direction(gradient, pairs, metric)
            slope = _dot(gradient, direction)
            found = 0.0
            if slope < 0:
                moved = problem.logits(direction, rough)
                line = _Line(problem, logits, moved, residual, trial)
                found = _line_search(line, _curve(packed, direction, penalty), slope, length)
            if found == 0:
                # The curvature gathered so far may mislead: try once more without it.
                stuck, pairs = not pairs, []
                continue
            length = found  # lengths change little: the metric is too long or too short by about the same everywhere
            logits, trial = trial, logits
            step = direction * length
            packed = packed + step
            after = problem.gradient(residual, packed, penalty, rough)
            change = after - gradient
            inner = _dot(step, change)
            if inner > 0:
                pairs = [*pairs[-MEMORY + 1 :], (step, change, 1.0 / inner)]
            gradient, size, iterations = after, float(after.abs().max()), iterations + 1
        return Solution(packed[:, :d].T.contiguous().numpy(), packed[:, d].clone().numpy(), size, iterations)


class _Metric:
    """The inverse of ``curvature * moment + penalty``.

    Inverted beforehand: a product a step takes a tenth of the time of two triangular solves.
    """

    def __init__(self, moment: Tensor, penalty: float, curvature: float) -> None:
        ridge = max(penalty, 1e-6) * torch.eye(len(moment))
        self._inverse = torch.cholesky_inverse(torch.linalg.cholesky(curvature * moment + ridge))
        self._curvature = curvature

    def __call__(self, gradient: Tensor) -> Tensor:
        """Solve for a step, (n_classes, n_features + 1), the bias's in the last column."""
        return torch.cat([gradient[:, :-1] @ self._inverse, gradient[:, -1:] / self._curvature], dim=1)


def _dot(a: Tensor, b: Tensor) -> float:
    """Multiply matrices entry by entry and sum: rows in float32, their sum in float64, without an array of products."""
    return float(np.einsum("ij,ij->i", a.numpy(), b.numpy()).sum(dtype=np.float64))


def _direction(gradient: Tensor, pairs: list[tuple[Tensor, Tensor, float]], metric: _Metric) -> Tensor:
    """Find a direction by L-BFGS's two loops (Nocedal & Wright 2006, algorithm 7.4) around `metric`."""
    q = gradient.clone()
    shares = []
    for step, change, inverse in reversed(pairs):
        share = inverse * _dot(step, q)
        q.sub_(change, alpha=share)
        shares.append(share)
    out = metric(q)
    for (step, change, inverse), share in zip(pairs, reversed(shares), strict=True):
        out.add_(step, alpha=share - inverse * _dot(change, out))
    return out.neg_()


@dataclass(frozen=True)
class _Line:
    """The loss along a direction; `residual` and `trial` are written at every point that is looked at."""

    problem: SoftmaxProblem
    logits: Tensor
    moved: Tensor
    residual: Tensor
    trial: Tensor

    def slope(self, length: float) -> float:
        """Compute the slope of the loss without its penalty, at a length."""
        torch.add(self.logits, self.moved, alpha=length, out=self.trial)
        self.problem.residual(self.trial, self.residual)
        return _dot(self.residual, self.moved) / self.problem.n


def _curve(packed: Tensor, direction: Tensor, penalty: float) -> Callable[[float], float]:
    """Compute the slope of the penalty along a direction."""
    d = direction.shape[1] - 1
    own, both = _dot(direction[:, :d], direction[:, :d]), _dot(packed[:, :d], direction[:, :d])
    return lambda length: penalty * (both + length * own)


def _line_search(line: _Line, penalty_slope: Callable[[float], float], slope: float, length: float) -> float:
    """Find a length at which the slope has fallen enough; the line's `trial` and `residual` are then of the new point.

    `length` is tried first.
    The loss is convex, so the sign of the slope says on which side the minimum is, and slopes are known to more
    digits than differences of losses. 0 where the slope never falls: float32 sees no better point.
    """
    low, at_low, high, at_high = 0.0, slope, np.inf, 0.0
    for _ in range(LINE_STEPS):
        here = line.slope(length) + penalty_slope(length)
        if abs(here) <= SLOPE * abs(slope):
            return length
        if here > 0:
            high, at_high = length, here
        else:
            low, at_low = length, here
        if np.isinf(high):
            length *= 2.0
        else:
            # The secant's zero, kept off the ends of the bracket.
            length = low + (high - low) * min(max(at_low / (at_low - at_high), 0.1), 0.9)
    if low == 0:
        return 0.0
    line.slope(low)
    return low
