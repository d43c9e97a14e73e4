"""The EfficientNet-Lites as modules of torch: as they are published, to be trained; quicker ones that only compute."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

__all__ = ["LiteFeatures", "fused", "pooled"]


class LiteFeatures(nn.Module):
    """An EfficientNet of the package efficientnet_lite_pytorch, and the function that takes features out of it.

    Parameters
    ----------
    network : Module
    take : callable
        Maps the network and a batch, (n, 3, s, s), to features, (n, n_features).
    """

    def __init__(self, network: nn.Module, take: Callable[[Any, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.network, self.take = network.to(memory_format=torch.channels_last), take  # type: ignore[call-overload]

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Compute features, (n, n_features)."""
        return self.take(self.network, batch)


def pooled(network: Any, batch: torch.Tensor) -> torch.Tensor:
    """Take the mean over the picture of every channel of the last convolution."""
    maps: torch.Tensor = network.extract_features(batch)
    return maps.mean((2, 3))


def fused(features: LiteFeatures) -> LiteFeatures:
    """Copy a network for computing alone: convolutions pad and normalise by themselves, and are cut to [0, 6] in place.

    Convolutions are a third of the network's time; the passes over memory between them, left out here, the rest.
    """
    quick = copy.deepcopy(features)
    for module in quick.modules():
        parts = list(module.named_children())
        for (name, part), (next_name, following) in itertools.pairwise(parts):
            if isinstance(part, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
                setattr(module, name, _fused_convolution(part, following))
                setattr(module, next_name, nn.Identity())
        if isinstance(getattr(module, "_swish", None), nn.ReLU6):
            module._swish = nn.ReLU6(inplace=True)
    return quick


def _fused_convolution(convolution: Any, norm: Any) -> nn.Conv2d:
    """Fold a batch norm and the padding before a convolution of the package into one of torch."""
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    weight = (convolution.weight.double() * scale[:, None, None, None]).float()
    bias = (norm.bias.double() - norm.running_mean.double() * scale).float()
    padding = convolution.static_padding
    left, right, top, bottom = padding.padding if isinstance(padding, nn.ZeroPad2d) else (0, 0, 0, 0)
    # A kernel begins with zeros where more is padded after a picture than before it: torch pads both sides alike.
    weight = nn.functional.pad(weight, (right - left, 0, bottom - top, 0))
    out = nn.Conv2d(
        convolution.in_channels, convolution.out_channels, (weight.shape[2], weight.shape[3]), convolution.stride,
        (bottom, right), groups=convolution.groups,
    )  # fmt: skip
    out.load_state_dict({"weight": weight, "bias": bias})
    return out.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
