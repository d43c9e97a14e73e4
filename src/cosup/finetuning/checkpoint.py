"""Keep a training on disk, to go on from: safetensors, nothing pickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from cosup.utils.atomic_files import write_whole
from cosup.utils.validation import CosupError

__all__ = ["Progress", "read_checkpoint", "write_checkpoint"]


@dataclass
class Progress:
    """Progress of a training.

    Attributes
    ----------
    step : int
        Steps done, of all epochs together.
    loss : float
        Sum over the samples seen in this epoch.
    epochs : list of dict
        A record an epoch that is done.
    best : float
        Best agreement with held-out targets so far.
    waiting : int
        Epochs since then.
    stopped : bool
    """

    step: int = 0
    loss: float = 0.0
    epochs: list[dict[str, Any]] = field(default_factory=list)
    best: float = -1.0
    waiting: int = 0
    stopped: bool = False


def write_checkpoint(
    path: Path, weights: Mapping[str, Tensor], optimiser: torch.optim.Optimizer, best: Mapping[str, Tensor],
    progress: Progress,
) -> None:  # fmt: skip
    """Write trained weights, Adam's moments, the best weights so far and how far the training is."""
    tensors = {f"weight/{name}": value for name, value in weights.items()}
    tensors |= {f"best/{name}": value for name, value in best.items()}
    for name, value in weights.items():
        state = optimiser.state.get(value, {})
        tensors |= {f"{key}/{name}": state[key] for key in ("exp_avg", "exp_avg_sq") if key in state}
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, save(plain, metadata={"progress": json.dumps(asdict(progress))}))


def read_checkpoint(
    path: Path, weights: Mapping[str, Tensor], optimiser: torch.optim.Optimizer
) -> tuple[Progress, dict[str, Tensor]] | None:
    """Put what `write_checkpoint` wrote in the place of weights and moments.

    Returns
    -------
    progress : Progress
    best : dict of str to Tensor
        Or None where there is no such file.

    Raises
    ------
    CosupError
        If the file is damaged or of another network.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
    except (SafetensorError, LookupError, TypeError, ValueError, RecursionError, OSError) as error:
        raise CosupError(f"the checkpoint {path} is damaged ({error}); delete it, and training starts anew") from error
    if not _possible(progress) or not all(bool(torch.isfinite(value).all()) for value in found.values()):
        raise CosupError(f"the checkpoint {path} holds what no training writes; delete it, and training starts anew")
    expected = {f"weight/{name}": value.shape for name, value in weights.items()}
    if {name: value.shape for name, value in found.items() if name.startswith("weight/")} != expected:
        raise CosupError(f"the checkpoint {path} is of another network; delete it, or name another folder")
    best: dict[str, Tensor] = {}
    with torch.no_grad():
        for name, value in weights.items():
            value.copy_(found[f"weight/{name}"])
            if f"best/{name}" in found:
                best[name] = found[f"best/{name}"].to(value.device)
            if f"exp_avg/{name}" in found:
                moments = {key: found[f"{key}/{name}"].to(value.device) for key in ("exp_avg", "exp_avg_sq")}
                optimiser.state[value] = {"step": torch.tensor(float(progress.step)), **moments}
    return progress, best


def _possible(progress: Progress) -> bool:
    """Tell whether every field holds a value that a training writes."""
    numbers = (progress.step, progress.waiting, progress.loss, progress.best)
    return (
        all(isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15 for value in numbers)
        and isinstance(progress.step, int)
        and isinstance(progress.waiting, int)
        and progress.step >= 0
        and isinstance(progress.stopped, bool)
        and isinstance(progress.epochs, list)
        and all(isinstance(record, dict) for record in progress.epochs)
    )
