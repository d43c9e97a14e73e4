"""How a network is run on a CPU: on all cores, and on as much at a time as memory is quick with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import joblib

if TYPE_CHECKING:
    import torch

__all__ = ["STEADY", "all_cores", "in_parts"]

STEADY = 16
"""Images in a batch from which on a CPU's features do not depend on the number of threads.

Found out, not promised by torch: EfficientNet-Lite, ViT, ResNet and ConvNeXt on 1 to 8 threads (docs/large-runs.md).
"""

PART = 10_000_000
"""Bytes of pixels that go through a network at a time. What a layer gives is some three times as large; from 32 MB on
the C library asks the system for fresh memory every time, and the system clears it: a third of the time."""


@contextlib.contextmanager
def all_cores() -> Iterator[None]:
    """Let torch use every core that this process may: convolutions gain by it, whatever the environment says."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(before, joblib.cpu_count()))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def in_parts(batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Cut a batch, (n_images, ...), into parts of nearly equal size, of `STEADY` images at the least."""
    each = max(STEADY, PART // max(1, batch[0].numel() * batch.element_size())) if len(batch) else 1
    return batch.tensor_split(max(1, len(batch) // each))
