"""Records -> one self-contained HTML page with tables and figures, and a table for the terminal."""

from cosup.utils.lazy_attributes import lazy_attributes

__getattr__, __dir__, __all__ = lazy_attributes(__name__, __file__)
