"""The published probe: one linear layer trained with Adam on mini-batches, its learning rate falling as a cosine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cosup.students.adam.heads import train_heads
from cosup.students.costs import Operations
from cosup.students.cross_fitting import CrossFit, cross_fit
from cosup.students.heads import LinearHead
from cosup.students.protocol import BlockFit, Fit
from cosup.students.targets import Targets
from cosup.utils.row_blocks import BLOCK_BYTES, is_half, on_disk, predicted
from cosup.utils.validation import BoolArray, CosupError, FloatArray, IntArray, check_positive

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
        For a training on all samples.
    batch_size : int
    folds : int
        Of the cross-fitting that out-of-sample predictions ask for.
    """

    learning_rate: float = 1e-4
    epochs: int = 20
    batch_size: int = 100
    folds: int = 5

    def __post_init__(self) -> None:
        check_positive(self.learning_rate, "learning_rate of AdamProbe")
        for name in ("epochs", "batch_size", "folds"):
            check_positive(getattr(self, name), f"{name} of AdamProbe", integer=True)
        if self.folds < 2:
            raise CosupError(f"folds of AdamProbe must be at least 2, got {self.folds}")

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
        weights = 16 * (d + 1) * n_classes + 8 * self.folds * (d + 1) * n_classes
        return cast + weights + 27 * n + 4 * BLOCK_BYTES


@dataclass(frozen=True)
class AdamTrainer:
    """An `AdamProbe` tied to features."""

    probe: AdamProbe
    X: FloatArray

    def like(self, fit: Fit) -> AdamTrainer:
        """Return itself: nothing is calibrated here."""
        return self

    def train(
        self,
        targets: FloatArray | IntArray,
        *,
        train_mask: BoolArray | None = None,
        random_state: int = 0,
        alpha: float | None = None,
        n_classes: int | None = None,
    ) -> AdamFit:
        """Train on `targets`; see `cosup.students.Trainer`."""
        return AdamFit(self, Targets.of(targets, train_mask, n_classes, len(self.X)), random_state)

    @cached_property
    def _features(self) -> FloatArray:
        """Halves and files are cast batch by batch; the rest once, for many epochs and folds."""
        return self.X if is_half(self.X) or on_disk(self.X) else np.ascontiguousarray(self.X, dtype=np.float32)

    def run(self, targets: Targets, members: IntArray, random_state: int) -> LinearHead:
        """One training on the samples at `members`."""
        probe = self.probe
        train_mask = np.zeros(len(self.X), dtype=bool)
        train_mask[members] = True
        epochs = int(probe.epochs * len(self.X) / len(members))
        given: Any = targets.soft if targets.ids is None else targets.ids
        heads = train_heads(
            self._features, given, n_classes=targets.n_classes, train_mask=train_mask, seeds=random_state,
            learning_rates=probe.learning_rate, epochs=epochs, batch_size=probe.batch_size, device="cpu",
        )  # fmt: skip
        return heads[0]


@dataclass(frozen=True)
class AdamFit(BlockFit):
    """The outcome of `AdamTrainer.train`; see `cosup.students.Fit`. Trains when first asked."""

    _trainer: AdamTrainer
    _targets: Targets
    _random_state: int
    alpha: None = None
    takes_soft: bool = True

    @cached_property
    def head(self) -> LinearHead:
        """The trained probe."""
        return self._trainer.run(self._targets, self._targets.members, self._random_state)

    @cached_property
    def _folds(self) -> CrossFit:
        return cross_fit(
            lambda rows: self._trainer.run(self._targets, rows, self._random_state),
            len(self._trainer.X), self._targets.members, self._targets.n_classes, self._trainer.probe.folds,
            self._random_state,
        )  # fmt: skip

    def blocks(self, out_of_sample: bool, rows_per_block: int | None = None) -> Iterator[tuple[slice, FloatArray]]:
        """By the trained probe itself, or cross-fitted; see `cosup.students.Fit.blocks`."""
        X = self._trainer.X
        if out_of_sample:
            return self._folds.blocks(X, rows_per_block)
        return predicted(self.head.predict_proba, X, self._targets.n_classes, rows_per_block)
