"""What happened to every sample of a fit, in a table and in words, and where a person should look first.

`Account` gathers it, `explain` says it of one sample, and `look_first` orders samples by what a look is worth. Of the
labels that come back `read_answers` makes arrays, `check_estimates` measures what was estimated without them,
`recalibrate` mends probabilities, and `after_looking` trains anew. `account_files` and `read_account` put an account on
disk.
"""

from cosup.provenance.account import Account
from cosup.provenance.account_file import ACCOUNT, PARQUET, TABLE_CSV, account_files, read_account
from cosup.provenance.answers import Checked, check_estimates, read_answers
from cosup.provenance.calibration import Calibration, recalibrate
from cosup.provenance.explanation import explain, reason_text, tell
from cosup.provenance.looking import LOOK, after_looking, look_first, with_person

__all__ = [
    "ACCOUNT",
    "LOOK",
    "PARQUET",
    "TABLE_CSV",
    "Account",
    "Calibration",
    "Checked",
    "account_files",
    "after_looking",
    "check_estimates",
    "explain",
    "look_first",
    "read_account",
    "read_answers",
    "reason_text",
    "recalibrate",
    "tell",
    "with_person",
]
