"""Define networks that can be fine-tuned: a torch module makes features of samples."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from cosup.estimators.saving import WEIGHTS
from cosup.utils.atomic_files import write_whole
from cosup.utils.progress import progress_bar
from cosup.utils.slices import slices
from cosup.utils.validation import CosupError, FloatArray, IntArray

if TYPE_CHECKING:
    import torch

__all__ = ["ModuleNetwork", "Network", "as_network", "chosen", "embedded"]

BATCH = 100
"""Samples that are embedded together. Backbones take as many: rounding depends on it, in the last digit."""


@runtime_checkable
class Network(Protocol):
    """A torch module and what makes its input of samples; backbones and text encoders of `cosup.tasks` are some."""

    @property
    def name(self) -> str:
        """Its name in messages."""
        ...

    @property
    def kind(self) -> str:
        """Its kind in a saved model: ``"backbone"``, ``"encoder"`` or ``"module"``."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash of its weights and of all else that its features depend on."""
        ...

    def module(self) -> torch.nn.Module:
        """Return a copy of the module, float32 on the CPU, that may be trained: it maps a batch to features (n, d)."""
        ...

    def collate(self, samples: Any) -> torch.Tensor:
        """Make the module's input for some samples."""
        ...

    def embed(self, samples: Any, *, batch_size: int = BATCH, progress: bool = True) -> FloatArray:
        """Embed samples, float32 (n, d), by the module as it is."""
        ...

    def with_module(self, module: torch.nn.Module) -> Network:
        """Make this network around another module."""
        ...

    def save(self, folder: str | Path) -> None:
        """Write it to a folder that is not there yet."""
        ...


class ModuleNetwork:
    """A torch module as a `Network`: samples are rows of an array.

    Parameters
    ----------
    module : torch.nn.Module
        Maps (n, ...) to features (n, d). It is copied before it is trained.
    shape : tuple of int, optional
        The shape of a row before the module sees it, as in ``(3, 32, 32)``. Default: it stays as it is.
    device : str, optional
        Default: ``"cuda"`` if there is one, else ``"cpu"``.

    Notes
    -----
    Estimators hand on matrices of floats; a module that wants token ids makes them of those (``x.long()``).
    """

    name = "the module"
    kind = "module"

    def __init__(
        self, module: torch.nn.Module, *, shape: Sequence[int] | None = None, device: str | None = None
    ) -> None:
        self._module, self._shape, self._device = module, shape, device

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the weights."""
        return hashlib.sha256(self._weights()).hexdigest()

    def _weights(self) -> bytes:
        from safetensors.torch import save

        return save({name: value.detach().cpu().clone() for name, value in self._module.state_dict().items()})

    def module(self) -> torch.nn.Module:
        """Return a copy of the module, all of whose weights may be trained."""
        return copy.deepcopy(self._module).cpu().float().requires_grad_(True)

    def collate(self, samples: Any) -> torch.Tensor:
        """Make rows a tensor (n, *shape); floats as float32."""
        import torch

        batch = torch.from_numpy(np.array(samples))
        batch = batch.float() if batch.is_floating_point() else batch
        return batch if self._shape is None else batch.reshape(len(batch), *self._shape)

    def embed(self, samples: Any, *, batch_size: int = BATCH, progress: bool = True) -> FloatArray:
        """Embed rows, float32 (n, d)."""
        import torch

        device = self._device or ("cuda" if torch.cuda.is_available() else "cpu")
        # The module is the caller's: it stays where it is, and as it is.
        home = next((p.device for p in self._module.parameters()), torch.device("cpu"))
        module = self._module.to(device)
        was_training = module.training
        module.eval()
        try:
            with torch.inference_mode():
                parts = [
                    module(self.collate(samples[rows]).to(device)).float().cpu().numpy()
                    for rows in slices(len(samples), batch_size)
                ]
        finally:
            module.train(was_training).to(home)
        out = np.concatenate(parts)
        if out.ndim != 2:
            raise CosupError(f"{self.name} gave an output of shape {out.shape}; features (n, d) are expected")
        return np.asarray(out)

    def with_module(self, module: torch.nn.Module) -> ModuleNetwork:
        """Make this network around another module."""
        return ModuleNetwork(module, shape=self._shape, device=self._device)

    def save(self, folder: str | Path) -> None:
        """Write the module's weights, not its code, to a folder that is not there yet."""
        Path(folder).mkdir(parents=True)
        write_whole(Path(folder) / WEIGHTS, self._weights())

    def read(self, folder: str | Path) -> ModuleNetwork:
        """Read the weights that `save` wrote into this network.

        Raises
        ------
        CosupError
            If they are of another module.
        """
        from safetensors.torch import load

        path = Path(folder) / WEIGHTS
        module = copy.deepcopy(self._module)
        try:
            module.load_state_dict(load(path.read_bytes()))
        except RuntimeError as error:
            raise CosupError(f"the weights in {path} are of another module: {error}") from error
        return self.with_module(module.eval())


def as_network(network: Any) -> Network:
    """Make a `Network` of one, or of a torch module.

    Raises
    ------
    CosupError
        For anything else.
    """
    if isinstance(network, Network):
        return network
    import torch

    if isinstance(network, torch.nn.Module):
        return ModuleNetwork(network)
    raise CosupError(
        f"network must be a torch module, or what cosup.tasks.make_backbone or make_encoder gives, got {network!r}"
    )


def chosen(samples: Any, rows: IntArray) -> Any:
    """Select some samples, of an array or of any other sequence."""
    return samples[rows] if isinstance(samples, np.ndarray) else [samples[int(row)] for row in rows]


def embedded(network: Network, samples: Any, *, progress: bool) -> FloatArray:
    """Embed samples, float32 (n, d), reading a batch after the other: they may be files."""
    parts = []
    with progress_bar(len(samples), what=network.name, unit="sample", shown=None if progress else False) as bar:
        for start in range(0, len(samples), BATCH):
            rows = np.arange(start, min(start + BATCH, len(samples)))
            parts.append(network.embed(chosen(samples, rows), progress=False))
            bar.update(len(rows))
    return np.concatenate(parts)
