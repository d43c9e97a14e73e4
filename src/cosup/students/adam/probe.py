"""The published probe: one linear layer trained with Adam on mini-batches, its learning rate falling as a cosine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cosup.students.adam.heads import LinearHeads, train_heads
from cosup.students.costs import Operations
from cosup.students.cross_fitting import check_folds
from cosup.students.heads import LinearHead
from cosup.students.targets import Targets
from cosup.students.uncalibrated import HELD, UncalibratedTrainer
from cosup.utils.row_blocks import BLOCK_BYTES, is_half, on_disk
from cosup.utils.validation import FloatArray, IntArray, check_positive

__all__ = ["AdamProbe"]


@dataclass(frozen=True)
class AdamProbe:
    """Logistic probe trained as the released code of Liu & Alahi (2024) trains it.

    PyTorch's default initialisation, cross-entropy, Adam without weight decay, cosine decay to zero. The number of
    epochs is ``int(epochs / keep rate)``: every level gets the same number of steps however many samples survive.

    Parameters
    ----------
    learning_rate : float
    epochs : int
        Passes over the samples, where all are trained on.
    batch_size : int
    folds : int
        Folds of the cross-fitting that gives out-of-sample predictions. Their heads are trained side by side, on the
        student's batches, from each of which a head leaves out the samples that it predicts.
    """

    learning_rate: float = 1e-4
    epochs: int = 20
    batch_size: int = 100
    folds: int = 5

    def __post_init__(self) -> None:
        check_positive(self.learning_rate, "learning_rate of AdamProbe")
        for name in ("epochs", "batch_size"):
            check_positive(getattr(self, name), f"{name} of AdamProbe", integer=True)
        check_folds(self.folds, "AdamProbe")

    def prepare(self, X: FloatArray) -> AdamTrainer:
        """Tie the recipe to features (n_samples, n_features)."""
        return AdamTrainer(self, X)

    def training_costs(self, n: float, d: int, n_classes: int) -> Operations:
        """Count a training on all of n samples of d features; one on fewer takes as many steps."""
        return Operations("training with Adam", "adam", self.epochs * n * d * n_classes, d, n_classes)

    def peak_bytes(self, X: Any, n_classes: int) -> int:
        """Count bytes at the most, beside features and targets; see `cosup.students.peak_bytes`."""
        n, d = (int(length) for length in X.shape)
        cast = 0 if is_half(X) or on_disk(X) or X.dtype == "float32" else 4 * n * d
        # The student's head, and those of the folds while they are trained.
        weights = (8 + 20 * self.folds) * (d + 1) * n_classes
        held = 2 * min(8 * n * n_classes, HELD)  # predictions, in sample and out of sample
        return cast + weights + held + (27 + 8 * self.folds) * n + 4 * BLOCK_BYTES


class AdamTrainer(UncalibratedTrainer):
    """An `AdamProbe` tied to features."""

    def __init__(self, probe: AdamProbe, X: FloatArray) -> None:
        super().__init__(X, probe.folds)
        self.probe = probe

    @cached_property
    def _features(self) -> FloatArray:
        """The features as steps read them: halves and files are cast batch by batch, the rest once for all epochs."""
        return self.X if is_half(self.X) or on_disk(self.X) else np.ascontiguousarray(self.X, dtype=np.float32)

    def run(self, targets: Targets, members: IntArray, random_state: int) -> LinearHead:
        """Train once, on the samples at `members`."""
        return self._train(targets, members, random_state, None)[0]

    def run_folds(self, targets: Targets, folds: list[IntArray], random_state: int) -> list[LinearHead]:
        """Train the folds side by side: on the batches of a training on all of them, each without what it predicts."""
        weights = np.zeros((len(folds), len(self.X)), dtype=np.float32)
        for weight, members in zip(weights, folds, strict=True):
            weight[members] = 1.0
        heads = self._train(targets, np.flatnonzero(weights.any(axis=0)), random_state, weights)
        return [heads[fold] for fold in range(len(folds))]

    def _train(self, targets: Targets, members: IntArray, random_state: int, weights: FloatArray | None) -> LinearHeads:
        probe = self.probe
        train_mask = np.zeros(len(self.X), dtype=bool)
        train_mask[members] = True
        epochs = int(probe.epochs * len(self.X) / len(members))
        return train_heads(
            self._features, targets.given, n_classes=targets.n_classes, train_mask=train_mask, weights=weights,
            seeds=random_state, learning_rates=probe.learning_rate, epochs=epochs, batch_size=probe.batch_size,
            device="cpu",
        )  # fmt: skip
