"""Tasks x methods x seeds, measured and written down: one JSON line a run, resumable.

`run_benchmark` is the loop; a `Method` names what runs; `factorial_methods` crosses ingredients; `read_records` reads
back what was measured.
Ground truth is used here to *measure*, and handed to the oracle, which is named as such; no other method
sees it.
"""

from cosup.benchmark.factorial import FACTORS, factorial_methods, with_right_specialists
from cosup.benchmark.forecast import Forecast
from cosup.benchmark.records import (
    RECORDS_NAME,
    SAMPLES_NAME,
    decode_correct,
    read_records,
    read_samples,
    task_label,
    write_whole,
)
from cosup.benchmark.run import forecast_benchmark, run_benchmark
from cosup.benchmark.tuning import Method, demo_methods

__all__ = [
    "FACTORS",
    "RECORDS_NAME",
    "SAMPLES_NAME",
    "Forecast",
    "Method",
    "decode_correct",
    "demo_methods",
    "factorial_methods",
    "forecast_benchmark",
    "read_records",
    "read_samples",
    "run_benchmark",
    "task_label",
    "with_right_specialists",
    "write_whole",
]
