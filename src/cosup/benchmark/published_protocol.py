"""The published protocol: the best epoch *on the test samples*, as the released code reports it.

Kept apart from all training: a method is fitted first, by itself. Then its last training of the published probe is
repeated here, from the same targets, samples and seed, and judged after every epoch. Nothing of that goes back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cosup.cosupervision import PublishedCSL
from cosup.students import AdamProbe, Fit, LinearHead, Student, Trainer
from cosup.utils.losses import softmax
from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = ["WatchedCSL", "WatchedProbe", "correct_by_epoch"]

SAME = 5e-3
"""The repeated training must end in the method's own probabilities, up to rounding; else the epochs are not its."""


@dataclass(frozen=True)
class _Training:
    """Hold the arguments of a training."""

    X: FloatArray
    targets: Any
    options: dict[str, Any]


@dataclass
class WatchedProbe:
    """A student that trains as `AdamProbe` does, and remembers what its last training was given."""

    probe: AdamProbe = field(default_factory=AdamProbe)
    last: _Training | None = field(default=None, repr=False)

    def prepare(self, X: FloatArray) -> _WatchedTrainer:
        """Tie to features (n_samples, n_features)."""
        return _WatchedTrainer(self, self.probe.prepare(X), X)


@dataclass(frozen=True)
class _WatchedTrainer:
    watched: WatchedProbe
    inner: Trainer
    X: FloatArray

    def like(self, fit: Fit) -> _WatchedTrainer:
        """Return itself: nothing is calibrated here."""
        return self

    def train(self, targets: Any, **options: Any) -> Fit:
        """Train as the probe does; see `cosup.students.Trainer`."""
        self.watched.last = _Training(self.X, targets, options)
        return self.inner.train(targets, **options)


class WatchedCSL(PublishedCSL):
    """The published recipe with its probe watched."""

    def _student(self) -> Student:
        probe = super()._student()
        assert isinstance(probe, AdamProbe)
        self.watched_ = WatchedProbe(probe)
        return self.watched_


def correct_by_epoch(watched: WatchedProbe, model: Any, X_test: FloatArray, y_test: IntArray) -> BoolArray | None:
    """Return judge every test sample, right or wrong, after every epoch of the model's final training.

    Parameters
    ----------
    watched : WatchedProbe
        The student that `model` was fitted with.
    model : fitted estimator
    X_test : ndarray of shape (n_test, n_features)
    y_test : ndarray of shape (n_test,)

    Returns
    -------
    (n_epochs, n_test) bool array, or None
        None where the final student is not what the last training of the probe ended in (a mean of several, say).
    """
    training = watched.last
    if training is None:
        return None
    final = model.predict_proba(X_test)
    correct, probabilities = [], None
    for head in _epochs(watched.probe, training):
        probabilities = softmax(head.logits(X_test))
        # A student of fewer classes than the task's has them in order: those that somebody names.
        correct.append(_named(probabilities, final) == y_test)
    assert probabilities is not None
    if not np.allclose(_spread(probabilities, final), final, atol=SAME):
        return None
    return np.asarray(correct)


def _active(probabilities: FloatArray, final: FloatArray) -> IntArray:
    n_classes, n_active = final.shape[1], probabilities.shape[1]
    if n_active == n_classes:
        return np.arange(n_classes)
    return np.sort(np.argsort(-final.max(axis=0), kind="stable")[:n_active])


def _named(probabilities: FloatArray, final: FloatArray) -> IntArray:
    return np.asarray(_active(probabilities, final)[probabilities.argmax(axis=1)])


def _spread(probabilities: FloatArray, final: FloatArray) -> FloatArray:
    out = np.zeros_like(final)
    out[:, _active(probabilities, final)] = probabilities
    return out


def _epochs(probe: AdamProbe, training: _Training) -> Iterator[LinearHead]:
    """Yield the head after every epoch of one training, step by step as `cosup.students.train_heads` documents it."""
    import torch
    from torch.nn.functional import cross_entropy

    n, d = training.X.shape
    keep = training.options.get("train_mask")
    members = torch.arange(n) if keep is None else torch.from_numpy(np.flatnonzero(keep))
    targets = np.asarray(training.targets)
    n_classes = targets.shape[1] if targets.ndim == 2 else int(training.options["n_classes"])
    given = torch.from_numpy(targets).float() if targets.ndim == 2 else torch.from_numpy(targets).long()
    X = torch.from_numpy(np.ascontiguousarray(training.X, dtype=np.float32))

    generator = torch.Generator().manual_seed(int(training.options.get("random_state", 0)))
    bound = d**-0.5
    weight = torch.empty(d, n_classes).uniform_(-bound, bound, generator=generator).requires_grad_()
    bias = torch.empty(n_classes).uniform_(-bound, bound, generator=generator).requires_grad_()
    optimiser = torch.optim.Adam([weight, bias], lr=probe.learning_rate)
    epochs = int(probe.epochs * n / len(members))
    total = epochs * -(-len(members) // probe.batch_size)
    done = 0
    for _ in range(epochs):
        for rows in torch.split(members[torch.randperm(len(members), generator=generator)], probe.batch_size):
            for group in optimiser.param_groups:
                group["lr"] = probe.learning_rate * 0.5 * (1.0 + math.cos(math.pi * done / total))
            optimiser.zero_grad()
            cross_entropy(torch.addmm(bias, X[rows], weight), given[rows]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            done += 1
        yield LinearHead(weight.detach().numpy().astype(np.float64), bias.detach().numpy().astype(np.float64))
