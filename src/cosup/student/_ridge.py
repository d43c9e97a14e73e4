"""Ridge probe: a linear student in closed form, with leave-one-out predictions for free."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import cholesky, eigh, solve_triangular

from cosup._validation import BoolArray, CosupError, FloatArray, IntArray, check_choice, check_positive
from cosup.losses import log_softmax, softmax
from cosup.student._protocol import Fit, LinearHead
from cosup.student._rows import blocks_of, predicted, stacked, take
from cosup.student._targets import Targets

__all__ = ["RidgeProbe"]

GRID = np.logspace(-4, 3, 22)
"""Candidate strengths, in units of the features' mean variance."""

SHARPNESS = 8.0 * 2 ** np.arange(0, 5.5, 0.5)
"""Candidate factors that turn a ridge's scores, which estimate one-hot targets, into logits. The least, 8, is right or
nearly so for ten classes; many classes or noisy targets make scores small, and with 8 every class about as likely."""

IMITATION = 0.95
"""A richer read-out must agree this much better with the teacher before it is believed; see `RidgeProbe`."""

BLOCK = 4_000_000
"""Entries of leave-one-out scores that are held at a time while strengths are compared."""

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
        return RidgeTrainer(self, _Features(X))


class _Factor:
    """Eigendecomposition of centred features, in the smaller of the two spaces.

    With `single`, the products are taken in float32 (their sums over blocks of rows in float64): twice as fast, and
    leave-one-out scores agree to about 1e-5.
    """

    def __init__(self, X: FloatArray, *, single: bool = False) -> None:
        if len(X) < 2:
            raise CosupError(f"a ridge probe needs at least 2 samples, got {len(X)}")
        self.mean = X.mean(axis=0, dtype=np.float64)
        n, d = X.shape
        small = d <= n
        single = single and small
        Z = np.asarray(X - self.mean, dtype=np.float32) if single else X.astype(np.float64) - self.mean
        if single:
            from cosup.student import _single as fast  # imports torch, which takes a second

            square: Any = fast.moment(Z)
        else:
            square = Z.T @ Z if small else Z @ Z.T
        values, vectors = eigh(square, driver="evd", overwrite_a=True, check_finite=False)
        # Directions that rounding cannot tell from zero carry nothing, and would blow up in the dual.
        use = values > max(values[-1], 0.0) * 1e-12
        self.values = values[use]
        if small:
            self.vectors = vectors[:, use]
            self.projected = fast.product(Z, self.vectors) if single else Z @ self.vectors
        else:
            self.projected = vectors[:, use] * np.sqrt(self.values)
            self.vectors = Z.T @ (vectors[:, use] / np.sqrt(self.values))
        self.unit = float(self.values.sum()) / d if self.values.size else 1.0

    def leverages(self, strengths: FloatArray) -> FloatArray:
        """Diagonals of the hat matrices, (n_samples, n_strengths)."""
        return np.asarray(self.projected**2 @ self.shrinkage(strengths) + 1.0 / len(self.projected))

    def shrinkage(self, strengths: FloatArray) -> FloatArray:
        """What every direction is multiplied by, (n_directions, n_strengths)."""
        return np.asarray(1.0 / (self.values[:, None] + strengths * self.unit))

    @cached_property
    def grid_leverages(self) -> FloatArray:
        """Leverages on the grid: they do not depend on the targets."""
        return self.leverages(GRID)

    def _leave_one_out(
        self,
        targets: FloatArray,
        mean: FloatArray,
        moment: FloatArray,
        strengths: FloatArray,
        leverages: FloatArray,
    ) -> FloatArray:
        """Scores of every sample by the ridge that was trained without it, (n_strengths, n_samples, n_classes)."""
        n, n_classes = targets.shape
        shrunk = self.shrinkage(strengths)[:, :, None] * moment[:, None, :]
        fitted = (self.projected @ shrunk.reshape(len(shrunk), len(strengths) * n_classes)).reshape(
            n, len(strengths), n_classes
        )
        fitted += mean
        fitted -= leverages[:, :, None] * targets[:, None, :]
        fitted /= np.maximum(1.0 - leverages, 1e-9)[:, :, None]
        return np.asarray(fitted.swapaxes(0, 1))

    def best_strength(self, targets: FloatArray) -> float:
        """The strength of `GRID` with the smallest leave-one-out squared error."""
        mean, moment = self._moments(targets)
        errors = np.empty(len(GRID))
        step = max(1, BLOCK // targets.size)
        for start in range(0, len(GRID), step):
            part = slice(start, start + step)
            scores = self._leave_one_out(targets, mean, moment, GRID[part], self.grid_leverages[:, part])
            errors[part] = ((scores - targets) ** 2).sum(axis=(1, 2))
        return float(GRID[int(np.argmin(errors))])

    def solve(self, targets: FloatArray, strength: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Weights (n_features, n_classes) on centred features; fitted, and leave-one-out, (n_samples, n_classes)."""
        mean, moment = self._moments(targets)
        chosen = np.array([strength])
        shrunk = self.shrinkage(chosen) * moment
        fitted = np.asarray(self.projected @ shrunk + mean)
        return np.asarray(self.vectors @ shrunk), fitted, _held_out(fitted, targets, self.leverages(chosen)[:, 0])

    def _moments(self, targets: FloatArray) -> tuple[FloatArray, FloatArray]:
        mean = targets.mean(axis=0)
        return mean, np.asarray(self.projected.T @ (targets - mean))


class _Direct:
    """Centred features for one strength: a Cholesky factor costs a tenth of an eigendecomposition."""

    def __init__(self, X: FloatArray) -> None:
        self.mean = X.mean(axis=0, dtype=np.float64)
        self._Z = X.astype(np.float64) - self.mean

    def solve(self, targets: FloatArray, strength: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """As `_Factor.solve`."""
        Z = self._Z
        n, d = Z.shape
        penalty = max(strength * float(np.einsum("ij,ij->", Z, Z)) / d, 1e-12)
        centre = targets.mean(axis=0)
        if d <= n:
            factor = cholesky(Z.T @ Z + penalty * np.eye(d), lower=True, overwrite_a=True, check_finite=False)
            half = solve_triangular(factor, Z.T, lower=True, check_finite=False)
            leverage = np.einsum("ij,ij->j", half, half) + 1.0 / n
            weight = solve_triangular(factor, half @ (targets - centre), lower=True, trans="T", check_finite=False)
            fitted = Z @ weight + centre
        else:
            inverse = np.linalg.inv(Z @ Z.T + penalty * np.eye(n))
            dual = inverse @ (targets - centre)
            # I - H is penalty * inverse on centred rows; the mean takes another 1 / n.
            leverage = 1.0 - penalty * np.diagonal(inverse) + 1.0 / n
            weight = Z.T @ dual
            fitted = targets - penalty * dual
        return weight, fitted, _held_out(fitted, targets, leverage)


def _held_out(fitted: FloatArray, targets: FloatArray, leverage: FloatArray) -> FloatArray:
    """Leave-one-out scores of fitted ones and the hat matrix's diagonal (Allen 1974)."""
    rest = np.maximum(1.0 - leverage, 1e-9)[:, None]
    return np.asarray((fitted - leverage[:, None] * targets) / rest)


class _Features:
    """Features, and their factorisation from when it is first asked for."""

    def __init__(self, X: FloatArray) -> None:
        self.X = X

    @cached_property
    def whole(self) -> _Factor:
        return _Factor(self.X)


class RidgeTrainer:
    """A `RidgeProbe` tied to features."""

    def __init__(self, probe: RidgeProbe, features: _Features, sharpness: float | None = None) -> None:
        self._probe = probe
        self._features = features
        self._X = features.X
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
        strength = self._probe.strength if strength is None else strength
        checked = Targets.of(targets, keep, n_classes, len(self._X))
        members, everyone = checked.members, checked.everyone
        if len(members) < 2:
            raise CosupError(f"a ridge probe needs at least 2 samples, got {len(members)}")
        solver: _Factor | _Direct
        if everyone:
            targets = checked.dense(slice(None))
            solver = self._features.whole
        else:
            targets = checked.dense(members)
            own = take(self._X, members)
            solver = _Direct(own) if strength is not None else _Factor(own)
        if strength is None:
            assert isinstance(solver, _Factor)
            strength = solver.best_strength(targets)
        weight, fitted, scores = solver.solve(targets, strength)
        bias = targets.mean(axis=0) - solver.mean @ weight

        A, b, sharpness = _read_out(self._probe.readout, fitted, scores, targets, self._sharpness)
        head = LinearHead(weight @ A, bias @ A + b)
        held_out = softmax(scores @ A + b)
        if not everyone:
            whole = np.empty((len(self._X), checked.n_classes))
            outside = np.setdiff1d(np.arange(len(self._X)), members, assume_unique=True)
            whole[members] = held_out
            whole[outside] = head.predict_proba(take(self._X, outside))
            held_out = whole
        return RidgeFit(head, strength, sharpness, held_out, self._X)


@dataclass(frozen=True)
class RidgeFit:
    """What `RidgeTrainer.train` gives; see `cosup.student.Fit`."""

    head: LinearHead
    strength: float
    sharpness: float | None
    """Factor of plain scores; None behind the discriminant."""
    out_of_sample: FloatArray
    _X: FloatArray

    @property
    def readout(self) -> str:
        """How scores became probabilities: "scores" or "discriminant"."""
        return "discriminant" if self.sharpness is None else "scores"

    @property
    def takes_soft(self) -> bool:
        """Only behind the discriminant: plain scores shrink with their targets, soft ones make them underconfident."""
        return self.readout == "discriminant"

    @cached_property
    def in_sample(self) -> FloatArray:
        """Probabilities by the trained student itself."""
        return stacked(self.blocks(False))

    def blocks(self, out_of_sample: bool, rows_per_block: int | None = None) -> Iterator[tuple[slice, FloatArray]]:
        """By the trained student itself, or leave-one-out; see `cosup.student.Fit.blocks`."""
        if out_of_sample:
            return blocks_of(self.out_of_sample, rows_per_block)
        return predicted(self.head.predict_proba, self._X, len(self.head.bias), rows_per_block)


def _read_out(
    kind: str, fitted: FloatArray, scores: FloatArray, targets: FloatArray, sharpness: float | None
) -> tuple[FloatArray, FloatArray, float | None]:
    """The linear map from scores to logits: matrix (C, C), offset (C,), and the factor of plain scores.

    `fitted` are the student's scores of its training samples, `scores` the leave-one-out ones.
    """
    n_classes = targets.shape[1]
    A, b = _discriminant(fitted, targets) if kind != "scores" else (np.eye(n_classes), np.zeros(n_classes))
    logits = scores @ A + b
    if kind == "auto":
        named = targets.argmax(axis=1)
        as_scores = np.mean(scores.argmax(axis=1) == named)
        as_discriminant = np.mean(logits.argmax(axis=1) == named)
        kind = "scores" if as_scores >= IMITATION * as_discriminant else "discriminant"
    if kind == "discriminant":
        factor = _likeliest(TEMPERATURES, logits, targets)
        return factor * A, factor * b, None
    factor = _likeliest(SHARPNESS, scores, targets) if sharpness is None else sharpness
    return factor * np.eye(n_classes), np.zeros(n_classes), factor


def _likeliest(factors: FloatArray, logits: FloatArray, targets: FloatArray) -> float:
    """The factor of (leave-one-out) logits under which the targets are likeliest."""
    return float(max(factors, key=lambda f: float((targets * log_softmax(f * logits)).sum())))


def _discriminant(fitted: FloatArray, targets: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Penalised discriminant analysis, from the fitted scores.

    Not from the leave-one-out ones: each of those was predicted without its own target and so betrays it, which a
    discriminant fitted to them finds where features are few beside classes.
    """
    counts = targets.sum(axis=0)
    means = (targets.T @ fitted) / np.maximum(counts, 1e-9)[:, None]
    within = (fitted.T @ fitted - (means.T * counts) @ means) / len(fitted)
    ridge: Any = SHRINKAGE * np.trace(within) / len(within) + 1e-12
    A = np.linalg.solve(within + ridge * np.eye(len(within)), means.T)
    prior = np.maximum(counts / counts.sum(), 1e-6)
    return A, np.log(prior) - 0.5 * (means.T * A).sum(axis=0)
