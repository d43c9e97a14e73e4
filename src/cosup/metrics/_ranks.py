"""Methods compared over several tasks by their mean ranks (Friedman, Nemenyi)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from cosup._validation import CosupError

__all__ = ["Ranks", "critical_difference", "mean_ranks"]


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
        Of the hypothesis that all methods are the same (Friedman's test in the version of Iman and Davenport).
    n_tasks : int
    """

    ranks: npt.NDArray[np.float64]
    critical: float
    p_value: float
    n_tasks: int


def critical_difference(n_methods: int, n_tasks: int, *, alpha: float = 0.05) -> float:
    """Difference of mean ranks that is significant by the test of Nemenyi.

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

    Raises
    ------
    CosupError
        When there are fewer than two tasks or methods, or a score is missing.

    Notes
    -----
    Tasks are taken for independent. Members of one family are not, quite: their ranks are more alike than the test
    believes.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2:
        raise CosupError(f"ranks need at least two tasks and two methods, got scores of shape {table.shape}")
    if not np.isfinite(table).all():
        raise CosupError("ranks need every method's score on every task; leave out what is not complete")
    n, k = table.shape
    # Rounded: what differs by floating point alone is a tie.
    ranks = stats.rankdata(-np.round(table, 9), axis=1).mean(axis=0)
    chi2 = 12 * n / (k * (k + 1)) * (float((ranks**2).sum()) - k * (k + 1) ** 2 / 4)
    rest = n * (k - 1) - chi2
    f = math.inf if rest <= 1e-9 else (n - 1) * chi2 / rest
    p_value = float(stats.f.sf(f, k - 1, (k - 1) * (n - 1)))
    return Ranks(ranks, critical_difference(k, n, alpha=alpha), p_value, n)
