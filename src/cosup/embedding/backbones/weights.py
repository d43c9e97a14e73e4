"""Weights from a local file, without pickle, into a network that must have a place for each."""

from __future__ import annotations

import contextlib
import pickle
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cosup.utils.validation import CosupError

if TYPE_CHECKING:
    import torch

# What torch raises for a weights file that is cut short, overwritten, or of another network.
DAMAGED_WEIGHTS = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    struct.error,
)


def read_weights(path: str | Path) -> dict[str, torch.Tensor]:
    """Read named tensors from a safetensors file, or from what torch.save wrote.

    Raises
    ------
    CosupError
        If the file is damaged, or holds something else than tensors by name.
    """
    import torch

    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if not isinstance(error, DAMAGED_WEIGHTS) and type(error).__name__ != "SafetensorError":
            raise
        raise CosupError(f"the weights file {path} is damaged, or holds more than tensors: {error}") from error
    # Training scripts keep the weights beside the optimiser's state.
    weights = weights.get("state_dict", weights) if isinstance(weights, dict) else weights
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise CosupError(f"the weights file {path} does not hold tensors by name (a state_dict)")
    return weights


def fill(network: torch.nn.Module, path: str | Path, *, spare: tuple[str, ...] = ()) -> None:
    """Load the weights of a file into `network`; what begins like one of `spare` may be left over.

    Raises
    ------
    CosupError
        If a weight is missing, left over or of another shape.
    """
    weights = read_weights(path)
    try:
        report = network.load_state_dict(weights, strict=False)
    except RuntimeError as error:  # another shape
        raise CosupError(f"the weights in {path} are of another network: {error}") from error
    left = [key for key in report.unexpected_keys if not key.startswith(spare or ("\0",))]
    if report.missing_keys or left:
        lacking = f"{len(report.missing_keys)} are missing, as {report.missing_keys[:2]}, and "
        raise CosupError(
            f"the weights in {path} are of another network: {lacking}{len(left)} have no place, as {left[:2]}"
        )


@contextlib.contextmanager
def fetching(name: str) -> Iterator[None]:
    """Say what to do where weights cannot be fetched."""
    try:
        yield
    # URLError and HTTPError are OSErrors; torch says a damaged download by RuntimeError.
    except (OSError, RuntimeError) as error:
        raise CosupError(
            f"'{name}' could not be fetched or made: {str(error) or type(error).__name__}. Without access "
            "to the network, copy its files here and name them: weights=FILE, or hub:FOLDER:NAME"
        ) from error
