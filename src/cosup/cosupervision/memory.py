"""Count the memory that co-supervision takes beside features, annotations and the student."""

from __future__ import annotations

from cosup.cosupervision.config import CSLConfig
from cosup.cosupervision.hierarchy import PER_CLASS, REMEMBERED
from cosup.labels import TeacherLabels
from cosup.utils.row_store import BLOCK, IN_MEMORY, LARGEST

__all__ = ["expected_bytes"]


def expected_bytes(labels: TeacherLabels, config: CSLConfig) -> int:
    """Count the bytes at the most; docs/reference/memory.md explains the formula.

    Parameters
    ----------
    labels : TeacherLabels
    config : CSLConfig
    """
    n, c, levels = labels.n_samples, labels.n_classes, labels.n_levels
    sizes = [len(labels.at_level(k)) for k in range(levels)]
    vectors = n * (6 * labels.n_teachers + 24 * max(sizes) + 90 * levels + 120)
    blocks = 8 * min(8 * LARGEST * BLOCK, 8 * n * c)
    remembered = sum(min(8 * n * m * c, REMEMBERED) for m in sizes) if labels.is_soft else 0
    stores, confusions = 0, 0
    if config.pool or config.match_marginals:
        stores = 3 * min(4 * n * c, IN_MEMORY) + levels * min(4 * n * c, 4 * LARGEST * BLOCK)
        confusions = (32 * max(sizes) + 16 * PER_CLASS) * c * c
    elif not config.hard:
        stores = min(4 * n * c, IN_MEMORY)
    return vectors + blocks + remembered + stores + confusions
