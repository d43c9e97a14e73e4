"""PGR of every rival that is trained by steps against its number of steps and its learning rate.

    python benchmarks/steps.py [--tasks digits-classes,pacs,hierarchy] [--pacs DIR] [--seeds 1] [--out FILE.json]

Every setting chooses its regularisation by the label-free rule, as in a fit. Prints a Markdown table a task; "shipped"
is what a fit takes, "best" the best of all settings on the truth, which nobody can choose.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from cosup import make_method, performance_gap_recovered
from cosup.baselines import gradient
from cosup.cosupervision.tuned_published import CANDIDATES
from cosup.embedding import FeatureCache
from cosup.tasks import Task, load_task

RIVALS = (
    "confidence-loss", "adaptive-confidence", "reverse-kl", "reverse-ce", "evidential", "simplex-weights",
    "co-teaching", "reliability-weighting", "crowd-layer", "lol",
)  # fmt: skip
SETTINGS = ((0.25, 1.0), (1.0, 1 / 3), (1.0, 1.0), (1.0, 3.0), (4.0, 1.0))
"""Factors of the steps and of the learning rate."""

OPTIONS: dict[str, dict[str, Any]] = {
    # As wide as few classes make a ridge mask them: a stand-in for inputs of another kind than images.
    "hierarchy": {"n_samples": 2500, "n_test": 2500, "n_features": 64, "n_classes": 40, "teachers_per_level": (1, 2, 4)}
}


def load(name: str, seed: int, cache: str | None, pacs: str | None) -> Task:
    options = dict(OPTIONS.get(name, {}))
    if name == "hierarchy":
        options |= {"accuracy": (0.3, 0.45, 0.6), "separation": 5.0}
    if name == "pacs":
        options["root"] = pacs
    return load_task(name, seed=seed, cache=FeatureCache(cache), **options)


def ends(task: Task) -> tuple[float, float]:
    """Accuracy of the generalist and of the ridge student of the truth."""
    weak = float((task.weak_test == task.truth.y_test).mean())
    ceiling = make_method("vanilla", random_state=0).fit(task.X_train, task.truth.y_train)
    return weak, float(ceiling.score(task.X_test, task.truth.y_test))


def scheduled(steps: float, rate: float, fit: Any) -> Any:
    """Call `fit` with factors on the trainer's number of steps and learning rate."""
    schedule, learning_rate = gradient.schedule, gradient.LEARNING_RATE

    def longer(n: int, epochs: int = gradient.EPOCHS) -> tuple[int, int]:
        batches, times = schedule(n, epochs)
        return batches, max(1, round(times * steps))

    gradient.schedule, gradient.LEARNING_RATE = longer, learning_rate * rate  # type: ignore[assignment]
    try:
        return fit()
    finally:
        gradient.schedule, gradient.LEARNING_RATE = schedule, learning_rate


def pgr(task: Task, model: Any, weak: float, ceiling: float) -> float:
    accuracy = float(model.score(task.X_test, task.truth.y_test))
    return 100 * float(performance_gap_recovered(accuracy, weak, ceiling, undefined="nan"))


def measure(task: Task, seed: int, rivals: list[str]) -> dict[str, dict[str, float]]:
    weak, ceiling = ends(task)
    out: dict[str, dict[str, float]] = {}
    for name in rivals:
        started = time.perf_counter()
        row = {}
        if name == "csl-published":
            for rate, steps in CANDIDATES:
                epochs = max(1, round(steps * 100 / len(task.X_train)))
                model = make_method(name, learning_rate=float(rate), epochs=epochs, random_state=seed)
                row[f"{steps:g} x {rate:g}"] = pgr(task, model.fit(task.X_train, task.labels), weak, ceiling)
            row["as published"] = pgr(task, make_method(name, random_state=seed).fit(task.X_train, task.labels),
                                      weak, ceiling)  # fmt: skip
            model = make_method("csl-published-tuned", random_state=seed).fit(task.X_train, task.labels)
            row["shipped"] = pgr(task, model, weak, ceiling)
            print(name, model.history_[0]["notes"][-1], flush=True)
        else:
            for steps, rate in SETTINGS:
                model = scheduled(
                    steps,
                    rate,
                    lambda: make_method(name, random_state=seed).fit(task.X_train, task.labels),  # noqa: B023
                )
                row[f"{steps:g} x {rate:.2g}"] = pgr(task, model, weak, ceiling)
            row["shipped"] = row["1 x 1"]
        out[name] = row
        print(f"{name}: {row} ({time.perf_counter() - started:.0f} s)", flush=True)
    return out


def table(rows: dict[str, list[dict[str, float]]]) -> str:
    """Means over seeds, a line a method."""
    lines = []
    for name, seeds in rows.items():
        means = {key: float(np.mean([row[key] for row in seeds])) for key in seeds[0]}
        best = max(value for key, value in means.items() if key != "shipped")
        cells = ", ".join(f"{key}: {value:.0f}" for key, value in means.items() if key != "shipped")
        lines.append(f"| {name} | {cells} | {means['shipped']:.0f} | {best - means['shipped']:.0f} |")
    return "\n".join(
        ["| method | PGR at steps x learning rate | shipped | below the best |", "| --- | --- | --- | --- |", *lines]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="digits-classes,pacs,hierarchy")
    parser.add_argument("--methods", default=",".join(("csl-published", *RIVALS)))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--pacs", help="folder of PACS")
    parser.add_argument("--cache", help="folder of computed features")
    parser.add_argument("--out", help="every figure as JSON")
    given = parser.parse_args()
    found: dict[str, Any] = {}
    for name in given.tasks.split(","):
        rows: dict[str, list[dict[str, float]]] = {}
        for seed in range(given.seeds):
            task = load(name, seed, given.cache, given.pacs)
            for method, row in measure(task, seed, given.methods.split(",")).items():
                rows.setdefault(method, []).append(row)
        found[name] = rows
        print(f"\n### {name}\n\n{table(rows)}\n", flush=True)
        if given.out:
            Path(given.out).write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
