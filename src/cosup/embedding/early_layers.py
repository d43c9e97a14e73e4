"""A weak view of images: channel statistics of a network's first stages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cosup.embedding.backbones.base import Options
from cosup.embedding.backbones.lite import EfficientNetLite

if TYPE_CHECKING:
    import torch

__all__ = ["EarlyStages"]

N_BLOCKS = 5
NAME = "lite:efficientnet-lite0, first stages"


class EarlyStages(EfficientNetLite):
    """EfficientNet-Lite0 cut off after its fifth block: mean and spread over the picture of every block's channels.

    They tell textures and colours, and little of what is in a picture: teachers on them are weak.

    Parameters
    ----------
    image_size : int, default 96
        Side that images are resized to, in pixels.

    Raises
    ------
    CosupError
        If the extra ``demo`` is not installed, its weights file is missing or damaged, or `image_size` is wrong.
    """

    def __init__(self, image_size: int | None = None) -> None:
        super().__init__("efficientnet-lite0", Options(image_size=image_size))
        self.name = NAME
        self.n_features = 288  # twice 16 + 24 + 24 + 40 + 40

    def _describe(self) -> dict[str, Any]:
        return super()._describe() | {"pool": f"mean and spread of the first {N_BLOCKS} blocks"}

    def _build(self) -> torch.nn.Module:
        from cosup.embedding.backbones.lite_network import LiteFeatures

        network: Any = super()._build().network
        network._blocks = network._blocks[:N_BLOCKS]
        return LiteFeatures(network, _statistics)


def _statistics(network: Any, batch: torch.Tensor) -> torch.Tensor:
    import torch

    maps = network._swish(network._bn0(network._conv_stem(batch)))
    found = []
    for block in network._blocks:
        maps = block(maps)
        found += [maps.mean((2, 3)), maps.std((2, 3), correction=0)]
    return torch.cat(found, dim=1)
