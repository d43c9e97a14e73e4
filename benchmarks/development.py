"""The tasks that the default was developed on: real, planted, of unequal classes, and bad teachers for any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hierarchies import draw

from cosup import CosupError, TeacherLabels
from cosup.tasks import Task, Truth, load_task, make_hierarchy

REGISTERED = ("digits-classes", "digits-domains", "fashion-classes")
PLANTED: dict[str, dict[str, Any]] = {
    "hierarchy": {},
    "abstain": {"abstain": 0.6},
    "imbalance": {"imbalance": 20.0, "n_samples": 3000},
    "useless": {"useless": 1, "teachers_per_level": (1, 3, 6)},
    "adversarial": {"adversarial": 1, "teachers_per_level": (1, 3, 6)},
    "correlation": {"correlation": 0.6},
}
FEW_FEATURES = {40: 4000, 100: 4000, 300: 6000, 1000: 10000}
"""Classes and samples of the planted tasks of 64 features."""

KINDS = ("random", "constant", "permuted", "permuted generalist", "mixed")


def real_tasks(pacs: Path | None, reference: Path | None) -> dict[str, Callable[[int], Task]]:
    """Name -> what makes it from a seed. What has no file is left out."""
    tasks: dict[str, Callable[[int], Task]] = {
        name: lambda seed, name=name: load_task(name, seed=seed)  # type: ignore[misc]
        for name in REGISTERED
    }
    if pacs is not None:
        tasks["pacs-domains"] = lambda seed: _pacs(pacs, seed, by_domain=True)
        tasks["pacs-classes"] = lambda seed: _pacs(pacs, seed, by_domain=False)
    if reference is not None:
        tasks["reference"] = lambda seed: _reference(reference, seed)
    return tasks


def planted_tasks(most_classes: int) -> dict[str, Callable[[int], Task]]:
    """Hard cases of the planted family, name -> what makes it from a seed."""
    tasks: dict[str, Callable[[int], Task]] = {
        name: lambda seed, options=options: make_hierarchy(**options, random_state=seed)  # type: ignore[misc]
        for name, options in PLANTED.items()
    }
    for classes, samples in FEW_FEATURES.items():
        if classes <= most_classes:
            options = {
                "n_classes": classes, "n_samples": samples, "accuracy": (0.4, 0.55, 0.7), "separation": 5.0,
            }  # fmt: skip
            tasks[f"64 features, {classes} classes"] = lambda seed, o=options: make_hierarchy(**o, random_state=seed)  # type: ignore[misc]
    return tasks


def random_tasks(
    n: int, seed: int, classes: range = range(1000), **fixed: Any
) -> Iterator[tuple[dict[str, Any], Task]]:
    """`n` random members of `make_hierarchy`; options that describe no task, or other classes, are drawn again."""
    rng = np.random.default_rng(seed)
    made = drawn = 0
    while made < n:
        options = draw(rng) | fixed
        drawn += 1
        if options["n_classes"] not in classes:
            continue
        try:
            task = make_hierarchy(**options, random_state=1000 * seed + drawn)
        except CosupError:
            continue
        made += 1
        yield options, task


def unequal_tasks(real: dict[str, Callable[[int], Task]], ratio: float) -> dict[str, Callable[[int], Task]]:
    """Real tasks whose classes are made unequal, with annotations as they are and hard, name -> what makes it."""
    return {
        f"{name} {ratio:.0f} : 1{', hard' if hard else ''}": lambda seed, make=make, hard=hard: _unequal(  # type: ignore[misc]
            make(seed), ratio, seed, hard=hard
        )
        for name, make in real.items()
        for hard in (False, True)
    }


def _unequal(task: Task, ratio: float, seed: int, *, hard: bool) -> Task:
    """Keep of the classes, in random order, geometrically falling shares, the first `ratio` times the last."""
    labels, truth = task.labels, task.truth
    rng = np.random.default_rng([seed, 10])
    shares = rng.permutation(np.geomspace(1, 1 / ratio, labels.n_classes))
    train, test = (np.flatnonzero(rng.random(len(y)) < shares[y]) for y in (truth.y_train, truth.y_test))
    said = labels.hard() if hard else labels.annotations
    kept = TeacherLabels(
        said[train],
        levels=labels.levels,
        specialties=labels.specialties,
        names=labels.names,
        n_classes=labels.n_classes,
    )
    return replace(
        task, name=f"{task.name} {ratio:.0f} : 1", X_train=task.X_train[train], labels=kept, X_test=task.X_test[test],
        weak_test=task.weak_test[test], truth=Truth(truth.y_train[train], truth.y_test[test], truth.expert[train]),
        images_train=None,
    )  # fmt: skip


def _pacs(path: Path, seed: int, *, by_domain: bool) -> Task:
    """2,000 pictures for the teachers, 5,000 for the student, the rest for the test."""
    with np.load(path, allow_pickle=False) as file:
        strong, weak, y = file["strong"].astype(np.float32), file["weak"].astype(np.float64), file["y"].astype(int)
        domain = np.unique(file["domain"], return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(len(y))
    own, train, test = order[:2000], order[2000:7000], order[7000:]
    n_classes = int(y.max()) + 1
    if by_domain:
        groups = [own, *(own[domain[own] == d] for d in np.unique(domain))]
        levels, specialties = [0] + [1] * (len(groups) - 1), [None] * len(groups)
        expert = np.stack([np.zeros(len(train), dtype=int), 1 + domain[train]], axis=1)
    else:
        ranges = [range(n_classes), range(3), range(3, n_classes)]
        groups = [own[np.isin(y[own], r)] for r in ranges]
        levels, specialties = [0, 1, 1], ranges  # type: ignore[assignment]
        expert = np.stack([np.zeros(len(train), dtype=int), 1 + (y[train] >= 3)], axis=1)
    said = np.zeros((len(train), len(groups), n_classes))
    for t, rows in enumerate(groups):
        teacher = _teacher().fit(weak[rows], y[rows])
        said[:, t, teacher.classes_] = teacher.predict_proba(weak[train])
        if t == 0:
            weak_test = teacher.predict(weak[test])
    labels = TeacherLabels(said, levels=levels, specialties=specialties, n_classes=n_classes)
    name = "pacs-domains" if by_domain else "pacs-classes"
    return _task(name, (strong[train], labels, strong[test], weak_test), Truth(y[train], y[test], expert))


def _teacher() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, C=0.1))


def _reference(folder: Path, seed: int) -> Task:
    """The fixed inputs of the published recipe; the seed makes the split."""
    with np.load(folder / "official_csl_inputs.npz", allow_pickle=False) as file:
        X, y = file["features"], file["labels"].astype(int)
        said = np.concatenate([file[f"level{k}"] for k in range(3)], axis=1).astype(int)
    order = np.arange(len(y))
    np.random.default_rng(seed).shuffle(order)
    train, test = order[:5000], order[5000:]
    specialties = [range(1000 * i // m, 1000 * (i + 1) // m) for m in (1, 2, 4) for i in range(m)]
    labels = TeacherLabels(said[train], levels=[0, 1, 1, 2, 2, 2, 2], specialties=specialties, n_classes=1000)
    expert = np.stack([np.zeros(len(train), dtype=int), 1 + y[train] // 500, 3 + y[train] // 250], axis=1)
    return _task("reference", (X[train], labels, X[test], said[test, 0]), Truth(y[train], y[test], expert))


def _task(name: str, arrays: tuple[Any, ...], truth: Truth) -> Task:
    X, labels, X_test, weak_test = arrays
    names = tuple(str(c) for c in range(labels.n_classes))
    return Task(name, X, labels, X_test, weak_test, truth, names, None, name)


def with_bad_teachers(task: Task, kind: str, number: int, seed: int) -> TeacherLabels:
    """The task's labels, and `number` bad teachers more at every level, of unknown specialty.

    ``random`` names any class, ``constant`` always one; ``permuted`` is right on four samples in five, ``permuted
    generalist`` repeats the generalist on nineteen in twenty, each under a permutation of its own that moves at least
    nine classes in ten; ``mixed`` takes turns.
    """
    rng = np.random.default_rng([seed, number, KINDS.index(kind)])
    labels, y = task.labels, task.truth.y_train
    generalist = labels.vote(labels.at_level(0)[:1]).argmax(axis=1)
    classes = np.unique(np.concatenate([y, generalist]))
    extra, levels = [], []
    for level in range(labels.n_levels):
        for i in range(number):
            own = KINDS[i % 4] if kind == "mixed" else kind
            extra.append(classes[_says(own, np.searchsorted(classes, y), np.searchsorted(classes, generalist), rng)])
            levels.append(level)
    hard = np.stack(extra, axis=1)
    said: Any = np.eye(labels.n_classes)[hard] if labels.is_soft else hard
    return TeacherLabels(
        np.concatenate([labels.annotations, said], axis=1), levels=[*labels.levels, *levels],
        specialties=[*labels.specialties, *[None] * len(levels)], n_classes=labels.n_classes,
    )  # fmt: skip


def _says(kind: str, y: Any, generalist: Any, rng: np.random.Generator) -> Any:
    n, n_classes = len(y), int(max(y.max(), generalist.max())) + 1
    anything = rng.integers(n_classes, size=n)
    if kind == "random":
        return anything
    if kind == "constant":
        return np.full(n, rng.integers(n_classes))
    order = rng.permutation(n_classes)
    while (order == np.arange(n_classes)).mean() > 0.1:
        order = rng.permutation(n_classes)
    said, share = (y, 0.8) if kind == "permuted" else (generalist, 0.95)
    return order[np.where(rng.random(n) < share, said, anything)]
