"""Rates of the parts of co-supervision: assignment, pooling, rejection; measured on a planted hierarchy.

Operations are counted in n samples, c classes and m teachers (of a level, or of all).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cosup.cosupervision import CoSupervisedClassifier
from cosup.cosupervision.accuracy_estimates import estimate_accuracies
from cosup.cosupervision.assignment import AssignmentContext, by_likelihood, by_mass, choose
from cosup.cosupervision.hierarchy import Hierarchy, Level
from cosup.cosupervision.marginals import match_marginals
from cosup.cosupervision.pooling import LevelExpert, pool
from cosup.cosupervision.rejection import Evidence
from cosup.cosupervision.teacher_predictions import level_proba
from cosup.cosupervision.teacher_screening import screen_teachers
from cosup.estimators.supervision import one_hot, provenance_rows
from cosup.labels import TeacherLabels, TopK
from cosup.planning.rates import Point
from cosup.planning.stopwatch import core_seconds
from cosup.planning.student_rates import Measured
from cosup.utils.row_store import RowStore, row_slices
from cosup.utils.validation import FloatArray

__all__ = ["LISTED", "measure_engine"]

LISTED = 5
"""Classes with probabilities an annotation, that all which reads annotations is measured with, beside class ids."""

SHARES = (0.5, 0.2, 0.1, 0.05, 0.05)

CLASSES, TEACHERS = (4, 32, 256), (2, 16, 64)

CELLS, FEWEST = 1 << 19, 8192
"""Samples times classes, of 32 classes or more: a few of the blocks that work goes by; and the fewest samples, since
what does not grow with them must not count."""

TRUST_SAMPLES, FEW, MANY = 1 << 15, 2, 32


def measure_engine() -> Measured:
    """Measure all of them."""
    for c in CLASSES:
        n = max(CELLS // max(c, 32), FEWEST)
        for m in TEACHERS:
            yield from _of_level(n, c, m)
            if c > 4 * LISTED:
                yield from _of_annotations(n, c, m, listed=True)
        yield from _of_samples(n, c)
    n = TRUST_SAMPLES
    few, many = (core_seconds(screen_teachers, t, repeats=2) for t in (_labels(n, 16, m - 1) for m in (FEW, MANY)))
    pairs = MANY * (MANY - 1) / 2 - FEW * (FEW - 1) / 2
    # n: finding teachers that repeat another. n m (m - 1) / 2: how far every two agree.
    yield "repeats", Point(1, 1, few / n)
    yield "pairs", Point(1, 1, max(many - few, 0.1 * many) / n / pairs)
    n = 20_000
    ids, kept = np.zeros(n, dtype=np.int64), np.ones(n, dtype=bool)
    reasons = np.array(["", "abstained"])[ids]
    # n: a level's provenance.
    seconds = core_seconds(lambda: provenance_rows(ids, ids, kept, reasons, np.zeros(n)))
    yield "provenance", Point(1, 1, seconds / n)
    tiny, few_labels = np.random.default_rng(0).normal(size=(64, 4)), _labels(64, 4, 2)
    whole = core_seconds(lambda: CoSupervisedClassifier(random_state=0).fit(tiny, few_labels))
    # Trainings: what does not depend on sizes.
    yield "round", Point(1, 1, whole / (1 + CoSupervisedClassifier().rounds))


def _labels(n: int, c: int, m: int, *, listed: bool = False) -> TeacherLabels:
    """Make a generalist, and `m` specialists that divide the classes: hard labels, or `LISTED` classes soft."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, c, n)
    # At least two classes each: teachers of one and the same class would repeat each other.
    groups = [(np.arange(max(2, c // m)) + i * c // m) % c for i in range(m)]
    columns = [np.where(rng.random(n) < 0.6, y, rng.integers(0, c, n))]
    columns += [np.where(np.isin(y, g) & (rng.random(n) < 0.7), y, rng.choice(g, n)) for g in groups]
    annotated: Any = np.stack(columns, axis=1)
    if listed:
        classes = np.full((*annotated.shape, LISTED), -1)
        shares = np.zeros(classes.shape, dtype=np.float16)
        for t, own in enumerate([np.arange(c), *groups]):
            k = min(LISTED, len(own))
            place = np.searchsorted(np.sort(own), annotated[:, t])
            classes[:, t, :k] = np.sort(own)[(place[:, None] + np.arange(k) * (len(own) // k)) % len(own)]
            shares[:, t, :k] = np.array(SHARES[:k]) / (sum(SHARES[:k]) if k == len(own) else 1)
        annotated = TopK(classes, shares, c)
    return TeacherLabels(annotated, levels=[0] + [1] * m, specialties=[None, *groups], n_classes=c)


def _student_proba(n: int, c: int) -> RowStore:
    rng = np.random.default_rng(1)
    p = rng.random((n, c)) ** 4 + 1e-3
    return RowStore.holding(p / p.sum(axis=1, keepdims=True))


def _of_level(n: int, c: int, m: int) -> Measured:
    level = Hierarchy.of(_labels(n, c, m)).levels[1]
    assert level is not None
    context: Any = AssignmentContext(_student_proba(n, c), None, 0)  # type: ignore[arg-type]
    # n c m: the student's mass on every teacher's classes, and the choice of one.
    yield "mass", Point(m, c, core_seconds(lambda: choose(by_mass(level, context)), repeats=1) / (n * c * m))
    # m c^2: the confusion matrices.
    yield "tables", Point(m, c, core_seconds(_meaning, m, c) / (m * c * c))
    yield from _of_annotations(n, c, m, listed=False)


def _of_annotations(n: int, c: int, m: int, *, listed: bool) -> Measured:
    """Measure all that depends on whether annotations are class ids, or classes with probabilities."""
    labels, kind = _labels(n, c, m, listed=listed), " listed" * listed
    # n c m: the hierarchy is arranged, and every teacher's annotations are counted by class.
    yield f"hierarchy{kind}", Point(m, c, core_seconds(Hierarchy.of, labels, repeats=1) / (n * c * (m + 1)))
    hierarchy = Hierarchy.of(labels)
    level = hierarchy.levels[1]
    assert level is not None
    # n m: annotations converted to the form that is calculated with.
    yield f"annotations{kind}", Point(m, c, core_seconds(_hear, level, repeats=1) / (n * m))
    held = _student_proba(n, c)
    context: Any = AssignmentContext(held, None, 0)  # type: ignore[arg-type]
    # n m: the likelihood of annotations.
    yield f"likelihood{kind}", Point(m, c, core_seconds(lambda: by_likelihood(level, context), repeats=1) / (n * m))
    gate = by_mass(level, context)
    prior = np.full(c, 1 / c)

    def expert() -> LevelExpert:
        return LevelExpert(level, gate, held, prior)

    made = expert()
    made._only = None  # one block is held, as no large fit has it
    whole, table = core_seconds(expert, repeats=2), core_seconds(_meaning, m, c)
    # n c m: a level's mixture in both readings.
    yield f"level expert{kind}", Point(m, c, max(whole - table, 0.2 * whole) / (n * c * m))
    for name, corrected in (("annotated", False), ("corrected", True)):
        made.corrected = corrected
        # n c m: the mixture, as annotated or corrected for confusions.
        yield f"mixture {name}{kind}", Point(m, c, core_seconds(lambda: _read(made, held), repeats=1) / (n * c * m))

    def estimates() -> object:
        return estimate_accuracies(hierarchy, held, held, 0.0)

    # n m (c + 20): accuracies of all teachers.
    yield f"estimates{kind}", Point(m, c, core_seconds(estimates, repeats=1) / (n * m * (c + 20)))


def _meaning(m: int, c: int) -> list[Any]:
    """Return do to the tables of a level as `LevelExpert` does, whatever the number of samples."""
    together, usage = np.zeros((m, c, c)), np.ones((m, c))
    confusion = np.ascontiguousarray(together.transpose(0, 2, 1)) + usage[:, None, :]
    confusion /= np.maximum(confusion.sum(axis=2, keepdims=True), 1e-12)
    return [np.ascontiguousarray((a / np.maximum(u, 1e-12)).T) for a, u in zip(confusion, usage, strict=True)]


def _hear(level: Level) -> None:
    for rows in row_slices(len(level.speaks), len(level.active)):
        level_proba(level.labels, level.columns, rows, level.active)


def _read(expert: LevelExpert, held: RowStore) -> None:
    for rows, _ in held.blocks():
        expert.of(rows)


def _logs(p: FloatArray) -> FloatArray:
    logs = np.log(np.maximum(p, 1e-30))
    logs -= logs.mean(axis=1, keepdims=True)
    logs -= logs.mean(axis=0)
    return logs


def _of_samples(n: int, c: int) -> Measured:
    held = _student_proba(n, c)
    whole = held.whole()
    prior = np.full(c, 1 / c)
    cells = n * c
    # n c: marginals held, a copy made.
    yield "marginals", Point(1, c, core_seconds(lambda: match_marginals(whole, prior), repeats=1) / cells)
    # n c: a product normalised.
    yield "pool", Point(1, c, core_seconds(lambda: pool(held, [], None), repeats=1) / cells)
    # n c: logarithms about their means.
    yield "logs", Point(1, c, core_seconds(_logs, whole, repeats=1) / cells)
    annotated = whole.argmax(axis=1)
    # n c: the most probable class.
    yield "predicted class", Point(1, c, core_seconds(lambda: whole.argmax(axis=1)) / cells)

    def consensus() -> object:
        named = one_hot(annotated, c).argmax(axis=1)
        return np.log(whole[np.arange(n), named]), whole.argmax(axis=1) == named

    # n c: the generalists' classes, and a student's probabilities of them.
    yield "consensus", Point(1, c, core_seconds(consensus, repeats=1) / cells)

    def evidence() -> object:
        return Evidence.of(annotated, held.blocks())

    # n c: annotations compared with the student.
    yield "evidence", Point(1, c, core_seconds(evidence, repeats=1) / cells)
