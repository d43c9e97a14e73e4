"""Provenance of every sample of a fit, as a table and as text, and the samples that a person should look at first.

`Account` gathers it, `explain` says it of one sample, and `look_first` orders samples by what a look is worth. Of the
labels that come back `read_answers` makes arrays, `check_estimates` measures what was estimated without them,
`recalibrate` mends probabilities, and `after_looking` trains anew. `account_files` and `read_account` put an account on
disk.
"""

from cosup.utils.lazy_attributes import lazy_attributes

__getattr__, __dir__, __all__ = lazy_attributes(__name__, __file__)
