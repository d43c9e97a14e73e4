"""One trainer for all losses: mini-batch Adam on linear heads side by side, and the rule that regularises them all.

Heads that differ in their L2 regularisation or in the samples that they may see stand side by side: a step on all of
them is two matrix products. So trying all penalties on a hold-out is one run for every number of steps and learning
rate, and training the final head together with the five that predict out of sample is another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, product
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import KFold

from cosup.baselines.objectives import Objective, Tensor, expected
from cosup.students import Head, LinearHead, average_heads
from cosup.students.held_out_choice import GRID, choose
from cosup.utils.row_blocks import blocks_of
from cosup.utils.validation import BoolArray, CosupError, FloatArray, IntArray

__all__ = ["SCHEDULES", "Blend", "EvidenceHead", "GradientFit", "fit_gradient", "run", "schedule"]

BATCH = 100
LEARNING_RATE = 0.1
"""Learning rate times the root of the number of features: with few, weights have further to go. 0.003 for 1,280."""

EPOCHS = 20
LEAST_STEPS = 300
"""Small samples are passed over more often, so that training ends near its solution."""

FOLDS = 5

SCHEDULES = tuple(sorted(product((1 / 16, 1 / 4, 1.0), (1 / 3, 1.0)), key=math.prod))
"""Candidates of a training's length and learning rate, as shares of the full number of steps and of the learning rate.
Stopping early regularises: the shortest path, steps times rate, comes first."""

LOOK_ROWS = 1000
LOOK_EVERY = 10
"""An objective that asks for it looks at so many samples, every so many steps. For all heads these are the same,
whatever they may train on: only marginals are taken from them."""


class Features:
    """Centred features of unit mean variance, float32, and the way back."""

    def __init__(self, X: FloatArray) -> None:
        self.mean = X.mean(axis=0, dtype=np.float64)
        Z = X - self.mean
        self.scale = max(float(np.sqrt((Z**2).mean())), 1e-6)
        self.Z: Tensor = torch.from_numpy(np.ascontiguousarray(Z / self.scale, dtype=np.float32))

    def head(self, weight: Tensor, bias: Tensor) -> LinearHead:
        """Return the head on raw features, float64."""
        w = weight.numpy().astype(np.float64) / self.scale
        return LinearHead(w, bias.numpy().astype(np.float64) - self.mean @ w)


@dataclass(frozen=True)
class Blend:
    """A convex combination of linear heads: the weighted mean of their probabilities."""

    heads: tuple[LinearHead, ...]
    weights: FloatArray

    def predict_proba(self, X: FloatArray) -> FloatArray:
        """Predict class probabilities, (n_samples, n_classes)."""
        out = np.zeros((len(X), len(self.heads[0].bias)))
        for head, weight in zip(self.heads, self.weights, strict=True):
            out += weight * head.predict_proba(X)
        return out


@dataclass(frozen=True)
class EvidenceHead:
    """A linear layer whose exponential is evidence: probabilities are the mean of the Dirichlet distribution."""

    linear: LinearHead

    def predict_proba(self, X: FloatArray) -> FloatArray:
        """Predict class probabilities, (n_samples, n_classes)."""
        return expected(self.linear.logits(X))


@dataclass(frozen=True)
class GradientFit:
    """Hold the outcome of `fit_gradient`; see `cosup.students.Fit`.

    Attributes
    ----------
    head : Head
    alpha : float
        L2 penalty in units of the features' mean variance, as for `LogisticProbe`.
    setting : float
        The value of the objective's hyperparameter; NaN where it has none.
    schedule : tuple of float
        Shares of the full number of steps and of the learning rate, one of `SCHEDULES`.
    out_of_sample : ndarray of shape (n_samples, n_classes)
        Predictions by the heads of five folds.
    learned : ndarray or None
        Parameters that the objective learned beside the head (weights of teachers, of components).
    """

    head: Head
    alpha: float
    setting: float
    schedule: tuple[float, float]
    out_of_sample: FloatArray
    learned: FloatArray | None
    _X: FloatArray
    takes_soft: bool = True

    @property
    def described(self) -> str:
        """Describe in words what was chosen."""
        steps, rate = self.schedule
        return f"trained for {steps:.2g} of the full steps at {rate:.2g} of the learning rate, L2 {self.alpha:g}"

    @cached_property
    def in_sample(self) -> FloatArray:
        """Probabilities by the trained head itself."""
        return self.head.predict_proba(self._X)

    def blocks(self, out_of_sample: bool, rows_per_block: int | None = None) -> Iterator[tuple[slice, FloatArray]]:
        """See `cosup.students.Fit.blocks`."""
        return blocks_of(self.out_of_sample if out_of_sample else self.in_sample, rows_per_block)


def schedule(n: int, epochs: int = EPOCHS) -> tuple[int, int]:
    """Choose the batches an epoch and the epochs of a training on `n` samples."""
    batches = max(1, round(n / BATCH))
    return batches, max(epochs, -(-LEAST_STEPS // batches))


def _batches(n: int, number: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield mini-batches of `n` samples without end, `number` an epoch."""
    while True:
        yield from torch.randperm(n, generator=generator).chunk(number)


def run(
    objective: Objective, Z: Tensor, targets: Tensor, present: Tensor, alphas: FloatArray, *, seed: int,
    epochs: int = EPOCHS, shares: tuple[float, float] = (1.0, 1.0), width: int = 1,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Train heads side by side by Adam, the learning rate falling as a cosine to zero.

    Parameters
    ----------
    objective : Objective
    Z : Tensor of shape (n, n_features), float32
    targets : Tensor of shape (n, ...)
    present : Tensor of shape (n, H), float32
        Weight of every sample for every head; 0: the head does not see it.
    alphas : ndarray of shape (H,)
    seed : int
    epochs : int
    shares : tuple of float
        Shares of the steps of these epochs, and of the learning rate.
    width : int
        Components a head.

    Returns
    -------
    weight, bias : Tensor of shape (H, width, n_features, C) and (H, width, C)
    """
    n, d = Z.shape
    n_heads, n_classes = present.shape[1], targets.shape[-1]
    generator = torch.Generator().manual_seed(seed)
    shape = (n_heads, width, n_classes)
    weight = torch.zeros(d, math.prod(shape))
    if width > 1:
        # Components that start alike would stay alike. All heads start from the same components.
        one = torch.empty(d, 1, width, n_classes).uniform_(-(d**-0.5), d**-0.5, generator=generator)
        weight = one.expand(d, *shape).reshape(d, -1).clone()
    weight.requires_grad_()
    bias = torch.zeros(math.prod(shape), requires_grad=True)
    # A component gets a share of the gradient, and so of the penalty.
    penalty = torch.tensor(alphas / width, dtype=torch.float32).repeat_interleave(width * n_classes)

    batches, epochs = schedule(n, epochs)
    steps, rate = max(1, round(shares[0] * batches * epochs)), shares[1] * LEARNING_RATE
    groups = [{"params": [weight, bias], "top": rate / math.sqrt(d)}]
    own = objective.begin(n_heads, width, targets)
    if own:
        groups.append({"params": own, "top": rate / math.sqrt(objective.fan_in or d)})
    optimiser = torch.optim.Adam(groups, lr=rate, fused=True)
    look = torch.randperm(n, generator=generator)[:LOOK_ROWS]
    for done, rows in enumerate(islice(_batches(n, batches, generator), steps)):
        if objective.looks_ahead and done % LOOK_EVERY == 0:
            with torch.no_grad():
                objective.look(torch.addmm(bias, Z[look], weight).view(-1, *shape), targets[look])
        for group in optimiser.param_groups:
            group["lr"] = group["top"] * 0.5 * (1.0 + math.cos(math.pi * done / steps))
        optimiser.zero_grad(set_to_none=False)
        logits = torch.addmm(bias, Z[rows], weight).view(-1, *shape)
        here = present[rows]
        each = objective.loss(logits, targets[rows], here, done / steps)
        loss = ((each * here).sum(0) / here.sum(0).clamp(min=1e-9)).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        assert weight.grad is not None
        weight.grad.addcmul_(weight.detach(), penalty)
        optimiser.step()
        objective.after_step()
    out = weight.detach().view(d, *shape).permute(1, 2, 0, 3)
    return out.contiguous(), bias.detach().view(*shape)


def fit_gradient(
    objective: Callable[[], Objective], X: FloatArray, targets: FloatArray, kept: BoolArray,
    posterior: Callable[[], FloatArray], *, seed: int, alpha: float | None = None, weights: FloatArray | None = None,
    width: int = 1, fold_width: int = 1, epochs: int = EPOCHS,
) -> GradientFit:  # fmt: skip
    """Choose regularisation, steps and learning rate, then train the final head and five that predict out of sample.

    Parameters
    ----------
    objective : callable
        Makes the objective of one run.
    X : ndarray of shape (n_samples, n_features)
    targets : ndarray of shape (n_samples, ..., n_classes)
    kept : ndarray of shape (n_samples,), bool
        Samples that may be trained on.
    posterior : callable
        Computes class probabilities of all samples, (n_samples, n_classes), by which `choose` chooses.
    seed : int
    alpha : float, optional
        None: by `choose`, together with the training's length and learning rate (`SCHEDULES`) and the objective's
        hyperparameter where it has one. A number: trained in full, and only the hyperparameter is chosen.
    weights : ndarray of shape (n_samples,), optional
        Weights of the samples.
    width, fold_width : int
        Components of the final head, and of those that choose the regularisation and predict out of sample.
    epochs : int
        Those of a training in full.

    Returns
    -------
    GradientFit

    Raises
    ------
    CosupError
        With fewer samples than folds.
    """
    rows = np.flatnonzero(kept)
    if len(rows) < FOLDS:
        raise CosupError(f"this method cross-fits in {FOLDS} folds and needs as many samples, got {len(rows)}")
    features = Features(X)
    Z = features.Z[torch.from_numpy(rows)]
    T = torch.from_numpy(np.ascontiguousarray(targets[rows], dtype=np.float32))
    weight = np.ones(len(rows)) if weights is None else weights[rows]

    def predictions(tried: FloatArray, sees: BoolArray) -> IntArray:
        out = np.empty((len(tried), len(rows)), dtype=np.int64)
        for shares in np.unique(tried[:, 2:], axis=0):
            these = np.flatnonzero((tried[:, 2:] == shares).all(axis=1))
            seen = torch.from_numpy((sees * weight[:, None]).astype(np.float32).repeat(len(these), axis=1))
            made = objective()
            made.set_hyperparameter(tried[these, 0])
            trained = run(
                made, Z, T, seen, tried[these, 1], seed=seed, epochs=epochs, shares=tuple(shares), width=fold_width
            )
            out[these] = _probabilities(Z, *trained, made).argmax(axis=2)
        return out

    hyperparameter = objective().hyperparameter or (math.nan,)
    penalties, schedules = (GRID, SCHEDULES) if alpha is None else ([alpha], ((1.0, 1.0),))
    # The shortest training first, then the strongest penalty.
    candidates = np.array(
        [(own, penalty, *shares) for shares, own, penalty in product(schedules, hyperparameter, penalties)]
    )
    chosen = candidates[0] if len(candidates) == 1 else choose(predictions, posterior()[rows], seed, candidates)
    setting, alpha = map(float, chosen[:2])
    shares = (float(chosen[2]), float(chosen[3]))

    how: dict[str, Any] = {"seed": seed, "epochs": epochs, "shares": shares}
    folds = list(KFold(FOLDS, shuffle=True, random_state=seed).split(rows))
    sees = np.ones((len(rows), FOLDS))
    for fold, (_, held) in enumerate(folds):
        sees[held, fold] = 0.0
    final, parts = objective(), objective()
    final.set_hyperparameter(np.array([setting]))
    parts.set_hyperparameter(np.array([setting]))
    whole = np.ones((len(rows), 1))
    if width == fold_width:
        # The final head is trained together with the folds'.
        parts = final
        sees = np.hstack([sees, whole])
    seen = torch.from_numpy((sees * weight[:, None]).astype(np.float32))
    trained = run(parts, Z, T, seen, np.full(seen.shape[1], alpha), **how, width=fold_width)
    held_out = _probabilities(features.Z, *trained, parts)
    out = held_out[:FOLDS].mean(axis=0)
    for fold, (_, held) in enumerate(folds):
        out[rows[held]] = held_out[fold, rows[held]]
    if width != fold_width:
        seen = torch.from_numpy((whole * weight[:, None]).astype(np.float32))
        trained = run(final, Z, T, seen, np.array([alpha]), **how, width=width)
    learned = final.learned()
    head = _head(features, trained[0][-1], trained[1][-1], final)
    return GradientFit(head, alpha, setting, shares, out, None if learned is None else learned[-1], X)


def _head(features: Features, weight: Tensor, bias: Tensor, objective: Objective) -> Head:
    heads = tuple(features.head(w, b) for w, b in zip(weight, bias, strict=True))
    mix = objective.mixture(len(heads))
    if mix is not None:
        return Blend(heads, mix[-1])
    head = average_heads(heads)
    if objective.gives_evidence:
        assert isinstance(head, LinearHead)
        return EvidenceHead(head)
    return head


def _probabilities(Z: Tensor, weight: Tensor, bias: Tensor, objective: Objective) -> FloatArray:
    """Predict all samples by all heads, (H, n, C) float64, with the probabilities of `_head`."""
    n_heads, width, d, n_classes = weight.shape
    mix = objective.mixture(width)
    out = np.empty((n_heads, len(Z), n_classes))
    for h in range(n_heads):
        flat = weight[h].permute(1, 0, 2).reshape(d, -1)
        logits = torch.addmm(bias[h].flatten(), Z, flat).view(-1, width, n_classes).double()
        if mix is not None:
            out[h] = np.einsum("nkc,k->nc", torch.softmax(logits, dim=2).numpy(), mix[h])
        elif objective.gives_evidence:
            out[h] = expected(logits.mean(1).numpy())
        else:
            out[h] = torch.softmax(logits.mean(1), dim=1).numpy()
    return out
