"""What issue 7 asks of the default, in one command: real, planted, random and unequal tasks, bad teachers, cost.

    python benchmarks/default.py [--pacs FILE] [--reference DIR] [--seeds 5] [--random 40] [--only PART ...] [--quick]

PGR in points; the ceiling and every method that takes a student use one regularised ridge. Means over seeds come with
half of a 90 % t interval. Prints Markdown tables, and everything as JSON on the last line. What it gave:
benchmarks/studies/default.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from development import KINDS, planted_tasks, random_tasks, real_tasks, unequal_tasks, with_bad_teachers
from scipy import stats

from cosup import CosupError, CoSupervisedClassifier, RidgeProbe, make_method
from cosup.methods import method_parameters
from cosup.metrics import compare_with, mean_ranks
from cosup.students import shared
from cosup.tasks import Task

DEFAULT = "co-supervised"
METHODS = (
    DEFAULT, "vanilla", "csl", "csl-published", "self-distillation", "reverse-ce", "confidence-loss", "majority",
    "dawid-skene",
)  # fmt: skip
"""Every method but the oracle."""

ORACLE = "oracle"

FEWEST = 20
"""Samples of a class from which a teacher's accuracy on it is looked at."""

PARTS = ("real", "planted", "random", "unequal", "bad teachers", "cost")


class Scores:
    """Accuracies and PGR of methods on one task, all with the same student."""

    def __init__(self, task: Task, seed: int) -> None:
        self.task, self.seed, self.student = task, seed, shared(RidgeProbe())
        self.y = task.truth.y_test
        self.weak = float((task.weak_test == self.y).mean())
        self.ceiling = self.of("vanilla", task.truth.y_train)
        self.known: dict[str, float] = {}
        self.fitted: dict[str, Any] = {}

    @property
    def gap(self) -> float:
        return self.ceiling - self.weak

    def fit(self, name: str, labels: Any) -> Any:
        own: dict[str, Any] = {"random_state": self.seed}
        if "student" in method_parameters(name):
            own["student"] = self.student
        if name == "oracle":
            own |= {"truth": self.task.truth.y_train, "expert": self.task.truth.expert}
        return make_method(name, **own).fit(self.task.X_train, labels)

    def of(self, name: str, labels: Any) -> float:
        return float(self.fit(name, labels).score(self.task.X_test, self.y))

    def accuracy(self, name: str) -> float:
        if name not in self.known:
            self.fitted[name] = self.fit(name, self.task.labels)
            self.known[name] = float(self.fitted[name].score(self.task.X_test, self.y))
        return self.known[name]

    def pgr(self, name: str, labels: Any = None) -> float:
        accuracy = self.accuracy(name) if labels is None else self.of(name, labels)
        return 100 * (accuracy - self.weak) / self.gap


def half(values: Any, level: float = 0.9) -> float:
    """Half of the mean's t interval; NaN of a single value."""
    n = len(values)
    return float(stats.t.ppf((1 + level) / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else float("nan")


def cell(values: Any) -> str:
    """Mean and half interval."""
    return f"{np.mean(values):.1f} ± {half(values):.1f}" if len(values) > 1 else f"{np.mean(values):.1f}"


def table(head: list[str], rows: list[list[str]]) -> None:
    """Print Markdown."""
    for row in (head, ["---"] * len(head), *rows):
        print("| " + " | ".join(row) + " |")
    print(flush=True)


class Knowledge:
    """Whether the 90 % intervals of `estimates_` hold the truth, and how well probabilities are calibrated."""

    def __init__(self) -> None:
        self.hits: dict[str, list[bool]] = {"student": [], "teachers": [], "by class": []}
        self.widths: dict[str, list[float]] = {what: [] for what in self.hits}
        self.errors: dict[str, list[float]] = {what: [] for what in self.hits}
        self.calibration: list[float] = []

    def add(self, scores: Scores) -> None:
        """The default's estimates on one task: student on test samples, teachers on those that they speak of."""
        task, model = scores.task, scores.fitted[DEFAULT]
        probabilities = model.predict_proba(task.X_test)
        self.calibration.append(calibration_error(probabilities, scores.y))
        self._look("student", model.estimates_.student[None], np.array([scores.known[DEFAULT]]))
        hard, y = task.labels.hard(), task.truth.y_train
        speaks, right = hard >= 0, hard == y[:, None]
        self._look("teachers", model.estimates_.teachers, right.sum(axis=0) / np.maximum(speaks.sum(axis=0), 1))
        for c in np.unique(y):
            count = (speaks & (y == c)[:, None]).sum(axis=0)
            share = (right & (y == c)[:, None]).sum(axis=0) / np.maximum(count, 1)
            enough = count >= FEWEST
            self._look("by class", model.estimates_.by_class[enough, c], share[enough])

    def _look(self, what: str, intervals: Any, truth: Any) -> None:
        known = ~np.isnan(intervals[:, 0])
        middle, low, high = intervals[known].T
        self.hits[what] += list((low <= truth[known]) & (truth[known] <= high))
        self.widths[what] += list(high - low)
        self.errors[what] += list(np.abs(middle - truth[known]))

    def cells(self) -> list[str]:
        """Coverage, mean width, mean error and number of each, then the calibration error."""
        out = []
        for what, hits in self.hits.items():
            numbers = (np.mean(values) if values else np.nan for values in (hits, self.widths[what], self.errors[what]))
            coverage, width, error = numbers
            out.append(f"{100 * coverage:.0f} % of {len(hits)}; {width:.2f}; {error:.3f}")
        return [*out, f"{np.mean(self.calibration):.3f}" if self.calibration else "-"]


def calibration_error(probabilities: Any, y: Any, bins: int = 15) -> float:
    """Expected calibration error of the top class (Guo et al. 2017, equation 3)."""
    top, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == y
    place = np.minimum((top * bins).astype(int), bins - 1)
    sums = np.bincount(place, weights=right - top, minlength=bins)
    return float(np.abs(sums).sum() / len(y))


def over_seeds(make: Any, seeds: range, knowledge: Knowledge) -> dict[str, list[float]]:
    """PGR of every method, one a seed."""
    out: dict[str, list[float]] = {method: [] for method in (*METHODS, ORACLE)}
    for seed in seeds:
        scores = Scores(make(seed), seed)
        clock = time.perf_counter()
        for method, values in out.items():
            values.append(scores.pgr(method))
        knowledge.add(scores)
        told = ", ".join(f"{method} {values[-1]:.1f}" for method, values in out.items())
        print(
            f"{scores.task.name}, seed {seed}, {time.perf_counter() - clock:.0f} s: {told}", file=sys.stderr, flush=True
        )
    return out


def tell_tasks(results: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """Tables of PGR, of what is paired with vanilla, and of ranks."""
    table(
        ["task", *METHODS, ORACLE],
        [[name, *(cell(result[m]) for m in (*METHODS, ORACLE))] for name, result in results.items()],
    )
    rows, told = [], {}
    for name, result in results.items():
        default, vanilla, oracle = (np.array(result[m]) for m in (DEFAULT, "vanilla", ORACLE))
        gain, low = default - vanilla, (default - vanilla).mean() - half(default - vanilla)
        closed = 100 * gain.mean() / (oracle - vanilla).mean()
        rivals = {m: np.mean(result[m]) for m in METHODS if m != DEFAULT}
        best = max(rivals, key=lambda m: rivals[m])
        rows.append(
            [name, cell(gain), f"{low:+.1f}", f"{closed:.0f} %", f"{best}, {default.mean() - rivals[best]:+.1f}"]
        )
        told[name] = {"gain": float(gain.mean()), "lower end": float(low), "closed %": float(closed)}
    table(
        ["task", "default - vanilla", "lower end", "share of the way to the oracle", "best rival, default - it"], rows
    )
    closed = [entry["closed %"] for entry in told.values()]
    print(f"Mean share of the way from vanilla to the oracle: {np.mean(closed):.0f} %.\n")
    tell_ranks([[np.mean(result[m]) for m in METHODS] for result in results.values()])
    return told


def tell_ranks(scores: list[list[float]]) -> None:
    """Mean ranks of all methods, best first, and the default with each."""
    if len(scores) < 2:
        return
    ranks = mean_ranks(scores)
    order = np.argsort(ranks.ranks)
    print(
        f"Mean ranks over {ranks.n_tasks} tasks (critical difference {ranks.critical:.2f}): "
        + ", ".join(f"{METHODS[m]} {ranks.ranks[m]:.2f}" for m in order)
        + ".\n",
        flush=True,
    )
    table(
        ["the default with", "better", "the same", "worse", "median difference", "p (Wilcoxon, Holm)"],
        [
            [METHODS[c.method], str(c.wins), str(c.ties), str(c.losses), f"{c.difference:+.1f}", f"{c.p_value:.2g}"]
            for c in compare_with(scores, METHODS.index(DEFAULT))
        ],
    )


def part_named(tasks: dict[str, Any], seeds: range, knowledge: Knowledge) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tasks that have a name."""
    results = {}
    for name, make in tasks.items():
        try:
            results[name] = over_seeds(make, seeds, knowledge)
        except CosupError as error:
            print(f"{name} is left out: {error}\n")
    return results, tell_tasks(results) if results else {}


def part_random(n: int, seed: int, knowledge: Knowledge, **options: Any) -> dict[str, Any]:
    """Random members of the planted family; `options` as `random_tasks` has them.

    Accuracy, since some gaps are next to nothing.
    """
    rows, below, dropped, flat = [], [], [], 0
    for drawn, task in random_tasks(n, seed, **options):
        scores = Scores(task, 0)
        accuracies = [scores.accuracy(m) for m in (*METHODS, ORACLE)]
        knowledge.add(scores)
        flat += scores.gap <= 0
        rows.append(accuracies)
        notes = [note for entry in scores.fitted[DEFAULT].history_ for note in entry["notes"]]
        dropped.append(sum("is left out" in note for note in notes))
        if accuracies[0] < accuracies[1] - 0.005:
            below.append((round(accuracies[0] - accuracies[1], 3), drawn))
    points = 100 * np.array(rows)
    gains = points - points[:, [1]]
    table(
        ["method", "mean accuracy", "mean gain over vanilla", "median", "worst", "under it by over 2"],
        [
            [m, f"{points[:, i].mean():.1f}", cell(gains[:, i]), f"{np.median(gains[:, i]):+.1f}",
             f"{gains[:, i].min():+.1f}", f"{(gains[:, i] < -2).sum()}"]
            for i, m in enumerate((*METHODS, ORACLE))
        ],
    )  # fmt: skip
    tell_ranks([list(row[: len(METHODS)]) for row in points])
    print(f"{n} tasks; {flat} without a gap; honest teachers left out: {sum(dropped)}, on {np.count_nonzero(dropped)}.")
    for loss, drawn in sorted(below, key=lambda entry: entry[0]):
        print(f"- under vanilla by {-100 * loss:.1f} points: {drawn}")
    print(flush=True)
    return {"mean gain": float(gains[:, 0].mean()), "worst": float(gains[:, 0].min()), "under": len(below)}


def part_unequal(
    real: dict[str, Any], seeds: range, n: int, seed: int, knowledge: Knowledge
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Classes of 10 : 1: random planted tasks of few classes and of more, and real ones subsampled."""
    told = {}
    for name, classes in (("three or four classes", range(5)), ("seven and more", range(5, 1000))):
        print(f"10 : 1, {name}:\n")
        told[name] = part_random(n, seed, knowledge, classes=classes, imbalance=10.0)
    results, told["real"] = part_named(unequal_tasks(real, 10.0), seeds, knowledge)
    return results, told


def part_bad(tasks: dict[str, Any], seeds: range, numbers: tuple[int, ...]) -> dict[str, float]:
    """What bad teachers cost, in points of PGR."""
    rows, told = [], {}
    for name, make in tasks.items():
        clean = [Scores(make(seed), seed) for seed in seeds]
        for kind in KINDS:
            row = [name, kind]
            for number in numbers:
                loss = [
                    scores.pgr(DEFAULT) - scores.pgr(DEFAULT, with_bad_teachers(scores.task, kind, number, scores.seed))
                    for scores in clean
                ]
                row.append(f"{np.mean(loss):+.1f} (at most {max(loss):+.1f})")
                told[f"{name}, {kind}, {number}"] = float(np.mean(loss))
            rows.append(row)
    table(["task", "teachers added", *(f"{n} a level" for n in numbers)], rows)
    return told


def part_cost(tasks: dict[str, Any]) -> dict[str, float]:
    """Seconds of the default against one plain pass, each alone and with everything that it computes."""
    rows, told = [], {}
    for name, make in tasks.items():
        task = make(0)
        seconds: dict[str, list[float]] = {"default": [], "one pass": []}
        for _ in range(3):
            for which, own in (("default", {}), ("one pass", {"rounds": 1, "teacher_screening": False})):
                clock = time.perf_counter()
                CoSupervisedClassifier(random_state=0, **own).fit(task.X_train, task.labels)
                seconds[which].append(time.perf_counter() - clock)
        full, plain = (float(np.median(seconds[which])) for which in ("default", "one pass"))
        rows.append([name, str(task.X_train.shape), f"{full:.2f}", f"{plain:.2f}", f"{full / plain:.1f}"])
        told[name] = full / plain
    table(["task", "features", "default, s", "one round, all teachers, s", "ratio"], rows)
    return told


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pacs", type=Path, help="features.npz with strong, weak, y, domain")
    parser.add_argument("--reference", type=Path, help="folder with official_csl_inputs.npz")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--random", type=int, default=40, help="random members of the planted family")
    parser.add_argument("--random-seed", type=int, default=401)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--tasks", nargs="+", help="of the named tasks only these")
    parser.add_argument("--quick", action="store_true", help="one seed, few tasks: whether it runs")
    arguments = parser.parse_args()
    # The published recipe's probe and rivals warn where a task is odd; what they score is what is asked here.
    warnings.simplefilter("ignore")
    seeds = range(1 if arguments.quick else arguments.seeds)
    real = real_tasks(arguments.pacs, arguments.reference)
    planted = planted_tasks(40 if arguments.quick else 1000)
    bad = {name: (real | planted)[name] for name in ("digits-classes", "digits-domains", "hierarchy", "imbalance")}
    if arguments.quick:
        real, planted, bad = (
            {k: v for k, v in d.items() if k in ("hierarchy", "abstain")} for d in (real, planted, bad)
        )
    if arguments.tasks:
        real, planted, bad = ({k: v for k, v in d.items() if k in arguments.tasks} for d in (real, planted, bad))
    known = {part: Knowledge() for part in ("real", "planted", "random", "unequal")}
    said: dict[str, Any] = {}
    for part in arguments.only:
        print(f"### {part}\n", flush=True)
        clock = time.perf_counter()
        if part in ("real", "planted"):
            said[f"{part} PGR"], said[part] = part_named(real if part == "real" else planted, seeds, known[part])
        elif part == "random":
            n = 4 if arguments.quick else arguments.random
            said[part] = part_random(n, arguments.random_seed, known[part])
        elif part == "unequal":
            n = 2 if arguments.quick else arguments.random // 2
            made = {name: make for name, make in real.items() if name != "reference"}
            told = part_unequal(made, seeds[:3], n, arguments.random_seed, known[part])
            said[f"{part} PGR"], said[part] = told
        elif part == "bad teachers":
            said[part] = part_bad(bad, seeds[:2], (1,) if arguments.quick else (1, 3, 10))
        else:
            said[part] = part_cost(real or planted)
        said[f"{part}, minutes"] = round((time.perf_counter() - clock) / 60, 1)
    seen = {name: knowledge for name, knowledge in known.items() if knowledge.calibration}
    if seen:
        print("### what it knows of itself\n")
        head = ["tasks", "student: coverage; width; error", "teachers", f"by class (>= {FEWEST} samples)", "ECE"]
        table(head, [[name, *knowledge.cells()] for name, knowledge in seen.items()])
        for name, knowledge in seen.items():
            said[f"{name} coverage"] = {what: float(np.mean(hits)) for what, hits in knowledge.hits.items()}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
