"""Run a network on a CPU: every core on a part of the batch, as small as memory is quick with."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

__all__ = ["STEADY", "all_cores", "cores", "in_parts", "side_by_side"]

Result = TypeVar("Result")

STEADY = 16
"""Images in a batch from which on a CPU's features do not depend on the number of threads.

Found out, not promised by torch: EfficientNet-Lite, ViT, ResNet and ConvNeXt on 1 to 8 threads (studies/large-runs.md).
"""


def cores() -> int:
    """Count the cores that this process may use."""
    import joblib

    return int(joblib.cpu_count())


@contextlib.contextmanager
def all_cores() -> Iterator[None]:
    """Let torch use every core that this process may: convolutions gain by it, whatever the environment says."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(before, cores()))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def in_parts(batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Cut a batch, (n_images, ...), into parts of nearly equal size, of `STEADY` images at the least.

    Not more than that: what a layer gives is some three times as large as the pixels, and from 32 MB on the C library
    asks the system for fresh memory every time, and the system clears it. The cut is the same on every machine.
    """
    return batch.tensor_split(max(1, len(batch) // STEADY))


def side_by_side(compute: Callable[[torch.Tensor], Result], parts: Sequence[torch.Tensor]) -> list[Result]:
    """Compute each part in a thread and on a core of its own; cores that parts are too few for are shared out.

    Cores that work on one part wait for each other hundreds of times, and all of them for one that is taken away.
    """
    import torch

    before = torch.get_num_threads()
    available = max(before, cores())
    at_once = min(available, len(parts))
    if at_once == 1:
        with all_cores():
            return [compute(part) for part in parts]
    try:
        # What torch is told holds for the thread that tells it, and for threads that begin later.
        with ThreadPoolExecutor(at_once, "cosup-part", torch.set_num_threads, (available // at_once,)) as pool:
            return list(pool.map(compute, parts))
    finally:
        torch.set_num_threads(before)
