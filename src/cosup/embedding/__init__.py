"""Features of images and texts by pre-trained backbones, and the stores and caches that keep them."""

from cosup.utils.lazy_attributes import lazy_attributes

__getattr__, __dir__, __all__ = lazy_attributes(__name__, __file__)
