"""Losses that let a strong student disagree with its teacher: confidence losses and reverse divergences."""

from __future__ import annotations

from typing import Any

import numpy as np

from cosup.baselines.consensus import FLOOR, check_fraction, floored, generalists, gradient_supervision
from cosup.estimators.base import TeacherSupervised
from cosup.estimators.supervision import Supervision
from cosup.labels import TeacherLabels
from cosup.utils.validation import FloatArray, check_choice, check_positive

__all__ = ["AdaptiveConfidence", "ConfidenceLoss", "ConvexMixture", "ReverseCrossEntropy", "ReverseKL"]


class ConfidenceLoss(TeacherSupervised):
    """A linear student under the auxiliary confidence loss (Burns et al. 2023, *Weak-to-strong generalization*).

    ``logconf`` (their equation 1, section 4.3.2 and appendix A.4): ``(1 - a) CE(f, weak) + a CE(f, hardened f)``. The
    student's predictions f are hardened at thresholds at which their class shares are those of the weak labels (two
    classes: a quantile; the multi-class version is ours, by optimal transport, see `matching_offsets`), and `a`
    rises linearly to `weight` over the first `warmup` of the training. The released code's threshold swaps
    the two classes' shares and its ramp jumps at the end; both are as in the paper here.

    ``product`` (released code, ``product_loss_fn``): cross-entropy against the normalised product of the student's
    and the weak probabilities, with gradient through neither; weak labels get a floor, hard ones would win outright.

    Parameters
    ----------
    variant : {"logconf", "product"}
    weight : float
        Final weight of the student's own consensus, in [0, 1]. Not used by ``product``.
    warmup : float
        Share of the training over which `a` rises, in [0, 1]. Not used by ``product``.
    alpha : float, optional
        L2 penalty in units of the features' mean variance, trained for in full. None: by `choose`, together with the
        number of steps and the learning rate, as all methods of this kind.
    random_state : int, RandomState or None
        Batches, hold-out and folds.

    Raises
    ------
    CosupError
        From `fit`, for a parameter out of range.
    """

    def __init__(
        self, variant: str = "logconf", *, weight: float = 0.75, warmup: float = 0.2, alpha: float | None = None,
        random_state: Any = None,
    ) -> None:  # fmt: skip
        self.variant = variant
        self.weight = weight
        self.warmup = warmup
        self.alpha = alpha
        self.random_state = random_state

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        from cosup.baselines.objectives import Confidence

        check_choice(self.variant, ("logconf", "product"), "variant")
        check_fraction(self.weight, "weight")
        check_fraction(self.warmup, "warmup")
        consensus = generalists(labels)
        shares = consensus.vote[consensus.has_label].mean(axis=0)
        targets = consensus.vote if self.variant == "logconf" else floored(consensus.vote)
        return gradient_supervision(
            lambda: Confidence(shares, variant=self.variant, weight=self.weight, warmup=self.warmup),
            X, labels, consensus, seed, targets=targets, alpha=self.alpha,
        )  # fmt: skip


class AdaptiveConfidence(TeacherSupervised):
    """A linear student under adaptive confidence distillation (Guo et al. 2024, *Vision superalignment*).

    ``(1 - b(x)) CE(f, weak) + b(x) CE(f, hardened f)`` with a weight of its own for every sample,
    ``b = exp(CE(f, hardened f) / T) / (exp(CE(f, hardened f) / T) + exp(CE(f, hardened weak) / T))``: one half where
    student and teacher agree, less where they do not (arXiv 2402.03749, equations 4 and 5; T as in the released
    ``AdaptConf``). No gradient flows through b. Their distillation temperature and ground-truth term are left out.

    Parameters
    ----------
    temperature : float
        T; the released configurations say 0.5.
    alpha, random_state
        As for `ConfidenceLoss`.
    """

    def __init__(self, *, temperature: float = 0.5, alpha: float | None = None, random_state: Any = None) -> None:
        self.temperature = temperature
        self.alpha = alpha
        self.random_state = random_state

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        from cosup.baselines import objectives

        check_positive(self.temperature, "temperature")
        consensus = generalists(labels)
        return gradient_supervision(
            lambda: objectives.AdaptiveConfidence(self.temperature),
            X, labels, consensus, seed, targets=consensus.vote, alpha=self.alpha,
        )  # fmt: skip


class ReverseKL(TeacherSupervised):
    """A linear student under the reverse KL divergence ``sum_y f_y log(f_y / weak_y)`` (Yao et al. 2025).

    *Revisiting weak-to-strong generalization: reverse KL vs. forward KL*, arXiv 2502.11107: it seeks a mode of the weak
    labels rather than covering their mass. Weak labels get a floor, without which a zero costs infinitely much.

    Parameters
    ----------
    floor : float
        Share of the uniform distribution in the weak labels, in (0, 1].
    alpha, random_state
        As for `ConfidenceLoss`.
    """

    _objective = "ReverseKL"

    def __init__(self, *, floor: float = FLOOR, alpha: float | None = None, random_state: Any = None) -> None:
        self.floor = floor
        self.alpha = alpha
        self.random_state = random_state

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        from cosup.baselines import objectives

        check_fraction(self.floor, "floor", low=1e-6)
        consensus = generalists(labels)
        return gradient_supervision(
            getattr(objectives, self._objective), X, labels, consensus, seed,
            targets=floored(consensus.vote, self.floor), alpha=self.alpha,
        )  # fmt: skip


class ReverseCrossEntropy(ReverseKL):
    """A linear student under the reverse cross-entropy ``-sum_y f_y log weak_y`` (Yao et al. 2025).

    See `ReverseKL`. On hard labels with a floor it is proportional to ``1 - f_label``, the mean absolute error.

    Parameters
    ----------
    floor, alpha, random_state
        As for `ReverseKL`.
    """

    _objective = "ReverseCrossEntropy"


class ConvexMixture(TeacherSupervised):
    """A convex combination of k linear heads under the reverse KL divergence (Mulgund & Pabbaraju 2025).

    *Relating misfit to gain in weak-to-strong generalization beyond the squared loss*, arXiv 2501.19105: their theory
    asks for a convex class of students, which convex combinations of k softmax heads approach as k grows; they take
    k = 100. Heads start at random (PyTorch's default) and are trained together with their weights, a softmax. Ours:
    the regularisation is chosen and out-of-sample probabilities are predicted by mixtures of 4 heads, training is half
    as long as that of the other methods, and a head's L2 penalty is divided by k, since each gets a share of the
    gradient.

    Parameters
    ----------
    heads : int
        The k, at least 2.
    divergence : {"reverse", "forward"}
    floor, alpha, random_state
        As for `ReverseKL`.
    """

    def __init__(
        self, heads: int = 100, *, divergence: str = "reverse", floor: float = FLOOR, alpha: float | None = None,
        random_state: Any = None,
    ) -> None:  # fmt: skip
        self.heads = heads
        self.divergence = divergence
        self.floor = floor
        self.alpha = alpha
        self.random_state = random_state

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        from cosup.baselines import objectives

        check_positive(self.heads, "heads", integer=True)
        check_fraction(self.heads, "heads", low=2, high=np.inf)
        check_choice(self.divergence, ("reverse", "forward"), "divergence")
        check_fraction(self.floor, "floor", low=1e-6)
        consensus = generalists(labels)
        return gradient_supervision(
            lambda: objectives.ConvexMixture(reverse=self.divergence == "reverse"), X, labels, consensus, seed,
            targets=floored(consensus.vote, self.floor), alpha=self.alpha,
            width=self.heads, fold_width=min(self.heads, FOLD_HEADS), epochs=MIXTURE_EPOCHS,
        )  # fmt: skip


FOLD_HEADS = 4
"""Heads of the mixtures that choose the regularisation and predict out of sample."""

MIXTURE_EPOCHS = 10
"""A mixture of 100 heads costs 100 times one head's training."""
