"""The published probe: one linear layer trained with Adam on mini-batches, its learning rate falling as a cosine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cosup._validation import BoolArray, CosupError, FloatArray, IntArray, check_positive
from cosup.student._cross_fit import cross_fit
from cosup.student._heads import train_heads
from cosup.student._protocol import Fit, LinearHead

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


@dataclass(frozen=True)
class AdamTrainer:
    """An `AdamProbe` tied to features."""

    probe: AdamProbe
    X: FloatArray

    def like(self, fit: Fit) -> AdamTrainer:
        """The same: nothing is calibrated here."""
        return self

    def train(
        self,
        targets: FloatArray,
        *,
        keep: BoolArray | None = None,
        random_state: int = 0,
        strength: float | None = None,
    ) -> AdamFit:
        """Train on `targets`; see `cosup.student.Trainer`."""
        members = np.arange(len(self.X)) if keep is None else np.flatnonzero(keep)
        return AdamFit(self, targets, members, random_state)

    @cached_property
    def _single(self) -> FloatArray:
        return np.ascontiguousarray(self.X, dtype=np.float32)

    def run(self, targets: FloatArray, members: IntArray, random_state: int) -> LinearHead:
        """One training on the samples at `members`."""
        probe = self.probe
        keep = np.zeros(len(self.X), dtype=bool)
        keep[members] = True
        epochs = int(probe.epochs * len(self.X) / len(members))
        ids = targets[members].argmax(axis=1)
        given: Any = targets
        if np.count_nonzero(targets[members]) == len(members) and (targets[members, ids] == 1).all():
            # One-hot rows: class ids save the passes over n_classes columns.
            given = np.full(len(self.X), -1)
            given[members] = ids
        heads = train_heads(
            self._single, given, n_classes=targets.shape[1], keep=keep, seeds=random_state,
            learning_rates=probe.learning_rate, epochs=epochs, batch_size=probe.batch_size, device="cpu",
        )  # fmt: skip
        return heads[0]


@dataclass(frozen=True)
class AdamFit:
    """What `AdamTrainer.train` gives; see `cosup.student.Fit`. Trains when first asked."""

    _trainer: AdamTrainer
    _targets: FloatArray
    _members: IntArray
    _random_state: int
    strength: None = None
    takes_soft: bool = True

    @cached_property
    def head(self) -> LinearHead:
        """The trained probe."""
        return self._trainer.run(self._targets, self._members, self._random_state)

    @cached_property
    def in_sample(self) -> FloatArray:
        """Probabilities by the trained probe itself."""
        return self.head.predict_proba(self._trainer.X)

    @cached_property
    def out_of_sample(self) -> FloatArray:
        """Cross-fitted probabilities."""
        return cross_fit(
            lambda rows: self._trainer.run(self._targets, rows, self._random_state),
            self._trainer.X, self._members, self._targets.shape[1], self._trainer.probe.folds, self._random_state,
        )  # fmt: skip
