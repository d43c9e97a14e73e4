"""What it costs in PGR to keep only the k most probable classes of soft annotations (`cosup.TopK`).

    python benchmarks/truncation.py [--seeds 5]

For every task, method and k: mean over seeds of the difference in points of PGR to the same method on all
probabilities, with a 95 % interval (Student's t, paired by seed).
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from scipy import stats

from cosup import RidgeProbe, make_method
from cosup.datasets import Task, load_task, make_hierarchy
from cosup.student import shared

METHODS: dict[str, dict[str, Any]] = {
    "vanilla": {"soft": True}, "csl": {"hard": False}, "csl-published": {"soft": True}, "co-supervised": {},
}  # fmt: skip


def tasks(seed: int) -> dict[str, Task]:
    many = {"soft": True, "n_samples": 3000, "teachers_per_level": (1, 2, 4), "random_state": seed}
    return {
        "digits-classes, 10 classes": load_task("digits-classes", seed=seed),
        "digits-domains, 10 classes": load_task("digits-domains", seed=seed),
        "planted, 40 classes": make_hierarchy(n_classes=40, n_features=64, **many),
        "planted, 150 classes": make_hierarchy(n_classes=150, n_features=128, **many),
    }


def scores(task: Task, labels: Any, student: Any, seed: int) -> dict[str, float]:
    weak = float((task.weak_test == task.truth.y_test).mean())
    ceiling = make_method("vanilla", student=student).fit(task.X_train, task.truth.y_train)
    gap = ceiling.score(task.X_test, task.truth.y_test) - weak
    out = {}
    for name, options in METHODS.items():
        own = {} if name == "csl-published" else {"student": student}
        model = make_method(name, random_state=seed, **own, **options).fit(task.X_train, labels)
        out[name] = 100 * (model.score(task.X_test, task.truth.y_test) - weak) / gap
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = range(parser.parse_args().seeds)
    found: dict[tuple[str, str, int], list[float]] = {}
    for seed in seeds:
        for name, task in tasks(seed).items():
            student = shared(RidgeProbe())
            whole = scores(task, task.labels, student, seed)
            for method, pgr in whole.items():
                found.setdefault((name, method, 0), []).append(pgr)
            for k in (1, 3, 5):
                for method, pgr in scores(task, task.labels.top_k(k), student, seed).items():
                    found.setdefault((name, method, k), []).append(pgr - whole[method])
    print(f"| task | method | PGR, all classes | {' | '.join(f'top {k}: points' for k in (1, 3, 5))} |")
    print("| --- | --- | --- | --- | --- | --- |")
    for (name, method, k), whole in found.items():
        if k == 0:
            cells = []
            for kept in (1, 3, 5):
                d = np.array(found[name, method, kept])
                half = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
                cells.append(f"{d.mean():+.1f} ({d.mean() - half:+.1f} to {d.mean() + half:+.1f})")
            print(f"| {name} | {method} | {np.mean(whole):.1f} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
