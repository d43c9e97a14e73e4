"""Forecast the work that a benchmark has left, and its time: from recorded seconds, or from a probe."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosup.benchmark.job import Bench, Job, one_thread
from cosup.benchmark.records import Record, canonical
from cosup.benchmark.tuning import Method
from cosup.tasks import Task, Truth, load_task
from cosup.utils.plugins import load_plugins

__all__ = ["Forecast", "forecast"]

PROBES = (0.1, 0.3)
"""Shares of the training samples that a probe is fitted on: a line through the two times leads to the whole."""

FEWEST_PROBED = 200
"""A probe on fewer samples would say little."""


@dataclass(frozen=True)
class Forecast:
    """The work and time that are left of a benchmark.

    Attributes
    ----------
    runs, done : int
        All runs asked for, and those that are on record already.
    recorded, probed : int
        Numbers of runs left whose times come from records of other seeds, and from a probe.
    unknown : int
        Number of runs left whose probe failed, as they will, too.
    seconds : float
        Time of all runs left, on one core: fitting, loading, ceilings.
    processes : int
        Processes that share them.
    """

    runs: int
    done: int
    recorded: int
    probed: int
    unknown: int
    seconds: float
    processes: int

    @property
    def left(self) -> int:
        """Runs that are left."""
        return self.runs - self.done


def forecast(jobs: Sequence[Job], missing: Sequence[Job], records: Sequence[Record], processes: int) -> Forecast:
    """Say what is left of `jobs` and how long it takes.

    Parameters
    ----------
    jobs : sequence of Job
        All that is asked for.
    missing : sequence of Job
        The jobs that are left.
    records : sequence of dict
        What is on record. A run of the same method on the same task with another seed tells the time. Where there is
        none, the method is fitted here on a tenth and on three tenths of the task's training samples, and nothing is
        written down.
    processes : int

    Returns
    -------
    Forecast
    """
    runs = sum(len(job.methods) for job in jobs)
    known: dict[str, list[float]] = {}
    for record in records:
        if record["error"] is None and record["seconds"] is not None:
            known.setdefault(_key(record), []).append(record["seconds"])
    total, recorded, probed, unknown = 0.0, 0, 0, 0
    probes: dict[str, float | None] = {}
    openings: dict[str, float] = {}
    for job in missing:
        where = canonical([job.task, job.options])
        unseen = [method for method in job.methods if _key_of(job, method) not in known]
        fresh = [method for method in unseen if _key_of(job, method) not in probes]
        if where not in openings or fresh:
            openings[where] = _probe(job, fresh, probes)
        total += openings[where]
        for method in job.methods:
            key = _key_of(job, method)
            if key in known:
                recorded += 1
                total += float(np.mean(known[key]))
                continue
            seconds = probes[key]
            probed, unknown = probed + (seconds is not None), unknown + (seconds is None)
            total += seconds or 0.0
    left = sum(len(job.methods) for job in missing)
    return Forecast(runs, runs - left, recorded, probed, unknown, total, min(processes, max(len(missing), 1)))


def _key(record: Mapping[str, Any]) -> str:
    return canonical([record[f] for f in ("task", "task_options", "method", "parameters", "protocol")])


def _key_of(job: Job, method: Method) -> str:
    return canonical([job.task, job.options, method.name, dict(method.parameters), job.protocol])


def _probe(job: Job, methods: Sequence[Method], probes: dict[str, float | None]) -> float:
    """Time the methods on parts of the task, into `probes`; seconds of loading and of the ceiling come back."""
    started = time.perf_counter()
    with one_thread():
        try:
            load_plugins(job.plugins)
            task = load_task(job.task, seed=job.seed, cache=job.cache, **job.options)
            loading = time.perf_counter() - started
            parts = [_part(task, share) for share in PROBES]
            started = time.perf_counter()
            benches = [Bench.open(part, job.protocol, job.seed) for part in parts]
            opening = time.perf_counter() - started
        # Whatever goes wrong is met again, and recorded, by the runs themselves.
        except Exception:
            probes.update((_key_of(job, method), None) for method in methods)
            return 0.0
        sizes = [len(part.X_train) for part in parts]
        for method in methods:
            try:
                times = [bench.fit(method)[2]["seconds"] or 0.0 for bench in benches]
            except Exception:
                probes[_key_of(job, method)] = None
            else:
                probes[_key_of(job, method)] = _line(sizes, times, len(task.X_train))
    return loading + opening


def _line(sizes: Sequence[int], times: Sequence[float], n: int) -> float:
    """Time on n samples; a time that falls with the samples is noise, and stays as it is."""
    few, many = sizes
    slope = (times[1] - times[0]) / (many - few) if many > few else 0.0
    return max(times) + max(slope, 0.0) * (n - many)


def _part(task: Task, share: float) -> Task:
    n = len(task.X_train)
    rows = np.arange(min(n, max(round(FEWEST_PROBED * share / PROBES[0]), round(share * n))))
    truth = Truth(task.truth.y_train[rows], task.truth.y_test, task.truth.expert[rows])
    return dataclasses.replace(
        task, X_train=task.X_train[rows], labels=task.labels[rows], truth=truth, images_train=None
    )
