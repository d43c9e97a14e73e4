"""Measure students: performance gap recovered, quality of what was kept, ranks over tasks, contrasts of designs.

Everything here takes arrays of *measured* correctness, so it needs ground truth; nothing in it is ever
called by a ``fit`` function.
"""

from cosup.metrics.contrasts import bootstrap_contrasts
from cosup.metrics.pgr import Interval, bootstrap_pgr, paired_difference, performance_gap_recovered, selection_quality
from cosup.metrics.ranks import Comparison, Ranks, compare_with, critical_difference, mean_ranks

__all__ = [
    "Comparison",
    "Interval",
    "Ranks",
    "bootstrap_contrasts",
    "bootstrap_pgr",
    "compare_with",
    "critical_difference",
    "mean_ranks",
    "paired_difference",
    "performance_gap_recovered",
    "selection_quality",
]
