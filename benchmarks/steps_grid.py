"""Every rival that is trained by steps: PGR over penalty, learning rate and number of steps, all side by side.

    python benchmarks/steps_grid.py --data DIR [--tasks digits-classes,pacs-classes,hierarchy] [--seeds 5] [--out FILE]

One run trains, for every penalty and learning rate, a head on all samples and one on four fifths of them; the latter
are what a label-free rule may look at. On a GPU a run takes seconds. Writes a JSON line a (task, seed, rival, steps):
PGR and held-out agreements of every candidate. `python benchmarks/steps_grid.py --read FILE` prints tables of them.

DIR holds digits.npz and scanned.npz (images, y, features, as the cache of `cosup` keeps them) and pacs.npz.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from development import real_tasks
from steps import OPTIONS, RIVALS

from cosup import make_method
from cosup.baselines import gradient
from cosup.baselines.objectives import expected
from cosup.students.held_out_choice import GRID, OF_RIVALS, strongest
from cosup.tasks import Task, load_task
from cosup.tasks.digits import Digits, make_class_task, make_domain_task, shrink

RATES = (1 / 3, 1.0, 3.0)
TIMES = (0.25, 1.0, 4.0)
HELD_OUT = 0.2


class CapturedError(Exception):
    """Carries what `fit_gradient` was called with."""


@contextmanager
def capturing() -> Iterator[list[Any]]:
    """Let `fit_gradient` put down its arguments and stop."""
    found: list[Any] = []
    own = gradient.fit_gradient

    def capture(*given: Any, **named: Any) -> Any:
        found.extend([given, named])
        raise CapturedError

    gradient.fit_gradient = capture
    try:
        yield found
    finally:
        gradient.fit_gradient = own


def load(name: str, seed: int, data: Path) -> Task:
    if name == "hierarchy":
        options = OPTIONS[name] | {"accuracy": (0.3, 0.45, 0.6), "separation": 5.0}
        return load_task(name, seed=seed, **options)
    if name.startswith("pacs-"):
        return real_tasks(data / "pacs.npz", None)[name](seed)
    digits = _digits(data / "digits.npz")
    if name == "digits-classes":
        return make_class_task(digits, seed=seed)
    return make_domain_task([("MNIST", digits), ("scanned", _digits(data / "scanned.npz"))], seed=seed)


def _digits(path: Path) -> Digits:
    with np.load(path) as held:
        images, y, features = held["images"], held["y"].astype(np.int64), held["features"].astype(np.float32)
    if images.shape[1] == 28:
        return Digits(images, shrink(images, 4), features, y)
    thumbnails = images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16) / 255
    return Digits(np.pad(images.repeat(3, 1).repeat(3, 2), ((0, 0), (2, 2), (2, 2))), thumbnails, features, y)


class SideBySide:
    """Heads of different penalties, learning rates and samples, trained by Adam as `gradient.run` trains them."""

    def __init__(self, given: tuple[Any, ...], named: dict[str, Any], device: str) -> None:
        self.make, X, targets, self.kept, _ = given
        self.seed, self.width = named["seed"], named.get("fold_width", 1)
        self.device = device
        self.features = gradient.Features(np.asarray(X))
        rows = np.flatnonzero(self.kept)
        self.rows = rows
        self.Z = self.features.Z[torch.from_numpy(rows)].to(device)
        self.T = torch.from_numpy(np.ascontiguousarray(targets[rows], dtype=np.float32)).to(device)
        weights = named.get("weights")
        self.weights = np.ones(len(rows)) if weights is None else weights[rows]
        hyperparameter = self.make().hyperparameter or (math.nan,)
        self.candidates = list(product(hyperparameter, GRID, RATES))
        order = np.random.default_rng(self.seed).permutation(len(rows))
        self.held = order[: max(1, round(HELD_OUT * len(rows)))]

    def train(self, times: float) -> tuple[Any, Any, Any]:
        """Weights (H, width, d, C) and biases of the candidates: on all samples, then on the seen ones."""
        n, d = self.Z.shape
        doubled = self.candidates * 2
        n_heads, n_classes = len(doubled), self.T.shape[-1]
        seen = np.ones((n, n_heads))
        seen[self.held, len(self.candidates) :] = 0.0
        present = torch.from_numpy((seen * self.weights[:, None]).astype(np.float32)).to(self.device)
        objective = self.make()
        objective.set_hyperparameter(np.array([setting for setting, _, _ in doubled]))
        shape = (n_heads, self.width, n_classes)
        generator = torch.Generator(device="cpu").manual_seed(self.seed)
        weight = torch.zeros(d, math.prod(shape))
        if self.width > 1:
            one = torch.empty(d, 1, self.width, n_classes, device="cpu")
            one = one.uniform_(-(d**-0.5), d**-0.5, generator=generator).to(self.device)
            weight = one.expand(d, *shape).reshape(d, -1).clone()
        weight.requires_grad_()
        bias = torch.zeros(math.prod(shape), requires_grad=True)
        rates = torch.tensor([rate for _, _, rate in doubled], dtype=torch.float32) * gradient.LEARNING_RATE
        columns = rates.repeat_interleave(self.width * n_classes) / math.sqrt(d)
        penalty = torch.tensor([alpha / self.width for _, alpha, _ in doubled], dtype=torch.float32)
        penalty = penalty.repeat_interleave(self.width * n_classes)
        own = objective.begin(n_heads, self.width, self.T)
        groups = [(weight, columns), (bias, columns)]
        for extra in own:
            groups.append((extra, (rates / math.sqrt(objective.fan_in or d)).view(-1, *[1] * (extra.ndim - 1))))
        moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p, _ in groups]
        batches, epochs = gradient.schedule(n)
        epochs = max(1, round(epochs * times))
        done, total = 0, epochs * batches
        look = torch.randperm(n, generator=generator, device="cpu")[: gradient.LOOK_ROWS].to(self.device)
        for _ in range(epochs):
            permutation = torch.randperm(n, generator=generator, device="cpu").to(self.device)
            for rows in permutation.chunk(batches):
                if objective.looks_ahead and done % gradient.LOOK_EVERY == 0:
                    with torch.no_grad():
                        objective.look(torch.addmm(bias, self.Z[look], weight).view(-1, *shape), self.T[look])
                for p, _ in groups:
                    p.grad = None
                here = present[rows]
                logits = torch.addmm(bias, self.Z[rows], weight).view(-1, *shape)
                each = objective.loss(logits, self.T[rows], here, done / total)
                ((each * here).sum(0) / here.sum(0).clamp(min=1e-9)).sum().backward()
                cosine = 0.5 * (1.0 + math.cos(math.pi * done / total))
                done += 1
                with torch.no_grad():
                    weight.grad.addcmul_(weight, penalty)
                    for (p, rate), (m, v) in zip(groups, moments, strict=True):
                        m.mul_(0.9).add_(p.grad, alpha=0.1)
                        v.mul_(0.999).addcmul_(p.grad, p.grad, value=0.001)
                        denominator = (v / (1 - 0.999**done)).sqrt_().add_(1e-8)
                        p.sub_(rate * cosine / (1 - 0.9**done) * m / denominator)
                objective.after_step()
        return weight.detach().view(d, *shape), bias.detach().view(*shape), objective

    def predicted(self, trained: tuple[Any, Any, Any], Z: Any) -> Any:
        """Classes that every head predicts, (H, n)."""
        weight, bias, objective = trained
        logits = torch.einsum("nd,dhkc->nhkc", Z, weight) + bias
        logits = logits.mean(2)
        if objective.gives_evidence:
            return expected(logits.double().cpu().numpy()).argmax(axis=2).T
        return logits.argmax(2).T.cpu().numpy()


def measure(task: Task, seed: int, rival: str, device: str) -> Iterator[dict[str, Any]]:
    y = task.truth.y_test
    weak = float((task.weak_test == y).mean())
    ceiling = float(make_method("vanilla", random_state=0).fit(task.X_train, task.truth.y_train).score(task.X_test, y))
    with capturing() as found, suppress(CapturedError):
        make_method(rival, random_state=seed).fit(task.X_train, task.labels)
    assert np.allclose(found[0][1], task.X_train), "the features were scaled; this script predicts from unscaled ones"
    with torch.device(device):
        heads = SideBySide(found[0], found[1], device)
        centred = (np.asarray(task.X_test) - heads.features.mean) / heads.features.scale
        Z_test = torch.from_numpy(centred.astype(np.float32)).to(device)
        held = heads.rows[heads.held]
        vote = task.labels.vote(task.labels.at_level(0))
        generalist = np.where(vote.sum(axis=1) > 0, vote.argmax(axis=1), -1)
        half = len(heads.candidates)
        for times in TIMES:
            started = time.perf_counter()
            trained = heads.train(times)
            on_test = heads.predicted(trained, Z_test)
            on_held = heads.predicted(trained, heads.Z[torch.from_numpy(heads.held).to(device)])[half:]
            accuracy = (on_test == y).mean(axis=1)
            yield {
                "task": task.name, "seed": seed, "rival": rival, "times": times, "candidates": heads.candidates,
                "pgr": (100 * (accuracy[:half] - weak) / (ceiling - weak)).tolist(),
                "generalists": (on_held == generalist[held])[:, generalist[held] >= 0].mean(axis=1).tolist(),
                "truth": (on_held == task.truth.y_train[held]).mean(axis=1).tolist(),
                "weak": weak, "ceiling": ceiling, "seconds": time.perf_counter() - started,
            }  # fmt: skip


def read(path: Path) -> None:
    """Print a table a task: PGR at steps x rate, the penalty chosen without a label; shipped; best."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for task in dict.fromkeys(r["task"] for r in records):
        print(f"\n### {task}\n")
        settings = " | ".join(f"{t:g} x {r:.2g}" for t in TIMES for r in RATES)
        rest = "best penalty | best of all | below the best penalty | below the best of all"
        print(f"| method | seeds | {settings} | {rest} |")
        print("| --- " * (6 + len(TIMES) * len(RATES)) + "|")
        for rival in dict.fromkeys(r["rival"] for r in records if r["task"] == task):
            print(_row([r for r in records if r["task"] == task and r["rival"] == rival], rival))


def _row(own: list[dict[str, Any]], rival: str) -> str:
    cells: dict[tuple[float, float], list[float]] = {}
    penalties, whole = [], []
    for record in own:
        candidates, pgr = np.array(record["candidates"]), np.array(record["pgr"])
        for rate in RATES:
            its = np.flatnonzero(np.isclose(candidates[:, 2], rate))
            cells.setdefault((record["times"], rate), []).append(
                pgr[its[strongest(np.array(record["generalists"])[its], OF_RIVALS)]]
            )
            if record["times"] == 1 and rate == 1:
                penalties.append(pgr[its])
        whole.append((record["times"], pgr))
    means = {key: float(np.mean(values)) for key, values in cells.items()}
    best = max(float(np.mean([p for t, p in whole if t == times], axis=0).max()) for times in TIMES)
    shipped, penalty = means[1.0, 1.0], float(np.mean(penalties, axis=0).max())
    numbers = [means[t, r] for t in TIMES for r in RATES]
    numbers += [penalty, best, penalty - shipped, best - shipped]
    return f"| {rival} | {len(penalties)} | " + " | ".join(f"{value:.0f}" for value in numbers) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--tasks", default="digits-classes,pacs-classes,hierarchy")
    parser.add_argument("--rivals", default=",".join(RIVALS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path("steps.jsonl"))
    parser.add_argument("--read", type=Path)
    given = parser.parse_args()
    if given.read is not None:
        read(given.read)
        return
    run: Callable[..., Iterator[dict[str, Any]]] = measure
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        for name in given.tasks.split(","):
            task = load(name, seed, given.data)
            for rival in given.rivals.split(","):
                for record in run(task, seed, rival, given.device):
                    with given.out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(record) + "\n")
                    print(name, seed, rival, record["times"], f"{record['seconds']:.1f} s", flush=True)


if __name__ == "__main__":
    main()
