"""The hot loop of `train_heads`: mini-batch Adam on several linear heads that see the same batches.

One step is two matrix products, a softmax, the subtraction of the targets and one fused Adam update; autograd,
data loaders and learning rate schedulers cost more than that together. What makes it fast:

- The next batches are gathered into one buffer of half a megabyte, so that every batch is a view.
- The heads stand side by side: the logits of H heads are one product (B, D) x (D, H * C), their gradients another.
- Weights are stored with their longer axis last: a tenth of the time of both products.
- Learning rates that differ between heads go into the weights' unit (Adam's step does not depend on the gradient's
  scale): with V = W / rate, all heads take the same fused update and only the logits are multiplied by the rate.
- oneDNN's products on AMD's processors with AVX-512, where MKL's take twice the time; MKL's elsewhere, in three
  quarters of oneDNN's.
- Samples are the last axis of logits: a softmax over few classes is computed for many samples at a time.
- The last batch of an epoch is filled up with samples of no weight, so that buffers and views are all of one size.
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

CHUNK = 1 << 17
"""Entries of gathered features that are held at a time: half a megabyte leaves weights and moments in the cache."""

CHUNK_READ = 4
"""Batches at the least that are gathered at a time where features are read and cast."""

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
        Positions of the named classes in the flat residual (B * H,), int64; or probabilities (H or 1, C, B).
    scale, minus : Tensor
        For hard targets: the samples' weights (H or 1, 1, B), and their negatives (B * H,), in the targets' order. For
        soft ones: what the probabilities are multiplied by, and the targets, both (H or 1, 1, B).
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
    """Buffers for the next batches, all of `size` samples, and the views that are those batches."""

    def __init__(self, batches: Batches, n_heads: int, n_classes: int, size: int, device: str) -> None:
        m, d = len(batches.members), batches.X.shape[1]
        n_batches = -(-m // size)
        self._X = torch.from_numpy(batches.X) if _in_memory(batches.X) else None
        if device == "cpu":
            held = min(n_batches, max(1 if self._X is not None else CHUNK_READ, CHUNK // (size * d)))
        else:
            # Parts of the full batches as even as possible; the rest of an epoch is not replayed.
            full = m // size
            held = full // -(-full // REPLAYED)
            self._X = None if self._X is None else self._X.to(device)
        self.rows = held * size
        self._batches, self._size, self._heads = batches, size, n_heads
        self._x = torch.empty(self.rows, d, device=device)
        self._views = [(x, x.T) for x in torch.split(self._x, size)]
        # Targets are many times smaller than features: those of many chunks are looked up at once.
        self.span = self.rows * max(1, (1 if batches.ids is None else LOOK_UP) // (self.rows * n_heads))
        place = torch.arange(min(self.span, n_batches * size))[:, None] % size
        self._base = (place + torch.arange(n_heads) * (n_classes * size)).to(device)
        one = torch.ones(size * n_heads, device=device)
        self._even = (one.view(n_heads, 1, size), one.neg(), True)

    def fill(self, rows: Tensor, real: int) -> Iterator[list[_Batch]]:
        """Yield the batches of the samples at `rows`, up to `span` of them, as many as are gathered at a time.

        Of a last batch that is smaller only the first `real` rows count; the others fill it up.
        """
        targets = self._hard(rows, real) if self._batches.soft is None else self._soft(rows, real)
        for part in torch.split(rows, self.rows):
            n = part.size(0)
            x = self._x[:n]
            if self._X is not None:
                torch.index_select(self._X, 0, part, out=x)
            else:
                found = widen(take(self._batches.X, part.cpu().numpy()))
                x.copy_(torch.from_numpy(found.astype(np.float32, copy=False)))
            n_batches = n // self._size
            some = islice(targets, n_batches)
            yield [_Batch(*both, *target) for both, target in zip(self._views[:n_batches], some, strict=True)]

    def _hard(self, rows: Tensor, real: int) -> Iterator[tuple[Any, ...]]:
        ids, n = self._batches.ids, rows.size(0)
        assert ids is not None
        place = torch.index_select(ids, 0, rows).mul_(self._size) + self._base[:n]
        flat = torch.split(place.view(-1), self._size * self._heads)
        if self._batches.weights is None and real >= n:
            return ((f, *self._even) for f in flat)
        weights = torch.split(self._weigh(rows, real).expand(-1, self._heads), self._size)
        return ((f, w.T[:, None], w.reshape(-1).neg(), False) for f, w in zip(flat, weights, strict=True))

    def _soft(self, rows: Tensor, real: int) -> Iterator[tuple[Any, ...]]:
        soft = self._batches.soft
        assert soft is not None
        target, weight = soft[rows], self._weigh(rows, real)[:, :, None]
        parts = (torch.split(t, self._size) for t in (target, weight * target.sum(dim=2, keepdim=True), weight))
        return ((*(t.permute(1, 2, 0) for t in found), False) for found in zip(*parts, strict=True))

    def _weigh(self, rows: Tensor, real: int) -> Tensor:
        """Look up weights (n, H or 1) as `_Stepper` counts them: in a last batch that is smaller each weighs more."""
        weights, n = self._batches.weights, rows.size(0)
        weight = torch.ones(n, 1, device=rows.device) if weights is None else weights[rows]
        if real < n:
            last = n - self._size
            weight[last:real] *= self._size / (real - last)
            weight[real:] = 0.0
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
        self._column = self.bias[:, None]
        self._parameters = [self.weight, self.bias]
        self._gradients, self._means, self._squares = (
            [torch.zeros_like(p) for p in self._parameters] for _ in range(3)
        )
        self._ticks = np.zeros(1, dtype=np.float32)
        self._count = torch.from_numpy(self._ticks).to(device)  # on a processor, a view
        self._on_device = device != "cpu"
        self.state = [*self._parameters, *self._means, *self._squares, self._count]
        # Samples last, so that the softmax of few classes is computed many samples at a time.
        self._logits = torch.empty(len(bias), size, device=device)
        self._residual = torch.empty_like(self._logits)
        self._cube, self._flat = self._residual.view(n_heads, each, size), self._residual.view(-1)
        self._ones = torch.ones(size, device=device)
        self._linear = linear_into(device, size * self.weight.numel())

    def step(self, batch: _Batch, rate: Any) -> None:
        """Take one step of Adam with the learning rate `rate`, in units of the heads' own where these differ."""
        x, turned_x, target, scale, minus, even = batch
        cube, residual = self._cube, self._residual
        logits = self._linear(self._rows, x, None, self._logits).add_(self._column)
        if self._unit is not None:
            logits.mul_(self._unit[:, None])
        if self.n_heads == 1:
            torch._softmax(logits, 0, False, out=residual)
        else:
            torch._softmax(logits.view_as(cube), 1, False, out=cube)
        if target.dtype == torch.int64:
            if not even:
                cube.mul_(scale)
            self._flat.scatter_add_(0, target, minus)
        else:
            cube.mul_(scale).addcmul_(target, minus, value=-1.0)
        sides = (turned_x, residual) if self._wide else (residual, turned_x)
        gradient = self._linear(*sides, None, self._gradients[0])
        torch.mv(residual, self._ones, out=self._gradients[1])
        if self._decays is not None:
            gradient.addcmul_(self.weight, self._decays if self._wide else self._decays[:, None])
            self._gradients[1].addcmul_(self.bias, self._decays)
        if self._on_device:
            self._count.add_(1.0)
        else:
            self._ticks += 1.0
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
        # The graph must do for weighted batches, too, so its own are never even.
        self._even = all(batch.even for batch in chunk)
        self._inputs = [_copied(batch) for batch in chunk]
        self._rates = torch.zeros(len(chunk), device=chunk[0].x.device)
        # Warming up must not train: the state is put back in place, for the graph holds its addresses.
        saved = [t.clone() for t in stepper.state]
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
        for t, s in zip(stepper.state, saved, strict=True):
            t.copy_(s)

    def steps(self, chunk: list[_Batch], rates: Tensor) -> None:
        """Take the steps of a chunk of as many batches, by `rates` (n_batches,)."""
        held = self._inputs
        torch._foreach_copy_([h.target for h in held], [batch.target for batch in chunk])
        even = all(batch.even for batch in chunk)
        if not (even and self._even):  # else there are ones, as in the chunk before
            self._even = even
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
        done, fill = 0, -m % size
        for _ in range(recipe.epochs):
            order = torch.randperm(m, generator=generator)
            order = torch.cat([order, order[:fill]]) if fill else order
            order = (order if everyone else members[order]).to(device)
            for start in range(0, m, chunk.span):
                for found in chunk.fill(order[start : start + chunk.span], real=m - start):
                    # Full chunks are replayed; the rest of an epoch, which is smaller, is not.
                    if device != "cpu" and len(found) * size == chunk.rows:
                        replayed = replayed or _Replayed(stepper, found)
                        replayed.steps(found, schedule[done : done + len(found)])
                    else:
                        for step, batch in enumerate(found, done):
                            stepper.step(batch, schedule[step])
                    done += len(found)
        return stepper.weights()
