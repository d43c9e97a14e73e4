"""Pre-trained networks that turn images into features: ``source:name``, imported only when named.

>>> from cosup.embedding import list_backbones
>>> "lite:efficientnet-lite0" in list_backbones()
True
"""

from cosup.utils.lazy_attributes import lazy_attributes

__getattr__, __dir__, __all__ = lazy_attributes(__name__, __file__)
