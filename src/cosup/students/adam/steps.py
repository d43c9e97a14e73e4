"""The hot loop of `train_heads`: mini-batch Adam on several linear heads that see the same batches.

One step is two matrix products, a softmax, the subtraction of the targets and one fused Adam update; autograd,
data loaders and learning rate schedulers cost more than that together. What makes it fast:

- The next batches are gathered into one buffer of 1 MB, so that every batch is a view.
- The heads stand side by side: the logits of H heads are one product (B, D) x (D, H * C), their gradients another.
- Weights are stored with their longer axis last: a tenth of the time of both products.
- Learning rates that differ between heads go into the weights' unit (Adam's step does not depend on the gradient's
  scale): with V = W / rate, all heads take the same fused update and only the logits are multiplied by the rate.
- oneDNN's products where torch has them and the processor has AVX-512: on AMD's, MKL's take twice the time there,
  and four fifths of oneDNN's where there is none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch

from cosup.utils.matmul import linear_into
from cosup.utils.row_blocks import on_disk, take, widen
from cosup.utils.validation import FloatArray, IntArray

__all__ = ["Batches", "Recipe", "run_adam", "threads_for"]

BETAS = (0.9, 0.999)
EPS = 1e-8

CHUNK = 1 << 18
"""Entries of gathered features that are held at a time: 1 MB stays in the cache until its batches are done."""

REPLAYED = 64
"""Batches whose steps are one CUDA graph."""

LOOK_UP = 1 << 15
"""Class ids that are looked up at a time."""

SMALL = 20_000_000
"""Multiplications of one product under which a second thread costs more than it brings."""

Tensor = torch.Tensor


@dataclass(frozen=True)
class Batches:
    """Features and targets of the heads that are trained together; everything over the same n samples.

    Attributes
    ----------
    X : ndarray of shape (n, n_features)
        Any floating dtype, possibly memory-mapped: rows are read a chunk at a time.
    ids : Tensor of shape (n, H or 1), int64, or None
        Hard targets.
    soft : Tensor of shape (n, H or 1, C), float32, or None
        Soft targets.
    weights : Tensor of shape (n, H or 1), float32, or None
        Weights of the samples.
    members : ndarray of shape (m,)
        Positions that are trained on.
    """

    X: FloatArray
    ids: Tensor | None
    soft: Tensor | None
    weights: Tensor | None
    members: IntArray


@dataclass(frozen=True)
class Recipe:
    """Settings by which heads are trained together. Rates and decays are one a head."""

    learning_rates: FloatArray
    weight_decays: FloatArray
    epochs: int
    batch_size: int


@contextmanager
def threads_for(work: int) -> Iterator[None]:
    """Run on one thread if a product has fewer than `SMALL` multiplications, else on as many as torch would take."""
    before = torch.get_num_threads()
    if work >= SMALL or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Batch(NamedTuple):
    """The samples and targets of one step.

    Attributes
    ----------
    x, turned : Tensor
        Features (B, D), and the view (D, B) of them.
    target : Tensor
        Positions of the named classes in the flat residual (B * H,), int64; or probabilities (B, H or 1, C).
    scale, minus : Tensor
        For hard targets: the samples' weights (B * H, 1), and their negatives (B * H,). For soft ones: what the
        probabilities are multiplied by, and the targets, both (B, H or 1, 1).
    even : bool
        Whether all weights are one: then the scale of hard targets need not be applied.
    """

    x: Tensor
    turned: Tensor
    target: Tensor
    scale: Tensor
    minus: Tensor
    even: bool


class _Chunk:
    """Buffers for the next batches, and the views that are those batches."""

    def __init__(self, batches: Batches, n_heads: int, n_classes: int, batch_size: int, device: str) -> None:
        m, d = len(batches.members), batches.X.shape[1]
        n_batches = max(1, min(-(-m // batch_size), max(4, CHUNK // (batch_size * d))))
        if device != "cpu":
            # Parts of the full batches as even as possible; the rest of an epoch is not replayed.
            full = max(1, m // batch_size)
            n_batches = max(1, full // -(-full // REPLAYED))
        self.rows = min(n_batches * batch_size, m)
        self._batches, self._size, self._device, self._heads = batches, batch_size, device, n_heads
        self._X = torch.from_numpy(batches.X) if _in_memory(batches.X) else None
        if self._X is not None and device != "cpu":
            self._X = self._X.to(device)
        self._x = torch.empty(self.rows, d, device=device)
        self._views = self._split(self._x)
        # Targets are many times smaller than features: those of many chunks are looked up at once.
        self.span = self.rows * max(1, (1 if batches.ids is None else LOOK_UP) // (self.rows * n_heads))
        place = torch.arange(min(self.span, m))[:, None] % batch_size * n_heads + torch.arange(n_heads)
        self._base = place.to(device) * n_classes
        one = torch.ones(batch_size * n_heads, 1, device=device)
        self._even = (one, one.view(-1).neg(), True)

    def _split(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        return [(part, part.T) for part in torch.split(x, self._size)]

    def fill(self, rows: Tensor, last: bool) -> Iterator[list[_Batch]]:
        """Yield the batches of the samples at `rows`, up to `span` of them, as many as are gathered at a time.

        `last` tells whether they end the epoch.
        """
        targets = self._hard(rows, last) if self._batches.soft is None else self._soft(rows, last)
        for part in torch.split(rows, self.rows):
            n = len(part)
            x = self._x[:n]
            if self._X is not None:
                torch.index_select(self._X, 0, part, out=x)
            else:
                found = widen(take(self._batches.X, part.cpu().numpy()))
                x.copy_(torch.from_numpy(found.astype(np.float32, copy=False)))
            views = self._views if n == self.rows else self._split(x)
            yield [_Batch(*both, *target) for both, target in zip(views, islice(targets, len(views)), strict=True)]

    def _hard(self, rows: Tensor, last: bool) -> Iterator[tuple[Any, ...]]:
        ids, weights, n = self._batches.ids, self._batches.weights, len(rows)
        assert ids is not None
        flat = torch.split((torch.index_select(ids, 0, rows) + self._base[:n]).view(-1), self._size * self._heads)
        if weights is None and not (last and n % self._size):
            return ((f, *self._even) for f in flat)
        weight = self._weigh(torch.ones(n, 1, device=rows.device) if weights is None else weights[rows], last)
        scales = torch.split(weight.expand(-1, self._heads).reshape(-1, 1), self._size * self._heads)
        return ((f, s, s.view(-1).neg(), False) for f, s in zip(flat, scales, strict=True))

    def _soft(self, rows: Tensor, last: bool) -> Iterator[tuple[Any, ...]]:
        soft, weights, n = self._batches.soft, self._batches.weights, len(rows)
        assert soft is not None
        target = soft[rows]
        weight = self._weigh(torch.ones(n, 1, device=rows.device) if weights is None else weights[rows], last)
        weight = weight[:, :, None]
        scale = weight * target.sum(dim=2, keepdim=True)
        parts = (torch.split(t, self._size) for t in (target, scale, weight))
        return ((*found, False) for found in zip(*parts, strict=True))

    def _weigh(self, weight: Tensor, last: bool) -> Tensor:
        """Scale weights as `_Stepper` counts them: those of the last batch of an epoch, if it is smaller, grow."""
        tail = len(weight) % self._size if last else 0
        if tail:
            weight = weight.clone()
            weight[len(weight) - tail :] *= self._size / tail
        return weight


def _in_memory(X: FloatArray) -> bool:
    return X.dtype == np.float32 and not on_disk(X) and X.flags.c_contiguous and X.flags.writeable


class _Stepper:
    """Weights (D, H * C) or (H * C, D), biases (H * C,), their moments, and one step of Adam."""

    def __init__(self, weight: Tensor, bias: Tensor, n_heads: int, recipe: Recipe, size: int, device: str) -> None:
        rates = recipe.learning_rates
        # Gradients are summed over the batch, not averaged: Adam takes the same step when the one constant that knows
        # their scale, eps, is multiplied, too; and decays, which are added to them.
        self._eps, decays = EPS * size, recipe.weight_decays * size
        each = len(bias) // n_heads
        self.n_heads, self.n_classes = n_heads, each
        alike = bool((rates == rates[0]).all())
        self._unit = None if alike else torch.from_numpy(np.repeat(rates, each)).float().to(device)
        self.base_rate = float(rates[0]) if alike else 1.0
        self._decay, self._decays = 0.0, None
        if alike and (decays == decays[0]).all():
            self._decay = float(decays[0])
        elif decays.any():
            # A decay pulls at W = V * rate.
            factor = decays if alike else decays * rates
            self._decays = torch.from_numpy(np.repeat(factor, each)).float().to(device)
        weight, bias = weight.to(device), bias.to(device)
        if self._unit is not None:
            weight, bias = weight / self._unit, bias / self._unit
        self._wide = weight.shape[1] > weight.shape[0]
        self.weight, self.bias = weight.contiguous() if self._wide else weight.T.contiguous(), bias.contiguous()
        self._rows = self.weight.T if self._wide else self.weight  # (H * C, D)
        self._parameters = [self.weight, self.bias]
        self._gradients, self._means, self._squares = (
            [torch.zeros_like(p) for p in self._parameters] for _ in range(3)
        )
        self._count = torch.zeros((), device=device)
        self._one = torch.ones((), device=device)  # a number would be made a tensor in every step
        self._logits = torch.empty(size, n_heads * each, device=device)
        self._whole = self._views(torch.empty(size, n_heads * each, device=device))
        self._size = size
        self._linear = linear_into(device, size * self.weight.numel())

    def _views(self, residual: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """View (B, H * C) as it is, transposed, as (B * H, C), and flat."""
        return residual, residual.T, residual.view(-1, self.n_classes), residual.view(-1)

    def step(self, batch: _Batch, rate: Any) -> None:
        """Take one step of Adam with the learning rate `rate`, in units of the heads' own where these differ."""
        x, turned_x, target, scale, minus, even = batch
        size = len(x)
        residual, turned, tall, flat = self._whole if size == self._size else self._views(self._whole[0][:size])
        logits = self._linear(x, self._rows, self.bias, self._logits if size == self._size else self._logits[:size])
        if self._unit is not None:
            logits.mul_(self._unit)
        torch._softmax(logits if self.n_heads == 1 else logits.view(-1, self.n_classes), 1, False, out=tall)
        if target.dtype == torch.int64:
            if not even:
                tall.mul_(scale)
            flat.scatter_add_(0, target, minus)
        else:
            cube = residual.view(size, self.n_heads, self.n_classes)
            cube.mul_(scale).addcmul_(target, minus, value=-1.0)
        sides = (turned_x, turned) if self._wide else (turned, turned_x)
        gradient = self._linear(*sides, None, self._gradients[0])
        torch.sum(residual, dim=0, out=self._gradients[1])
        if self._decays is not None:
            gradient.addcmul_(self.weight, self._decays if self._wide else self._decays[:, None])
            self._gradients[1].addcmul_(self.bias, self._decays)
        self._count.add_(self._one)
        torch._fused_adam_(
            self._parameters, [gradient, self._gradients[1]], self._means, self._squares, [],
            [self._count, self._count], lr=rate, beta1=BETAS[0], beta2=BETAS[1], weight_decay=self._decay,
            eps=self._eps, amsgrad=False, maximize=False, grad_scale=None, found_inf=None,
        )  # fmt: skip

    def weights(self) -> tuple[Tensor, Tensor]:
        """Return weight (D, H * C) and bias (H * C,) in their own unit, on the CPU."""
        weight, bias = self._rows.T, self.bias
        if self._unit is not None:
            weight, bias = weight * self._unit, bias * self._unit
        return weight.cpu(), bias.cpu()


class _Replayed:
    """`_Stepper.step` on all batches of a chunk as one CUDA graph: on a GPU, a launch costs more than what it starts.

    Parameters
    ----------
    stepper : _Stepper
    chunk : list of _Batch
        Full batches, whose features lie where those of every later chunk will.
    """

    def __init__(self, stepper: _Stepper, chunk: list[_Batch]) -> None:
        # Never even: the graph must do for weighted batches, too.
        self._inputs = [_copied(batch) for batch in chunk]
        self._rates = torch.zeros(len(chunk), device=chunk[0].x.device)
        # Warming up must not train: the state is put back in place, for the graph holds its addresses.
        state = [stepper.weight, stepper.bias, *stepper._means, *stepper._squares, stepper._count]
        saved = [t.clone() for t in state]
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                stepper.step(self._inputs[0], self._rates[0])
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            for batch, rate in zip(self._inputs, self._rates, strict=True):
                stepper.step(batch, rate)
        for t, s in zip(state, saved, strict=True):
            t.copy_(s)

    def steps(self, chunk: list[_Batch], rates: Tensor) -> None:
        """Take the steps of a chunk of as many full batches, by `rates` (n_batches,)."""
        held = self._inputs
        torch._foreach_copy_([h.target for h in held], [batch.target for batch in chunk])
        if not chunk[0].even:  # ones in every full batch of a training that has an even one
            torch._foreach_copy_([h.scale for h in held], [batch.scale for batch in chunk])
            torch._foreach_copy_([h.minus for h in held], [batch.minus for batch in chunk])
        self._rates.copy_(rates)
        self._graph.replay()


def _copied(batch: _Batch) -> _Batch:
    """Return a batch whose targets have a place of their own."""
    return batch._replace(target=batch.target.clone(), scale=batch.scale.clone(), minus=batch.minus.clone(), even=False)


def run_adam(
    batches: Batches,
    weight: Tensor,
    bias: Tensor,
    n_heads: int,
    recipe: Recipe,
    generator: torch.Generator,
    device: str,
) -> tuple[Tensor, Tensor]:
    """Train heads side by side, their learning rates falling as a cosine, step by step, to zero.

    Parameters
    ----------
    batches : Batches
    weight, bias : Tensor of shape (n_features, H * C) and (H * C,), float32
        Where training starts.
    n_heads : int
    recipe : Recipe
    generator : torch.Generator
        Draws one permutation of the members an epoch.
    device : {"cpu", "cuda"}

    Returns
    -------
    weight, bias : Tensor
    """
    m, size = len(batches.members), min(recipe.batch_size, len(batches.members))
    members = torch.from_numpy(np.ascontiguousarray(batches.members, dtype=np.int64))
    everyone = m == len(batches.X)
    total = recipe.epochs * -(-m // size)
    work = size * weight.numel()
    with torch.no_grad(), threads_for(work if device == "cpu" else SMALL):
        stepper = _Stepper(weight, bias, n_heads, recipe, size, device)
        chunk = _Chunk(batches, n_heads, stepper.n_classes, size, device)
        rates = [stepper.base_rate * 0.5 * (1.0 + math.cos(math.pi * step / total)) for step in range(total)]
        # A step's rate is a number on the processor, and a tensor on a device, where a graph reads it.
        schedule: Any = rates if device == "cpu" else torch.tensor(rates, dtype=torch.float32, device=device)
        replayed: _Replayed | None = None
        done = 0
        for _ in range(recipe.epochs):
            order = torch.randperm(m, generator=generator)
            order = (order if everyone else members[order]).to(device)
            for start in range(0, m, chunk.span):
                for found in chunk.fill(order[start : start + chunk.span], last=start + chunk.span >= m):
                    # Full chunks are replayed; the rest of an epoch, which is smaller, is not.
                    if device != "cpu" and len(found) * size == chunk.rows == sum(len(batch.x) for batch in found):
                        replayed = replayed or _Replayed(stepper, found)
                        replayed.steps(found, schedule[done : done + len(found)])
                    else:
                        for step, batch in enumerate(found, done):
                            stepper.step(batch, schedule[step])
                    done += len(found)
        return stepper.weights()
