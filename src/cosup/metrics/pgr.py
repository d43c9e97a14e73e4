"""Performance gap recovered, with intervals, and the quality of what was kept.

Source of the measure: C. Burns et al., "Weak-to-Strong Generalization", arXiv 2312.09390 (2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from cosup.utils.validation import CosupError

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Undefined = Literal["raise", "nan"]

__all__ = [
    "Interval",
    "bootstrap_pgr",
    "paired_difference",
    "performance_gap_recovered",
    "selection_quality",
]


class Interval(NamedTuple):
    """An estimate with the ends of its bootstrap interval.

    ``dropped`` is the share of resamples that were left out because their gap was not positive: when it
    is not small, the gap itself is hardly measurable and the interval is conditional on its existence.
    """

    estimate: float
    low: float
    high: float
    dropped: float = 0.0


def performance_gap_recovered(student: float, weak: float, ceiling: float, *, undefined: Undefined = "raise") -> float:
    """Share of the gap between the weak teacher and the ceiling that the student closed.

    Parameters
    ----------
    student, weak, ceiling : float
        Accuracies in [0, 1] on the same test samples: of the student trained on weak annotations, of the weak
        teacher itself, and of the same student trained on ground truth.
    undefined : {"raise", "nan"}, default="raise"
        The answer where there is no gap to recover: ``ceiling <= weak``.

    Returns
    -------
    float
        ``(student - weak) / (ceiling - weak)``: 0 is no better than the teacher, 1 is the ceiling. It may lie
        outside [0, 1].

    Raises
    ------
    CosupError
        When an accuracy is NaN or outside [0, 1], or the gap is not positive and `undefined` is ``"raise"``.

    Examples
    --------
    >>> round(performance_gap_recovered(student=0.8, weak=0.6, ceiling=0.9), 3)
    0.667
    """
    if undefined not in ("raise", "nan"):
        raise CosupError(f"undefined must be 'raise' or 'nan', not {undefined!r}.")
    student, weak, ceiling = (
        _accuracy(value, name) for value, name in ((student, "student"), (weak, "weak"), (ceiling, "ceiling"))
    )
    gap = ceiling - weak
    if gap <= 0:
        if undefined == "nan":
            return float("nan")
        raise CosupError(
            f"there is no gap to recover: the ceiling's accuracy ({ceiling:.4f}) is not above that of the "
            f"weak teacher ({weak:.4f}), so the performance gap recovered is undefined. Use a weaker "
            "teacher or a stronger student, or pass undefined='nan'."
        )
    return (student - weak) / gap


def bootstrap_pgr(
    correct_student: Sequence[npt.ArrayLike],
    correct_weak: Sequence[npt.ArrayLike],
    correct_ceiling: Sequence[npt.ArrayLike],
    *,
    level: float = 0.9,
    n_resamples: int = 2000,
    random_state: int | None = 0,
) -> Interval:
    """Measure the performance gap recovered over several seeds, with a hierarchical bootstrap interval.

    The estimate is a *ratio of means*: the accuracies are averaged over the seeds first, each seed
    weighing the same. It hardly differs from the mean of the seeds' ratios when the gap is wide, and it
    doesn't explode when one seed's gap happens to be narrow.

    A resample draws the seeds with replacement and then, within every drawn seed, its test samples with
    replacement; the student, the weak teacher and the ceiling are always judged on the same drawn
    samples. The interval holds the central `level` share of the resamples. With a single seed only the
    samples are redrawn, and the interval then does not hold training's own variation. With few seeds
    it is somewhat narrow, as every percentile bootstrap is.

    Resamples whose gap is not positive have no PGR and are dropped; their share is in ``Interval.dropped``.

    Parameters
    ----------
    correct_student, correct_weak, correct_ceiling : sequence of (n_test,) bool arrays
        One array a seed: whether each test sample was answered correctly. The arrays of one seed have the
        same length; different seeds may differ.
    level : float, default=0.9
        Share of the resamples inside the interval, in (0, 1).
    n_resamples : int, default=2000
    random_state : int or None, default=0

    Returns
    -------
    Interval
        (estimate, low, high, dropped).

    Raises
    ------
    CosupError
        When the arrays don't fit together, are empty or not boolean, the options are out of range, or the
        gap of the whole data is not positive.
    """
    groups = _groups((correct_student, correct_weak, correct_ceiling), ("student", "weak", "ceiling"))
    resampled = _resampled_accuracies(groups, n_resamples, random_state)
    observed = _accuracies(groups)
    estimate = performance_gap_recovered(*observed)
    student, weak, ceiling = resampled
    gap = ceiling - weak
    usable = gap > 0
    return _interval(estimate, (student - weak)[usable] / gap[usable], usable, level)


def paired_difference(
    a: Sequence[npt.ArrayLike],
    b: Sequence[npt.ArrayLike],
    correct_weak: Sequence[npt.ArrayLike],
    correct_ceiling: Sequence[npt.ArrayLike],
    *,
    level: float = 0.9,
    n_resamples: int = 2000,
    random_state: int | None = 0,
) -> Interval:
    """Compute the PGR of method `a` minus that of method `b`, on the same seeds and the same test samples.

    Both methods are judged on the very same resampled seeds and samples, so that what they have in common
    (an easy seed, a hard sample) cancels out. See `bootstrap_pgr` for the estimate and the resampling.

    Parameters
    ----------
    a, b, correct_weak, correct_ceiling : sequence of (n_test,) bool arrays
        One array a seed, in the same order of seeds: whether each test sample was answered correctly by
        method a, by method b, by the weak teacher and by the ceiling.
    level, n_resamples, random_state
        As in `bootstrap_pgr`.

    Returns
    -------
    Interval
        The difference in PGR (1.0 is the whole gap); above 0 when `a` is better.

    Raises
    ------
    CosupError
        As in `bootstrap_pgr`.
    """
    groups = _groups((a, b, correct_weak, correct_ceiling), ("a", "b", "weak", "ceiling"))
    resampled = _resampled_accuracies(groups, n_resamples, random_state)
    first, second, weak_all, ceiling_all = _accuracies(groups)
    # Guards the gap, and is exactly zero for identical methods.
    estimate = performance_gap_recovered(first, weak_all, ceiling_all) - performance_gap_recovered(
        second, weak_all, ceiling_all
    )
    acc_a, acc_b, weak, ceiling = resampled
    gap = ceiling - weak
    usable = gap > 0
    return _interval(estimate, (acc_a - acc_b)[usable] / gap[usable], usable, level)


def selection_quality(kept: npt.ArrayLike, right: npt.ArrayLike) -> tuple[float, float]:
    """Compute precision and recall of the annotations that were kept, against the truth.

    Parameters
    ----------
    kept : (n_samples,) bool array
        Whether the sample's annotation was kept for training.
    right : (n_samples,) bool array
        Whether that annotation agrees with the truth.

    Returns
    -------
    precision : float
        Share of the kept annotations that are right; NaN when nothing was kept.
    recall : float
        Share of the right annotations that were kept; NaN when none was right.

    Raises
    ------
    CosupError
        When the two are not boolean arrays of the same length.
    """
    kept_, right_ = _boolean(kept, "kept"), _boolean(right, "right")
    if kept_.shape != right_.shape:
        raise CosupError(
            f"kept has {kept_.size} entries and right has {right_.size}; they must have one for every sample."
        )
    both = float(np.sum(kept_ & right_))
    n_kept, n_right = int(kept_.sum()), int(right_.sum())
    return (both / n_kept if n_kept else float("nan"), both / n_right if n_right else float("nan"))


def _accuracy(value: Any, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise CosupError(f"the accuracy of the {name} must be a number in [0, 1], not {value!r}.") from error
    if not 0.0 <= number <= 1.0:  # also catches NaN
        hint = " Divide percentages by 100." if 1.0 < number <= 100.0 else ""
        raise CosupError(f"the accuracy of the {name} must be in [0, 1]; it is {number}.{hint}")
    return number


def _boolean(values: npt.ArrayLike, name: str) -> BoolArray:
    array = np.asarray(values)
    if array.ndim != 1:
        raise CosupError(f"{name} must be a 1-d array of booleans; its shape is {array.shape}.")
    if array.dtype != np.bool_:
        # 0/1 integers are welcome; predictions passed by mistake are not.
        if array.dtype.kind not in "iu" or np.any((array != 0) & (array != 1)):
            raise CosupError(
                f"{name} must be a boolean array (right or wrong for every sample); its dtype is "
                f"{array.dtype}. Compare predictions with the truth first: y_pred == y_true."
            )
        array = array.astype(np.bool_)
    return array


def _groups(columns: Sequence[Sequence[npt.ArrayLike]], names: Sequence[str]) -> list[BoolArray]:
    """Stack the columns seed by seed: a list of (n_columns, n_test) arrays."""
    lengths = [len(column) for column in columns]
    if len(set(lengths)) != 1:
        counts = ", ".join(f"{name} has {count}" for name, count in zip(names, lengths, strict=True))
        raise CosupError(f"each argument must hold one array a seed, but {counts}.")
    if lengths[0] == 0:
        raise CosupError("at least one seed is needed; the lists are empty.")
    groups = []
    for seed, arrays in enumerate(zip(*columns, strict=True)):
        checked = [_boolean(array, f"{name}, entry {seed}") for name, array in zip(names, arrays, strict=True)]
        sizes = {array.size for array in checked}
        if len(sizes) != 1 or 0 in sizes:
            found = ", ".join(f"{name} {array.size}" for name, array in zip(names, checked, strict=True))
            raise CosupError(
                f"entry {seed}: all arrays must cover the same test samples, at least one; their lengths are: {found}."
            )
        groups.append(np.stack(checked))
    return groups


def _accuracies(groups: Sequence[BoolArray]) -> FloatArray:
    """Compute the accuracy of each column, every seed weighing the same: (n_columns,)."""
    return np.asarray(np.mean([group.mean(axis=1) for group in groups], axis=0), dtype=np.float64)


def _resampled_accuracies(groups: Sequence[BoolArray], n_resamples: int, random_state: int | None) -> FloatArray:
    """Compute the accuracies of the columns in each resample: (n_columns, n_resamples).

    Redrawing samples with replacement only changes how often each *pattern* of right and wrong (one of
    2 ** n_columns) occurs, so drawing the patterns' counts from a multinomial is exact, and fast.
    """
    if isinstance(n_resamples, bool) or not isinstance(n_resamples, int | np.integer) or n_resamples < 1:
        raise CosupError(f"n_resamples must be a whole number of at least 1, not {n_resamples!r}.")
    rng = np.random.default_rng(random_state)
    n_seeds, n_columns = len(groups), groups[0].shape[0]
    patterns = np.array(list(product((0, 1), repeat=n_columns)), dtype=np.float64)  # (2**c, c)
    weights = 2 ** np.arange(n_columns - 1, -1, -1)
    sizes = np.array([group.shape[1] for group in groups])
    shares = np.stack([np.bincount(weights @ group, minlength=len(patterns)) / group.shape[1] for group in groups])
    drawn = rng.integers(n_seeds, size=(n_resamples, n_seeds))
    counts = rng.multinomial(sizes[drawn], shares[drawn])  # (n_resamples, n_seeds, 2**c)
    accuracies = (counts @ patterns) / sizes[drawn][..., None]
    return np.ascontiguousarray(accuracies.mean(axis=1).T, dtype=np.float64)


def _interval(estimate: float, values: FloatArray, usable: BoolArray, level: float) -> Interval:
    if not 0.0 < level < 1.0:
        raise CosupError(f"level must be between 0 and 1 (0.9 is a 90 % interval), not {level!r}.")
    if not values.size:
        raise CosupError(
            "no resample has a positive gap between the weak teacher and the ceiling; there is no interval. "
            "Use more test samples or a task with a wider gap."
        )
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(estimate), float(low), float(high), float(1 - usable.mean()))
