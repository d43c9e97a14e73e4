"""Small nets trained side by side by mini-batch Adam: they differ in regularisation or in the samples left out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from cosup.students.thresholds import hardened, matching_offsets
from cosup.utils.validation import FloatArray, IntArray

__all__ = ["Net", "Plan", "Shape", "train_nets"]

Tensor = torch.Tensor

LEAST_STEPS = 150
"""Small samples are passed over more often, so that training ends near its solution."""

LOOK_ROWS, LOOK_EVERY = 500, 20
"""Samples that set the thresholds of the confidence loss, and steps after which they set them anew. Marginals only."""

ALPHA, WARMUP = 0.75, 0.2
"""Final weight of the student's predictions in the confidence loss, and the share of training over which it rises."""

FLOOR = 0.01
"""Share of the uniform distribution in the targets of the reverse KL divergence, where a zero costs infinitely much."""


@dataclass(frozen=True)
class Shape:
    """Layers of a net: without hidden units a linear layer, with them two; several heads are mixed.

    Attributes
    ----------
    hidden : int
        ReLU units; 0: none.
    heads : int
        Softmax heads whose probabilities are mixed.
    gated : bool
        Whether the shares of the heads depend on the sample.
    """

    hidden: int = 0
    heads: int = 1
    gated: bool = False


@dataclass(frozen=True)
class Plan:
    """Settings by which nets are trained: see `cosup.students.MlpProbe`."""

    loss: str
    learning_rate: float
    epochs: int
    batch_size: int


@dataclass(frozen=True)
class Net:
    """Weights of one net, float32: layers (d, width) and (width,), the last one with an axis for heads in front."""

    first: tuple[FloatArray, FloatArray] | None
    last: tuple[FloatArray, FloatArray]
    gate: tuple[FloatArray, FloatArray]


class _Nets:
    """Parameters of H nets of one shape, and their log probabilities."""

    def __init__(self, shape: Shape, n_nets: int, d: int, c: int, generator: torch.Generator) -> None:
        self.shape, self.n_nets, self.c = shape, n_nets, c
        width = shape.hidden or d

        def layer(fan_in: int, *out: int) -> list[Tensor]:
            # PyTorch's default; all nets start from the same weights. Weights without symmetry to break start at zero.
            bound = fan_in**-0.5 if shape.hidden or shape.heads > 1 else 0.0
            made = [torch.empty(*size).uniform_(-bound, bound, generator=generator) for size in ((fan_in, *out), out)]
            return [
                made[0].unsqueeze(1).expand(fan_in, n_nets, *out).clone().requires_grad_(),
                made[1].expand(n_nets, *out).clone().requires_grad_(),
            ]

        self.first = layer(d, shape.hidden) if shape.hidden else []
        # (width, H, heads, c); of nets with hidden units every net has inputs of its own.
        self.last = layer(width, shape.heads, c)
        self.gate = [torch.zeros(d, n_nets, shape.heads), torch.zeros(n_nets, shape.heads)] if shape.heads > 1 else []
        for parameter in self.gate if shape.gated else self.gate[1:]:
            parameter.requires_grad_()

    def parameters(self) -> list[Tensor]:
        return [p for p in (*self.first, *self.last, *self.gate) if p.requires_grad]

    def decay(self, penalty: Tensor) -> None:
        """Add an L2 penalty (H,) to the gradients of the weights."""
        for layer in (self.first, self.last, self.gate):
            if not layer or layer[0].grad is None:
                continue
            # A head of several gets a share of the gradient, and so of the penalty.
            share = self.shape.heads if layer is not self.first else 1
            layer[0].grad.addcmul_(layer[0].detach(), (penalty / share).view(1, -1, *[1] * (layer[0].ndim - 2)))

    def log_p(self, Z: Tensor) -> Tensor:
        """Compute log-probabilities, (B, H, C)."""
        n, (weight, bias) = len(Z), self.last
        if self.first:
            inner = torch.relu(_linear(Z, *self.first)).transpose(0, 1)  # (H, B, hidden)
            flat = weight.flatten(2).transpose(0, 1)  # (H, hidden, heads * c)
            logits = torch.baddbmm(bias.flatten(1)[:, None], inner, flat).transpose(0, 1)
        else:
            logits = _linear(Z, weight, bias)
        each = torch.log_softmax(logits.reshape(n, self.n_nets, self.shape.heads, self.c), dim=3)
        if not self.gate:
            return each[:, :, 0]
        shares = _linear(Z, *self.gate) if self.shape.gated else self.gate[1].expand(n, -1, -1)
        return torch.logsumexp(each + torch.log_softmax(shares, dim=2)[..., None], dim=2)

    def net(self, h: int) -> Net:
        def arrays(layer: list[Tensor]) -> tuple[FloatArray, FloatArray]:
            return layer[0].detach()[:, h].numpy().copy(), layer[1].detach()[h].numpy().copy()

        weight, bias = arrays(self.last)
        gate = arrays(self.gate) if self.gate else (torch.zeros(0).numpy(), torch.zeros(1).numpy())
        return Net(arrays(self.first) if self.first else None, (weight.swapaxes(0, 1), bias), gate)


def _linear(Z: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Compute ``Z @ weight + bias`` for weight (d, ...) and bias (...): (B, ...)."""
    return torch.addmm(bias.flatten(), Z, weight.flatten(1)).view(len(Z), *bias.shape)


class _Loss:
    """Loss of every sample and net, (B, H), of log probabilities (B, H, C) and targets (B, C)."""

    def __init__(self, kind: str, shares: Tensor) -> None:
        self.kind, self.shares = kind, shares
        self.offsets: Tensor | None = None

    def look(self, log_p: Tensor) -> None:
        self.offsets = matching_offsets(log_p, self.shares)

    def __call__(self, log_p: Tensor, q: Tensor, progress: float) -> Tensor:
        target = q[:, None]
        if self.kind == "squared":
            return (log_p.exp() - target).square().sum(2)
        if self.kind == "reverse-kl":
            floored = (1.0 - FLOOR) * target + FLOOR / q.shape[1]
            return (log_p.exp() * (log_p - floored.log())).sum(2)
        if self.kind == "confidence":
            assert self.offsets is not None
            a = ALPHA * min(1.0, progress / WARMUP)
            target = (1.0 - a) * target + a * hardened(log_p.detach(), self.offsets)
        return -(target * log_p).sum(2)


@dataclass(frozen=True)
class Examples:
    """Samples that nets are trained on.

    Attributes
    ----------
    features, targets : callable
        Functions of samples' positions: centred features of unit mean variance, float32 (n, d); probabilities (n, c).
    members : ndarray of shape (n_members,)
        Positions of the samples to train on.
    left_out : ndarray of shape (n_members,)
        The net that must not see each of them; -1: all may.
    size : (d, c)
    """

    features: Callable[[Any], FloatArray]
    targets: Callable[[Any], FloatArray]
    members: IntArray
    left_out: IntArray
    size: tuple[int, int]


def train_nets(
    plan: Plan,
    shape: Shape,
    examples: Examples,
    alphas: FloatArray,
    seed: int,
) -> list[Net]:
    """Train nets side by side by Adam, the learning rate falling as a cosine to zero.

    Parameters
    ----------
    plan : Plan
    shape : Shape
    examples : Examples
    alphas : ndarray of shape (n_nets,)
        L2 penalties.
    seed : int

    Returns
    -------
    list of Net
    """
    d, c = examples.size
    members = examples.members
    generator = torch.Generator().manual_seed(seed)
    nets = _Nets(shape, len(alphas), d, c, generator)
    n = len(members)
    batches = max(1, round(n / plan.batch_size))
    epochs = max(plan.epochs, -(-LEAST_STEPS // batches))
    optimiser = torch.optim.Adam(nets.parameters(), lr=plan.learning_rate, fused=True)
    penalty = torch.tensor(alphas, dtype=torch.float32)
    excluded, which = torch.from_numpy(examples.left_out), torch.arange(len(alphas))

    def batch(rows: Tensor) -> tuple[Tensor, Tensor]:
        positions = members[rows.numpy()]
        return torch.from_numpy(examples.features(positions)), torch.from_numpy(examples.targets(positions)).float()

    look, wanted = batch(torch.randperm(n, generator=generator)[:LOOK_ROWS])
    loss = _Loss(plan.loss, wanted.mean(0))
    done, total = 0, epochs * batches
    for _ in range(epochs):
        for rows in torch.randperm(n, generator=generator).chunk(batches):
            if plan.loss == "confidence" and done % LOOK_EVERY == 0:
                with torch.no_grad():
                    loss.look(nets.log_p(look))
            for group in optimiser.param_groups:
                group["lr"] = plan.learning_rate * 0.5 * (1.0 + math.cos(math.pi * done / total))
            optimiser.zero_grad(set_to_none=False)
            Z, q = batch(rows)
            sees = (excluded[rows][:, None] != which).float()
            each = loss(nets.log_p(Z), q, done / total)
            value = ((each * sees).sum(0) / sees.sum(0).clamp(min=1.0)).sum()
            value.backward()  # type: ignore[no-untyped-call]
            nets.decay(penalty)
            optimiser.step()
            done += 1
    return [nets.net(h) for h in range(len(alphas))]
