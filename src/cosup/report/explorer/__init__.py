"""The explorer: a page in which a fit on one's own data can be looked through, alone in a file or served.

The same script draws both; a file carries all samples inside (`build_explorer`), a server hands them out a page at a
time (`make_app`).
"""

from cosup.utils.lazy_attributes import lazy_attributes

__getattr__, __dir__, __all__ = lazy_attributes(__name__, __file__)
