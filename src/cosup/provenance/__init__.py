"""What happened to every sample of a fit, in a table and in words, and where a person should look first.

`Account` gathers it, `explain` says it of one sample, `look_first` orders samples by what a look is worth, and
`after_looking` trains anew with the labels that come back. `account_files` and `read_account` put an account on disk.
"""

from cosup.provenance._account import Account
from cosup.provenance._file import ACCOUNT, PARQUET, TABLE_CSV, account_files, read_account
from cosup.provenance._looking import LOOK, after_looking, look_first
from cosup.provenance._words import REASONS, explain, tell

__all__ = [
    "ACCOUNT",
    "LOOK",
    "PARQUET",
    "REASONS",
    "TABLE_CSV",
    "Account",
    "account_files",
    "after_looking",
    "explain",
    "look_first",
    "read_account",
    "tell",
]
