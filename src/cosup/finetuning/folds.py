"""Probes on the features of several networks: every sample's by one that was not trained on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from cosup.students.heads import Head
from cosup.students.protocol import BlockFit, CheckedTrainer, Fit, Trainer
from cosup.students.targets import Targets
from cosup.utils.row_blocks import blocks_of
from cosup.utils.validation import FloatArray, IntArray

__all__ = ["FoldedTrainer"]

FEWEST_A_FOLD = 10
"""Samples of a fold that a probe is trained on at the least."""


@dataclass(frozen=True, eq=False)
class FoldedTrainer(CheckedTrainer[Fit]):
    """A probe a fold, trained and cross-fitted on the fold's own samples.

    Features of two networks can't be compared, and those that a network makes of its own training samples tell what it
    was trained to say of them. So each fold's probe sees the features of one network, of samples new to it.

    Attributes
    ----------
    rows : tuple of ndarray of int
        Positions of each fold's samples.
    trainers : tuple of Trainer
        The probes', tied to the folds' features.
    frozen : Trainer
        The trainer in their place where a fold has too few samples to train on.
    """

    rows: tuple[IntArray, ...]
    trainers: tuple[Trainer, ...]
    frozen: Trainer

    def like_first(self, targets: Targets, seed: int) -> FoldedTrainer:
        """Make each probe as sharp as one trained on these targets."""
        first = self._fits(targets, seed, None)
        return replace(self, trainers=tuple(t.like(fit) for t, fit in zip(self.trainers, first, strict=True)))

    def like(self, fit: Fit) -> FoldedTrainer:
        """Return itself: its probes are like the first student's already."""
        return self

    def _fits(self, targets: Targets, seed: int, alpha: float | None) -> list[Fit]:
        given, train_mask = targets.given, targets.train_mask
        return [
            trainer.train(
                given[rows], train_mask=train_mask[rows], random_state=seed, alpha=alpha, n_classes=targets.n_classes
            )
            for rows, trainer in zip(self.rows, self.trainers, strict=True)
        ]

    @property
    def n_samples(self) -> int:
        """Number of samples of all folds."""
        return sum(map(len, self.rows))

    def fit(self, targets: Targets, random_state: int, alpha: float | None) -> Fit:
        """Train a probe a fold."""
        if min(np.isin(rows, targets.members).sum() for rows in self.rows) < FEWEST_A_FOLD:
            return self.frozen.train(
                targets.given, train_mask=targets.train_mask, random_state=random_state, alpha=alpha,
                n_classes=targets.n_classes,
            )  # fmt: skip
        return FoldedFit(self.rows, tuple(self._fits(targets, random_state, alpha)), targets.n_classes)


@dataclass(frozen=True, eq=False)
class FoldedFit(BlockFit):
    """The outcome of `FoldedTrainer.train`; it has no head of its own, and predicts out of sample only."""

    rows: tuple[IntArray, ...]
    fits: tuple[Fit, ...]
    n_classes: int

    @property
    def head(self) -> Head:
        """None: features of new samples would be of several networks."""
        raise NotImplementedError("probes of several networks' features have no head")

    @property
    def alpha(self) -> float | None:
        """The first fold's."""
        return self.fits[0].alpha

    @property
    def takes_soft(self) -> bool:
        """Whether all probes are calibrated."""
        return all(fit.takes_soft for fit in self.fits)

    @cached_property
    def _whole(self) -> FloatArray:
        whole = np.empty((sum(map(len, self.rows)), self.n_classes))
        for rows, fit in zip(self.rows, self.fits, strict=True):
            for block, p in fit.blocks(True):
                whole[rows[block]] = p
        return whole

    def blocks(self, out_of_sample: bool, rows_per_block: int | None = None) -> Iterator[tuple[slice, FloatArray]]:
        """Predict each sample by a probe and a network that were not trained on it; see `cosup.students.Fit.blocks`."""
        return blocks_of(self._whole, rows_per_block)
