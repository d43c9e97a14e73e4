"""Contestants that take turns, ratios of neighbours in time, and processes that are measured on their own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["child", "exponent", "medians", "peak_mb", "race", "ratio"]

HERE = Path(__file__).resolve().parent


def race(contestants: dict[str, Callable[[], Any]], repeats: int) -> dict[str, Any]:
    """Seconds of every contestant, taking turns, after one round that does not count: name -> (repeats,)."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(repeats + 1):
        for name, run in contestants.items():
            started = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return {name: np.array(values) for name, values in seconds.items()}


def ratio(of: Any, to: Any, bar: str, factor: float = 1.0) -> dict[str, Any]:
    """Minimum, median and maximum of a ratio round by round, and whether the median is over or under the bar."""
    values = factor * of / to
    kind, limit = bar.split()
    median = float(np.median(values))
    met = median >= float(limit) if kind == "over" else median <= float(limit)
    return {"min": float(values.min()), "median": median, "max": float(values.max()), "bar": bar, "met": bool(met)}


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Slope of a line through the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def medians(seconds: dict[str, Any]) -> dict[str, float]:
    """Median of every contestant."""
    return {name: float(np.median(values)) for name, values in seconds.items()}


def peak_mb() -> float:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def child(*arguments: str, threads: int | None = None, script: str = "bench.py") -> dict[str, Any]:
    """What a script prints last in a process of its own."""
    environment = dict(os.environ)
    if threads is not None:
        # Passive: threads that wait by spinning bring a busy machine to a halt.
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        environment["OMP_WAIT_POLICY"] = "PASSIVE"
    command = [sys.executable, str(HERE / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
