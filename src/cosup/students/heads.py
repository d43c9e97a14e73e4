"""The heads that trainings end in: linear ones, means of several, and those whose training waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from cosup.utils.losses import row_max, row_sum, softmax
from cosup.utils.row_blocks import is_half, widen
from cosup.utils.validation import CosupError, FloatArray, IntArray

__all__ = [
    "DeferredHead",
    "Head",
    "LinearHead",
    "MeanHead",
    "average_heads",
    "materialised",
    "softmax_of_own",
    "spread_head",
]

UNSEEN = -1e4
"""Logit of a class that a head was not trained on."""


@runtime_checkable
class Head(Protocol):
    """A trained student that answers for new features."""

    def predict_proba(self, X: FloatArray) -> FloatArray:
        """Predict class probabilities, (n_samples, n_classes), of features (n_samples, n_features)."""
        ...


@runtime_checkable
class DeferredHead(Head, Protocol):
    """A head whose training waits for `materialised`: methods make many heads and keep few."""

    def merged(self, heads: Sequence[Head]) -> Head:
        """Combine several heads, this one among them, to one; see `average_heads`."""
        ...

    def spread(self, classes: IntArray, n_classes: int) -> Head:
        """Spread it over more classes; see `spread_head`."""
        ...

    def materialise(self) -> object:
        """Train, unless that is done."""
        ...


def softmax_of_own(logits: FloatArray) -> FloatArray:
    """Apply the softmax over the classes in place, in the logits' own precision."""
    logits -= row_max(logits)
    np.exp(logits, out=logits)
    logits /= row_sum(logits)
    return logits


@dataclass(frozen=True)
class LinearHead:
    """A linear layer under a softmax.

    Attributes
    ----------
    weight : ndarray of shape (n_features, n_classes), float64, or float32 if it was trained in that
    bias : ndarray of shape (n_classes,), of that dtype
    """

    weight: FloatArray
    bias: FloatArray

    def logits(self, X: FloatArray) -> FloatArray:
        """Return ``X @ weight + bias``, (n_samples, n_classes)."""
        if is_half(X):  # gains nothing from products in float64
            out = widen(X) @ self.weight.astype(np.float32, copy=False)
            out += self.bias.astype(np.float32, copy=False)
        else:
            out = X @ self.weight
            out += self.bias
        return np.asarray(out)

    def predict_proba(self, X: FloatArray) -> FloatArray:
        """Predict class probabilities, (n_samples, n_classes).

        float32 of features in half precision, and of float32 where the weights are.
        """
        logits = self.logits(X)
        return softmax_of_own(logits) if logits.dtype == np.float32 else softmax(logits)


@dataclass(frozen=True)
class MeanHead:
    """The mean of several heads' probabilities."""

    heads: tuple[Head, ...]

    def predict_proba(self, X: FloatArray) -> FloatArray:
        """Predict class probabilities, (n_samples, n_classes)."""
        total: Any = sum(h.predict_proba(X) for h in self.heads)
        return np.asarray(total / len(self.heads))


def average_heads(heads: Sequence[Head]) -> Head:
    """Combine several heads to one: linear ones by the mean of their weights (so of logits), others of probabilities.

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
    """Spread a head over some `classes` to all `n_classes`; the others get probability zero."""
    if len(classes) == n_classes:
        return head
    if isinstance(head, LinearHead):
        weight, bias = np.zeros((len(head.weight), n_classes)), np.full(n_classes, UNSEEN)
        weight[:, classes], bias[classes] = head.weight, head.bias
        return LinearHead(weight, bias)
    if isinstance(head, DeferredHead):
        return head.spread(classes, n_classes)
    return _SpreadHead(head, classes, n_classes)


def materialised(head: Head) -> Head:
    """Return the head, trained first if its training was put off; see `DeferredHead`."""
    if isinstance(head, DeferredHead):
        head.materialise()
    return head
