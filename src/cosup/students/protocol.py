"""The protocol of students: prepare on features, train on targets, predict in blocks.

A *student* is a recipe. ``prepare(X)`` ties it to a feature matrix and does once what all trainings on these
features share; the *trainer* that comes back trains on any targets and any subset; a *fit* is what a training gives.

Features may be larger than memory: float16, bfloat16 (`BFLOAT16`), float32 or float64, in memory or memory-mapped.
Shipped students read them a block of rows at a time, and what they predict can be had a block at a time, too
(`Fit.blocks`): with class ids as targets nothing of shape (n_samples, n_classes) is ever held. The memory
that every student takes beside the features is in docs/reference/memory.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Generic, Protocol, TypeVar, runtime_checkable

from cosup.students.heads import Head
from cosup.students.targets import Targets
from cosup.utils.row_blocks import stacked
from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = ["BlockFit", "CheckedTrainer", "Fit", "Student", "Trainer"]


class Fit(Protocol):
    """The outcome of one training."""

    @property
    def head(self) -> Head:
        """The trained student."""
        ...

    @property
    def alpha(self) -> float | None:
        """The regularisation, in a unit of the student's; None if it has none."""
        ...

    @property
    def takes_soft(self) -> bool:
        """Whether its probabilities are calibrated, so that the next student may be trained on soft targets."""
        ...

    @property
    def in_sample(self) -> FloatArray:
        """Probabilities of all prepared samples by the trained student, (n_samples, n_classes)."""
        ...

    @property
    def out_of_sample(self) -> FloatArray:
        """Probabilities of all prepared samples, each by a student that was not trained on it."""
        ...

    def blocks(self, out_of_sample: bool, rows_per_block: int | None = None) -> Iterator[tuple[slice, FloatArray]]:
        """Yield `in_sample` or `out_of_sample` a block of consecutive rows at a time, from the first to the last.

        Parameters
        ----------
        out_of_sample : bool
        rows_per_block : int, optional
            Default: as many as make 32 MB.

        Yields
        ------
        rows : slice
        probabilities : ndarray of shape (rows_per_block or fewer, n_classes), float32 or float64
            The caller's own until the next block is asked for; it may be a view, so it must not be written to.
        """
        ...


class BlockFit:
    """Base of fits that predict in blocks: `in_sample` and `out_of_sample` are what the blocks make together."""

    def blocks(self, out_of_sample: bool, rows_per_block: int | None = None) -> Iterator[tuple[slice, FloatArray]]:
        """See `Fit.blocks`."""
        raise NotImplementedError

    @cached_property
    def in_sample(self) -> FloatArray:
        """Probabilities of all prepared samples by the trained student, (n_samples, n_classes)."""
        return stacked(self.blocks(False))

    @cached_property
    def out_of_sample(self) -> FloatArray:
        """Probabilities of all prepared samples, each by a student that was not trained on it."""
        return stacked(self.blocks(True))


AnyFit = TypeVar("AnyFit", bound=Fit)


class CheckedTrainer(Generic[AnyFit]):
    """Base of trainers: `train` checks the targets, and `fit` trains on them."""

    @property
    def n_samples(self) -> int:
        """Number of prepared samples."""
        raise NotImplementedError(f"{type(self).__name__} must implement n_samples")

    def fit(self, targets: Targets, random_state: int, alpha: float | None) -> AnyFit:
        """Train on checked targets."""
        raise NotImplementedError(f"{type(self).__name__} must implement fit")

    def train(
        self,
        targets: FloatArray | IntArray,
        *,
        train_mask: BoolArray | None = None,
        random_state: int = 0,
        alpha: float | None = None,
        n_classes: int | None = None,
    ) -> AnyFit:
        """Train on the targets of some samples; see `Trainer.train`."""
        return self.fit(Targets.of(targets, train_mask, n_classes, self.n_samples), random_state, alpha)


class Trainer(Protocol):
    """A student tied to a feature matrix of n_samples rows."""

    def train(
        self,
        targets: FloatArray | IntArray,
        *,
        train_mask: BoolArray | None = None,
        random_state: int = 0,
        alpha: float | None = None,
        n_classes: int | None = None,
    ) -> Fit:
        """Train on the targets of some samples.

        Parameters
        ----------
        targets : ndarray of shape (n_samples, n_classes) or (n_samples,)
            Probabilities, rows that sum to one; or class ids, integers. Class -1 is none: such a sample is left out.
        train_mask : bool ndarray of shape (n_samples,), optional
            The samples to train on. Targets of others are not looked at. Default: all.
        random_state : int
        alpha : float, optional
            The regularisation of an earlier fit, to use it again. Default: the student decides.
        n_classes : int, optional
            Default: as many as the targets have columns; of class ids, as the samples that are trained on show.
        """
        ...

    def like(self, fit: Fit) -> Trainer:
        """Return a trainer that calibrates its probabilities as `fit` did, where the student calibrates them.

        Targets that the method made itself would calibrate the next student to the method's own confidence.
        """
        ...


@runtime_checkable
class Student(Protocol):
    """A recipe for training a student on features and targets."""

    def prepare(self, X: FloatArray) -> Trainer:
        """Tie the recipe to features (n_samples, n_features)."""
        ...
