"""Measure the default on weak labels of real rules and crowds, on planted strong annotators, and its cost.

    python benchmarks/joint_model.py --real DIR [--draws 3] [--constants] [--crowd] [--cost]

`DIR` holds ``NAME.npz`` with X, A (-1: nothing), y, Xt, yt. Accuracies in per cent, macro-F1 in brackets.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from cosup import CosupError, CoSupervisedClassifier, TeacherLabels, make_method
from cosup.cosupervision import class_priors, witnesses

METHODS = ("co-supervised", "majority", "dawid-skene", "glad", "mace", "confident-learning")


def macro_f1(y: Any, named: Any) -> float:
    """Mean over the classes of y and `named`, in per cent."""
    classes = np.union1d(y, named)
    f1 = [2 * ((y == c) & (named == c)).sum() / ((y == c).sum() + (named == c).sum()) for c in classes]
    return float(100 * np.mean(f1))


def draws(path: Path, number: int) -> list[tuple[Any, ...]]:
    """Nine tenths of the training samples, `number` times."""
    with np.load(path, allow_pickle=False) as file:
        X, A, y, Xt, yt = (file[name] for name in ("X", "A", "y", "Xt", "yt"))
    found = []
    for seed in range(number):
        kept = np.sort(np.random.default_rng(seed).permutation(len(X))[: int(0.9 * len(X))])
        said = A[kept].astype(int)
        labels = TeacherLabels(said[:, (said >= 0).any(axis=0)], n_classes=int(max(A.max(), y.max())) + 1)
        found.append((X[kept].astype(np.float32), labels, Xt.astype(np.float32), yt.astype(int)))
    return found


def cell(model: Any, given: list[tuple[Any, ...]]) -> str:
    """Accuracy and macro-F1 of a method on some draws."""
    scores = []
    for X, labels, Xt, yt in given:
        named = model().fit(X, labels).predict(Xt)
        scores.append((100 * (named == yt).mean(), macro_f1(yt, named)))
    accuracy, f1 = np.mean(scores, axis=0)
    return f"{accuracy:.1f} ({f1:.0f})"


def real(folder: Path, number: int, *, constants: bool) -> None:
    """Rivals, or the default at other constants, on every set of the folder."""
    sets = {path.stem: draws(path, number) for path in sorted(folder.glob("*.npz"))}
    rows: dict[str, Any] = {}
    if constants:
        for name, module, values in (
            ("GUESS", class_priors, (1.0, 5.0, 20.0)), ("SMOOTHING", witnesses, (1.0, 5.0, 20.0)),
        ):  # fmt: skip
            for value in values:
                with mock.patch.object(module, name, value):
                    rows[f"{name} {value:g}"] = [cell(CoSupervisedClassifier, given) for given in sets.values()]
        for rounds in (2, 5, 10):
            model = lambda rounds=rounds: CoSupervisedClassifier(rounds=rounds)  # noqa: E731
            rows[f"rounds {rounds}"] = [cell(model, given) for given in sets.values()]
    else:
        for name in METHODS:
            try:
                rows[name] = [cell(lambda name=name: make_method(name, random_state=0), g) for g in sets.values()]
            except CosupError as error:
                rows[name] = [str(error)[:40]] * len(sets)
    print("| |", " | ".join(sets), "|")
    for name, cells in rows.items():
        print("|", name, "|", " | ".join(cells), "|", flush=True)


def strong_crowd(seed: int) -> tuple[Any, ...]:
    """Plant annotators who are better than a student can be on these features."""
    rng = np.random.default_rng([seed, 77])
    classes, n, d, workers = (int(rng.integers(*r)) for r in ((2, 9), (500, 2500), (10, 60), (5, 60)))
    y = rng.choice(classes, size=n + 4000, p=rng.dirichlet(np.full(classes, 3.0)))
    length = rng.uniform(1.0, 2.2)
    centres = rng.normal(size=(classes, d))
    centres *= length / np.linalg.norm(centres, axis=1, keepdims=True)
    X = (centres[y] + rng.normal(size=(n + 4000, d))).astype(np.float32)
    votes, said = rng.uniform(3, 8), np.full((n, workers), -1)
    for worker in range(workers):
        accuracy, speaks = rng.uniform(0.6, 0.95), rng.random(n) < min(1, votes / workers)
        habits = rng.dirichlet(np.ones(classes), size=classes)
        wrong = np.array([rng.choice(classes, p=habits[c]) for c in y[:n]])
        said[speaks, worker] = np.where(rng.random(n) < accuracy, y[:n], wrong)[speaks]
    return X[:n], TeacherLabels(said, n_classes=classes), y[:n], X[n:], y[n:]


def crowd() -> None:
    """The default less majority's student, twenty draws."""
    gaps = []
    for seed in range(20):
        X, labels, _, Xt, yt = strong_crowd(seed)
        ours, theirs = (make_method(m, random_state=0).fit(X, labels).score(Xt, yt) for m in METHODS[:2])
        gaps.append(100 * (ours - theirs))
    under = sum(gap < -0.5 for gap in gaps)
    print(f"strong annotators: {np.mean(gaps):+.2f} points, at the least {min(gaps):+.2f}; under by over half: {under}")


def cost() -> None:
    """Processor time of the default and of vanilla, 100,000 x 384, ten classes, ten teachers."""
    rng = np.random.default_rng(0)
    y = rng.integers(10, size=100_000)
    X = (0.25 * rng.normal(size=(10, 384))[y] + rng.normal(size=(100_000, 384))).astype(np.float32)
    said = np.where(rng.random((100_000, 10)) < 0.6, y[:, None], rng.integers(10, size=(100_000, 10)))
    flat = TeacherLabels(np.where(rng.random(said.shape) < 0.5, -1, said), n_classes=10)
    own = [range(10), *(range(a, a + 3 + (a == 6)) for a in (0, 3, 6)), *([a, a + 1] for a in (0, 2, 4, 6)), [8], [9]]
    ranged = np.stack([np.where(np.isin(y, r), y, rng.choice(list(r), size=len(y))) for r in own], axis=1)
    deep = TeacherLabels(ranged, levels=[0] + [1] * 3 + [2] * 6, specialties=[list(r) for r in own], n_classes=10)
    for name, labels in (("ten generalists", flat), ("levels of 1, 3 and 6", deep)):
        seconds = []
        for method in ("vanilla", "co-supervised"):
            clock = time.process_time()
            make_method(method).fit(X, labels)
            seconds.append(time.process_time() - clock)
        print(f"{name}: {seconds[1]:.1f} s, vanilla {seconds[0]:.1f} s, {seconds[1] / seconds[0]:.1f} times")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--draws", type=int, default=3)
    for flag in ("--constants", "--crowd", "--cost"):
        parser.add_argument(flag, action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.real:
        real(arguments.real, arguments.draws, constants=arguments.constants)
    if arguments.crowd:
        crowd()
    if arguments.cost:
        cost()


if __name__ == "__main__":
    main()
