"""Contrasts of many runs on the same seeds and samples: what each ingredient of a factorial design is worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cosup.metrics.pgr import Interval
from cosup.utils.validation import CosupError

__all__ = ["bootstrap_contrasts"]


def bootstrap_contrasts(
    correct: Sequence[npt.ArrayLike],
    contrasts: npt.ArrayLike,
    correct_weak: Sequence[npt.ArrayLike],
    correct_ceiling: Sequence[npt.ArrayLike],
    *,
    level: float = 0.9,
    n_resamples: int = 1000,
    random_state: int | None = 0,
) -> list[Interval]:
    """Compute weighted sums of runs' PGR with hierarchical bootstrap intervals, all from the same resamples.

    Parameters
    ----------
    correct : sequence of (n_runs, n_test) bool arrays
        One array a seed: whether each run answered each test sample correctly.
    contrasts : (n_contrasts, n_runs) array of float
        Weights of the runs; a row that sums to zero is a difference, and the weak teacher cancels out of it.
    correct_weak, correct_ceiling : sequence of (n_test,) bool arrays
        One array a seed.
    level, n_resamples, random_state
        As in `bootstrap_pgr`: seeds are drawn with replacement, then samples within every drawn seed.

    Returns
    -------
    list of Interval
        One a contrast, in shares of the gap.

    Raises
    ------
    CosupError
        When shapes don't fit together, or the gap is not positive.
    """
    weights = np.asarray(contrasts, dtype=np.float64)
    seeds = [np.asarray(c, dtype=np.float64) for c in correct]
    if not seeds or weights.ndim != 2 or any(c.ndim != 2 or len(c) != weights.shape[1] for c in seeds):
        raise CosupError(
            f"correct must hold (n_runs, n_test) arrays, one a seed, and contrasts one weight a run; got "
            f"{[c.shape for c in seeds]} and {weights.shape}"
        )
    if not len(seeds) == len(correct_weak) == len(correct_ceiling):
        raise CosupError("correct, correct_weak and correct_ceiling must hold one array a seed")
    # A contrast is linear in the samples, so one number a sample stands for all the runs. The last row is the gap.
    parts = []
    for c, weak, ceiling in zip(seeds, correct_weak, correct_ceiling, strict=True):
        w, top = np.asarray(weak, dtype=np.float64), np.asarray(ceiling, dtype=np.float64)
        if not w.shape == top.shape == (c.shape[1],):
            raise CosupError(
                f"a seed has {c.shape[1]} test samples, its weak teacher {w.shape} and its ceiling {top.shape}"
            )
        parts.append(np.vstack([weights @ c - weights.sum(axis=1)[:, None] * w, top - w]))
    observed = np.mean([part.mean(axis=1) for part in parts], axis=0)
    if observed[-1] <= 0:
        raise CosupError("there is no gap to recover: the ceiling is not above the weak teacher")

    rng = np.random.default_rng(random_state)
    drawn = rng.integers(len(parts), size=(n_resamples, len(parts)))
    total = np.zeros((n_resamples, len(observed)))
    for seed, part in enumerate(parts):
        n = part.shape[1]
        for place in range(len(parts)):
            rows = np.flatnonzero(drawn[:, place] == seed)
            if rows.size:
                counts = rng.multinomial(n, np.full(n, 1 / n), size=rows.size)
                total[rows] += counts @ part.T / n
    total /= len(parts)
    usable = total[:, -1] > 0
    if not usable.any():
        raise CosupError("no resample has a positive gap between the weak teacher and the ceiling")
    values = total[usable, :-1] / total[usable, -1:]
    lows, highs = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    dropped = float(1 - usable.mean())
    return [
        Interval(float(o / observed[-1]), float(low), float(high), dropped)
        for o, low, high in zip(observed[:-1], lows, highs, strict=True)
    ]
