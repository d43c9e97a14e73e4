"""One fine-tuning: from a network and a probe's head to a trained network and its linear head.

Linear probing first, then fine-tuning from there (Kumar et al. 2022, arXiv 2202.10054): features are not distorted by a
head that knows nothing. AdamW, a linear warm-up and a cosine to zero, gradients clipped to norm one. Nothing depends on
how a batch is split into micro-batches and processes but rounding (and dropout). Every step's order and dropout come
from (seed, step), so that a training that was killed goes on as if it had not been.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cosup.finetuning.checkpoint import Progress, read_checkpoint, write_checkpoint
from cosup.finetuning.network import Network, chosen
from cosup.finetuning.parts import Tune, fixed_statistics, select, whole
from cosup.finetuning.processes import World, device_of, together
from cosup.finetuning.settings import TuningSettings
from cosup.students.heads import Head, LinearHead
from cosup.utils.progress import progress_bar
from cosup.utils.slices import slices
from cosup.utils.validation import FloatArray, IntArray

__all__ = ["TrainingSet", "Tuned", "tune"]

CLIP = 1.0
"""Norm that a step's gradient is cut to."""

FEWEST_HELD_OUT = 20
"""Samples from which some are held out."""

DAMPING = 0.01
"""Variance, in units of a feature's, under which a direction hardly counts for the head that training starts from."""

HEAD_ROWS = 1 << 12
"""Rows of features that are read together."""

DECAYED = 2
"""Dimensions from which weights decay; biases and norms don't."""


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Samples, targets and weights that a training learns from.

    Attributes
    ----------
    samples : sequence of n_samples
    features : ndarray of shape (n_samples, d)
        Features of the network as it is.
    members : ndarray of shape (n_members,)
        Positions of the samples to train on.
    targets : ndarray of shape (n_members, n_classes), float32
        Their rows' sums are the samples' weights.
    start : Head
        The probe's, on the features.
    seed : int
    """

    samples: Any
    features: FloatArray
    members: IntArray
    targets: FloatArray
    start: Head
    seed: int


@dataclass(frozen=True, eq=False)
class Tuned:
    """The outcome of a training.

    Attributes
    ----------
    network : Network
    head : LinearHead
        On the network's features.
    epochs : list of dict
        ``epoch``, ``loss`` (training's, in nats), ``agreement`` (with held-out targets, or None), ``seconds``.
    """

    network: Network
    head: LinearHead
    epochs: list[dict[str, Any]]


def _damped(weight: FloatArray, features: FloatArray, mean: FloatArray, scale: FloatArray) -> FloatArray:
    """Find small weights (d, c), on features of variance one, that come nearest to the same scores.

    Where features hardly vary in some direction, a probe may lean on it with weights of thousands, which amplify
    whatever training does to the features, and rounding.
    """
    square = np.zeros((len(mean), len(mean)))
    for rows in slices(len(features), HEAD_ROWS):
        Z = (features[rows] - mean) / scale
        square += Z.T @ Z / len(features)
    return np.asarray(np.linalg.solve(square + DAMPING * np.eye(len(mean)), square @ weight))


class _Both(nn.Module):
    """A network under a linear layer, which sees features of mean zero and variance one."""

    def __init__(self, network: nn.Module, features: FloatArray, start: Head, n_classes: int) -> None:
        super().__init__()
        mean, scale = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
        scale = np.where(scale > 1e-6 * max(float(scale.max(initial=0.0)), 1e-30), scale, 1.0)
        self.network = network
        self.head = nn.Linear(len(mean), n_classes)
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.from_numpy(mean).float())
        self.register_buffer("scale", torch.from_numpy(scale).float())
        with torch.no_grad():
            if isinstance(start, LinearHead):
                weight = _damped(start.weight * scale[:, None], features, mean, scale)
                self.head.weight.copy_(torch.from_numpy(weight.T))
                self.head.bias.copy_(torch.from_numpy(start.bias + mean @ start.weight))
            else:
                self.head.weight.zero_()
                self.head.bias.zero_()

    def forward(self, batch: Tensor) -> Tensor:
        features = self.network(batch).float()
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.head((features - self.mean) / self.scale)
        return logits

    def linear(self) -> LinearHead:
        """Return the head, on features as they are."""
        scale, mean = (value.double().cpu().numpy() for value in (self.scale, self.mean))
        weight = self.head.weight.detach().double().cpu().numpy().T / scale[:, None]
        return LinearHead(weight, self.head.bias.detach().double().cpu().numpy() - mean @ weight)


@contextmanager
def _own_stream(device: torch.device) -> Iterator[None]:
    """Leave torch's global streams as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def _stream_at(device: torch.device, *place: int) -> None:
    """Set torch's streams, inside `_own_stream`, to what belongs to a place in the training."""
    number = int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0] >> np.uint64(1))
    torch.set_rng_state(torch.Generator().manual_seed(number).get_state())
    if device.type == "cuda":
        torch.cuda.set_rng_state(torch.Generator(device).manual_seed(number).get_state(), device)


class _Training:
    """A training in one of the processes that share it."""

    def __init__(
        self, plan: TuningSettings, network: Network, training_set: TrainingSet, world: World, device: torch.device
    ) -> None:
        self.plan, self.network, self.training_set, self.world, self.device = plan, network, training_set, world, device
        n, n_classes = training_set.targets.shape
        order = np.random.default_rng(training_set.seed).permutation(n)
        held = math.ceil(plan.holdout * n) if plan.patience is not None and n >= FEWEST_HELD_OUT else 0
        self.held, self.train = order[:held], np.sort(order[held:])
        _stream_at(device, training_set.seed, 0)
        parts = select(network.module(), Tune.of(plan.tune), network.name)
        self.both = _Both(parts, training_set.features, training_set.start, n_classes).to(device)
        self._freeze_idle()
        self.weights = {name: p for name, p in self.both.named_parameters() if p.requires_grad}
        self.optimiser = torch.optim.AdamW(self._groups())
        self.rates = [float(group["lr"]) for group in self.optimiser.param_groups]
        self.best: dict[str, Tensor] = {}
        self.progress = Progress()

    def _freeze_idle(self) -> None:
        """Return freeze weights that the features don't depend on, as a pooler's: processes wait for all gradients."""
        self.both(self._batch(np.arange(min(2, len(self.training_set.members))))).sum().backward()
        for parameter in self.both.parameters():
            parameter.requires_grad_(parameter.grad is not None)
            parameter.grad = None

    def _groups(self) -> list[dict[str, Any]]:
        plan, head = self.plan, set(self.both.head.parameters())
        rate = plan.rate
        network = [p for p in self.weights.values() if p not in head]
        groups = [
            {"params": [p for p in network if p.ndim >= DECAYED], "lr": rate, "weight_decay": plan.weight_decay},
            {"params": [p for p in network if p.ndim < DECAYED], "lr": rate, "weight_decay": 0.0},
            {"params": list(self.both.head.parameters()), "lr": plan.head_learning_rate, "weight_decay": 0.0},
        ]
        return [group for group in groups if group["params"]]

    def _batch(self, places: IntArray) -> Tensor:
        return self.network.collate(chosen(self.training_set.samples, self.training_set.members[places])).to(
            self.device
        )

    @property
    def batches(self) -> int:
        return math.ceil(len(self.train) / self.plan.batch_size)

    def run(self, path: Path | None) -> Tuned:
        """Train, or go on from the checkpoint at `path`."""
        plan, progress = self.plan, self.progress
        if path is not None:
            found = read_checkpoint(path, self.weights, self.optimiser)
            if found is not None:
                self.progress, self.best = found
                progress = self.progress
        runner: nn.Module = self.both
        if self.world.size > 1:
            gpu = [self.device] if self.device.type == "cuda" else None
            runner = nn.parallel.DistributedDataParallel(self.both, device_ids=gpu)
        total = plan.epochs * self.batches
        shown = None if plan.progress and self.world.leads else False
        # disable=None: silent unless standard error is a terminal.
        with progress_bar(total, initial=progress.step, what="fine-tuning", unit="step", shown=shown) as bar:
            for epoch in range(progress.step // self.batches, plan.epochs):
                if progress.stopped:
                    break
                started = time.perf_counter()
                for batch, later in self._epoch(epoch, progress.step % self.batches):
                    progress.loss += self._step(runner, batch, total)
                    progress.step += 1
                    bar.update()
                    if later and progress.step % plan.checkpoint_every == 0:
                        self._keep(path)
                self._close(epoch, time.perf_counter() - started)
                self._keep(path)
        if self.best:
            with torch.no_grad():
                for name, value in self.weights.items():
                    value.copy_(self.best[name])
        head = self.both.linear()
        module = whole(self.both.network, Tune.of(plan.tune)).cpu().eval()
        return Tuned(self.network.with_module(module), head, progress.epochs)

    def _epoch(self, epoch: int, done: int) -> Iterator[tuple[list[tuple[Tensor, Tensor]], bool]]:
        """Yield batches of an epoch from the one after `done`, in micro-batches that are read one ahead."""
        order = np.random.default_rng((self.training_set.seed, epoch)).permutation(self.train)
        size = self.plan.batch_size
        parts = [order[rows] for rows in slices(len(order), size)][done:]
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(self._read, parts[0])
            for place in range(len(parts)):
                batch = coming.result()
                later = place + 1 < len(parts)
                if later:
                    coming = reader.submit(self._read, parts[place + 1])
                yield batch, later

    def _read(self, places: IntArray) -> list[tuple[Tensor, Tensor]]:
        """Read one process's share of a batch, in micro-batches: input, and targets over the batch's size.

        All processes have equally many; who lacks a sample repeats one with targets of zero.
        """
        world, count = self.world, len(places)
        share = math.ceil(count / world.size)
        padded = np.concatenate([places, np.full(share * world.size - count, places[0])])
        targets = self.training_set.targets[padded] / count
        targets[count:] = 0.0
        mine, its = padded[world.rank :: world.size], torch.from_numpy(targets[world.rank :: world.size])
        micro = self.plan.micro_batch or share
        return [(self._batch(mine[rows]), its[rows].to(self.device)) for rows in slices(share, micro)]

    def _step(self, runner: nn.Module, batch: Sequence[tuple[Tensor, Tensor]], total: int) -> float:
        """Take one step of the optimiser; return the loss, summed over the batch's samples."""
        step = self.progress.step
        warm = max(1, math.ceil(self.plan.warmup * total))
        factor = min((step + 1) / warm, 0.5 * (1.0 + math.cos(math.pi * max(step - warm, 0) / max(total - warm, 1))))
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        _stream_at(self.device, self.training_set.seed, 1, step, self.world.rank)
        runner.train()
        fixed_statistics(runner)
        loss = torch.zeros((), device=self.device)
        size = self.world.size
        for place, (X, targets) in enumerate(batch):
            with ExitStack() as stack:
                if size > 1 and place + 1 < len(batch):
                    stack.enter_context(runner.no_sync())  # type: ignore[operator]
                with self._precision():
                    logits = runner(X)
                part = -(targets * logits.float().log_softmax(dim=1)).sum()
                # Processes' gradients are averaged, and are to be summed.
                (part * size).backward()
            loss += part.detach()
        nn.utils.clip_grad_norm_(list(self.weights.values()), CLIP)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return float(self.world.total(loss)) * min(self.plan.batch_size, self._last(step))

    def _last(self, step: int) -> int:
        """Count the samples in the batch of a step."""
        return min(self.plan.batch_size, len(self.train) - (step % self.batches) * self.plan.batch_size)

    def _precision(self) -> torch.autocast:
        wanted = self.plan.precision
        if wanted is None:
            wanted = "bfloat16" if self.device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=wanted == "bfloat16")

    def _close(self, epoch: int, seconds: float) -> None:
        """Return end an epoch: record it, and tell whether it was the best, or the last."""
        progress = self.progress
        agreement = self._agreement() if len(self.held) else None
        record = {"epoch": epoch + 1, "loss": progress.loss / len(self.train), "agreement": agreement}
        progress.epochs.append({**record, "seconds": seconds})
        progress.loss = 0.0
        if agreement is None:
            return
        assert self.plan.patience is not None
        if agreement > progress.best:
            progress.best, progress.waiting = agreement, 0
            self.best = {name: value.detach().clone() for name, value in self.weights.items()}
        else:
            progress.waiting += 1
            progress.stopped = progress.waiting >= self.plan.patience

    def _agreement(self) -> float:
        """Average the target of the predicted class over held-out samples; of hard targets: the share predicted."""
        self.both.eval()
        mine = self.held[self.world.rank :: self.world.size]
        found = torch.zeros(2, dtype=torch.float64, device=self.device)
        size = self.plan.micro_batch or self.plan.batch_size
        with torch.no_grad(), self._precision():
            for rows in slices(len(mine), size):
                places = mine[rows]
                targets = torch.from_numpy(self.training_set.targets[places]).to(self.device)
                named = self.both(self._batch(places)).argmax(dim=1, keepdim=True)
                found += torch.stack([targets.gather(1, named).sum(), targets.sum()]).double()
        right, weight = self.world.total(found).tolist()
        return float(right / max(weight, 1e-12))

    def _keep(self, path: Path | None) -> None:
        if path is not None and self.world.leads:
            write_checkpoint(path, self.weights, self.optimiser, self.best, self.progress)


def tune(plan: TuningSettings, network: Network, training_set: TrainingSet, path: Path | None) -> Tuned:
    """Return fine-tune a network.

    Parameters
    ----------
    plan : TuningSettings
    network : Network
    training_set : TrainingSet
    path : Path, optional
        The path of the checkpoint: a training that is found there goes on.
    """
    device = device_of(plan.device)
    with together(plan.device) as world, _own_stream(device):
        tuned = _Training(plan, network, training_set, world, device).run(path)
        world.wait()
    return tuned
