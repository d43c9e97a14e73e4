"""Measure methods on planted kinds of flat weak labels: crowds and rules as real sets have them.

    python benchmarks/weak_label_kinds.py [--draws 12] [--first 0] [--methods co-supervised,majority,raykar]

Features are a mixture: every class has topics of its own. Rules name one class, fire on some of its topics, and wrongly
on topics of other classes; annotators have confusions of their own and in common. Accuracy in per cent, mean of the
draws, and how often the first method is under each other one by over half a point.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosup import CosupError, TeacherLabels, make_method

N_TEST = 3000


@dataclass(frozen=True)
class Drawn:
    """Features and truth, the training samples first, and their annotations (n_samples, n_teachers), -1 for none."""

    X: Any
    y: Any
    annotations: Any
    n_classes: int


def topics(rng: Any, n: int, d: int, n_classes: int, number: tuple[int, int], length: float, prior: Any) -> Any:
    """Draw features, classes, topics, and the class of every topic."""
    y = rng.choice(n_classes, size=n, p=prior)
    centre = rng.normal(size=(n_classes, d))
    centre *= length / np.linalg.norm(centre, axis=1, keepdims=True)
    class_of = np.repeat(np.arange(n_classes), rng.integers(number[0], number[1] + 1, size=n_classes))
    offset = rng.normal(size=(len(class_of), d))
    offset *= 0.8 * length / np.linalg.norm(offset, axis=1, keepdims=True)
    topic = np.empty(n, dtype=int)
    for c in range(n_classes):
        own = np.flatnonzero(class_of == c)
        topic[y == c] = rng.choice(own, size=int((y == c).sum()), p=rng.dirichlet(np.full(len(own), 2.0)))
    X = centre[class_of[topic]] + offset[topic] + rng.normal(size=(n, d))
    return X.astype(np.float32), y, topic, class_of


def crowd(
    seed: int,
    *,
    n_classes: int = 0,
    n: int = 0,
    workers: int = 0,
    votes: float = 0.0,
    accuracy: tuple[float, float] = (0.3, 0.9),
    length: tuple[float, float] = (1.5, 3.0),
) -> Drawn:
    """Draw annotators who answer a few samples each, some many more than others; zeros are drawn, too."""
    rng = np.random.default_rng([seed, 901])
    n_classes, n = n_classes or int(rng.integers(3, 11)), n or int(rng.integers(500, 2500))
    workers, votes = workers or int(rng.integers(20, 80)), votes or rng.uniform(2, 5)
    prior = rng.dirichlet(np.full(n_classes, rng.choice([3.0, 20.0])))
    X, y, _, _ = topics(rng, n + N_TEST, int(rng.integers(30, 130)), n_classes, (1, 3), rng.uniform(*length), prior)
    in_common = rng.dirichlet(np.full(n_classes, 0.5), size=n_classes)
    annotations = np.full((n, workers), -1)
    rate = rng.gamma(0.7, 1.0, workers)
    for worker, share in enumerate(np.minimum(rate / rate.sum() * votes, 1)):
        habits = (in_common + rng.dirichlet(np.ones(n_classes), size=n_classes)) / 2
        right = np.clip(rng.uniform(*accuracy) + rng.normal(0, 0.1, n_classes), 0.05, 0.98)
        wrong = np.array([rng.choice(n_classes, p=habits[c]) for c in y[:n]])
        answers = rng.random(n) < share
        annotations[answers, worker] = np.where(rng.random(n) < right[y[:n]], y[:n], wrong)[answers]
    return Drawn(X, y, annotations, n_classes)


def rules(seed: int, *, n_classes: int = 0, n_rules: int = 0, unequal: float = 3.0, catch_all: bool = False) -> Drawn:
    """Draw rules of one class each, and perhaps one that names its class on seven tenths of everything."""
    rng = np.random.default_rng([seed, 902])
    n_classes, n = n_classes or int(rng.integers(2, 10)), int(rng.integers(1000, 3000))
    prior = 0.9 * rng.dirichlet(np.full(n_classes, unequal)) + 0.1 / n_classes
    X, y, topic, class_of = topics(
        rng, n + N_TEST, int(rng.integers(50, 200)), n_classes, (2, 6), rng.uniform(2.5, 4.5), prior
    )
    n_rules = n_rules or int(rng.integers(2 * n_classes, 8 * n_classes))
    annotations, topic = np.full((n, n_rules), -1), topic[:n]
    for rule in range(n_rules):
        main = int(rng.integers(len(class_of)))
        own, precision = class_of == class_of[main], rng.beta(5, 1.5)
        fires = np.where(own, rng.uniform(0, 0.15, len(own)), 0.0)
        fires[main] = rng.uniform(0.1, 0.6)
        leak = fires[topic].mean() * (1 - precision) / precision
        mistaken = rng.choice(np.flatnonzero(~own), size=int(rng.integers(1, 4)))
        fires[mistaken] = min(0.8, 0.7 * leak / max(np.isin(topic, mistaken).mean(), 1e-3))
        fires[~own] += 0.3 * leak
        annotations[rng.random(n) < np.minimum(fires[topic], 0.95), rule] = class_of[main]
    if catch_all:
        named = int(prior.argmax()) if rng.random() < 0.5 else int(rng.integers(n_classes))
        annotations[rng.random(n) < 0.7, 0] = named
    return Drawn(X, y, annotations, n_classes)


def mixed(seed: int) -> Drawn:
    """Draw rules, and two to four weak models that see a dozen random directions of the features."""
    rng = np.random.default_rng([seed, 903])
    drawn = rules(seed + 1000)
    n = len(drawn.annotations)
    X, y, columns = drawn.X[:n], drawn.y[:n], [drawn.annotations]
    for _ in range(int(rng.integers(2, 5))):
        Z = X @ rng.normal(size=(X.shape[1], 12))
        centre = np.stack(
            [Z[y == c].mean(axis=0) if (y == c).any() else Z.mean(axis=0) for c in range(drawn.n_classes)]
        )
        model = ((Z[:, None] - centre) ** 2).sum(axis=2).argmin(axis=1)
        model[rng.random(n) < rng.uniform(0, 0.5)] = -1
        columns.append(model[:, None])
    return Drawn(drawn.X, drawn.y, np.concatenate(columns, axis=1), drawn.n_classes)


KINDS: dict[str, Callable[[int], Drawn]] = {
    "crowd": crowd,
    "small crowd": lambda s: crowd(
        s, n_classes=10, n=700, workers=44, votes=4.2, accuracy=(0.3, 0.8), length=(1.3, 2.2)
    ),
    "three strong annotators": lambda s: crowd(
        s, n_classes=2 + s % 4, workers=3, votes=2.99, accuracy=(0.75, 0.95), length=(1.0, 2.0)
    ),
    "rules": rules,
    "ten rules, two classes": lambda s: rules(s, n_classes=2, n_rules=10),
    "rules and a catch-all": lambda s: rules(s, catch_all=True),
    "rules, very unequal classes": lambda s: rules(s, unequal=0.7),
    "rules and weak models": mixed,
}


def scores(drawn: Drawn, methods: list[str]) -> tuple[list[float], bool, float]:
    """Accuracies of all methods and of true labels, whether the first one's interval holds it, and its width."""
    n = len(drawn.annotations)
    spoken = drawn.annotations[:, (drawn.annotations >= 0).any(axis=0)]
    weak, true = (TeacherLabels(a, n_classes=drawn.n_classes) for a in (spoken, drawn.y[:n, None]))
    out, inside, width = [], False, float("nan")
    for place, (name, labels) in enumerate([*((m, weak) for m in methods), ("vanilla", true)]):
        try:
            model = make_method(name, random_state=0).fit(drawn.X[:n], labels)
        except CosupError:
            out.append(float("nan"))
            continue
        out.append(100 * model.score(drawn.X[n:], drawn.y[n:]))
        if place == 0 and model.estimates_ is not None:
            _, low, high = model.estimates_.student
            inside, width = bool(100 * low <= out[0] <= 100 * high), high - low
    return out, inside, width


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=12)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--methods", default="co-supervised,majority,dawid-skene,glad,mace,raykar,crowdlab,fable,csl")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    methods = arguments.methods.split(",")
    print("| |", " | ".join([*methods, "true labels", "interval holds", "its width"]), "|")
    for name, draw in KINDS.items():
        drawn = [scores(draw(seed), methods) for seed in range(arguments.first, arguments.first + arguments.draws)]
        table = np.array([row for row, _, _ in drawn])
        cells = [f"{np.nanmean(table[:, 0]):.1f}"]
        cells += [f"{np.nanmean(column):.1f} ({(table[:, 0] < column - 0.5).sum()})" for column in table[:, 1:].T]
        held, width = np.mean([inside for _, inside, _ in drawn]), np.nanmean([w for _, _, w in drawn])
        print("|", name, "|", " | ".join([*cells, f"{100 * held:.0f} %", f"{width:.2f}"]), "|", flush=True)


if __name__ == "__main__":
    main()
