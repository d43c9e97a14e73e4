"""The hot loop of `train_heads`: mini-batch Adam on several linear heads that see the same batches.

One step is two matrix products, a softmax, the subtraction of the targets and one fused Adam update; autograd,
data loaders and learning rate schedulers cost more than that together. What makes it fast:

- The next batches are gathered into one buffer of 1 MB, so that every batch is a view.
- The heads stand side by side: the logits of H heads are one product (B, D) x (D, H * C), their gradients another.
- Learning rates that differ between heads go into the weights' unit (Adam's step does not depend on the gradient's
  scale): with V = W / rate, all heads take the same fused update and only the logits are multiplied by the rate.
- oneDNN's products where torch has them: on AMD processors MKL's take twice the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cosup._validation import FloatArray, IntArray
from cosup.student._rows import on_disk, take, widen

__all__ = ["Batches", "Recipe", "run_adam", "threads_for"]

BETAS = (0.9, 0.999)
EPS = 1e-8

CHUNK = 1 << 18
"""Entries of gathered features that are held at a time: 1 MB stays in the cache until its batches are done."""

SMALL = 20_000_000
"""Multiplications of one product under which a second thread costs more than it brings."""

LARGE = 1_000_000
"""Multiplications of one product from which oneDNN is faster than BLAS, which takes less time to start."""

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
    """How heads are trained together. Rates and decays are one a head."""

    learning_rates: FloatArray
    weight_decays: FloatArray
    epochs: int
    batch_size: int


def _mkldnn_linear() -> Callable[..., Tensor] | None:
    """``x @ weight.T + bias`` by oneDNN, where this build of torch has it."""
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return None
    operator: Callable[..., Tensor] = torch.ops.mkldnn._linear_pointwise.default
    return operator


def linear_into(device: str, work: int = LARGE) -> Callable[[Tensor, Tensor, Tensor | None, Tensor], Tensor]:
    """``f(x, weight, bias, out) -> x @ weight.T + bias``, in `out` or in a tensor of its own.

    `work` is the number of multiplications. The choice depends on it and on the build of torch alone, never on a
    timing: equal seeds give equal weights.
    """
    dnn = _mkldnn_linear() if device == "cpu" and work >= LARGE else None
    if dnn is not None:

        def by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor) -> Tensor:
            return dnn(x, weight, bias, "none", [], "")

        return by_onednn

    def by_blas(x: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor) -> Tensor:
        if bias is None:
            return torch.mm(x, weight.T, out=out)
        return torch.addmm(bias, x, weight.T, out=out)

    return by_blas


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


class _Chunk:
    """Buffers for the next batches, and the views that are those batches."""

    def __init__(self, batches: Batches, n_heads: int, n_classes: int, batch_size: int, device: str) -> None:
        m, d = len(batches.members), batches.X.shape[1]
        n_batches = max(1, min(-(-m // batch_size), max(4, CHUNK // (batch_size * d))))
        self.rows = min(n_batches * batch_size, m)
        self._batches, self._size, self._device, self._heads = batches, batch_size, device, n_heads
        self._X = torch.from_numpy(batches.X) if _in_memory(batches.X) else None
        if self._X is not None and device != "cpu":
            self._X = self._X.to(device)
        self._x = torch.empty(self.rows, d, device=device)
        self._xs = torch.split(self._x, batch_size)
        place = torch.arange(self.rows)[:, None] % batch_size * n_heads + torch.arange(n_heads)
        self._base = place.to(device) * n_classes
        self._constant = self._scales(torch.ones(self.rows, 1, device=device), 0)

    def fill(self, rows: Tensor, last: bool) -> list[tuple[Tensor, ...]]:
        """Gather the samples at `rows`; the batches as (x, scale, -scale, flat ids) or (x, scale, weight, targets)."""
        n, size = len(rows), self._size
        tail = n % size if last else 0
        x = self._x[:n]
        if self._X is not None:
            torch.index_select(self._X, 0, rows, out=x)
        else:
            part = widen(take(self._batches.X, rows.cpu().numpy()))
            x.copy_(torch.from_numpy(part.astype(np.float32, copy=False)))
        xs = self._xs if n == self.rows else torch.split(x, size)
        given = self._batches.weights
        if self._batches.ids is not None:
            flat = torch.split(self._batches.ids[rows] + self._base[:n], size)
            simple = given is None and n == self.rows and not tail
            weight = torch.ones(n, 1, device=x.device) if given is None else given[rows]
            scales = self._constant if simple else self._scales(weight, tail)
            return [(x, *s, f.view(-1)) for x, s, f in zip(xs, scales, flat, strict=True)]
        assert self._batches.soft is not None
        soft = self._batches.soft[rows]
        weight = self._over_count(torch.ones(n, 1, device=x.device) if given is None else given[rows], tail)[:, :, None]
        scale = weight * soft.sum(dim=2, keepdim=True)
        return list(zip(xs, *(torch.split(t, size) for t in (scale, weight, soft)), strict=True))

    def _over_count(self, weight: Tensor, tail: int) -> Tensor:
        """Weights over the number of samples of their batch; the last `tail` ones are a batch of their own."""
        weight = weight / self._size
        if tail:
            weight[len(weight) - tail :] *= self._size / tail
        return weight

    def _scales(self, weight: Tensor, tail: int) -> list[tuple[Tensor, Tensor]]:
        """What the probabilities of a batch are multiplied by, (rows * heads, 1), and its negative (rows * heads,)."""
        scale = self._over_count(weight, tail).expand(-1, self._heads).contiguous()
        return [(s.view(-1, 1), s.view(-1).neg()) for s in torch.split(scale, self._size)]


def _in_memory(X: FloatArray) -> bool:
    return X.dtype == np.float32 and not on_disk(X) and X.flags.c_contiguous and X.flags.writeable


class _Stepper:
    """Weights (H * C, D + bias), their moments, and one step of Adam."""

    def __init__(self, weight: Tensor, bias: Tensor, n_heads: int, recipe: Recipe, device: str) -> None:
        rates, decays = recipe.learning_rates, recipe.weight_decays
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
        self.weight, self.bias = weight.to(device), bias.to(device)
        if self._unit is not None:
            self.weight = self.weight / self._unit[:, None]
            self.bias = self.bias / self._unit
        self._parameters = [self.weight, self.bias]
        self._gradients = [torch.zeros_like(self.weight), torch.zeros_like(self.bias)]
        self._means = [torch.zeros_like(self.weight), torch.zeros_like(self.bias)]
        self._squares = [torch.zeros_like(self.weight), torch.zeros_like(self.bias)]
        self._count = torch.zeros((), device=device)
        self._one = torch.ones((), device=device)  # a number would be made a tensor in every step
        self._logits = torch.empty(recipe.batch_size, n_heads * each, device=device)
        self._whole = self._views(torch.empty(recipe.batch_size, n_heads * each, device=device))
        self._linear = linear_into(device, recipe.batch_size * self.weight.numel())

    def _views(self, residual: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, H * C) as it is, transposed, as (B * H, C), and flat."""
        return residual, residual.T, residual.view(-1, self.n_classes), residual.view(-1)

    def step(self, batch: tuple[Tensor, ...], rate: Any) -> None:
        """One step of Adam with the learning rate `rate` (in units of the heads' own where these differ)."""
        x, scale = batch[0], batch[1]
        size = len(x)
        views = self._whole if size == len(self._whole[0]) else self._views(self._whole[0][:size])
        residual, turned, tall, flat = views
        logits = self._linear(x, self.weight, self.bias, self._logits[:size])
        if self._unit is not None:
            logits.mul_(self._unit)
        torch._softmax(logits.view(tall.shape), 1, False, out=tall)
        if batch[3].dtype == torch.int64:
            tall.mul_(scale)
            flat.scatter_add_(0, batch[3], batch[2])
        else:
            cube = residual.view(size, self.n_heads, self.n_classes)
            cube.mul_(scale).addcmul_(batch[3], batch[2], value=-1.0)
        gradient = self._linear(turned, x.T, None, self._gradients[0])
        torch.sum(residual, dim=0, out=self._gradients[1])
        if self._decays is not None:
            gradient.addcmul_(self.weight, self._decays[:, None])
            self._gradients[1].addcmul_(self.bias, self._decays)
        self._count.add_(self._one)
        torch._fused_adam_(
            self._parameters, [gradient, self._gradients[1]], self._means, self._squares, [],
            [self._count, self._count], lr=rate, beta1=BETAS[0], beta2=BETAS[1], weight_decay=self._decay, eps=EPS,
            amsgrad=False, maximize=False, grad_scale=None, found_inf=None,
        )  # fmt: skip

    def weights(self) -> tuple[Tensor, Tensor]:
        """Weight (H * C, D) and bias (H * C,) in their own unit, on the CPU."""
        if self._unit is None:
            return self.weight.cpu(), self.bias.cpu()
        return (self.weight * self._unit[:, None]).cpu(), (self.bias * self._unit).cpu()


class _Replayed:
    """`_Stepper.step` as a CUDA graph: one launch a step. Written without a GPU at hand, and not measured."""

    def __init__(self, stepper: _Stepper, example: tuple[Tensor, ...]) -> None:
        self._stepper = stepper
        self._inputs = tuple(t.clone() for t in example)
        self._rate = torch.zeros((), device=example[0].device)
        # Warming up must not train: the state is put back in place, for the graph holds its addresses.
        state = [stepper.weight, stepper.bias, *stepper._means, *stepper._squares, stepper._count]
        saved = [t.clone() for t in state]
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                stepper.step(self._inputs, self._rate)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            stepper.step(self._inputs, self._rate)
        for t, s in zip(state, saved, strict=True):
            t.copy_(s)

    def step(self, batch: tuple[Tensor, ...], rate: float) -> None:
        """As `_Stepper.step`; a batch of another size is stepped without the graph."""
        if batch[0].shape != self._inputs[0].shape:
            self._stepper.step(batch, rate)
            return
        for held, given in zip(self._inputs, batch, strict=True):
            held.copy_(given)
        self._rate.fill_(rate)
        self._graph.replay()


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
    weight, bias : Tensor of shape (H * C, n_features) and (H * C,), float32
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
        stepper: _Stepper = _Stepper(weight, bias, n_heads, recipe, device)
        chunk = _Chunk(batches, n_heads, stepper.n_classes, size, device)
        replayed: _Replayed | None = None
        done = 0
        for _ in range(recipe.epochs):
            order = torch.randperm(m, generator=generator)
            order = (order if everyone else members[order]).to(device)
            for start in range(0, m, chunk.rows):
                rows = order[start : start + chunk.rows]
                for batch in chunk.fill(rows, last=start + chunk.rows >= m):
                    rate = stepper.base_rate * 0.5 * (1.0 + math.cos(math.pi * done / total))
                    if device != "cpu" and replayed is None:
                        replayed = _Replayed(stepper, batch)
                    (replayed or stepper).step(batch, rate)
                    done += 1
        return stepper.weights()
