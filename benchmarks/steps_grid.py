"""PGR of every rival that is trained by steps over penalty, learning rate and number of steps, and where rules land.

    python benchmarks/steps_grid.py --data DIR [--tasks ...] [--seeds 2] [--rivals ...] [--times ...] --out FILE
    python benchmarks/steps_grid.py --read FILE

Every candidate is a head on four fifths of the samples, trained as a fit trains it; the others are what a label-free
rule may look at. Writes a JSON line a (task, seed, rival): PGR of every candidate on the test samples, and its scores
on those held out.

DIR holds digits.npz, scanned.npz and fashion.npz (images, y, features, as the cache of `cosup` keeps them), pacs.npz,
and a folder `real` of weak labels, whose figures are accuracies in % rather than PGR.
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

from cosup import make_method
from cosup.baselines import gradient
from cosup.cosupervision import joint_posterior
from cosup.students.held_out_choice import GRID, HELD_OUT
from cosup.tasks import Task, load_task, make_hierarchy
from cosup.tasks.digits import Digits, make_class_task, make_domain_task, shrink

RIVALS = (
    "confidence-loss", "adaptive-confidence", "reverse-kl", "reverse-ce", "evidential", "simplex-weights",
    "co-teaching", "reliability-weighting", "crowd-layer", "lol",
)  # fmt: skip
TASKS = ("digits-classes", "pacs-classes", "hierarchy")
RATES = (1 / 3, 1.0, 3.0)
TIMES = (1 / 16, 1 / 4, 1.0)
REAL = ("labelme", "trec", "youtube", "claude9")
PLANTED: dict[str, dict[str, Any]] = {
    # As wide as few classes make a ridge mask them: a stand-in for inputs of another kind than images.
    "hierarchy": {"n_classes": 40, "n_samples": 2500, "accuracy": (0.3, 0.45, 0.6), "separation": 5.0},
    "hierarchy-10": {"n_classes": 10, "n_samples": 4000, "accuracy": (0.4, 0.55, 0.7), "separation": 4.0},
    "hierarchy-20": {
        "n_classes": 20, "n_samples": 2500, "accuracy": (0.4, 0.6, 0.75), "separation": 4.0, "n_features": 128
    },
}  # fmt: skip

Record = dict[str, Any]


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
    if name in PLANTED:
        options: dict[str, Any] = {"n_test": 2500, "n_features": 64, "teachers_per_level": (1, 2, 4)} | PLANTED[name]
        return make_hierarchy(**options, random_state=seed if name == "hierarchy" else 100 + seed)
    if name in REAL:
        return load_task(f"weak-labels-{name}", seed=seed, root=str(data / "real"))
    if name.startswith("pacs-"):
        return real_tasks(data / "pacs.npz", None)[name](seed)
    if name == "digits-domains":
        both = [("MNIST", _digits(data / "digits.npz")), ("scanned", _digits(data / "scanned.npz"))]
        return make_domain_task(both, seed=seed)
    return make_class_task(_digits(data / f"{name.removesuffix('-classes')}.npz"), seed=seed)


def _digits(path: Path) -> Digits:
    with np.load(path) as held:
        images, y, features = held["images"], held["y"].astype(np.int64), held["features"].astype(np.float32)
    if images.shape[1] == 28:
        return Digits(images, shrink(images, 4), features, y)
    thumbnails = images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16) / 255
    return Digits(np.pad(images.repeat(3, 1).repeat(3, 2), ((0, 0), (2, 2), (2, 2))), thumbnails, features, y)


def measure(task: Task, posterior: Any, seed: int, rival: str, times: tuple[float, ...]) -> Record:
    """Train all candidates of a rival; `posterior` (n_samples, n_classes) judges those held out."""
    y, started = task.truth.y_test, time.perf_counter()
    weak, ceiling = 0.0, 1.0
    if not task.name.startswith("weak-labels"):
        weak = float((task.weak_test == y).mean())
        best = make_method("vanilla", random_state=0).fit(task.X_train, task.truth.y_train)
        ceiling = float(best.score(task.X_test, y))
    with capturing() as found, suppress(CapturedError):
        make_method(rival, random_state=seed).fit(task.X_train, task.labels)
    (make, X, targets, kept, _), named = found
    assert np.allclose(X, task.X_train), "the features were scaled; this script predicts from unscaled ones"
    rows, features = np.flatnonzero(kept), gradient.Features(np.asarray(X))
    held = np.random.default_rng(named["seed"]).permutation(len(rows))[: max(1, round(HELD_OUT * len(rows)))]
    sees = np.ones(len(rows)) if named.get("weights") is None else named["weights"][rows]
    sees[held] = 0.0
    Z, T = features.Z[torch.from_numpy(rows)], torch.from_numpy(targets[rows].astype(np.float32))
    centred = torch.from_numpy(((task.X_test - features.mean) / features.scale).astype(np.float32))
    grid = np.array(list(product(make().hyperparameter or (math.nan,), GRID)))
    width = named.get("fold_width", 1)
    generalist = task.labels.consensus(task.labels.at_level(0))[rows[held]]
    record: Record = {
        "task": task.name, "seed": seed, "rival": rival, "candidates": [], "pgr": [], "posterior": [],
        "generalists": [], "truth": [],
    }  # fmt: skip
    for shares in product(times, RATES):
        made = make()
        made.set_hyperparameter(grid[:, 0])
        present = torch.from_numpy(sees.astype(np.float32))[:, None].repeat(1, len(grid))
        heads = gradient.run(made, Z, T, present, grid[:, 1], seed=named["seed"], shares=shares, width=width)
        of_test = gradient._probabilities(centred, *heads, made).argmax(axis=2)
        of_held = gradient._probabilities(Z[held], *heads, made).argmax(axis=2)
        record["candidates"] += [(*row, *shares) for row in grid.tolist()]
        record["pgr"] += (100 * ((of_test == y).mean(axis=1) - weak) / (ceiling - weak)).tolist()
        record["posterior"] += posterior[rows[held], of_held].mean(axis=1).tolist()
        record["generalists"] += (of_held == generalist)[:, generalist >= 0].mean(axis=1).tolist()
        record["truth"] += (of_held == task.truth.y_train[rows[held]]).mean(axis=1).tolist()
    return record | {"seconds": time.perf_counter() - started}


def chosen(record: Record, score: str, share: float = 1.0, **only: tuple[float, ...]) -> int:
    """Find the first candidate, shortest path and strongest penalty first, whose score is a share of the best."""
    setting, penalty, times, rate = np.array(record["candidates"]).T
    its = np.isin(times.round(3), np.round(only.get("times", TIMES), 3))
    its &= np.isin(rate.round(2), np.round(only.get("rates", (1 / 3, 1.0)), 2))
    order = np.lexsort((-penalty, np.nan_to_num(setting), (times * rate).round(4)))
    order = order[its[order]]
    scores = np.array(record[score])[order]
    return int(order[np.flatnonzero(scores >= share * scores.max())[0]])


RULES: dict[str, Callable[[Record], int]] = {
    "97 % of the generalists' best, penalties only": lambda r: chosen(r, "generalists", 0.97, times=(1,), rates=(1,)),
    "97 % of the generalists' best, steps and rates": lambda r: chosen(r, "generalists", 0.97),
    "posterior, penalties only": lambda r: chosen(r, "posterior", times=(1,), rates=(1,)),
    "posterior, quarter and full steps": lambda r: chosen(r, "posterior", times=(1 / 4, 1)),
    "posterior (what is shipped)": lambda r: chosen(r, "posterior"),
    "posterior, three rates": lambda r: chosen(r, "posterior", rates=RATES),
    "for comparison, the truth held out": lambda r: chosen(r, "truth"),
}
SHIPPED = "posterior (what is shipped)"


def read(path: Path) -> None:
    """Print where the rules land, and a table a task: PGR by steps and rate, best of all, before and now."""
    found: dict[tuple[str, str], dict[int, Record]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        own = found.setdefault((record["task"], record["rival"]), {})
        if record["seed"] in own:  # more steps of the same run
            for key in ("candidates", "pgr", "posterior", "generalists", "truth"):
                own[record["seed"]][key] += record[key]
        else:
            own[record["seed"]] = record
    best = {key: np.mean([r["pgr"] for r in own.values()], axis=0).max() for key, own in found.items()}
    tasks = list(dict.fromkeys(task for task, _ in found))

    def landed(key: tuple[str, str], rule: Callable[[Record], int]) -> float:
        return float(np.mean([r["pgr"][rule(r)] for r in found[key].values()]))

    print(f"| rule | {' | '.join(tasks)} | all | worst | over 5 |\n{'| --- ' * (4 + len(tasks))}|")
    for name, rule in RULES.items():
        below = {key: best[key] - landed(key, rule) for key in found}
        means = [np.mean([value for (t, _), value in below.items() if t == task]) for task in tasks]
        values = np.array(list(below.values()))
        overall = [*means, values.mean(), values.max()]
        print(f"| {name} | {' | '.join(f'{v:.1f}' for v in overall)} | {(values > 5).sum()} of {len(values)} |")
    for task in tasks:
        settings = " | ".join(f"{t:.2g} x {r:.2g}" for t, r in product(TIMES, RATES))
        print(f"\n### {task}\n\n| method | seeds | {settings} | best of all | before | now | below, before | now |")
        print("| --- " * (7 + len(TIMES) * len(RATES)) + "|")
        for rival in (rival for t, rival in found if t == task):
            pair = (task, rival)
            cells = [
                landed(pair, lambda r, t=t, f=f: chosen(r, "posterior", times=(t,), rates=(f,)))  # type: ignore[misc]
                for t, f in product(TIMES, RATES)
            ]
            before, now = (landed(pair, RULES[name]) for name in (next(iter(RULES)), SHIPPED))
            numbers = [*cells, best[pair], before, now, best[pair] - before, best[pair] - now]
            print(f"| {rival} | {len(found[pair])} | " + " | ".join(f"{value:.0f}" for value in numbers) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--rivals", default=",".join(RIVALS))
    parser.add_argument("--times", type=lambda text: tuple(map(float, text.split(","))), default=TIMES)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("steps.jsonl"))
    parser.add_argument("--read", type=Path)
    given = parser.parse_args()
    if given.read is not None:
        read(given.read)
        return
    for seed, name in product(range(given.seeds), given.tasks.split(",")):
        task = load(name, seed, given.data)
        posterior = joint_posterior(np.asarray(task.X_train), task.labels, seed)
        for rival in given.rivals.split(","):
            record = measure(task, posterior, seed, rival, given.times)
            with given.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record | {"task": name}) + "\n")
            print(name, seed, rival, f"{record['seconds']:.1f} s", flush=True)


if __name__ == "__main__":
    main()
