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
from sklearn.linear_model import LogisticRegression

from cosup import RidgeProbe, TeacherLabels, make_method
from cosup.students import shared
from cosup.tasks import Task, Truth, load_task

METHODS: dict[str, dict[str, Any]] = {
    "vanilla": {"soft": True}, "csl": {"hard": False}, "csl-published": {"soft": True}, "co-supervised": {},
}  # fmt: skip


def many_classes(seed: int, n_classes: int = 100, n: int = 4000) -> Task:
    """Many classes, and teachers that are what real ones are: logistic regressions on a blurred view of the samples."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(n_classes, 64))
    y = rng.integers(n_classes, size=3 * n)
    X = centres[y] + 0.9 * rng.normal(size=(3 * n, 64))
    blurred = X @ rng.normal(size=(64, 10)) / 8 + 0.4 * rng.normal(size=(3 * n, 10))
    own, train, test = slice(0, n), slice(n, 2 * n), slice(2 * n, 3 * n)
    said, levels, specialties = [], [], []
    for level, width in enumerate((n_classes, n_classes // 2, n_classes // 4)):
        for first in range(0, n_classes, width):
            inside = (y[own] >= first) & (y[own] < first + width)
            teacher = LogisticRegression(max_iter=300).fit(blurred[own][inside], y[own][inside])
            probabilities = np.zeros((3 * n, n_classes))
            probabilities[:, teacher.classes_] = teacher.predict_proba(blurred)
            said.append(probabilities)
            levels.append(level)
            specialties.append(None if level == 0 else range(first, first + width))
    annotations = np.stack(said, axis=1)
    return Task(
        name="many classes", X_train=X[train].astype(np.float32), X_test=X[test].astype(np.float32),
        labels=TeacherLabels(annotations[train], levels=levels, specialties=specialties),
        weak_test=annotations[test, 0].argmax(axis=1),
        truth=Truth(y[train], y[test], np.full((n, 3), -1)), class_names=tuple(map(str, range(n_classes))),
        images_train=None, description="",
    )  # fmt: skip


def tasks(seed: int) -> dict[str, Task]:
    return {
        "digits-classes, 10 classes": load_task("digits-classes", seed=seed),
        "digits-domains, 10 classes": load_task("digits-domains", seed=seed),
        "planted, 100 classes, trained teachers": many_classes(seed),
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
