"""Turn a ridge's scores into probabilities, by its scores of samples without their own targets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from cosup.students.ridge.gram import Moment, Sample
from cosup.students.ridge.grid import remainder
from cosup.students.ridge.solvers import Direct, Factor
from cosup.utils.losses import row_max, row_sum
from cosup.utils.paired import evenly_spaced, sure_sign, surely_positive
from cosup.utils.row_blocks import cache_blocks, product, row_blocks
from cosup.utils.validation import FloatArray, IntArray

__all__ = ["Calibration", "Scores", "choose_calibration", "holds_scores"]

INVERSE_TEMPERATURES = 8.0 * 2 ** np.arange(0, 5.5, 0.5)
"""Candidate factors that turn a ridge's scores, which estimate one-hot targets, into logits. The least, 8, is right or
nearly so for ten classes; many classes or noisy targets make scores small, and with 8 every class about as likely."""

IMITATION = 0.95
"""A richer calibration must agree this much better with the teacher to be taken; see `RidgeProbe`."""

HELD = 1 << 28
"""Bytes of what leave-one-out logits follow from up to which it is held, not computed anew for every pass."""


def holds_scores(n_samples: float, n_features: int, n_classes: int) -> bool:
    """Tell whether a training's scores of all rows are held: where no wider than features, and within `HELD`."""
    return n_classes <= n_features and 8 * n_samples * n_classes <= HELD


ROUNDED = 1e-7
"""Change of a score that is within rounding in float32."""

LISTED = 32
"""A target's probabilities that count are taken one by one where they are fewer than one in so many."""

Own = Callable[[slice | IntArray, Any, float], FloatArray]

TEMPERATURES = np.array([0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2])
"""Candidate factors of a discriminant's logits: fitted scores lie closer to their class than new ones will."""

SHRINKAGE = 1e-3
"""Share of its mean diagonal that is added to the within-class covariance of the scores."""

GUESS = 2048
"""Samples, evenly spaced, whose likeliest factor is where the search among the factors starts."""


@dataclass(frozen=True)
class Scores:
    """A ridge's scores, fitted and leave-one-out, of any rows.

    Attributes
    ----------
    sample : Sample
    moment : Moment
    weight : ndarray of shape (n_features, n_classes)
    offset : ndarray of shape (n_classes,)
        Score of the origin.
    leverage : ndarray of shape (n_members,)
    penalty : float
        The penalty that was added to the features' second moments.
    """

    sample: Sample
    moment: Moment
    weight: FloatArray
    offset: FloatArray
    leverage: FloatArray
    penalty: float

    @classmethod
    def of(cls, solver: Factor | Direct, moment: Moment, alpha: float) -> Scores:
        """Compute the scores of the ridge of one regularisation."""
        weight = solver.weight(moment, alpha)
        offset = moment.mean - solver.sample.shift @ weight
        return cls(solver.sample, moment, weight, offset, solver.leverage(alpha), solver.penalty(alpha))

    @property
    def single(self) -> bool:
        """Whether scores are in float32: where features are no finer, and many."""
        return self.sample.features.X.dtype != np.float64 and (self.sample.single or self.moment.large)

    @cached_property
    def held(self) -> FloatArray | None:
        """Leave-one-out scores of all rows, where they are held: one pass over features instead of many.

        Rows that were not trained on have but the one.
        """
        sample = self.sample
        n, n_classes = len(sample.features.X), len(self.offset)
        if not holds_scores(n, sample.d, n_classes):
            return None
        weight = self.weight.astype(np.float32) if self.single else self.weight
        out = np.empty((n, n_classes), dtype=weight.dtype)
        for rows, Z in sample.features.blocks(None, single=self.single):
            out[rows] = product(Z, weight, self.moment.large)
        out += self.offset.astype(out.dtype)
        for rows in cache_blocks(n, n_classes):
            self.less_own(out[rows], rows)
        return out

    @cached_property
    def _leverages(self) -> FloatArray:
        """Leverages of all rows; those that were not trained on have none."""
        out = np.zeros(len(self.sample.features.X))
        out[self.sample.members] = self.leverage
        return out

    def less_own(self, found: FloatArray, rows: slice | IntArray, own: Own | None = None) -> FloatArray:
        """Turn fitted scores of some rows into those of ridges without the sample itself (Allen 1974), in place.

        Rows that were not trained on have but the one. Where scores are mapped further, `own` maps targets: of given
        rows, in given precision, whose leverages are at most a given one.
        """
        leverages, at = self._leverages[rows], rows
        inside: slice | IntArray = slice(None)
        if not self.sample.whole:
            inside = np.flatnonzero(leverages)
            at = (np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows)[inside]
        h, targets = leverages[inside].astype(found.dtype), self.moment.targets
        if own is not None:
            found[inside] -= h[:, None] * own(at, found.dtype, float(h.max(initial=0.0)))
        elif targets.ids is None:
            found[inside] -= h[:, None] * targets.dense(at, found.dtype)
        else:
            found[np.arange(len(found))[inside], targets.ids[at]] -= h
        found /= remainder(leverages).astype(found.dtype)[:, None]
        return found


@dataclass(frozen=True)
class Calibration:
    """A linear map from scores to logits: ``scores @ left @ right * factor + b``.

    Attributes
    ----------
    scores : Scores
    left : ndarray of shape (n_classes, k), or None for the identity
    right : ndarray of shape (k, n_classes), or None for the identity
    b : ndarray of shape (n_classes,)
    factor : float
        The factor of all logits, b included.
    """

    scores: Scores
    left: FloatArray | None
    right: FloatArray | None
    b: FloatArray
    factor: float = 1.0

    @cached_property
    def _maps(self) -> tuple[FloatArray, FloatArray, Any, Any, Any]:
        """Weights, offset, the whole map of scores, and its two parts, float64."""
        weight, offset, left, right = self.scores.weight, self.scores.offset, self.left, self.right
        if left is None:
            return weight, offset, None, None, None
        through = left if right is None else left @ right
        return weight @ through, offset @ through, through, left, right

    @cached_property
    def _single(self) -> tuple[FloatArray, FloatArray, Any, Any, Any]:
        weight, offset, *others = self._maps
        through, left, right = (None if a is None else a.astype(np.float32) for a in others)
        return weight.astype(np.float32), offset.astype(np.float32), through, left, right

    @property
    def weight(self) -> FloatArray:
        """The weights from features about the origin to logits, (n_features, n_classes)."""
        return np.asarray(self.factor * self._maps[0])

    @property
    def bias(self) -> FloatArray:
        """Logits of the origin, (n_classes,)."""
        return np.asarray(self.factor * (self._maps[1] + self.b))

    def times(self, factor: float) -> Calibration:
        """Return it with its logits times a factor."""
        other = copy(self)
        object.__setattr__(other, "factor", factor)
        return other

    def held_out(self, positions: slice | IntArray) -> FloatArray:
        """Leave-one-out logits of some of the samples that were trained on, float32."""
        sample = self.scores.sample
        return self._logits(positions if sample.whole else sample.members[positions], np.float32)

    def blocks(self, rows_per_block: int | None) -> Iterator[tuple[slice, FloatArray]]:
        """Leave-one-out logits of all rows; those that were not trained on have but the one.

        In float64, but in float32 where features are no finer and many.
        """
        (n, d), dtype = self.scores.sample.features.X.shape, np.float32 if self.scores.single else np.float64
        for rows in row_blocks(n, max(d, len(self.b)), rows_per_block):
            yield rows, self._logits(rows, dtype)

    def _logits(self, rows: slice | IntArray, dtype: Any) -> FloatArray:
        """Leave-one-out logits of some rows, in a new array."""
        scores = self.scores
        weight, offset, through, _, _ = self._single if dtype == np.float32 else self._maps
        if scores.held is not None:
            found = scores.held[rows].astype(dtype)
            found = found if through is None else found @ through
        else:
            features = scores.sample.features
            Z = features.read_single(rows) if dtype == np.float32 else features.read(rows)
            found = product(Z, weight, scores.moment.large)
            found += offset
            scores.less_own(found, rows, None if through is None else self._own)
        if through is not None:
            found += self.b.astype(dtype)
        if self.factor != 1.0:
            found *= found.dtype.type(self.factor)
        return found

    def _own(self, rows: slice | IntArray, dtype: Any, leverage: float) -> FloatArray:
        """Map targets of some rows as scores are.

        Where that is in float32, without what takes less than its rounding off the scores: a target's probabilities
        count by the leverage, and most are small.
        """
        _, _, through, left, right = self._single if dtype == np.float32 else self._maps
        targets, large = self.scores.moment.targets, self.scores.moment.large
        if targets.ids is not None:
            return np.asarray(through[targets.ids[rows]])
        T = targets.dense(rows, dtype)
        if dtype == np.float32:
            listed = np.flatnonzero(ROUNDED / max(leverage, ROUNDED) < T)
            if LISTED * listed.size < T.size:
                row, of_class = np.divmod(listed, T.shape[1])
                bounds = np.append(0, np.cumsum(np.bincount(row, minlength=len(T))))
                some = csr_array((T.reshape(-1)[listed], of_class, bounds), shape=T.shape)
                return np.asarray(some @ through)
        found = product(T, left, large)
        return found if right is None else product(found, right, large)


def choose_calibration(
    kind: str, scores: Scores, inverse_temperature: float | None
) -> tuple[Calibration, float | None]:
    """Choose the calibration, and the factor of plain scores (None for the discriminant); see `RidgeProbe`."""
    plain = Calibration(scores, None, None, np.zeros(scores.moment.targets.n_classes))
    richer = _discriminant(scores) if kind != "scores" else plain
    if kind == "auto":
        kind = "scores" if _imitates(plain, richer) else "discriminant"
    if kind == "discriminant":
        return richer.times(_likeliest(TEMPERATURES, richer)), None
    factor = _likeliest(INVERSE_TEMPERATURES, plain) if inverse_temperature is None else inverse_temperature
    return plain.times(factor), factor


def _parts(scores: Scores) -> Iterator[slice]:
    yield from cache_blocks(scores.sample.n, _width(scores))


def _some(scores: Scores) -> Iterator[IntArray]:
    """Yield parts of some samples, evenly spaced, that may tell what all would; nothing where all are hardly more."""
    some = evenly_spaced(scores.sample.n)
    if some is not None:
        yield from (some[rows] for rows in cache_blocks(len(some), _width(scores)))


def _width(scores: Scores) -> int:
    n_classes = scores.moment.targets.n_classes
    return n_classes if scores.held is not None else max(scores.sample.d, n_classes)


def _imitates(plain: Calibration, richer: Calibration) -> bool:
    """Tell whether the plain scores agree with the teacher nearly as often as the richer ones; see `IMITATION`."""
    scores = plain.scores

    def ahead(positions: slice | IntArray) -> FloatArray:
        named = scores.moment.targets.predicted_class(scores.sample.members[positions])
        agrees, richer_agrees = (c.held_out(positions).argmax(axis=1) == named for c in (plain, richer))
        return np.asarray(agrees - IMITATION * richer_agrees)

    by_some = sure_sign(np.concatenate([np.empty(0), *map(ahead, _some(scores))]))
    if by_some is not None:
        return by_some
    return sum(float(ahead(positions).sum()) for positions in _parts(scores)) >= 0


def _likeliest(factors: FloatArray, calibration: Calibration) -> float:
    """Find the factor of (leave-one-out) logits under which the targets are likeliest.

    The logarithm of the likelihood is concave in the factor, so what is likelier than both neighbours is likeliest.
    """
    scores = calibration.scores
    step = max(1, scores.sample.n // GUESS)
    some = slice(None) if step == 1 else np.arange(0, scores.sample.n, step)
    best = int(sum(part.sum(axis=0) for part in _likelihoods(factors, calibration, [some])).argmax())
    if step == 1:
        return float(factors[best])
    around = [f for f in (best - 1, best, best + 1) if 0 <= f < len(factors)]
    of_some = [*_likelihoods(factors[around], calibration, _some(scores))]
    if of_some:
        likelihoods, at = np.concatenate(of_some), around.index(best)
        if surely_positive(likelihoods[:, [at]] - np.delete(likelihoods, at, axis=1)).all():
            return float(factors[best])
    found: dict[int, float] = {}
    while True:
        around = [f for f in (best - 1, best, best + 1) if 0 <= f < len(factors)]
        asked = [f for f in around if f not in found]
        sums = sum(part.sum(axis=0) for part in _likelihoods(factors[asked], calibration, _parts(scores)))
        found |= dict(zip(asked, sums, strict=True))
        best, before = max(around, key=found.__getitem__), best
        if best == before:
            return float(factors[best])


def _likelihoods(
    factors: FloatArray, calibration: Calibration, parts: Iterable[slice | IntArray]
) -> Iterator[FloatArray]:
    """Yield the logarithms of the likelihoods of some samples' targets at every factor, (n_rows, n_factors)."""
    targets, members = calibration.scores.moment.targets, calibration.scores.sample.members
    for positions in parts:
        below = calibration.held_out(positions)
        below -= row_max(below)
        mass: Any = 1.0
        if targets.ids is not None:
            named = below[np.arange(len(below)), targets.ids[members[positions]]]
        else:
            T = targets.dense(members[positions], np.float32)
            named, mass = np.einsum("ij,ij->i", T, below), row_sum(T)[:, 0]
        scaled, out = np.empty_like(below), np.empty((len(below), len(factors)))
        for f, factor in enumerate(factors):
            np.exp(np.multiply(below, np.float32(factor), out=scaled), out=scaled)
            out[:, f] = factor * named - mass * np.log(row_sum(scaled)[:, 0])
        yield out


def _discriminant(scores: Scores) -> Calibration:
    """Derive a penalised discriminant analysis from the fitted scores.

    Not from the leave-one-out ones: each of those was predicted without its own target and so betrays it, which a
    discriminant fitted to them finds where features are few beside classes.

    What it needs of the fitted scores ``F = Z W + m`` follows from ``(Z'Z + penalty) W = Z'T`` without going over
    samples: with ``B = [W; m']``, of no more rows than there are features and one, ``T'F = [Z'T; n m']' B`` and
    ``F'F = B'[Z'T - penalty W; n m']``. So the classes' means are a product ``R' B``, and what is solved for as well.
    """
    n, mean, product, W = scores.sample.n, scores.moment.mean, scores.moment.product, scores.weight
    counts = n * mean
    B = np.vstack([W, mean])
    R = np.vstack([product, counts]) / np.maximum(counts, 1e-9)
    within = np.vstack([product - scores.penalty * W, counts])
    means = R.T @ B
    narrow = len(B) < len(mean)
    # Multiply in the order that is less work.
    within -= ((R * counts) @ R.T) @ B if narrow else (R * counts) @ means
    within = B.T @ within / n
    within[np.diag_indices(len(within))] += SHRINKAGE * np.trace(within) / len(within) + 1e-12
    prior = np.log(np.maximum(counts / counts.sum(), 1e-6))
    left = np.linalg.solve(within, B.T if narrow else means.T)
    b = prior - 0.5 * (np.einsum("ij,ji->i", means @ left, R) if narrow else np.einsum("ij,ji->i", means, left))
    # A constant that all classes' logits share changes no probability, but costs precision when it is large.
    b -= mean @ b / mean.sum()
    if not narrow:
        return Calibration(scores, left - (left @ mean / mean.sum())[:, None], None, b)
    Q, T = np.linalg.qr(left)
    right = T @ R
    return Calibration(scores, Q, right - (right @ mean / mean.sum())[:, None], b)
