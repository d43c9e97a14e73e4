"""Methods compared over several tasks: by their mean ranks (Friedman, Nemenyi), and each with one (Wilcoxon, Holm)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cosup.utils.validation import CosupError

__all__ = ["Comparison", "Ranks", "compare_with", "critical_difference", "mean_ranks"]


@dataclass(frozen=True)
class Ranks:
    """Mean ranks of methods over tasks.

    Attributes
    ----------
    ranks : ndarray of shape (n_methods,), float64
        1 is the best; ties share the mean of their ranks.
    critical : float
        Two methods whose mean ranks are further apart differ at the level that was asked for.
    p_value : float
        The p value of equal methods (Friedman's test in the version of Iman and Davenport).
    n_tasks : int
    """

    ranks: npt.NDArray[np.float64]
    critical: float
    p_value: float
    n_tasks: int


def critical_difference(n_methods: int, n_tasks: int, *, alpha: float = 0.05) -> float:
    """Compute the difference of mean ranks that is significant by the test of Nemenyi.

    ``q sqrt(k (k + 1) / (6 N))`` for k methods on N tasks, q the quantile of the studentised range over the root of
    two (Demšar 2006, *Statistical comparisons of classifiers over multiple data sets*, JMLR 7, equation 6).

    Raises
    ------
    CosupError
        With fewer than two methods or no task, or an `alpha` outside (0, 1).

    Examples
    --------
    >>> round(critical_difference(4, 14), 2)
    1.25
    """
    from scipy import stats

    if n_methods < 2 or n_tasks < 1:
        raise CosupError(f"ranks need at least two methods and a task, got {n_methods} and {n_tasks}")
    if not 0 < alpha < 1:
        raise CosupError(f"alpha must be between 0 and 1, got {alpha!r}")
    q = float(stats.studentized_range.ppf(1 - alpha, n_methods, np.inf)) / math.sqrt(2)
    return q * math.sqrt(n_methods * (n_methods + 1) / (6 * n_tasks))


def mean_ranks(scores: npt.ArrayLike, *, alpha: float = 0.05) -> Ranks:
    """Rank methods within every task, and average over the tasks.

    Parameters
    ----------
    scores : (n_tasks, n_methods) array of float
        Higher is better; every task measured with every method.
    alpha : float, default=0.05
        Level of the critical difference.

    Returns
    -------
    Ranks
        Mean ranks, their critical difference and the p-value of Friedman's test.

    Raises
    ------
    CosupError
        When there are fewer than two tasks or methods, or a score is missing.

    Notes
    -----
    Tasks are taken for independent. Members of one family are not, quite: their ranks are more alike than the test
    believes.
    """
    from scipy import stats

    table = _whole(scores)
    n, k = table.shape
    ranks = stats.rankdata(-table, axis=1).mean(axis=0)
    chi2 = 12 * n / (k * (k + 1)) * (float((ranks**2).sum()) - k * (k + 1) ** 2 / 4)
    rest = n * (k - 1) - chi2
    f = math.inf if rest <= 1e-9 else (n - 1) * chi2 / rest
    p_value = float(stats.f.sf(f, k - 1, (k - 1) * (n - 1)))
    return Ranks(ranks, critical_difference(k, n, alpha=alpha), p_value, n)


@dataclass(frozen=True)
class Comparison:
    """One method against another over tasks.

    Attributes
    ----------
    method : int
        The other's column.
    wins, ties, losses : int
        Tasks on which the one scores higher than the other, the same, or lower.
    difference : float
        Median over tasks of the one's score less the other's.
    p_value : float
        The p value of differences that lie evenly around zero, two-sided, corrected for the number of methods.
    """

    method: int
    wins: int
    ties: int
    losses: int
    difference: float
    p_value: float


def compare_with(scores: npt.ArrayLike, one: int) -> list[Comparison]:
    """Compare one method with every other, task by task.

    By Wilcoxon's signed-rank test, ties split between the signs (Demšar 2006, section 3.1.3), p values stepped down
    as Holm (1979) has it. Unlike mean ranks, a statement on two methods does not hang on which others were measured,
    and how far they are apart counts (Benavoli, Corani & Mangili 2016, *Should we really use post-hoc tests based on
    mean-ranks?*, JMLR 17).

    Parameters
    ----------
    scores : (n_tasks, n_methods) array of float
        Higher is better; every task measured with every method, in the same unit.
    one : int
        Column of the method that is compared with the rest. It should be named before the scores are seen.

    Returns
    -------
    list of Comparison
        A method each, in the order of columns.

    Raises
    ------
    CosupError
        When there are fewer than two tasks or methods, or a score is missing.

    Notes
    -----
    On five tasks no p value can be below 0.06, however clear the case.

    Examples
    --------
    >>> scores = [[0.9, 0.8], [0.8, 0.6], [0.7, 0.4], [0.6, 0.2], [0.9, 0.4], [0.7, 0.1]]
    >>> [(found.wins, round(found.p_value, 3)) for found in compare_with(scores, 0)]
    [(6, 0.031)]
    """
    from scipy import stats

    table = _whole(scores)
    others = [method for method in range(table.shape[1]) if method != one % table.shape[1]]
    differences = [np.round(table[:, one] - table[:, other], 9) for other in others]
    p_values = np.array([
        float(stats.wilcoxon(values, zero_method="zsplit").pvalue) if values.any() else 1.0 for values in differences
    ])  # fmt: skip
    order = np.argsort(p_values, kind="stable")
    stepped = np.minimum(np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1)), 1.0)
    p_values[order] = stepped
    return [
        Comparison(
            other, int((values > 0).sum()), int((values == 0).sum()), int((values < 0).sum()),
            float(np.median(values)), float(p_value),
        )
        for other, values, p_value in zip(others, differences, p_values, strict=True)
    ]  # fmt: skip


def _whole(scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2:
        raise CosupError(f"ranks need at least two tasks and two methods, got scores of shape {table.shape}")
    if not np.isfinite(table).all():
        raise CosupError("ranks need every method's score on every task; leave out what is not complete")
    # Rounded: what differs by floating point alone is a tie.
    return np.round(table, 9)
