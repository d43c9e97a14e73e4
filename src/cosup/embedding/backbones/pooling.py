"""From a network's last layer to one vector an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cosup.utils.validation import CosupError

if TYPE_CHECKING:
    import torch


def pool_tokens(tokens: torch.Tensor, pooling: str, n_prefix: int) -> torch.Tensor:
    """Pool the tokens of a transformer.

    Parameters
    ----------
    tokens : tensor, shape (n, t, c)
        The class token, further ones that belong to no place (registers), then those of the picture.
    pooling : {"cls", "mean", "both"}
        The class token, the mean of the picture's, or the former beside the latter.
    n_prefix : int
        Number of tokens before the picture's.

    Returns
    -------
    tensor, shape (n, c), or (n, 2 c) for "both"
    """
    import torch

    if pooling == "cls":
        return tokens[:, 0]
    mean = tokens[:, n_prefix:].mean(1)
    return mean if pooling == "mean" else torch.cat([tokens[:, 0], mean], dim=1)


def check_pooling(pooling: str | None, *, tokens: bool, cls: bool, name: str) -> str:
    """Return `pooling`, or the family's default.

    Raises
    ------
    CosupError
        If the network has no class token and one is asked for.
    """
    if pooling in ("cls", "both") and not cls:
        kind = "its tokens have no class token among them" if tokens else "it has no tokens"
        raise CosupError(f"'{name}' can be pooled by 'mean' only, {kind}; got pooling={pooling!r}")
    return pooling or ("cls" if cls else "mean")
