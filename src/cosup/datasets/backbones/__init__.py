"""Pre-trained networks that turn images into features: ``source:name``, imported only when named.

>>> from cosup.datasets import list_backbones
>>> "lite:efficientnet-lite0" in list_backbones()
True
"""

from cosup.datasets.backbones._base import Backbone
from cosup.datasets.backbones._lite import EfficientNetLite0
from cosup.datasets.backbones._sources import list_backbones, make_backbone

__all__ = ["Backbone", "EfficientNetLite0", "list_backbones", "make_backbone"]
