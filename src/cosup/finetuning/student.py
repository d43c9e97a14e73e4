"""The student that is fine-tuned: cross-fitted by its frozen features' probe, trained as a whole when it is settled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from cosup.finetuning.folds import FoldedTrainer
from cosup.finetuning.network import Network, chosen, embedded
from cosup.finetuning.settings import TuningSettings
from cosup.students.cross_fitting import folds_of
from cosup.students.heads import Head, LinearHead, spread_head
from cosup.students.protocol import BlockFit, CheckedTrainer, Fit, Student, Trainer
from cosup.students.registry import as_student
from cosup.students.targets import Targets
from cosup.utils.row_blocks import blocks_of
from cosup.utils.slices import rows_within, slices
from cosup.utils.validation import CosupError, FloatArray, IntArray

if TYPE_CHECKING:
    from cosup.finetuning.training import Tuned

__all__ = ["FineTuned", "TunedHead"]


@dataclass(frozen=True, eq=False)
class FineTuned(TuningSettings):
    """A network that is fine-tuned on the targets, from a linear probe of its features on.

    A method trains many students and keeps few, so the network is trained only for a head that is kept: the final one
    in ``fit``, those of levels when they are first asked. Where a method averages its rounds' students, it is trained
    once, on the mean of their targets: for a linear student that is the same.

    The others say whom to believe, by predictions of samples that they were not trained on. The first student is
    cross-fitted as it is: a network a fold. All later ones are probes on those networks' features, each sample's by the
    one that never saw it. That is one fine-tuning more than the final one, whatever the number of levels and rounds.
    With ``folds=1`` there is none: probes on the features of the network as it is decide.

    Parameters
    ----------
    network : torch.nn.Module or Network
        A module from samples (n, ...) to features (n, d); or what `cosup.tasks.make_backbone` or
        `cosup.embedding.make_encoder` gives. It is copied before it is trained.
    tune : str
        ``"full"``; ``"last:K"``, the last K blocks and what comes after; or ``"lora:R"``, low-rank additions of rank R
        (Hu et al. 2022) to all linear layers of the blocks, by peft (extra ``finetune``), merged when training ends.
    probe : str, Student or scikit-learn classifier
        The student of the features. A linear one, on those of the network as it is, is what the head starts from.
    folds : int
        Number of networks that decide; 1 for none.
    epochs : int
    batch_size : int
        Samples a step, whatever `micro_batch` and the number of processes.
    micro_batch : int, optional
        Samples that go through the network together: gradients of a batch are accumulated. Default: all of a batch.
    learning_rate : float, optional
        Learning rate of the network. Default: 5e-5, with LoRA 5e-4.
    head_learning_rate : float
    weight_decay : float
        Weight decay of the network's matrices.
    warmup : float
        Share of the steps in which the learning rate rises; then it falls as a cosine to zero.
    patience : int, optional
        Stop after so many epochs without better agreement with held-out targets, and keep the best epoch's weights. No
        truth is asked. None: train on all samples, for all epochs.
    holdout : float
        Share of the samples that is held out for that.
    precision : {"float32", "bfloat16"}, optional
        The precision that the network computes in (weights stay float32). Default: bfloat16 on GPUs that have it.
    device : str, optional
        Default: the GPU if there is one (under ``torchrun``, this process's), else the CPU.
    checkpoint : path, optional
        A folder: a training that was stopped or killed goes on from it, to the same weights.
    checkpoint_every : int
        Steps.
    progress : bool
        Show a bar on standard error if that is a terminal.

    Raises
    ------
    CosupError
        For parameters out of range.

    Examples
    --------
    >>> from cosup import CoSupervisedClassifier
    >>> from cosup.finetuning import FineTuned
    >>> student = FineTuned(network, tune="last:2", epochs=3)                              # doctest: +SKIP
    >>> model = CoSupervisedClassifier(student, random_state=0).fit(X, labels)             # doctest: +SKIP
    """

    reads_raw_inputs: ClassVar[bool] = True
    """Whether rows are inputs of a network, which nobody may scale."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # scikit-learn copies parameters; a recipe does not change, and its network may fill the memory.
        return self

    def prepare(self, X: Any) -> FineTunedTrainer:
        """Tie to samples: rows of an array, or any sequence of what the network takes. They are embedded once."""
        network = self.as_network()
        return FineTunedTrainer.of(self, network, X, embedded(network, X, progress=self.progress))

    def reading(self, samples: Any, features: FloatArray) -> Student:
        """Make the student that methods tie to `features` (n_samples, d), and that is trained on the `samples`."""
        return _Reading(self, samples, features)


@dataclass(frozen=True, eq=False)
class _Reading:
    reads_raw_inputs: ClassVar[bool] = True
    student: FineTuned
    samples: Any
    features: FloatArray

    def prepare(self, X: Any) -> FineTunedTrainer:
        if X.shape != self.features.shape:
            raise CosupError(f"X has shape {X.shape}, but the samples' features have {self.features.shape}")
        return FineTunedTrainer.of(self.student, self.student.as_network(), self.samples, X)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


@dataclass(frozen=True, eq=False)
class FineTunedTrainer(CheckedTrainer["FineTunedFit"]):
    """A `FineTuned` tied to samples; see `cosup.students.Trainer`.

    Attributes
    ----------
    frozen : Trainer
        The probe's, on the features of the network as it is.
    deciding : Trainer
        The one whose out-of-sample predictions count.
    by_networks : bool
        Whether a network a fold is trained for these, rather than probes.
    """

    student: FineTuned
    network: Network
    samples: Any
    features: FloatArray
    frozen: Trainer
    deciding: Trainer
    by_networks: bool

    @classmethod
    def of(cls, student: FineTuned, network: Network, samples: Any, features: FloatArray) -> FineTunedTrainer:
        """Tie to samples whose features are known."""
        frozen = as_student(student.probe).prepare(features)
        return cls(student, network, samples, features, frozen, frozen, by_networks=student.folds > 1)

    def like(self, fit: Fit) -> FineTunedTrainer:
        """Decide by probes: on the features of the fit's networks, each sample by one that never saw it."""
        if not isinstance(fit, FineTunedFit):
            return replace(self, deciding=self.deciding.like(fit), by_networks=False)
        if not fit.trainer.by_networks:
            return replace(self, deciding=self.deciding.like(fit.probe), by_networks=False)
        probe = as_student(self.student.probe)
        folded = FoldedTrainer(
            tuple(rows for rows, _, _ in fit.folds), tuple(probe.prepare(F) for _, F, _ in fit.folds), self.frozen
        )
        return replace(self, deciding=folded.like_first(fit.targets, fit.seed), by_networks=False)

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.features)

    def fit(self, targets: Targets, random_state: int, alpha: float | None) -> FineTunedFit:
        """Train the probe; the network is trained when it is needed, see `TunedHead.materialise`."""
        probe = self.deciding.train(
            targets.given, train_mask=targets.train_mask, random_state=random_state, alpha=alpha,
            n_classes=targets.n_classes,
        )  # fmt: skip
        return FineTunedFit(self, targets, probe, random_state)


@dataclass(frozen=True, eq=False)
class FineTunedFit(BlockFit):
    """The outcome of `FineTunedTrainer.train`; see `cosup.students.Fit`.

    Out-of-sample predictions are the probe's, or those of a network a fold; `in_sample` trains the network itself.
    """

    trainer: FineTunedTrainer
    targets: Targets
    probe: Fit
    seed: int

    @property
    def alpha(self) -> float | None:
        """The probe's."""
        return self.probe.alpha

    @property
    def takes_soft(self) -> bool:
        """Whether the probe is calibrated."""
        return self.probe.takes_soft

    @cached_property
    def head(self) -> TunedHead:
        """The network's head, which is trained when it is settled, or first asked."""
        return TunedHead(self.trainer, (self.targets,), self.seed)

    @cached_property
    def folds(self) -> list[tuple[IntArray, FloatArray, LinearHead]]:
        """Positions of each fold's samples, their features by a network that was not trained on them, and its head."""
        trainer = self.trainer
        out = []
        for f, (kept, held) in enumerate(folds_of(np.arange(len(self.targets)), trainer.student.folds, self.seed)):
            members = np.intersect1d(self.targets.members, kept)
            head = TunedHead(trainer, (replace(self.targets, members=members),), self.seed + f)
            out.append((held, embedded(head.network, chosen(trainer.samples, held), progress=False), head.linear))
        return out

    def blocks(self, out_of_sample: bool, rows_per_block: int | None = None) -> Iterator[tuple[slice, FloatArray]]:
        """Predict by the probe, cross-fitted, or by the trained network; see `cosup.students.Fit.blocks`."""
        if out_of_sample and self.trainer.by_networks:
            whole = np.empty((len(self.targets), self.targets.n_classes))
            for rows, features, head in self.folds:
                whole[rows] = head.predict_proba(features)
            yield from blocks_of(whole, rows_per_block)
            return
        if out_of_sample:
            yield from self.probe.blocks(True, rows_per_block)
            return
        samples = self.trainer.samples
        for block in slices(len(samples), rows_per_block or rows_within(1 << 22, self.targets.n_classes)):
            yield block, self.head.predict_proba(chosen(samples, np.arange(block.start, block.stop)))


@dataclass(frozen=True, eq=False)
class TunedHead:
    """A network and its linear head, trained on the mean of some rounds' targets; see `DeferredHead`.

    Attributes
    ----------
    classes : ndarray of int, or None
        Positions of its classes among `n_classes`; None: they are all.
    """

    _trainer: FineTunedTrainer
    _lessons: tuple[Targets, ...]
    _seed: int
    classes: IntArray | None = None
    n_classes: int = 0
    _memory: dict[str, Tuned] = field(default_factory=dict, repr=False)

    def merged(self, heads: Sequence[Head]) -> TunedHead:
        """Merge several rounds' heads to one that is trained on the mean of their targets."""
        own = [head for head in heads if isinstance(head, TunedHead)]
        lessons = tuple(training_set for head in own for training_set in head._lessons)
        return replace(self, _lessons=lessons, _seed=own[-1]._seed, _memory={})

    def spread(self, classes: IntArray, n_classes: int) -> TunedHead:
        """Spread it over more classes."""
        return replace(self, classes=classes, n_classes=n_classes)

    def materialise(self) -> Tuned:
        """Train, unless that is done."""
        if "tuned" not in self._memory:
            from cosup.finetuning.training import TrainingSet, tune

            trainer, (members, targets) = self._trainer, self._together()
            if not len(members):
                raise CosupError("no sample has a target to fine-tune on; let the generalists say more, or use folds=1")
            training_set = TrainingSet(trainer.samples, trainer.features, members, targets, self._start, self._seed)
            folder = trainer.student.checkpoint
            path = None if folder is None else Path(folder) / f"{self._key(members, targets)}.safetensors"
            self._memory["tuned"] = tune(trainer.student, trainer.network, training_set, path)
        return self._memory["tuned"]

    def _together(self) -> tuple[IntArray, FloatArray]:
        """Find the samples that any round trains on, and the mean of their targets, rows that sum to one at most."""
        n = len(self._lessons[0])
        members = np.unique(np.concatenate([training_set.members for training_set in self._lessons]))
        place = np.full(n, -1)
        place[members] = np.arange(len(members))
        total = np.zeros((len(members), self._lessons[0].n_classes), dtype=np.float32)
        for training_set in self._lessons:
            total[place[training_set.members]] += training_set.dense(training_set.members, np.float32)
        return members, total / np.float32(len(self._lessons))

    def _key(self, members: IntArray, targets: FloatArray) -> str:
        """Name a training by all that its result depends on."""
        trainer = self._trainer
        known = {**trainer.student.plan(), "network": trainer.network.fingerprint, "seed": self._seed}
        digest = hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode())
        for array in (members, targets):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]

    @cached_property
    def _start(self) -> Head:
        members, targets = self._together()
        whole = np.zeros((len(self._lessons[0]), targets.shape[1]))
        whole[members] = targets / np.maximum(targets.sum(axis=1, keepdims=True), 1e-12)
        train_mask = np.isin(np.arange(len(whole)), members)
        return self._trainer.frozen.train(whole, train_mask=train_mask, random_state=self._seed).head

    @property
    def probe(self) -> Head:
        """The frozen features' probe, over all classes."""
        return self._start if self.classes is None else spread_head(self._start, self.classes, self.n_classes)

    @property
    def network(self) -> Network:
        """The trained network."""
        return self.materialise().network

    @property
    def linear(self) -> LinearHead:
        """The linear head on its features, over all classes."""
        head = self.materialise().head
        spread = head if self.classes is None else spread_head(head, self.classes, self.n_classes)
        assert isinstance(spread, LinearHead)
        return spread

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """A record an epoch: ``epoch``, ``loss``, ``agreement``, ``seconds``."""
        return self.materialise().epochs

    def predict_proba(self, X: Any) -> FloatArray:
        """Predict class probabilities, (n_samples, n_classes), of samples as the network takes them."""
        return self.linear.predict_proba(embedded(self.network, X, progress=False))
