"""What the method asks of a student, and the heads that most students end in.

A *student* is a recipe. ``prepare(X)`` ties it to a feature matrix and does once what all trainings on these
features share; the *trainer* that comes back trains on any targets and any subset; a *fit* is what a training gives.

Features may be larger than memory: float16, bfloat16 (`BFLOAT16`), float32 or float64, in memory or memory-mapped.
Shipped students read them a block of rows at a time, and what they predict can be had a block at a time, too
(`Fit.blocks`): with class ids as targets nothing of shape (n_samples, n_classes) is ever held. What every student
takes beside the features is in docs/speed.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np

from cosup._validation import BoolArray, CosupError, FloatArray, IntArray
from cosup.losses import softmax
from cosup.student._rows import is_half, stacked, widen

__all__ = [
    "DeferredHead",
    "Fit",
    "Head",
    "LinearHead",
    "MeanHead",
    "Student",
    "Trainer",
    "average_heads",
    "settled",
    "softmax_of_own",
    "spread_head",
]

UNSEEN = -1e4
"""Logit of a class that a head was not trained on."""


@runtime_checkable
class Head(Protocol):
    """A trained student that answers for new features."""

    def predict_proba(self, X: FloatArray) -> FloatArray:
        """Class probabilities, (n_samples, n_classes), for features (n_samples, n_features)."""
        ...


@runtime_checkable
class DeferredHead(Head, Protocol):
    """A head whose training waits for `settled`: methods make many heads and keep few."""

    def merged(self, heads: Sequence[Head]) -> Head:
        """One head for several, this one among them; see `average_heads`."""
        ...

    def spread(self, classes: IntArray, n_classes: int) -> Head:
        """The same over more classes; see `spread_head`."""
        ...

    def settle(self) -> object:
        """Train, unless that is done."""
        ...


class Fit(Protocol):
    """The outcome of one training."""

    @property
    def head(self) -> Head:
        """The trained student."""
        ...

    @property
    def strength(self) -> float | None:
        """The regularisation strength that was used, in the student's own unit; None if it has none."""
        ...

    @property
    def takes_soft(self) -> bool:
        """Whether its probabilities mean what they say, so that the next student may be trained on soft targets."""
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
        """What `in_sample` or `out_of_sample` holds, a block of consecutive rows at a time, from the first to the last.

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


class Trainer(Protocol):
    """A student tied to a feature matrix of n_samples rows."""

    def train(
        self,
        targets: FloatArray | IntArray,
        *,
        keep: BoolArray | None = None,
        random_state: int = 0,
        strength: float | None = None,
        n_classes: int | None = None,
    ) -> Fit:
        """Train on the targets of some samples.

        Parameters
        ----------
        targets : ndarray of shape (n_samples, n_classes) or (n_samples,)
            Probabilities, rows that sum to one; or class ids, integers. Class -1 is none: such a sample is left out.
        keep : bool ndarray of shape (n_samples,), optional
            The samples to train on. Targets of others are not looked at. Default: all.
        random_state : int
        strength : float, optional
            That of an earlier fit, to be as regularised as that one. Default: the student decides.
        n_classes : int, optional
            Default: as many as the targets have columns; of class ids, as the samples that are trained on show.
        """
        ...

    def like(self, fit: Fit) -> Trainer:
        """The same trainer, as sharp as an earlier `fit` where the student calibrates its probabilities.

        Targets that the method made itself would calibrate the next student to the method's own confidence.
        """
        ...


@runtime_checkable
class Student(Protocol):
    """A recipe for training a student on features and targets."""

    def prepare(self, X: FloatArray) -> Trainer:
        """Tie the recipe to features (n_samples, n_features)."""
        ...


def softmax_of_own(logits: FloatArray) -> FloatArray:
    """Softmax over the classes in logits' own precision, in their place."""
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits


@dataclass(frozen=True)
class LinearHead:
    """A linear layer under a softmax.

    Attributes
    ----------
    weight : ndarray of shape (n_features, n_classes), float64
    bias : ndarray of shape (n_classes,), float64
    """

    weight: FloatArray
    bias: FloatArray

    def logits(self, X: FloatArray) -> FloatArray:
        """``X @ weight + bias``, (n_samples, n_classes)."""
        if not is_half(X):
            return np.asarray(X @ self.weight + self.bias)
        # Features of three digits do not ask for products in float64.
        out = widen(X) @ self.weight.astype(np.float32)
        out += self.bias.astype(np.float32)
        return np.asarray(out)

    def predict_proba(self, X: FloatArray) -> FloatArray:
        """Class probabilities, (n_samples, n_classes); float32 where the features are float16 or bfloat16."""
        logits = self.logits(X)
        return softmax_of_own(logits) if logits.dtype == np.float32 else softmax(logits)


@dataclass(frozen=True)
class MeanHead:
    """The mean of several heads' probabilities."""

    heads: tuple[Head, ...]

    def predict_proba(self, X: FloatArray) -> FloatArray:
        """Class probabilities, (n_samples, n_classes)."""
        total: Any = sum(h.predict_proba(X) for h in self.heads)
        return np.asarray(total / len(self.heads))


def average_heads(heads: Sequence[Head]) -> Head:
    """One head for several: linear ones are averaged in their weights (so in logits), others in probabilities.

    Deferred ones are merged: trained once, on the mean of their targets.
    """
    if not heads:
        raise CosupError("there is no head to average")
    linear = [h for h in heads if isinstance(h, LinearHead)]
    if len(heads) == 1:
        return heads[0]
    if isinstance(heads[0], DeferredHead):
        return heads[0].merged(heads)
    if len(linear) == len(heads):
        return LinearHead(np.mean([h.weight for h in linear], axis=0), np.mean([h.bias for h in linear], axis=0))
    return MeanHead(tuple(heads))


@dataclass(frozen=True)
class _SpreadHead:
    head: Head
    classes: IntArray
    n_classes: int

    def predict_proba(self, X: FloatArray) -> FloatArray:
        out = np.zeros((len(X), self.n_classes))
        out[:, self.classes] = self.head.predict_proba(X)
        return out


def spread_head(head: Head, classes: IntArray, n_classes: int) -> Head:
    """A head over some `classes`, seen over all `n_classes`; the others get probability zero."""
    if len(classes) == n_classes:
        return head
    if isinstance(head, LinearHead):
        weight, bias = np.zeros((len(head.weight), n_classes)), np.full(n_classes, UNSEEN)
        weight[:, classes], bias[classes] = head.weight, head.bias
        return LinearHead(weight, bias)
    if isinstance(head, DeferredHead):
        return head.spread(classes, n_classes)
    return _SpreadHead(head, classes, n_classes)


def settled(head: Head) -> Head:
    """The head, trained if its training was put off; see `DeferredHead`."""
    if isinstance(head, DeferredHead):
        head.settle()
    return head
