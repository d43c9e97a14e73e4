"""Whether the 90 % intervals of `estimates_` hold the truth, on random members of the planted family.

    python benchmarks/intervals.py [--tasks 400] [--first-seed 3000] [--pacs FILE] [--reference DIR] [--real-seeds 5]

*Plain* draws are those of benchmarks/hierarchies.py; *hard* ones add shared luck (0 to 0.6), imbalance (1, 3 or
10 : 1), and a useless and an adversarial specialist a level, on a third of the tasks each. The widths were set on seeds
0 to 399 of both, the part of them that planted tasks don't need on the real ones. Each cell: coverage and number of
intervals; mean width; mean error of the estimate. ECE: expected calibration error of the student on test samples.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from default import DEFAULT, FEWEST, Knowledge, Scores, table
from development import real_tasks
from hierarchies import draw

from cosup import CosupError
from cosup.tasks import Task, make_hierarchy


def planted(seed: int, *, hard: bool) -> Task:
    """The task of a seed; options that describe none are drawn again."""
    rng = np.random.default_rng([seed, 8 if hard else 7])
    while True:
        options: dict[str, Any] = draw(rng)
        if hard:
            options |= {
                "correlation": float(rng.uniform(0, 0.6)), "imbalance": float(rng.choice([1, 3, 10])),
                "useless": int(rng.random() < 1 / 3), "adversarial": int(rng.random() < 1 / 3),
            }  # fmt: skip
        try:
            return make_hierarchy(**options, random_state=100_000 + seed)
        except CosupError:
            continue


def look(tasks: Iterable[tuple[str, Callable[[], Task]]]) -> list[str]:
    """Cells of a row of the table."""
    knowledge = Knowledge()
    for name, build in tasks:
        try:
            scores = Scores(build(), 0)
            scores.accuracy(DEFAULT)
        except CosupError as error:
            print(f"{name} is left out: {error}")
            continue
        knowledge.add(scores)
    return [str(len(knowledge.calibration)), *knowledge.cells()]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=400)
    parser.add_argument("--first-seed", type=int, default=3000)
    parser.add_argument("--pacs", type=Path, help="features.npz with strong, weak, y, domain")
    parser.add_argument("--reference", type=Path, help="folder with official_csl_inputs.npz")
    parser.add_argument("--real-seeds", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.tasks)
    rows = [
        [kind, *look((f"{kind}, seed {seed}", partial(planted, seed, hard=kind == "hard")) for seed in seeds)]
        for kind in ("plain", "hard")
        if seeds
    ]
    for name, build in real_tasks(arguments.pacs, arguments.reference).items():
        real = range(arguments.real_seeds)
        if real:
            rows.append([name, *look((f"{name}, seed {seed}", partial(build, seed)) for seed in real)])
    table(["draws", "tasks", "student", "teachers", f"by class ({FEWEST} samples and more)", "ECE"], rows)


if __name__ == "__main__":
    main()
