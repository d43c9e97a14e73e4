"""Tasks x methods x seeds, measured and written down: one JSON line a run, resumable.

`run_benchmark` is the loop; a `Method` names what runs; `read_records` reads back what was measured.
Ground truth is used here to *measure*, and handed to the oracle, which is named as such; no other method
sees it.
"""

from cosup.benchmark._methods import Method, demo_methods
from cosup.benchmark._records import (
    RECORDS_NAME,
    SAMPLES_NAME,
    decode_correct,
    read_records,
    read_samples,
    task_label,
    write_whole,
)
from cosup.benchmark._run import run_benchmark

__all__ = [
    "RECORDS_NAME",
    "SAMPLES_NAME",
    "Method",
    "decode_correct",
    "demo_methods",
    "read_records",
    "read_samples",
    "run_benchmark",
    "task_label",
    "write_whole",
]
