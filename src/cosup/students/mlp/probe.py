"""Nets as students: a linear layer, a mixture of heads, one hidden layer, under a loss that can be chosen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cosup.students.cross_fitting import CrossFit, check_folds, fold_of, folds_of
from cosup.students.heads import Head, LinearHead
from cosup.students.held_out_choice import strongest
from cosup.students.targets import Targets
from cosup.students.uncalibrated import UncalibratedFit, UncalibratedTrainer
from cosup.utils.row_blocks import column_means, row_blocks, take, widen
from cosup.utils.validation import CosupError, FloatArray, IntArray, check_choice, check_positive

if TYPE_CHECKING:
    from cosup.students.mlp.training import Net, Shape

__all__ = ["GradientProbe", "MixtureProbe", "MlpProbe"]

LOSSES = ("cross-entropy", "squared", "confidence", "reverse-kl")

GRID = np.array([1.0, 0.3, 0.1, 0.03, 0.01, 0.003])
"""Candidate alphas, strongest first."""

HELD_OUT = 0.2
"""Share of the samples by which the regularisation is chosen."""


@dataclass(frozen=True, kw_only=True)
class GradientProbe:
    """A linear layer under a softmax, trained by Adam on mini-batches under one of several losses.

    Out-of-sample predictions are cross-fitted: the folds' nets are trained side by side with the final one.

    Parameters
    ----------
    loss : {"cross-entropy", "squared", "confidence", "reverse-kl"}
        ``squared``: of probabilities (Brier). ``confidence``: the auxiliary confidence loss of Burns et al. (2023,
        equation 1): the student's own predictions, hardened at thresholds at which their class shares are the
        targets', get up to 3/4 of the target over the first fifth of the training. ``reverse-kl``:
        ``sum_y p_y log(p_y / q_y)`` of targets q with a floor of 1 % (Yao et al. 2025, arXiv 2502.11107).
    alpha : float, optional
        L2 penalty of all weights in units of the features' mean variance. None chooses it without truth: the strongest
        of six whose agreement with the targets on a hold-out of 20 % is at least 95 % of the best. The best itself
        would reward imitating the teacher's predictable mistakes.
    epochs : int
        Passes over the samples; small sets of samples are passed over more often.
    batch_size : int
    learning_rate : float
        Over the root of the number of features; falls as a cosine to zero.
    folds : int
        Folds of the cross-fitting.

    Raises
    ------
    CosupError
        For an unknown loss or a number out of range.
    """

    loss: str = "cross-entropy"
    alpha: float | None = None
    epochs: int = 10
    batch_size: int = 100
    learning_rate: float = 0.1
    folds: int = 5

    def __post_init__(self) -> None:
        me = type(self).__name__
        check_choice(self.loss, LOSSES, "loss")
        if self.alpha is not None:
            check_positive(self.alpha, f"alpha of {me}")
        check_positive(self.learning_rate, f"learning_rate of {me}")
        for name in ("epochs", "batch_size", *self._sizes()):
            check_positive(getattr(self, name), f"{name} of {me}", integer=True)
        check_folds(self.folds, me)

    def _sizes(self) -> tuple[str, ...]:
        return ()

    def _shape(self) -> Shape:
        from cosup.students.mlp.training import Shape  # imports torch, which takes a second

        return Shape()

    def prepare(self, X: FloatArray) -> NetTrainer:
        """Tie the recipe to features (n_samples, n_features)."""
        return NetTrainer(self, X)


@dataclass(frozen=True, kw_only=True)
class MlpProbe(GradientProbe):
    """One hidden layer of ReLU units under a softmax, otherwise as `GradientProbe`.

    Parameters
    ----------
    hidden : int
    loss, alpha, epochs, batch_size, learning_rate, folds
        As for `GradientProbe`.

    Raises
    ------
    CosupError
        For an unknown loss or a number out of range.
    """

    hidden: int = 32

    def _sizes(self) -> tuple[str, ...]:
        return ("hidden",)

    def _shape(self) -> Shape:
        from cosup.students.mlp.training import Shape

        return Shape(hidden=self.hidden)


@dataclass(frozen=True, kw_only=True)
class MixtureProbe(GradientProbe):
    """A mixture of linear softmax heads, otherwise as `GradientProbe`.

    ``p(y | x) = sum_k g_k(x) softmax(W_k x)_y`` with a softmax gate g that is trained together with the heads (Jacobs,
    Jordan, Nowlan & Hinton 1991, *Adaptive mixtures of local experts*); not ``gated``: constant shares, the convex
    combination of heads of Mulgund & Pabbaraju (2025, arXiv 2501.19105). A head's L2 penalty is divided by their
    number, since each gets a share of the gradient.

    Parameters
    ----------
    heads : int
    gated : bool
    loss, alpha, epochs, batch_size, learning_rate, folds
        As for `GradientProbe`.

    Raises
    ------
    CosupError
        For an unknown loss, a number out of range, or less than two heads.
    """

    heads: int = 4
    gated: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heads < 2:
            raise CosupError(f"heads of MixtureProbe must be at least 2, got {self.heads}")

    def _sizes(self) -> tuple[str, ...]:
        return ("heads",)

    def _shape(self) -> Shape:
        from cosup.students.mlp.training import Shape

        return Shape(heads=self.heads, gated=self.gated)


class NetTrainer(UncalibratedTrainer):
    """A recipe of this module tied to features."""

    def __init__(self, probe: GradientProbe, X: FloatArray) -> None:
        super().__init__(X, probe.folds)
        self.probe = probe
        self._mean = column_means(X)
        total = 0.0
        for rows in row_blocks(len(X), X.shape[1]):
            part = widen(X[rows]) - self._mean
            total += float(np.einsum("ij,ij->", part, part, dtype=np.float64))
        self._scale = max(float(np.sqrt(total / X.size)), 1e-6)

    def fit(self, targets: Targets, random_state: int, alpha: float | None) -> NetFit:
        """Train on checked targets, at `alpha` where it is given."""
        return NetFit(self, targets, random_state, self.probe.alpha if alpha is None else alpha)

    def run_side_by_side(
        self, targets: Targets, members: IntArray, left_out: IntArray, alphas: FloatArray, seed: int
    ) -> list[Head]:
        """Train nets side by side on the samples at `members`, each on those that do not leave it out."""
        from cosup.students.mlp.training import Examples, Plan, train_nets

        probe = self.probe

        def features(rows: IntArray) -> FloatArray:
            part = widen(take(self.X, rows))
            return np.asarray((part - self._mean.astype(part.dtype)) / self._scale, dtype=np.float32)

        d = self.X.shape[1]
        plan = Plan(probe.loss, probe.learning_rate / float(np.sqrt(d)), probe.epochs, probe.batch_size)
        examples = Examples(features, targets.dense, members, left_out, (d, targets.n_classes))
        nets = train_nets(plan, probe._shape(), examples, alphas, seed)
        return [self._head(net) for net in nets]

    def _head(self, net: Net) -> Head:
        def raw(weight: FloatArray, bias: FloatArray) -> LinearHead:
            """Make a first layer that takes raw features."""
            w = weight.astype(np.float64) / self._scale
            return LinearHead(w, bias - self._mean @ w)

        weights, biases = net.last
        if net.first is not None:
            return MlpHead(raw(*net.first), LinearHead(weights[0].astype(np.float64), biases[0].astype(np.float64)))
        heads = tuple(raw(w, b) for w, b in zip(weights, biases, strict=True))
        return heads[0] if len(heads) == 1 else MixtureHead(heads, raw(*net.gate))


@dataclass(frozen=True)
class MlpHead:
    """A layer of ReLU units, and a linear layer under a softmax."""

    inner: LinearHead
    outer: LinearHead

    def predict_proba(self, X: FloatArray) -> FloatArray:
        """Predict class probabilities, (n_samples, n_classes)."""
        return self.outer.predict_proba(np.maximum(self.inner.logits(X), 0.0))


@dataclass(frozen=True)
class MixtureHead:
    """Softmax heads whose probabilities are mixed in the shares that a softmax gate gives them."""

    heads: tuple[LinearHead, ...]
    gate: LinearHead

    def predict_proba(self, X: FloatArray) -> FloatArray:
        """Predict class probabilities, (n_samples, n_classes)."""
        shares = self.gate.predict_proba(X)
        total: Any = sum(shares[:, k, None] * head.predict_proba(X) for k, head in enumerate(self.heads))
        return np.asarray(total)


@dataclass(frozen=True)
class NetFit(UncalibratedFit):
    """The fit of a `NetTrainer`; see `cosup.students.Fit`. Trains when first asked."""

    _trainer: NetTrainer
    _alpha: float | None

    @cached_property
    def alpha(self) -> float:
        """L2 penalty in units of the features' mean variance."""
        if self._alpha is not None:
            return self._alpha
        members, X = self._targets.members, self._trainer.X
        order = np.random.default_rng(self._random_state).permutation(len(members))
        n_held = max(1, round(HELD_OUT * len(members)))
        held, seen = np.sort(members[order[:n_held]]), np.sort(members[order[n_held:]])
        if not seen.size:
            return float(GRID[len(GRID) // 2])
        nobody = np.full(len(seen), -1)
        heads = self._trainer.run_side_by_side(self._targets, seen, nobody, GRID, self._random_state)
        named = self._targets.predicted_class(held)
        right = np.zeros(len(GRID))
        for rows in row_blocks(len(held), max(X.shape[1], self._targets.n_classes)):
            part = take(X, held[rows])
            right += [(head.predict_proba(part).argmax(axis=1) == named[rows]).sum() for head in heads]
        return float(GRID[strongest(right)])

    @cached_property
    def _trained(self) -> tuple[Head, CrossFit]:
        targets, seed = self._targets, self._random_state
        held = [out for _, out in folds_of(targets.members, self._trainer.probe.folds, seed)]
        fold = fold_of(held, len(targets))
        alphas = np.full(len(held) + 1, self.alpha)
        *heads, final = self._trainer.run_side_by_side(targets, targets.members, fold[targets.members], alphas, seed)
        return final, CrossFit(tuple(heads), fold, targets.n_classes)

    # The final net and the folds' are trained side by side, so that asking for one trains all.
    @property
    def head(self) -> Head:
        """The net that was trained on all."""
        return self._trained[0]

    @property
    def _folds(self) -> CrossFit:
        return self._trained[1]
