"""The processes that ``torchrun`` starts, as one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["World", "device_of", "together"]


@dataclass(frozen=True)
class World:
    """One process among those that train together.

    Attributes
    ----------
    rank, size : int
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def total(self, value: torch.Tensor) -> torch.Tensor:
        """Sum over all processes."""
        if self.size > 1:
            import torch.distributed

            torch.distributed.all_reduce(value)
        return value

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.size > 1:
            import torch.distributed

            torch.distributed.barrier()


def device_of(name: str | None) -> torch.device:
    """Choose the device that is asked for, or this process's GPU, or the CPU."""
    import torch

    if name is None:
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


@contextmanager
def together(device: str | None = None) -> Iterator[World]:
    """Join the processes that ``torchrun`` started, if it did: where ``WORLD_SIZE`` says that there are several.

    Parameters
    ----------
    device : str, optional
        GPUs talk through nccl, the rest through gloo.

    Yields
    ------
    World
        Of a group that is joined already (by this or by the caller), that one; it is left as it is.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield World()
        return
    import torch.distributed as group

    begun = not group.is_initialized()
    if begun:
        # One process may embed for hours what the others wait for.
        group.init_process_group("nccl" if device_of(device).type == "cuda" else "gloo", timeout=timedelta(days=1))
    try:
        yield World(group.get_rank(), group.get_world_size())
    finally:
        if begun:
            group.destroy_process_group()
