"""The published probe: one linear layer trained with Adam on mini-batches, its learning rate falling as a cosine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cosup._validation import BoolArray, FloatArray, IntArray, check_positive
from cosup.student._cross_fit import cross_fit
from cosup.student._protocol import LinearHead

__all__ = ["AdamProbe"]


@dataclass(frozen=True)
class AdamProbe:
    """Logistic probe trained as the released code of Liu & Alahi (2024) trains it.

    PyTorch's default initialisation, cross-entropy, Adam without weight decay, cosine decay to zero. The number of
    epochs is ``int(epochs / keep rate)``: every level gets the same number of steps however many samples survive.

    Parameters
    ----------
    learning_rate : float
    epochs : int
        For a training on all samples.
    batch_size : int
    folds : int
        Of the cross-fitting that out-of-sample predictions ask for.
    """

    learning_rate: float = 1e-4
    epochs: int = 20
    batch_size: int = 100
    folds: int = 5

    def __post_init__(self) -> None:
        check_positive(self.learning_rate, "learning_rate of AdamProbe")
        for name in ("epochs", "batch_size", "folds"):
            check_positive(getattr(self, name), f"{name} of AdamProbe", integer=True)

    def prepare(self, X: FloatArray) -> AdamTrainer:
        """Tie the recipe to features (n_samples, n_features)."""
        return AdamTrainer(self, X)


@dataclass(frozen=True)
class AdamTrainer:
    """An `AdamProbe` tied to features."""

    probe: AdamProbe
    X: FloatArray

    def train(
        self,
        targets: FloatArray,
        *,
        keep: BoolArray | None = None,
        random_state: int = 0,
        strength: float | None = None,
    ) -> AdamFit:
        """Train on `targets`; see `cosup.student.Trainer`."""
        members = np.arange(len(self.X)) if keep is None else np.flatnonzero(keep)
        return AdamFit(self, targets, members, random_state)

    def run(self, targets: FloatArray, members: IntArray, random_state: int) -> LinearHead:
        """One training on the samples at `members`."""
        import torch  # takes a second, which those who never train this probe need not wait

        probe = self.probe
        epochs = int(probe.epochs * len(self.X) / len(members))
        generator = torch.Generator().manual_seed(random_state)
        X = torch.from_numpy(np.ascontiguousarray(self.X[members], dtype=np.float32))
        T = torch.from_numpy(np.ascontiguousarray(targets[members], dtype=np.float32))
        n, d = X.shape
        # torch.nn.Linear's default: both uniform in +-1/sqrt(fan in).
        bound = d**-0.5
        W = torch.empty(d, T.shape[1]).uniform_(-bound, bound, generator=generator)
        b = torch.empty(T.shape[1]).uniform_(-bound, bound, generator=generator)
        W.grad, b.grad = torch.empty_like(W), torch.empty_like(b)
        optimizer = torch.optim.Adam([W, b], lr=probe.learning_rate, fused=True)
        steps = epochs * -(-n // probe.batch_size)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(steps, 1))
        with torch.no_grad():
            for _ in range(epochs):
                order = torch.randperm(n, generator=generator)
                for start in range(0, n, probe.batch_size):
                    rows = order[start : start + probe.batch_size]
                    x, t = X[rows], T[rows]
                    # The gradient of the mean cross-entropy by hand: autograd would cost more than the products.
                    residual = torch.addmm(b, x, W).softmax(dim=1).mul_(t.sum(dim=1, keepdim=True)).sub_(t)
                    residual.div_(len(rows))
                    torch.mm(x.T, residual, out=W.grad)
                    torch.sum(residual, dim=0, out=b.grad)
                    optimizer.step()
                    schedule.step()
        return LinearHead(W.double().numpy(), b.double().numpy())


@dataclass(frozen=True)
class AdamFit:
    """What `AdamTrainer.train` gives; see `cosup.student.Fit`. Trains when first asked."""

    _trainer: AdamTrainer
    _targets: FloatArray
    _members: IntArray
    _random_state: int
    strength: None = None

    @cached_property
    def head(self) -> LinearHead:
        """The trained probe."""
        return self._trainer.run(self._targets, self._members, self._random_state)

    @cached_property
    def in_sample(self) -> FloatArray:
        """Probabilities by the trained probe itself."""
        return self.head.predict_proba(self._trainer.X)

    @cached_property
    def out_of_sample(self) -> FloatArray:
        """Cross-fitted probabilities."""
        return cross_fit(
            lambda rows: self._trainer.run(self._targets, rows, self._random_state),
            self._trainer.X, self._members, self._targets.shape[1], self._trainer.probe.folds, self._random_state,
        )  # fmt: skip
