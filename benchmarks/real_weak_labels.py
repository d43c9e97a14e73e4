"""The table of methods on real weak labels, from the records of a bench.

    cosup bench --tasks weak-labels --root DIR --methods ... --seeds 5 --jobs 1 --out runs
    python benchmarks/real_weak_labels.py runs

Test accuracy in %, mean over draws with a 95 % t interval (in brackets how many draws, where there are not five), and
macro-F1 where classes are unequal.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from scipy import stats

from cosup.benchmark import read_records

DRAWS = 5


def cell(values: Mapping[int, float]) -> str:
    found = 100 * np.array(list(values.values()))
    if len(found) == 0:
        return "-"
    if len(found) == 1:
        return f"{found[0]:.1f} (1)"
    half = stats.t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found))
    return f"{found.mean():.1f} ± {half:.1f}" + ("" if len(found) == DRAWS else f" ({len(found)})")


def table(folder: str) -> str:
    accuracy: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    macro: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for record in read_records(folder):
        if record["error"] is None:
            task, seed = record["task"].removeprefix("weak-labels-"), record["seed"]
            accuracy[task, record["label"]][seed] = record["student"]
            accuracy[task, "true labels"][seed] = record["ceiling"]
            if record.get("macro_f1") is not None:
                macro[task, record["label"]][seed] = record["macro_f1"]
    tasks = sorted({task for task, _ in accuracy})
    unequal = sorted({task for task, _ in macro})
    labels = list(dict.fromkeys(label for _, label in accuracy if label != "true labels"))
    labels.sort(key=lambda label: -np.mean([np.mean(list(accuracy[t, label].values()) or [0]) for t in tasks]))
    head = ["method", *tasks, *(f"{task}, macro-F1" for task in unequal)]
    rows = [
        [label, *(cell(accuracy[t, label]) for t in tasks), *(cell(macro[t, label]) for t in unequal)]
        for label in [*labels, "true labels"]
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


if __name__ == "__main__":
    print(table(sys.argv[1]))
