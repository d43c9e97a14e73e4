"""Pre-trained networks that turn images into features: ``source:name``, imported only when named.

>>> from cosup.embedding import list_backbones
>>> "lite:efficientnet-lite0" in list_backbones()
True
"""

from cosup.embedding.backbones.base import Backbone
from cosup.embedding.backbones.lite import EfficientNetLite0
from cosup.embedding.backbones.sources import list_backbones, make_backbone

__all__ = ["Backbone", "EfficientNetLite0", "list_backbones", "make_backbone"]
