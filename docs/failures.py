"""Measure and draw the pictures of docs/explanation/when-it-fails.md: python docs/failures.py (needs matplotlib).

Every failure is planted, so that the truth is known: one condition grows from harmless to bad, and the page shows what
becomes of the student. The truth is used for measuring alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cosup import CoSupervisedClassifier, TeacherLabels, make_method
from cosup.tasks import Task, make_hierarchy

FIGURES = Path(__file__).parent / "figures"
MEASURED = FIGURES / "failures.json"
SEEDS = 3
Row = dict[str, float]


def accuracies(task: Task) -> Row:
    """Test accuracy of the default and of vanilla, and what the default estimates."""
    truth = task.truth
    default = CoSupervisedClassifier(random_state=0).fit(task.X_train, task.labels)
    vanilla = make_method("vanilla", random_state=0).fit(task.X_train, task.labels)
    return {
        "co-supervised": default.score(task.X_test, truth.y_test),
        "vanilla": vanilla.score(task.X_test, truth.y_test),
        "its own estimate": float(default.estimates_.student[0]),
    }


def shared_mistakes(share: float, seed: int) -> Row:
    """Five teachers; in a growing region of the features all of them take a class for the next one."""
    rng = np.random.default_rng(seed)
    y = rng.integers(4, size=1000)
    X = rng.normal(size=(1000, 8)) + 3 * np.eye(4, 8)[y]
    confused = X[:, -1] < np.quantile(X[:, -1], share)
    answer = np.where(confused, (y + 1) % 4, y)
    annotations = np.where(rng.random((1000, 5)) < 0.75, answer[:, None], rng.integers(4, size=(1000, 5)))
    model = CoSupervisedClassifier(random_state=0).fit(X[:700], TeacherLabels(annotations[:700], n_classes=4))
    return {"co-supervised": model.score(X[700:], y[700:]), "its own estimate": float(model.estimates_.student[0])}


def few_samples(each: float, seed: int) -> Row:
    """Twelve classes with few samples each."""
    found = accuracies(make_hierarchy(n_samples=int(12 * each), random_state=seed))
    found.pop("its own estimate")
    return found


def one_story(liars: float, seed: int) -> Row:
    """Seven teachers who are right on 70 %; some of them permute the classes, all in the same way."""
    rng = np.random.default_rng(seed)
    y = rng.integers(4, size=800)
    X = rng.normal(size=(800, 8)) + 3 * np.eye(4, 8)[y]
    annotations = np.where(rng.random((800, 7)) < 0.7, y[:, None], rng.integers(4, size=(800, 7)))
    annotations[:, : int(liars)] = (annotations[:, : int(liars)] + 1) % 4
    model = CoSupervisedClassifier(random_state=0).fit(X[:600], TeacherLabels(annotations[:600], n_classes=4))
    return {"co-supervised": model.score(X[600:], y[600:]), "its own estimate": float(model.estimates_.student[0])}


def weak_features(noise: float, seed: int) -> Row:
    """Nine workers who are right on 70 %, and features that show less and less of the class."""
    rng = np.random.default_rng(seed)
    y = rng.integers(4, size=800)
    X = noise * rng.normal(size=(800, 8)) + 3 * np.eye(4, 8)[y]
    annotations = np.where(rng.random((800, 9)) < 0.6, y[:, None], rng.integers(4, size=(800, 9)))
    votes = (annotations[:, :, None] == np.arange(4)).sum(axis=1)
    model = CoSupervisedClassifier(random_state=0).fit(X, TeacherLabels(annotations))
    return {"co-supervised": model.score(X, y), "majority of the workers": float((votes.argmax(axis=1) == y).mean())}


FAILURES: dict[str, tuple[Callable[[float, int], Row], tuple[float, ...], str, str]] = {
    "shared-mistakes": (
        shared_mistakes, (0, 0.2, 0.4, 0.6, 0.8), "share of samples on which all teachers are wrong",
        "All make the same mistakes",
    ),
    "few-samples": (few_samples, (8, 15, 30, 60, 120), "samples of each class", "Few samples"),
    "one-story": (
        one_story, (0, 1, 2, 3, 4, 5), "of seven teachers, how many tell one false story", "Liars with one story"
    ),
    "weak-features": (weak_features, (0.5, 1, 2, 4, 8), "noise in the features", "Features that show little"),
}  # fmt: skip
"""File name -> what is measured, at which values, the axis, the title."""
COLOURS = {"co-supervised": "#2a9d8f", "vanilla": "#e76f51", "its own estimate": "#8e7cc3"}
"""Other lines are grey-blue."""


def measure() -> dict[str, Any]:
    """Means over seeds: failure -> line -> a value for each point."""
    found: dict[str, Any] = {}
    for name, (one, values, _, _) in FAILURES.items():
        points = [[one(value, seed) for seed in range(SEEDS)] for value in values]
        found[name] = {
            line: [round(float(np.mean([row[line] for row in rows])), 3) for rows in points] for line in points[0][0]
        }
    return found


def draw(measured: dict[str, Any], folder: Path) -> None:
    """One SVG for each failure, with names at the lines' ends."""
    import matplotlib as mpl

    mpl.use("svg")
    from figures import INK, save
    from matplotlib import pyplot as plt

    style = {"text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK}
    for name, (_, values, axis_name, title) in FAILURES.items():
        with mpl.rc_context({**style, "font.size": 9, "svg.hashsalt": "cosup"}):
            figure, axis = plt.subplots(figsize=(6, 2.8), layout="constrained")
            for line, heights in measured[name].items():
                axis.plot(range(len(values)), heights, "o-", color=COLOURS.get(line, "#6c8ebf"), label=line)
            axis.set(title=title, xlabel=axis_name, ylabel="accuracy", ylim=(0, 1.05))
            axis.set_xticks(range(len(values)), [f"{value:g}" for value in values])
            axis.spines[["top", "right"]].set_visible(False)
            axis.legend(frameon=False, loc="lower left")
            save(figure, folder / f"fails-{name}.svg")
            plt.close(figure)


if __name__ == "__main__":
    measured = measure()
    MEASURED.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    draw(measured, FIGURES)
    print(json.dumps(measured, indent=1))
