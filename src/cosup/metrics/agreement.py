"""Measure how far annotators agree, beyond chance: Krippendorff's alpha, Fleiss' kappa, pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cosup.utils.slices import rows_within, slices

__all__ = ["Agreement", "annotator_agreement", "pairwise_agreement"]

BLOCK = 1 << 22
"""Entries of samples by teachers that are sorted together."""

Ids = npt.NDArray[np.integer]


class Agreement(NamedTuple):
    """Agreement of annotators; NaN where no sample has two annotations, or chance would agree always.

    Attributes
    ----------
    alpha : float
        Krippendorff's alpha for classes without an order (2004, *Content analysis*): one minus the disagreement
        observed over that expected, each sample's pairs weighed by one over its annotators less one. Abstentions are
        missing values. 1: all agree; 0: as by chance.
    kappa : float
        Fleiss' kappa (1971): mean share of agreeing pairs a sample, beyond chance; with unequal numbers of annotators,
        samples count alike.
    pairs : float
        Share of all pairs of annotations of one sample that agree.
    samples : int
        Samples with two annotations or more, which is all that this is measured on.
    """

    alpha: float
    kappa: float
    pairs: float
    samples: int


def annotator_agreement(annotated: Ids, n_classes: int) -> Agreement:
    """Measure how far annotators agree.

    Parameters
    ----------
    annotated : ndarray of int, shape (n_samples, n_annotators)
        Class ids, -1 where an annotator abstains.
    n_classes : int

    Returns
    -------
    Agreement
        Pairwise agreement, Krippendorff's alpha and Fleiss' kappa.

    Examples
    --------
    >>> import numpy as np
    >>> annotator_agreement(np.array([[0, 0], [1, 1], [0, 1], [1, -1]]), 2).pairs
    0.6666666666666666
    """
    counts = np.zeros(n_classes, dtype=np.int64)
    agreeing = possible = samples = 0
    observed = share = 0.0
    for rows in slices(len(annotated), rows_within(BLOCK, annotated.shape[1])):
        block = annotated[rows]
        speaking = (block >= 0).sum(axis=1)
        block, speaking = block[speaking > 1], speaking[speaking > 1].astype(np.int64)
        if not len(block):
            continue
        pairs = 2 * _equal_pairs(block)
        counts += np.bincount(block[block >= 0], minlength=n_classes)
        agreeing += int(pairs.sum())
        possible += int((speaking * (speaking - 1)).sum())
        samples += len(block)
        observed += float((pairs / (speaking - 1)).sum())
        share += float((pairs / (speaking * (speaking - 1))).sum())
    total = int(counts.sum())
    if not samples:
        return Agreement(float("nan"), float("nan"), float("nan"), 0)
    by_chance = float((counts * (counts - 1)).sum()) / (total * (total - 1))
    by_shares = float(((counts / total) ** 2).sum())
    return Agreement(
        _beyond(observed / total, by_chance), _beyond(share / samples, by_shares), agreeing / possible, samples
    )


def _equal_pairs(block: Ids) -> npt.NDArray[np.int64]:
    """Count the pairs of annotations of one class, (n_samples,)."""
    ordered = np.sort(block, axis=1)
    place = np.arange(block.shape[1])
    begins = np.ones(block.shape, dtype=bool)
    begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    # The k-th of a run of equal classes agrees with k others before it.
    before = place - np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    return np.asarray((before * (ordered >= 0)).sum(axis=1), dtype=np.int64)


def _beyond(observed: float, chance: float) -> float:
    return float("nan") if chance >= 1.0 else (observed - chance) / (1.0 - chance)


def pairwise_agreement(annotated: Ids) -> npt.NDArray[np.float64]:
    """Share of the samples that two annotators both speak about on which they name the same class.

    Parameters
    ----------
    annotated : ndarray of int, shape (n_samples, n_annotators)
        Class ids, -1 where an annotator abstains.

    Returns
    -------
    ndarray of shape (n_annotators, n_annotators)
        NaN where two never speak together.
    """
    n_annotators = annotated.shape[1]
    out = np.full((n_annotators, n_annotators), np.nan)
    for t in range(n_annotators):
        rows = annotated[annotated[:, t] >= 0]
        both = (rows >= 0).sum(axis=0)
        same = (rows == rows[:, t : t + 1]).sum(axis=0)
        out[t, both > 0] = same[both > 0] / both[both > 0]
    return out
