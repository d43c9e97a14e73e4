"""What a person's look is worth: how many wrong answers it finds, and what the labels that come back add.

    python benchmarks/looking.py [--seeds 5] [--first-seed 5] [--tasks digits-classes,digits-domains]

For every task, order and number of labels, with a standard error over seeds: the share of wrong final answers among
those looked at; points of PGR gained with the labels as one more trusted teacher at a last level ("level"), and by
`after_looking` ("after"). The row "nobody" trains a student on the model's own answers, without any label: only what
is above it is owed to the labels.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from cosup import CoSupervisedClassifier, RidgeProbe, TeacherLabels, make_method
from cosup.datasets import load_task
from cosup.provenance import after_looking, look_first
from cosup.provenance._looking import _with_person
from cosup.student import shared

BUDGETS = (50, 200)


def measure(name: str, seed: int) -> dict[tuple[str, int], tuple[float, ...]]:
    task = load_task(name, seed=seed)
    X, labels, y = task.X_train, task.labels, task.truth.y_train
    student = shared(RidgeProbe())
    model = CoSupervisedClassifier(student, random_state=seed).fit(X, labels)
    weak = float((task.weak_test == task.truth.y_test).mean())
    gap = make_method("vanilla", student=student).fit(X, y).score(task.X_test, task.truth.y_test) - weak

    def gain(other: Any) -> float:
        return 100 * (other.score(task.X_test, task.truth.y_test) - model.score(task.X_test, task.truth.y_test)) / gap

    P = model.predict_proba(X)
    answers = P.argmax(axis=1)
    wrong = answers != y
    orders = {
        "random": np.random.default_rng(seed).permutation(len(y)),
        "least confidence": np.argsort(P.max(axis=1), kind="stable"),
        "look_first": look_first(X, labels, model)[0],
    }
    own = TeacherLabels(answers[:, None], n_classes=labels.n_classes)
    out = {("nobody", 0): (100 * wrong.mean(), 0.0, gain(CoSupervisedClassifier(student).fit(X, own)))}
    for order, places in orders.items():
        for budget in BUDGETS:
            looked = places[:budget]
            known = np.full(len(y), -1)
            known[looked] = y[looked]
            level = CoSupervisedClassifier(student, random_state=seed).fit(X, _with_person(labels, known))
            after = after_looking(X, labels, model, known)
            out[order, budget] = (100 * wrong[looked].mean(), gain(level), gain(after))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--first-seed", type=int, default=5, help="seeds 0 to 4 were looked at while look_first was made"
    )
    parser.add_argument("--tasks", default="digits-classes,digits-domains")
    arguments = parser.parse_args()
    for name in arguments.tasks.split(","):
        found: dict[tuple[str, int], list[tuple[float, ...]]] = {}
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            for key, values in measure(name, seed).items():
                found.setdefault(key, []).append(values)
        print(f"{name}, {arguments.seeds} seeds from {arguments.first_seed}")
        print(f"  {'order':18}{'labels':>7}{'wrong, %':>16}{'PGR, level':>16}{'PGR, after':>16}")
        for (order, budget), rows in found.items():
            mean, error = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1) / np.sqrt(len(rows))
            cells = "".join(f"{f'{m:.1f} ± {e:.1f}':>16}" for m, e in zip(mean, error, strict=True))
            print(f"  {order:18}{budget:7d}{cells}", flush=True)


if __name__ == "__main__":
    main()
