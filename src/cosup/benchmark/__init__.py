"""Tasks x methods x seeds, measured and written down: one JSON line a run, resumable.

`run_benchmark` is the loop; a `Method` names what runs; `factorial_methods` crosses ingredients; `read_records` reads
back what was measured.
Ground truth is used here to *measure*, and handed to the oracle, which is named as such; no other method
sees it.
"""

from cosup.utils.lazy_attributes import lazy_attributes

__getattr__, __dir__, __all__ = lazy_attributes(__name__, __file__)
