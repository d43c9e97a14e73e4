"""The default against its rivals on random members of the planted family: where it wins, and where it loses.

    python benchmarks/hierarchies.py [--tasks 40] [--seed 7]

Every task is drawn at random: classes, features, samples, depth, teachers a level, their accuracies, how predictable
their mistakes are, overlap, missing coverage, soft or hard annotations, abstention. Differences are points of PGR
against vanilla with the same regularised student, on tasks whose measured ceiling is above the teacher.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

from cosup import CosupError, RidgeProbe, make_method
from cosup.students import shared
from cosup.tasks import make_hierarchy

RIVALS = ("co-supervised", "csl", "csl-published")


def draw(rng: np.random.Generator) -> dict[str, Any]:
    """Options of a random member of `make_hierarchy`."""
    n_classes = int(rng.choice([3, 4, 7, 12, 20, 40]))
    teachers = [1]
    for _ in range(int(rng.integers(1, 4))):
        teachers.append(int(min(n_classes, teachers[-1] * rng.integers(1, 4))))
    accuracy = np.maximum(np.sort(rng.uniform(0.25, 0.9, size=len(teachers))), 1.3 / n_classes)
    return {
        "n_samples": int(rng.choice([500, 2000])),
        "n_features": int(rng.choice([16, 64, 256])),
        "n_classes": n_classes,
        "teachers_per_level": tuple(teachers),
        "accuracy": tuple(float(a) for a in accuracy),
        "systematic": float(rng.choice([0.0, 0.5, 1.0])),
        "overlap": int(rng.choice([0, 0, 1])),
        "uncovered": int(rng.choice([0, 0, 1])) if n_classes > 4 else 0,
        "soft": bool(rng.choice([False, False, True])),
        "abstain": float(rng.choice([0.0, 0.0, 0.4])),
    }


def measure(options: dict[str, Any], seed: int) -> dict[str, float] | None:
    """Points of PGR against vanilla, or None where the gap is not positive."""
    task = make_hierarchy(**options, random_state=seed)
    student = shared(RidgeProbe())
    y_test = task.truth.y_test
    weak = float((task.weak_test == y_test).mean())
    ceiling = make_method("vanilla", student=student).fit(task.X_train, task.truth.y_train).score(task.X_test, y_test)
    if ceiling <= weak:
        return None
    vanilla = make_method("vanilla", student=student).fit(task.X_train, task.labels).score(task.X_test, y_test)
    out = {"vanilla": 100 * (vanilla - weak) / (ceiling - weak)}
    for name in RIVALS:
        own = {} if name == "csl-published" else {"student": student}
        score = make_method(name, random_state=seed, **own).fit(task.X_train, task.labels).score(task.X_test, y_test)
        out[name] = 100 * (score - vanilla) / (ceiling - weak)
    return out


def main() -> None:
    """Draw, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=40)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    rows, left_out = [], 0
    for seed in range(arguments.tasks):
        options = draw(rng)
        try:
            row = measure(options, seed)
        except CosupError as error:
            print(f"{seed:3d}  left out: {error}")
            row = None
        if row is None:
            left_out += 1
            continue
        rows.append(row)
        losing = "" if row["co-supervised"] > -2 else f"   loses: {options}"
        print(f"{seed:3d}  " + "  ".join(f"{k} {v:+7.1f}" for k, v in row.items()) + losing, flush=True)
    summary = {
        name: {
            "median": float(np.median([r[name] for r in rows])),
            "mean": float(np.mean([r[name] for r in rows])),
            "below vanilla by over 2 points": int(sum(r[name] < -2 for r in rows)),
        }
        for name in RIVALS
    }
    print(json.dumps({"tasks": len(rows), "left out": left_out, "seed": arguments.seed, "against vanilla": summary}))


if __name__ == "__main__":
    main()
