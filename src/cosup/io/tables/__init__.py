"""Files of users by path or URL, as they come: CSV, TSV, parquet, npy, npz; errors name file, row, column, remedy."""

from cosup.utils.lazy_attributes import lazy_attributes

__getattr__, __dir__, __all__ = lazy_attributes(__name__, __file__)
