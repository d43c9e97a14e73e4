"""Co-supervised learning: assign, local, reject, pool, train, level by level."""

from cosup.utils.lazy_attributes import lazy_attributes

__getattr__, __dir__, __all__ = lazy_attributes(__name__, __file__)
