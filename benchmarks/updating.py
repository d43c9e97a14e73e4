"""What an update could reuse of an earlier fit, and what that would cost in accuracy.

    python benchmarks/updating.py [--seeds 5]

Two thirds of the samples and all teachers but the last two were there; then come the rest. Processor seconds of one
thread, medians over seeds, and points of test accuracy against a fresh fit on everything, mean and largest difference:

- *fresh*: what ``cosup fit --update`` does;
- *factors*: a fresh fit that finds its features factorised already, the most that an updated factorisation could save
  (new rows turn all eigenvectors, so that all rows have to be rotated again): the same result;
- *regularisation*: the ridge's regularisation is that of the earlier fit and not chosen again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from cosup import CoSupervisedClassifier, RidgeProbe, TeacherLabels
from cosup.students import shared
from cosup.tasks import Task, load_task, make_hierarchy

TASKS: dict[str, Callable[[int], Task]] = {
    "digits-classes": lambda seed: load_task("digits-classes", seed=seed),
    "digits-domains": lambda seed: load_task("digits-domains", seed=seed),
    "planted, 20,000 x 384": lambda seed: make_hierarchy(20_000, 1000, n_features=384, random_state=seed),
}


def fitted(X: Any, labels: TeacherLabels, student: Any) -> tuple[float, Any]:
    """Processor seconds, and the model."""
    clock = time.process_time()
    model = CoSupervisedClassifier(student, random_state=0).fit(X, labels)
    return time.process_time() - clock, model


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    print(
        "| task | fresh, s | factors, s | regularisation, s | regularisation: accuracy, mean and largest difference |"
    )
    print("| --- | --- | --- | --- | --- |")
    for name, make in TASKS.items():
        seconds: dict[str, list[float]] = {"fresh": [], "factors": [], "alpha": []}
        lost = []
        for seed in range(arguments.seeds):
            task = make(seed)
            X, labels, n = task.X_train, task.labels, 2 * len(task.labels) // 3
            early = labels.n_teachers - 2
            old = TeacherLabels(
                labels.annotations[:n, :early], levels=labels.levels[:early], specialties=labels.specialties[:early],
                n_classes=labels.n_classes,
            )  # fmt: skip
            _, before = fitted(X[:n], old, "ridge")
            reused = shared(RidgeProbe())
            _, warm = fitted(X, labels, reused)
            own, fresh = fitted(X, labels, "ridge")
            seconds["fresh"].append(own)
            again, same = fitted(X, labels, reused)
            seconds["factors"].append(again)
            assert np.array_equal(same.head_.weight, warm.head_.weight)
            kept, other = fitted(X, labels, RidgeProbe(before.history_[-1]["alpha"]))
            seconds["alpha"].append(kept)
            y = task.truth.y_test
            lost.append(100 * (other.score(task.X_test, y) - fresh.score(task.X_test, y)))
        cells = [f"{np.median(values):.2f}" for values in seconds.values()]
        worst = max(lost, key=abs)
        print(f"| {name} | {' | '.join(cells)} | {np.mean(lost):+.2f}; {worst:+.2f} |", flush=True)


if __name__ == "__main__":
    main()
