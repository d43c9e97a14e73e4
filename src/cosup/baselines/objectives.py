"""Losses of the gradient-based rivals, on logits (B, H, K, C): samples, heads side by side, components, classes."""

from __future__ import annotations

import math

import numpy as np
import torch

from cosup.students.thresholds import hardened, matching_offsets
from cosup.utils.validation import FloatArray

__all__ = [
    "AdaptiveConfidence", "CoTeaching", "Confidence", "ConvexMixture", "CrossEntropy", "CrowdLayer", "Evidential",
    "LossesOverLabels", "Objective", "ReverseCrossEntropy", "ReverseKL", "SimplexWeights", "Tensor",
    "dirichlet_kl", "expected",
]  # fmt: skip

Tensor = torch.Tensor

TINY = 1e-12


class Objective:
    """A loss, and whatever it learns beside the heads. One object serves one run.

    A subclass implements `loss`; the other hooks have defaults that do nothing.
    """

    looks_ahead = False
    """Whether `look` is to be called now and then."""

    hyperparameter: tuple[float, ...] = ()
    """Candidates of a setting of its own that is chosen together with the regularisation, the preferred ones first."""

    fan_in: int | None = None
    """Inputs of its own parameters, whose learning rate is over the root of it; None: that of the heads."""

    gives_evidence = False
    """Whether exponentials of the logits are evidence, see `expected`; else their softmax is the answer."""

    def begin(self, n_heads: int, width: int, targets: Tensor) -> list[Tensor]:
        """Return own parameters for Adam, each with an axis for heads; `targets` as in `loss`, of all samples."""
        return []

    def set_hyperparameter(self, values: FloatArray) -> None:
        """Set the hyperparameter, one value a head."""

    def look(self, logits: Tensor, targets: Tensor) -> None:
        """See many samples at once."""

    def loss(self, logits: Tensor, targets: Tensor, present: Tensor, progress: float) -> Tensor:
        """Compute the loss of every sample and head.

        Parameters
        ----------
        logits : Tensor of shape (B, H, K, C)
        targets : Tensor of shape (B, C) or (B, m, C)
        present : Tensor of shape (B, H)
            Weight of every sample; 0 where a head must not see it.
        progress : float
            Share of the training that is done.

        Returns
        -------
        Tensor of shape (B, H)
        """
        raise NotImplementedError

    def after_step(self) -> None:
        """Return do what is due after every step of Adam."""

    def mixture(self, width: int) -> FloatArray | None:
        """Return weights of the components, (H, width); None: equal."""
        return None

    def learned(self) -> FloatArray | None:
        """Return weights of the teachers, (H, m)."""
        return None


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Compute cross-entropies (B, H) of logits (B, H, 1, C) against (B, C) or (B, H, C)."""
    if targets.ndim == 2:
        targets = targets[:, None]
    return -(targets * torch.log_softmax(logits[:, :, 0], dim=2)).sum(2)


class CrossEntropy(Objective):
    """Cross-entropy against the targets."""

    def loss(self, logits: Tensor, targets: Tensor, present: Tensor, progress: float) -> Tensor:
        """See `Objective.loss`."""
        return _cross_entropy(logits, targets)


class CrowdLayer(Objective):
    """A matrix a teacher on top of the student; see `cosup.baselines.CrowdLayer`. Targets (B, m, C)."""

    def __init__(self) -> None:
        self._matrices = torch.zeros(0)

    def begin(self, n_heads: int, width: int, targets: Tensor) -> list[Tensor]:
        """Return matrices of the teachers, which start as the identity, (H, m, C, C)."""
        n_teachers, n_classes = targets.shape[1:]
        self.fan_in = n_classes
        self._matrices = torch.eye(n_classes).repeat(n_heads, n_teachers, 1, 1).requires_grad_()
        return [self._matrices]

    def loss(self, logits: Tensor, targets: Tensor, present: Tensor, progress: float) -> Tensor:
        """See `Objective.loss`: mean over the teachers that speak."""
        p = torch.softmax(logits[:, :, 0], dim=2)
        # Only teachers and pairs that are annotated: most teachers of a crowd see few samples.
        row, teacher = torch.nonzero(targets.sum(2) > 0, as_tuple=True)
        present_teachers, place = torch.unique(teacher, return_inverse=True)
        every = torch.einsum("bhc,hmck->bmhk", p, self._matrices[:, present_teachers])
        answers = every[row, place]
        each = -(targets[row, teacher][:, None] * torch.log_softmax(answers, dim=2)).sum(2)
        total = torch.zeros(p.shape[:2]).index_add(0, row, each)
        return total / torch.bincount(row, minlength=len(p)).clamp(min=1)[:, None]

    def learned(self) -> FloatArray | None:
        """Return weights of the teachers, (H, m)."""
        return np.asarray(self._matrices.detach().double().numpy())


class LossesOverLabels(Objective):
    """A cross-entropy a teacher; see `cosup.baselines.LossesOverLabels`. Targets (B, m, C)."""

    def loss(self, logits: Tensor, targets: Tensor, present: Tensor, progress: float) -> Tensor:
        """See `Objective.loss`: the sum over the teachers that speak, over their number."""
        log_p = torch.log_softmax(logits[:, :, 0], dim=2)
        total = -torch.einsum("bmc,bhc->bh", targets, log_p)
        return total / targets.sum((1, 2)).clamp(min=1.0)[:, None]


class Confidence(Objective):
    """The confidence loss; see `cosup.baselines.ConfidenceLoss`."""

    def __init__(self, shares: FloatArray, *, variant: str, weight: float, warmup: float) -> None:
        self.looks_ahead = variant == "logconf"
        self.product = variant == "product"
        self.shares = torch.tensor(shares, dtype=torch.float32)
        self.largest = weight
        self.warmup = warmup
        self._offsets: Tensor | None = None

    def look(self, logits: Tensor, targets: Tensor) -> None:
        """Set the thresholds. Class shares and logits here are of all samples, seen or not: marginals only."""
        self._offsets = matching_offsets(torch.log_softmax(logits[:, :, 0], dim=2), self.shares)

    def weight(self, progress: float) -> float:
        """Return alpha, which rises linearly over the first `warmup` of the training."""
        return self.largest * (min(1.0, progress / self.warmup) if self.warmup > 0 else 1.0)

    def target(self, log_p: Tensor, targets: Tensor, progress: float) -> Tensor:
        """Return the student's targets, (B, H, C)."""
        if self.product:
            both = log_p + torch.log(targets.clamp(min=TINY))[:, None]
            return torch.softmax(both, dim=2)
        assert self._offsets is not None
        a = self.weight(progress)
        return (1.0 - a) * targets[:, None] + a * hardened(log_p, self._offsets)

    def loss(self, logits: Tensor, targets: Tensor, present: Tensor, progress: float) -> Tensor:
        """See `Objective.loss`."""
        log_p = torch.log_softmax(logits[:, :, 0], dim=2)
        return -(self.target(log_p.detach(), targets, progress) * log_p).sum(2)


class AdaptiveConfidence(Objective):
    """The adaptive confidence loss; see `cosup.baselines.AdaptiveConfidence`."""

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def share(self, log_p: Tensor, targets: Tensor) -> Tensor:
        """Compute beta of every sample, (B, H)."""
        own = -log_p.amax(2) / self.temperature
        teacher = torch.gather(log_p, 2, targets.argmax(1)[:, None, None].expand(-1, log_p.shape[1], 1))
        # exp(a) / (exp(a) + exp(b)) without overflow.
        return torch.sigmoid(own + teacher[:, :, 0] / self.temperature)

    def loss(self, logits: Tensor, targets: Tensor, present: Tensor, progress: float) -> Tensor:
        """See `Objective.loss`."""
        log_p = torch.log_softmax(logits[:, :, 0], dim=2)
        beta = self.share(log_p.detach(), targets)
        return (1.0 - beta) * _cross_entropy(logits, targets) - beta * log_p.amax(2)


class ReverseKL(Objective):
    """``sum_y p_y log(p_y / q_y)``; targets q without zeros."""

    def loss(self, logits: Tensor, targets: Tensor, present: Tensor, progress: float) -> Tensor:
        """See `Objective.loss`."""
        log_p = torch.log_softmax(logits[:, :, 0], dim=2)
        return (log_p.exp() * (log_p - torch.log(targets)[:, None])).sum(2)


class ReverseCrossEntropy(Objective):
    """``-sum_y p_y log q_y``; targets q without zeros."""

    def loss(self, logits: Tensor, targets: Tensor, present: Tensor, progress: float) -> Tensor:
        """See `Objective.loss`."""
        return -(torch.softmax(logits[:, :, 0], dim=2) * torch.log(targets)[:, None]).sum(2)


class ConvexMixture(Objective):
    """Reverse or forward KL of a convex combination of components, whose weights are learned."""

    def __init__(self, *, reverse: bool) -> None:
        self.reverse = reverse
        self._scores = torch.zeros(0)

    def begin(self, n_heads: int, width: int, targets: Tensor) -> list[Tensor]:
        """Return scores of the components, under a softmax."""
        self._scores = torch.zeros(n_heads, width, requires_grad=True)
        return [self._scores]

    def mixture(self, width: int) -> FloatArray | None:
        """Return weights of the components, (H, width)."""
        return np.asarray(torch.softmax(self._scores.detach(), dim=1).double().numpy())

    def learned(self) -> FloatArray | None:
        """Return weights of the teachers, (H, m)."""
        return self.mixture(0)

    def loss(self, logits: Tensor, targets: Tensor, present: Tensor, progress: float) -> Tensor:
        """See `Objective.loss`."""
        log_share = torch.log_softmax(self._scores, dim=1)[None, :, :, None]
        log_p = torch.logsumexp(torch.log_softmax(logits, dim=3) + log_share, dim=2)
        log_q = torch.log(targets)[:, None]
        if self.reverse:
            return (log_p.exp() * (log_p - log_q)).sum(2)
        return (log_q.exp() * (log_q - log_p)).sum(2)


class SimplexWeights(Objective):
    """Cross-entropy against a weighted vote whose weights are learned; see `cosup.baselines.SimplexWeights`.

    The last row of a sample's targets (m + 1, C) holds in its first entry whether the sample is easy. Of several
    `rates` the trainer chooses one, see `Objective.hyperparameter`.
    """

    def __init__(self, *rates: float, warmup: float) -> None:
        self.hyperparameter = rates
        self.warmup = warmup
        self._rates = torch.tensor(rates[:1])
        self._weights = torch.zeros(0)
        self._moves = False

    def set_hyperparameter(self, values: FloatArray) -> None:
        """Step sizes of the weights."""
        self._rates = torch.tensor(values, dtype=torch.float32)[:, None]

    def _prepare(self, n_heads: int, n_teachers: int) -> Tensor:
        if self._weights.numel() == 0:
            self._weights = torch.full((n_heads, n_teachers), 1.0 / n_teachers, requires_grad=True)
        return self._weights

    def vote(self, annotated: Tensor, weights: Tensor) -> Tensor:
        """Average the annotations of teachers that speak, (B, H, C), from annotations (B, m, C) and weights (H, m)."""
        total = torch.einsum("hm,bmc->bhc", weights, annotated)
        return total / total.sum(2, keepdim=True).clamp(min=1e-9)

    def loss(self, logits: Tensor, targets: Tensor, present: Tensor, progress: float) -> Tensor:
        """See `Objective.loss`."""
        annotated, easy = targets[:, :-1], targets[:, -1, 0]
        weights = self._prepare(logits.shape[1], annotated.shape[1])
        warm = progress < self.warmup
        self._moves = not warm
        vote = self.vote(annotated, weights.detach() if warm else weights)
        loss = _cross_entropy(logits, vote)
        return loss * easy[:, None] if warm else loss

    def after_step(self) -> None:
        """Take a gradient step on the weights, then clamp and scale them back to the simplex, as the released code."""
        gradient = self._weights.grad
        if gradient is None:
            return
        with torch.no_grad():
            if self._moves:
                self._weights.sub_(self._rates * gradient).clamp_(min=1e-6)
                self._weights.div_(self._weights.sum(1, keepdim=True))
            gradient.zero_()

    def learned(self) -> FloatArray | None:
        """Return weights of the teachers, (H, m)."""
        return np.asarray(self._weights.detach().double().numpy())


MOST_EVIDENCE = 10.0
"""Logits are cut off here before they become evidence."""


def expected(logits: FloatArray) -> FloatArray:
    """Return the mean of the Dirichlet distribution with one plus the evidence, over the last axis."""
    alpha = 1.0 + np.exp(np.minimum(logits, MOST_EVIDENCE))
    return np.asarray(alpha / alpha.sum(axis=-1, keepdims=True))


class Evidential(Objective):
    """Evidence for a Dirichlet distribution; see `cosup.baselines.EvidentialClassifier`."""

    gives_evidence = True

    def __init__(self, *, coefficient: float, warmup: float) -> None:
        self.coefficient = coefficient
        self.warmup = warmup

    def loss(self, logits: Tensor, targets: Tensor, present: Tensor, progress: float) -> Tensor:
        """See `Objective.loss`."""
        alpha = 1.0 + torch.exp(logits[:, :, 0].clamp(max=MOST_EVIDENCE))
        q = targets[:, None]
        fit = (q * (torch.log(alpha.sum(2, keepdim=True)) - torch.log(alpha))).sum(2)
        ramp = min(1.0, progress / self.warmup) if self.warmup > 0 else 1.0
        return fit + self.coefficient * ramp * dirichlet_kl(q + (1.0 - q) * alpha)


def dirichlet_kl(alpha: Tensor) -> Tensor:
    """Compute KL divergences of Dirichlet(alpha) from the uniform one, over the last axis (Sensoy et al. 2018)."""
    n_classes = alpha.shape[-1]
    total = alpha.sum(-1, keepdim=True)
    constant = torch.lgamma(total)[..., 0] - torch.lgamma(alpha).sum(-1) - math.lgamma(n_classes)
    return constant + ((alpha - 1.0) * (torch.digamma(alpha) - torch.digamma(total))).sum(-1)


class CoTeaching(Objective):
    """Two components that exchange their small-loss samples; see `cosup.baselines.CoTeaching`."""

    def __init__(self, *, noise: float, warmup: float) -> None:
        self.noise = noise
        self.warmup = warmup

    def quota(self, progress: float) -> float:
        """Share of a batch that is kept: falls from 1 to 1 - noise over the first `warmup` of the training."""
        return 1.0 - self.noise * (min(1.0, progress / self.warmup) if self.warmup > 0 else 1.0)

    def selected(self, losses: Tensor, present: Tensor, progress: float) -> Tensor:
        """Mask of the samples with the smallest loss, shape of `losses` (B, H, 2), among those that are present."""
        seen = (present > 0)[:, :, None]
        ranks = losses.masked_fill(~seen, math.inf).argsort(dim=0).argsort(dim=0)
        keep = torch.ceil(self.quota(progress) * seen.sum(0)).clamp(min=1)
        return (ranks < keep) & seen

    def loss(self, logits: Tensor, targets: Tensor, present: Tensor, progress: float) -> Tensor:
        """See `Objective.loss`: the mean of both nets, each on what the other selected."""
        each = -(targets[:, None, None] * torch.log_softmax(logits, dim=3)).sum(3)
        mine = self.selected(each.detach(), present, progress).flip(2)
        # The trainer divides by all that are present: the mean is over the selected.
        size = present.sum(0)[:, None] / (mine * present[:, :, None]).sum(0).clamp(min=1e-9)
        return (each * mine * size).mean(2)
