"""Hashes of what features depend on: weights, and names and values."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["hash_json", "hash_weights"]


def hash_json(value: object) -> str:
    """Return the SHA-256 of `value` as sorted JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def hash_weights(weights: dict[str, torch.Tensor]) -> str:
    """Return the SHA-256 of named tensors: names, types, shapes and bytes, whatever the file they came from."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
