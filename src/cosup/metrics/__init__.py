"""Measure students: performance gap recovered, ranks over tasks, contrasts of designs.

All but `agreement` takes arrays of *measured* correctness, so it needs ground truth; nothing in it is ever called by a
``fit`` function.
"""

from cosup.utils.lazy_attributes import lazy_attributes

__getattr__, __dir__, __all__ = lazy_attributes(__name__, __file__)
