"""Ridge probe: a linear student in closed form, with leave-one-out predictions for free."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosup._validation import BoolArray, FloatArray, IntArray, check_choice, check_positive
from cosup.losses import softmax
from cosup.student._protocol import BlockFit, Fit, LinearHead
from cosup.student._ridge_factor import Direct, Factor, Features, Moment, Sample, leave_one_out
from cosup.student._rows import predicted, row_blocks
from cosup.student._targets import Targets

__all__ = ["RidgeProbe"]

SHARPNESS = 8.0 * 2 ** np.arange(0, 5.5, 0.5)
"""Candidate factors that turn a ridge's scores, which estimate one-hot targets, into logits. The least, 8, is right or
nearly so for ten classes; many classes or noisy targets make scores small, and with 8 every class about as likely."""

IMITATION = 0.95
"""A richer read-out must agree this much better with the teacher before it is believed; see `RidgeProbe`."""

HELD = 1 << 26
"""Bytes of leave-one-out scores up to which they are held while a read-out is chosen, not computed anew for a pass."""

TEMPERATURES = np.array([0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2])
"""Candidate factors of a discriminant's logits: fitted scores lie closer to their class than new ones will."""

SHRINKAGE = 1e-3
"""Share of its mean diagonal that is added to the within-class covariance of the scores."""


@dataclass(frozen=True)
class RidgeProbe:
    """Squared loss on one-hot (or soft) targets with an L2 penalty, solved exactly.

    Leave-one-out predictions come in closed form from the hat matrix (Allen 1974), so choosing the strength and
    predicting what was not trained on cost no extra training.

    Parameters
    ----------
    strength : float, optional
        Penalty in units of the features' mean variance. None chooses the strength with the smallest leave-one-out
        squared error against the teacher's targets; no truth is involved.
    readout : {"auto", "scores", "discriminant"}
        How scores become probabilities. ``scores``: softmax of the scores times a factor of at least 8, that of the
        largest leave-one-out likelihood (see `RidgeTrainer.like`). ``discriminant``: linear
        discriminant analysis in the space of the scores, which undoes the masking of classes that squared loss suffers
        when features are few beside classes (Hastie, Buja & Tibshirani 1995, *Penalized discriminant analysis*), its
        logits scaled by the factor of largest leave-one-out likelihood. ``auto`` takes the scores unless their
        leave-one-out agreement with the teacher is under 95 % of the discriminant's: agreement rewards imitation, so
        the richer one must be clearly better.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0], [0.2], [1.0], [1.2]])
    >>> fit = RidgeProbe(strength=0.1).prepare(X).train(np.eye(2)[[0, 0, 1, 1]])
    >>> fit.head.predict_proba(np.array([[0.1], [1.1]])).argmax(axis=1)
    array([0, 1])
    """

    strength: float | None = None
    readout: str = "auto"

    def __post_init__(self) -> None:
        if self.strength is not None:
            check_positive(self.strength, "strength of RidgeProbe")
        check_choice(self.readout, ("auto", "scores", "discriminant"), "readout")

    def prepare(self, X: FloatArray) -> RidgeTrainer:
        """Factorise the features once for all targets and strengths.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)

        Returns
        -------
        RidgeTrainer
        """
        return RidgeTrainer(self, Features(X))


class RidgeTrainer:
    """A `RidgeProbe` tied to features."""

    def __init__(self, probe: RidgeProbe, features: Features, sharpness: float | None = None) -> None:
        self._probe = probe
        self._features = features
        self._sharpness = sharpness

    def like(self, fit: Fit) -> RidgeTrainer:
        """The same with the sharpness of `fit`; see `cosup.student.Trainer`."""
        return RidgeTrainer(self._probe, self._features, fit.sharpness if isinstance(fit, RidgeFit) else None)

    def train(
        self,
        targets: FloatArray | IntArray,
        *,
        keep: BoolArray | None = None,
        random_state: int = 0,
        strength: float | None = None,
        n_classes: int | None = None,
    ) -> RidgeFit:
        """Solve for `targets`; see `cosup.student.Trainer`. Deterministic: `random_state` is not used."""
        features = self._features
        checked = Targets.of(targets, keep, n_classes, len(features.X))
        sample = features.everyone if checked.everyone else Sample(features, checked.members)
        strength = self._probe.strength if strength is None else strength
        moment = sample.moment(checked)
        if strength is None or sample.whole:
            factor = features.factor if sample.whole else Factor(sample)
            strength = factor.best_strength(moment) if strength is None else strength
            solver: Factor | Direct = factor
        else:
            solver = Direct(sample, strength)
        scores = Scores.of(solver, moment, strength)
        A, b, sharpness = _read_out(self._probe.readout, scores, solver.penalty(strength), self._sharpness)
        head = LinearHead(scores.weight @ A, (scores.offset - features.mean @ scores.weight) @ A + b)
        return RidgeFit(head, strength, sharpness, scores, A, b)


@dataclass(frozen=True)
class Scores:
    """A ridge's scores, fitted and leave-one-out, of any rows.

    Attributes
    ----------
    sample : Sample
    moment : Moment
    weight : ndarray of shape (n_features, n_classes)
    offset : ndarray of shape (n_classes,)
        Score of the mean of all rows.
    leverage : ndarray of shape (n_members,)
    """

    sample: Sample
    moment: Moment
    weight: FloatArray
    offset: FloatArray
    leverage: FloatArray

    @classmethod
    def of(cls, solver: Factor | Direct, moment: Moment, strength: float) -> Scores:
        """The ridge of one strength."""
        weight = solver.weight(moment, strength)
        offset = moment.mean - solver.sample.shift @ weight
        return cls(solver.sample, moment, weight, offset, solver.leverage(strength))

    def of_members(self) -> Iterable[tuple[FloatArray, FloatArray]]:
        """Leave-one-out scores and targets of the samples that were trained on, block by block, over and over."""
        sample, targets = self.sample, self.moment.targets
        if 16 * sample.n * targets.n_classes <= HELD:
            return list(self._member_blocks())
        return _Again(self._member_blocks)

    def _member_blocks(self) -> Iterator[tuple[FloatArray, FloatArray]]:
        targets = self.moment.targets
        for rows, Z in self.sample.blocks(targets.n_classes):
            T = targets.dense(self.sample.members[rows])
            yield leave_one_out(Z @ self.weight + self.offset, T, self.leverage[rows]), T

    def blocks(self, rows_per_block: int | None) -> Iterator[tuple[slice, FloatArray]]:
        """Leave-one-out scores of all rows; those that were not trained on have but the one score."""
        sample, targets = self.sample, self.moment.targets
        features = sample.features
        n = len(features.X)
        leverage = np.zeros(n)
        leverage[sample.members] = self.leverage
        for rows in row_blocks(n, max(sample.d, targets.n_classes), rows_per_block):
            fitted = features.read(rows) @ self.weight + self.offset
            inside = np.flatnonzero(leverage[rows])
            # What stands in the targets of other samples is not looked at.
            T = targets.dense(rows.start + inside)
            fitted[inside] = leave_one_out(fitted[inside], T, leverage[rows][inside])
            yield rows, fitted


class _Again:
    """An iterable that starts its generator anew each time."""

    def __init__(self, start: Callable[[], Iterator[tuple[FloatArray, FloatArray]]]) -> None:
        self._start = start

    def __iter__(self) -> Iterator[tuple[FloatArray, FloatArray]]:
        return self._start()


@dataclass(frozen=True)
class RidgeFit(BlockFit):
    """What `RidgeTrainer.train` gives; see `cosup.student.Fit`."""

    head: LinearHead
    strength: float
    sharpness: float | None
    """Factor of plain scores; None behind the discriminant."""
    _scores: Scores
    _A: FloatArray
    _b: FloatArray

    @property
    def readout(self) -> str:
        """How scores became probabilities: "scores" or "discriminant"."""
        return "discriminant" if self.sharpness is None else "scores"

    @property
    def takes_soft(self) -> bool:
        """Only behind the discriminant: plain scores shrink with their targets, soft ones make them underconfident."""
        return self.readout == "discriminant"

    def blocks(self, out_of_sample: bool, rows_per_block: int | None = None) -> Iterator[tuple[slice, FloatArray]]:
        """By the trained student itself, or leave-one-out; see `cosup.student.Fit.blocks`."""
        if not out_of_sample:
            yield from predicted(
                self.head.predict_proba, self._scores.sample.features.X, len(self.head.bias), rows_per_block
            )
            return
        for rows, scores in self._scores.blocks(rows_per_block):
            yield rows, softmax(scores @ self._A + self._b)


def _read_out(
    kind: str, scores: Scores, penalty: float, sharpness: float | None
) -> tuple[FloatArray, FloatArray, float | None]:
    """The linear map from scores to logits: matrix (C, C), offset (C,), and the factor of plain scores."""
    n_classes = scores.moment.targets.n_classes
    plain = np.eye(n_classes), np.zeros(n_classes)
    A, b = _discriminant(scores, penalty) if kind != "scores" else plain
    held_out = scores.of_members()
    if kind == "auto":
        as_scores = as_discriminant = 0
        for found, targets in held_out:
            named = targets.argmax(axis=1)
            as_scores += int((found.argmax(axis=1) == named).sum())
            as_discriminant += int(((found @ A + b).argmax(axis=1) == named).sum())
        kind = "scores" if as_scores >= IMITATION * as_discriminant else "discriminant"
    if kind == "discriminant":
        factor = _likeliest(TEMPERATURES, ((found @ A + b, targets) for found, targets in held_out))
        return factor * A, factor * b, None
    factor = _likeliest(SHARPNESS, held_out) if sharpness is None else sharpness
    return factor * plain[0], plain[1], factor


def _likeliest(factors: FloatArray, logits: Iterable[tuple[FloatArray, FloatArray]]) -> float:
    """The factor of (leave-one-out) logits under which the targets, that come with them, are likeliest."""
    total = np.zeros(len(factors))
    for found, targets in logits:
        below = found - found.max(axis=1, keepdims=True)
        named, mass = float((targets * below).sum()), targets.sum(axis=1)
        scaled = np.empty_like(below)
        for f, factor in enumerate(factors):
            np.exp(np.multiply(below, factor, out=scaled), out=scaled)
            total[f] += factor * named - float(mass @ np.log(scaled.sum(axis=1)))
    return float(factors[int(np.argmax(total))])


def _discriminant(scores: Scores, penalty: float) -> tuple[FloatArray, FloatArray]:
    """Penalised discriminant analysis, from the fitted scores.

    Not from the leave-one-out ones: each of those was predicted without its own target and so betrays it, which a
    discriminant fitted to them finds where features are few beside classes.

    What it needs of the fitted scores ``F = Z W + m`` follows from ``(Z'Z + penalty) W = Z'T`` without going over
    samples: ``T'F = (Z'T)' W + n m m'`` and ``F'F = W'(Z'T - penalty W) + n m m'``.
    """
    n, mean, product, W = scores.sample.n, scores.moment.mean, scores.moment.product, scores.weight
    common = n * np.outer(mean, mean)
    counts = n * mean
    means = (product.T @ W + common) / np.maximum(counts, 1e-9)[:, None]
    within = (W.T @ (product - penalty * W) + common - (means.T * counts) @ means) / n
    ridge: Any = SHRINKAGE * np.trace(within) / len(within) + 1e-12
    A = np.linalg.solve(within + ridge * np.eye(len(within)), means.T)
    prior = np.maximum(counts / counts.sum(), 1e-6)
    return A, np.log(prior) - 0.5 * (means.T * A).sum(axis=0)
