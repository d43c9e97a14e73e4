"""The settings of a fine-tuning, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from cosup.finetuning.network import Network, as_network
from cosup.utils.validation import CosupError, check_choice, check_positive

__all__ = ["TuningSettings"]

PRECISIONS = ("float32", "bfloat16")
NOT_OF_THE_RESULT = ("network", "folds", "probe", "micro_batch", "device", "checkpoint", "checkpoint_every", "progress")
"""Settings that change a training by rounding at the most, or are told otherwise."""


@dataclass(frozen=True, eq=False)
class TuningSettings:
    """A network and how it is trained; `cosup.finetuning.FineTuned` says what each is."""

    network: Any
    tune: str = "full"
    probe: Any = "ridge"
    folds: int = 2
    epochs: int = 5
    batch_size: int = 32
    micro_batch: int | None = None
    learning_rate: float | None = None
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.1
    patience: int | None = 2
    holdout: float = 0.1
    precision: str | None = None
    device: str | None = None
    checkpoint: str | Path | None = None
    checkpoint_every: int = 100
    progress: bool = True

    def __post_init__(self) -> None:
        from cosup.finetuning.parts import Tune

        Tune.of(self.tune)
        for name in ("epochs", "folds", "batch_size", "micro_batch", "patience", "checkpoint_every"):
            if getattr(self, name) is not None or name not in ("micro_batch", "patience"):
                check_positive(getattr(self, name), f"{name} of FineTuned", integer=True)
        for name in ("learning_rate", "head_learning_rate"):
            if getattr(self, name) is not None:
                check_positive(getattr(self, name), f"{name} of FineTuned")
        check_positive(self.weight_decay, "weight_decay of FineTuned", allow_zero=True)
        for name in ("warmup", "holdout"):
            check_positive(getattr(self, name), f"{name} of FineTuned", allow_zero=name == "warmup")
            if getattr(self, name) >= 1:
                raise CosupError(f"{name} of FineTuned is a share, under 1; got {getattr(self, name)!r}")
        if self.precision is not None:
            check_choice(self.precision, PRECISIONS, "precision of FineTuned")

    @property
    def rate(self) -> float:
        """The network's learning rate."""
        if self.learning_rate is not None:
            return self.learning_rate
        return 5e-4 if self.tune.startswith("lora") else 5e-5

    def as_network(self) -> Network:
        """Return the network, a torch module as a `ModuleNetwork`."""
        return as_network(self.network)

    def plan(self) -> dict[str, Any]:
        """Return the settings that, beside network, targets and seed, decide the result of a training."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in NOT_OF_THE_RESULT}
