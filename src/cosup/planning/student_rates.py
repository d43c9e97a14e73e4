"""Rates of the students' parts, measured on the very functions that a fit calls.

Every kernel's comment gives its count of operations: n samples, d features, c classes. Features are small
enough to be kept centred (as of a fit up to 33 million values), so reading them is a kernel of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import cholesky

from cosup.labels import TopK
from cosup.planning.rates import Point
from cosup.planning.stopwatch import core_seconds
from cosup.students import LinearHead, train_heads
from cosup.students.heads import softmax_of_own
from cosup.students.ridge.calibration import Scores, choose_calibration
from cosup.students.ridge.costs import moment_count, sought_count, summed_count
from cosup.students.ridge.gram import Features, Moment, Sample
from cosup.students.ridge.grid import GRID
from cosup.students.ridge.solvers import Direct, Factor, Whole
from cosup.students.targets import Targets
from cosup.tasks.build_image_task import MAX_DENSE
from cosup.tasks.weak_heads import WeakHead
from cosup.utils.validation import FloatArray, IntArray, check_features

__all__ = ["FEATURES", "Measured", "measure_students"]

Measured = Iterator[tuple[str, Point]]

SAMPLES = 8192
"""Rows that are measured on: above 4,096, from which the ridge looks for its inverse temperature as it does for
millions."""

FEATURES, CLASSES = (32, 128, 512), (4, 32, 256)
"""Sizes that are measured at."""

LARGE_ROWS, LARGE_SIDE = 4096, 512
"""The smallest square hierarchy whose products are in single precision by torch (2^30 multiplications)."""

ALPHAS = len(GRID)
ALPHA = float(GRID[12])
"""Any of the grid will do: what is timed does not depend on it."""


@dataclass(frozen=True)
class Planted:
    """Features around class means, and what a weak teacher would call them."""

    X: FloatArray
    ids: IntArray
    soft: FloatArray

    @classmethod
    def of(cls, n: int, d: int, c: int) -> Planted:
        """Draw them."""
        rng = np.random.default_rng(0)
        y = rng.integers(0, c, n)
        X = rng.normal(size=(c, d))[y] + 2 * rng.normal(size=(n, d))
        ids = np.where(rng.random(n) < 0.5, y, rng.integers(0, c, n))
        ids[:c] = np.arange(c)
        soft = rng.random((n, c)) + 5 * np.eye(c)[ids]
        return cls(X, ids, soft / soft.sum(axis=1, keepdims=True))


def measure_students() -> Measured:
    """Measure all of them, ridge and Adam, reading and predicting."""
    for d in FEATURES:
        yield from _of_features(d)
        features = Features(Planted.of(SAMPLES, d, 2).X)
        factor = Whole(features).factor
        for c in CLASSES:
            yield from _of_classes(features, factor, c)
    yield from _large()
    yield from _adam()


def _of_features(d: int) -> Measured:
    n = SAMPLES
    X = Planted.of(n, d, 2).X
    stored: Any
    kinds: dict[str, Any] = {"float16": X.astype(np.float16), "float32": X.astype(np.float32), "float64": X}
    for name, stored in kinds.items():
        apart = Features(stored, keep_centred=False)
        rows = slice(0, min(n, max(1, (1 << 21) // (8 * d))))
        cells = (rows.stop - rows.start) * d
        # Per value: checked for NaN; read, widened and centred in either precision.
        yield f"check {name}", Point(d, 1, core_seconds(check_features, stored) / (n * d))
        yield f"read {name}", Point(d, 1, core_seconds(apart.read, rows) / cells)
        single = core_seconds(apart.read_single, rows)
        yield f"read single {name}", Point(d, 1, single / cells)
    features = Features(X)
    whole = Whole(features)
    everyone, gram = np.arange(n), features.gram
    features.read_single(slice(0, 1))
    # n d^2: second moments of samples.
    yield "gram", Point(d, 1, core_seconds(features.gram_of, everyone) / (n * d * d))
    # d^3: eigendecomposition.
    yield "eigh", Point(d, 1, core_seconds(lambda: Factor(whole.sample, gram.copy())) / d**3)
    factor = whole.factor
    # n d (d + alphas): leverages at all alphas.
    yield "leverages", Point(d, 1, core_seconds(factor.leverages, GRID) / (n * d * (d + ALPHAS)))
    # d^3: a factor for one regularisation.
    yield "cholesky", Point(d, 1, core_seconds(_factorised, gram) / d**3)
    direct = Direct(whole.sample, ALPHA)
    # n d^2: leverages at one regularisation, by a triangular solve.
    yield "leverage", Point(d, 1, core_seconds(direct.leverage, ALPHA) / (n * d * d))

    def shared() -> object:
        return factor.errors_on_grid()._moments

    # n d^2: what leave-one-out errors share between trainings, for as many curves as there are (4 or 5).
    yield "curves", Point(d, 1, core_seconds(shared, repeats=1) / (n * d * d))


def _factorised(gram: FloatArray) -> object:
    square = gram.copy()
    square[np.diag_indices(len(square))] += ALPHA
    return cholesky(square, lower=True, overwrite_a=True, check_finite=False)


def _of_classes(features: Features, factor: Factor, c: int) -> Measured:
    n, d = features.X.shape
    planted = Planted.of(n, d, c)
    sample = factor.sample
    errors = factor.errors_on_grid()
    everyone = np.arange(n)
    _ = errors._moments
    for kind, given in (("hard", planted.ids), ("soft", planted.soft)):
        targets = Targets.of(given, None, c, n)
        moment = sample.moment(targets)
        # n d c (of class ids, rows are added up: n d): moments of targets, none of which are known.
        name, adds = moment_count(n, d, c, soft=kind == "soft")
        yield name, Point(d, c, core_seconds(lambda t: Sample(features, sample.members).moment(t), targets) / adds)
        if kind == "hard":
            # n d c alphas: errors of all alphas by predicting every sample.
            some = everyone[: n // 4 if c > 64 else n]
            predicted = core_seconds(errors._predicted, moment, some, repeats=1)
            yield "errors predicted", Point(d, c, predicted / (len(some) * d * c * ALPHAS))
        # n d (d + alphas): the same by sums. Soft ones take a product with the classes more.
        summed = core_seconds(errors._summed, moment)
        yield f"errors summed {kind}", Point(d, c, summed / summed_count(n, d, c, soft=kind == "soft"))
        yield from _read_out(Scores.of(factor, moment, ALPHA), kind)
    weight, bias = np.zeros((d, c)), np.zeros(c)
    head = LinearHead(weight, bias)
    half = features.X[: n // 2]
    for name, X in (("float16", half.astype(np.float16)), ("float64", half)):
        # n d c: predictions of new samples.
        yield f"predict {name}", Point(d, c, core_seconds(head.predict_proba, X) / (len(half) * d * c))
    teacher = WeakHead(weight.astype(np.float32), bias.astype(np.float32), np.arange(c))
    stored = half.astype(np.float16)
    k = c if c <= MAX_DENSE else 5

    def annotate() -> object:
        return TopK.of(teacher.probabilities(stored, c)[:, None], k)

    # n d c: a teacher's annotations, of which the most probable classes are kept.
    yield "annotate", Point(d, c, core_seconds(annotate, repeats=1) / (len(half) * d * c))


def _read_out(scores: Scores, kind: str, suffix: str = "") -> Measured:
    n, c = scores.sample.n, scores.moment.targets.n_classes
    d = scores.sample.d
    cells = n * d * c
    plain, _ = choose_calibration("scores", scores, 8.0)
    sought = sought_count(n)
    likeliest = core_seconds(choose_calibration, "scores", scores, None)
    richer = core_seconds(choose_calibration, "discriminant", scores, None)
    both = core_seconds(choose_calibration, "auto", scores, 8.0)
    chosen = choose_calibration("auto", scores, 8.0)[0]
    # The choices may differ: the likelihood of a discriminant is not compared.
    compared = both - (richer if chosen.left is not None else 0.0)
    fewest = 0.05 * both
    # (n + 4096) d c: looking for the likeliest inverse temperature of scores; of a discriminant, which is made, too.
    yield f"inverse temperature {kind}{suffix}", Point(d, c, likeliest / (sought * d * c))
    yield f"discriminant {kind}{suffix}", Point(d, c, richer / (sought * d * c))
    # n d c: comparing scores and discriminant on every sample.
    yield f"compare {kind}{suffix}", Point(d, c, max(compared, fewest) / cells)
    if kind == "hard":
        # n d c: scores of all samples, which a training holds where features are held and classes are no more.
        yield f"scores{suffix}", Point(d, c, core_seconds(lambda: replace(scores).held) / cells)
        richer_readout = choose_calibration("discriminant", scores, None)[0]
        for name, calibration in (("scores", plain), ("discriminant", richer_readout)):
            step = max(1, (1 << 18) // c)

            def passed(calibration: Any = calibration, step: int = step) -> None:
                for _, logits in calibration.blocks(step):
                    softmax_of_own(logits)

            # n d c: leave-one-out probabilities of every sample.
            yield f"blocks {name}{suffix}", Point(d, c, core_seconds(passed) / cells)


def _large() -> Measured:
    """Measure torch's products in single precision: at one size, since nothing but products counts there."""
    n, d, c = LARGE_ROWS, LARGE_SIDE, LARGE_SIDE
    planted = Planted.of(n, d, c)
    features = Features(planted.X.astype(np.float32))
    features.read_single(slice(0, 1))
    factor = Whole(features).factor
    for kind, given in (("hard", planted.ids), ("soft", planted.soft)):
        moment: Moment = factor.sample.moment(Targets.of(given, None, c, n))
        errors = factor.grid_errors
        _ = errors._moments
        work = summed_count(n, d, c, soft=kind == "soft")
        yield f"errors summed {kind} large", Point(d, c, core_seconds(errors._summed, moment, repeats=1) / work)
        yield from _read_out(Scores.of(factor, moment, ALPHA), kind, " large")


def _adam() -> Measured:
    n = 4000
    for d in FEATURES:
        for c in CLASSES:
            planted = Planted.of(n, d, c)
            X = planted.X.astype(np.float16)
            few = slice(0, max(400, min(n, 40_000_000 // (d * c))))

            def epoch(X: Any = X[few], ids: Any = planted.ids[few], c: int = c) -> object:
                return train_heads(X, ids, n_classes=c, epochs=1, batch_size=100, device="cpu")

            # n d c an epoch: Adam in batches of a hundred.
            yield "adam", Point(d, c, core_seconds(epoch, repeats=1) / (len(X[few]) * d * c))
