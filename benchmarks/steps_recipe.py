"""The released recipe at nine pairs of steps and learning rate, and where every label-free rule lands among them.

    python benchmarks/steps_recipe.py --data DIR [--tasks ...] [--seeds 5] [--jobs 4] --out FILE
    python benchmarks/steps_recipe.py --read FILE
    python benchmarks/steps_recipe.py --data DIR [--tasks ...] [--seeds 3] --stages

DIR as for `steps_grid.py`. Every pair is fitted on all samples, which gives its PGR, and on four fifths of them: the
initial and the final student's classes on the rest are what the rules look at. `--stages` chooses among all nine, and
without those that are longer than one that is certainly worse than a shorter one, and prints both choices and seconds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from steps_grid import HELD_OUT, load

from cosup import AdamProbe, make_method
from cosup.cosupervision import co_supervise, joint_posterior
from cosup.cosupervision.tuned_published import CANDIDATES
from cosup.labels import TeacherLabels
from cosup.students import held_out_choice
from cosup.tasks import Task
from cosup.utils.shared_results import SharedResults

Record = dict[str, Any]


def fit(X: Any, labels: TeacherLabels, pair: tuple[float, float], seed: int) -> Any:
    _, config = make_method("csl-published")._plan()  # type: ignore[attr-defined]
    epochs = max(1, round(pair[1] * 100 / len(X)))
    student = AdamProbe(learning_rate=float(pair[0]), epochs=epochs, batch_size=100)
    return co_supervise(X, labels, student=student, config=config, random_state=seed)


def measure(job: tuple[str, int], data: Path) -> Record:
    name, seed = job
    task: Task = load(name, seed, data)
    X, y = task.X_train, task.truth.y_test
    order = np.random.default_rng(seed).permutation(len(X))
    held, seen = np.split(order, [round(HELD_OUT * len(X))])
    ceiling = make_method("vanilla", random_state=0).fit(X, task.truth.y_train).score(task.X_test, y)
    record: Record = {
        "task": name, "seed": seed, "weak": float((task.weak_test == y).mean()), "ceiling": float(ceiling),
        "n_classes": task.labels.n_classes, "generalist": task.labels.predicted_class(0, held).tolist(),
        "truth": task.truth.y_train[held].tolist(), "accuracy": [], "initial": [], "final": [],
        "posterior": joint_posterior(np.asarray(X), task.labels, seed)[held].round(4).tolist(),
    }  # fmt: skip
    for method in ("csl-published", "csl-published-tuned", "vanilla"):
        record[method] = float(make_method(method, random_state=seed).fit(X, task.labels).score(task.X_test, y))
    for pair in CANDIDATES:
        whole, part = fit(X, task.labels, pair, seed), fit(X[seen], task.labels[seen], pair, seed)
        record["accuracy"].append(float((whole.head.predict_proba(task.X_test).argmax(axis=1) == y).mean()))
        for which, head in (("initial", part.level_heads[0]), ("final", part.head)):
            record[which].append(head.predict_proba(X[held]).argmax(axis=1).tolist())
    print(name, seed, "done", flush=True)
    return record


def pgr(record: Record, accuracy: Any) -> Any:
    return 100 * (np.asarray(accuracy) - record["weak"]) / (record["ceiling"] - record["weak"])


def agreement(with_whom: str, of: str, record: Record) -> Any:
    """How often every candidate's student names the class that the generalist, or the truth, names."""
    return (np.array(record[of]) == np.array(record[with_whom])).mean(axis=1)


def above_chance(record: Record) -> Any:
    """Cohen's kappa of every candidate's initial student and the generalist."""
    predicted, generalist = np.array(record["initial"]), np.array(record["generalist"])
    n, n_classes = len(generalist), record["n_classes"]
    usual = np.bincount(generalist, minlength=n_classes) / n
    chance = np.array([np.bincount(row, minlength=n_classes) / n @ usual for row in predicted])
    return ((predicted == generalist).mean(axis=1) - chance) / (1 - chance)


def probability(of: str, record: Record) -> Any:
    """Mean probability of every candidate's classes under the joint posterior."""
    predicted, posterior = np.array(record[of]), np.array(record["posterior"])
    return posterior[np.arange(len(posterior)), predicted].mean(axis=1)


def among(of: str, others: str, record: Record) -> Any:
    """How often every candidate's student agrees with those of all candidates."""
    return (np.array(record[of])[:, None] == np.array(record[others])).mean(axis=(1, 2))


RULES: dict[str, Callable[[Record], Any]] = {
    "initial is probable under the joint posterior (shipped at 100 %)": partial(probability, "initial"),
    "final is probable under the joint posterior": partial(probability, "final"),
    "initial agrees with the generalist": partial(agreement, "generalist", "initial"),
    "final agrees with the generalist": partial(agreement, "generalist", "final"),
    "initial agrees with it above chance": above_chance,
    "initial agrees with all initials": partial(among, "initial", "initial"),
    "final agrees with all finals": partial(among, "final", "final"),
    "initial agrees with all finals": partial(among, "initial", "final"),
    "final agrees with the truth, for comparison": partial(agreement, "truth", "final"),
}
SHARES = (1.0, 0.99, 0.98, 0.97, 0.96, 0.95)


def read(path: Path) -> None:
    """Print the grid of every task, and how far every rule lands below its best pair."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    tasks = list(dict.fromkeys(record["task"] for record in records))
    pairs = ", ".join(f"{steps:g} x {rate:g}" for rate, steps in CANDIDATES)
    print(f"pairs: {pairs}")
    best = {}
    for task in tasks:
        own = [record for record in records if record["task"] == task]
        grid = np.mean([pgr(record, record["accuracy"]) for record in own], axis=0)
        best[task] = grid.max()
        methods = {name: float(np.mean([pgr(record, record[name]) for record in own]))
                   for name in ("csl-published", "csl-published-tuned", "vanilla")}  # fmt: skip
        print(task, np.round(grid, 1).tolist(), {name: round(value, 1) for name, value in methods.items()})
    print(f"points below the best pair, {', '.join(tasks)}; first candidate at so large a share of the best")
    for name, rule in RULES.items():
        for share in SHARES:
            landed: dict[str, list[float]] = {task: [] for task in tasks}
            for record in records:
                score = rule(record)
                first = int(np.flatnonzero(score >= share * score.max())[0])
                landed[record["task"]].append(float(pgr(record, record["accuracy"][first])))
            below = [best[task] - np.mean(values) for task, values in landed.items()]
            print(f"{name}, {share:.0%}: {np.round(below, 1).tolist()}, worst {max(below):.1f}")


def compare_stages(name: str, seed: int, data: Path) -> None:
    """Print what is chosen with and without leaving paths out that cannot win, and the processor's seconds of each."""
    task = load(name, seed, data)
    method: Any = make_method("csl-published-tuned")
    shipped, found, seconds = held_out_choice.WORSE, [], []
    try:
        with SharedResults().active():
            joint_posterior(task.X_train, task.labels, seed)  # computed beforehand, for both
            for worse in (shipped, float("inf")):
                held_out_choice.WORSE, started = worse, time.process_time()
                found.append(method._tuned(task.X_train, task.labels, seed))
                seconds.append(time.process_time() - started)
    finally:
        held_out_choice.WORSE = shipped
    same = "the same" if found[0] == found[1] else f"of all nine {found[1]}"
    print(f"{name}, seed {seed}: {found[0]}, {same}; {seconds[0]:.1f} and {seconds[1]:.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--tasks", default="digits-classes,digits-domains,hierarchy,pacs-classes,pacs-domains")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("recipe.jsonl"))
    parser.add_argument("--read", type=Path)
    parser.add_argument("--stages", action="store_true")
    given = parser.parse_args()
    if given.read is not None:
        read(given.read)
        return
    jobs = [(name, seed) for seed in range(given.seeds) for name in given.tasks.split(",")]
    if given.stages:
        for name, seed in jobs:
            compare_stages(name, seed, given.data)
        return
    with get_context("spawn").Pool(given.jobs) as pool:
        for record in pool.imap_unordered(partial(measure, data=given.data), jobs):
            with given.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
