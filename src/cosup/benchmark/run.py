"""The loop: tasks x methods x seeds, each measured once and written down at once."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import operator
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any

import joblib
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from cosup.benchmark.forecast import Forecast, forecast
from cosup.benchmark.job import Job, Outcome, run_job
from cosup.benchmark.records import (
    RECORDS_NAME,
    Record,
    append_record,
    begin_records,
    canonical,
    read_records,
    task_label,
    write_samples,
)
from cosup.benchmark.tuning import Method, default_student
from cosup.cluster import check_address, connect, run_tasks
from cosup.embedding import FeatureCache
from cosup.embedding.workers import check_nodes
from cosup.methods import DEFAULT
from cosup.tasks import expand_task, load_task
from cosup.utils.folder_lock import only_writer
from cosup.utils.plugins import load_plugins
from cosup.utils.progress import progress_bar
from cosup.utils.validation import CosupError

TaskLike = str | tuple[str, Mapping[str, Any]]


def run_benchmark(
    tasks: Iterable[TaskLike],
    methods: Sequence[Method],
    seeds: Iterable[int],
    out: str | Path,
    *,
    protocol: str = "clean",
    n_jobs: int | None = None,
    progress: bool | None = None,
    on_record: Callable[[Record], None] | None = None,
    cache: str | Path | None = None,
    command: str | None = None,
    plugins: Sequence[str] = (),
    ray: str | None = None,
) -> list[Record]:
    """Run every method on every task with every seed, and write one JSON line a run.

    Resumable: a run that is in ``out/records.jsonl`` already is not repeated, unless it ended with an
    error. The methods of one task and seed share the loaded task, the student's factorisation of the
    features, and the ceiling, which is measured first; their times therefore hold neither loading nor
    factorising. Work is spread over processes by task and seed, one thread each, so that the numbers do
    not depend on `n_jobs`. Only this process writes.

    Parameters
    ----------
    tasks : iterable of str or (str, mapping)
        Names of `cosup.tasks.list_tasks`, with options for `cosup.tasks.load_task` where needed.
    methods : sequence of Method
        Their labels must differ.
    seeds : iterable of int
        Each decides the task's split and the method's ``random_state``.
    out : path
        Folder for ``records.jsonl`` and ``samples.json``; made if it doesn't exist.
    protocol : {"clean", "published"}, default="clean"
        "clean": the ridge probe whose regularisation is chosen without labels is every method's student and the
        ceiling's; the last iterate counts. "published", for comparison only: the released code's probe (Adam
        without weight decay), and the best of its epochs *on the test samples* counts, for the ceiling too.
        Such records are marked by ``selected`` and hold the last epoch as well. A method whose final student
        is not one training of that probe (a mean of several, a rival with a trainer of its own) has no such
        epochs: its last iterate counts.
    n_jobs : int, optional
        Worker processes. Default: as many as there are cores or (task, seed) pairs. 1 works in this process.
    progress : bool, optional
        Whether to draw a progress bar on standard error. Default: only on a terminal.
    on_record : callable, optional
        Called with each record when it is on disk.
    cache : path, optional
        Folder for computed features; see `cosup.tasks.load_task`.
    command : str, optional
        The command line to name in the records, for whoever wants to repeat them.
    plugins : sequence of str, optional
        Modules, by name or by path, that register methods or tasks; every process imports them.
    ray : str, optional
        Address of a Ray cluster that works in place of processes, see `cosup.cluster.connect`: a task of it is a task
        with a seed, on one core, and `n_jobs` bounds those under way (default: two a core of the cluster). What a node
        loses is repeated elsewhere. Features and data are read under the same paths; this process alone writes.

    Returns
    -------
    list of dict
        The records of all the runs asked for, old and new: by task, then seed, then method. A run that
        failed has its text in ``error`` and null measurements.

    Raises
    ------
    CosupError
        Before any work: for an unknown task, method or protocol, repeated labels or seeds, or a folder
        that can't be written; or the cluster is not there, or its nodes have other versions. Later: when a worker
        process is killed, on a cluster for the fourth time.
    """
    if ray is not None:
        check_address(ray)
    jobs = plan_jobs(tasks, methods, seeds, protocol, cache, command, plugins)
    return run_jobs(jobs, out, n_jobs=n_jobs, progress=progress, on_record=on_record, ray=ray)


def run_jobs(
    jobs: list[Job],
    out: str | Path,
    *,
    n_jobs: int | None = None,
    progress: bool | None = None,
    on_record: Callable[[Record], None] | None = None,
    ray: str | None = None,
) -> list[Record]:
    """Run jobs of `plan_jobs`, the longest first if they are given so; otherwise as `run_benchmark`."""
    folder = Path(out)
    with only_writer(folder):
        return _measure(jobs, folder, n_jobs=n_jobs, progress=progress, on_record=on_record, ray=ray)


def _measure(
    jobs: list[Job],
    folder: Path,
    *,
    n_jobs: int | None,
    progress: bool | None,
    on_record: Callable[[Record], None] | None,
    ray: str | None,
) -> list[Record]:
    """Measure what is missing in the folder, which no other process writes to meanwhile."""
    path = folder / RECORDS_NAME
    begin_records(path)
    done = {record["run"]: record for record in read_records(folder)}
    missing = _missing(jobs, done)
    total = sum(len(job.methods) for job in missing)
    bar = progress_bar(total, what="runs", unit="run", shown=progress)
    outcomes = _outcomes(missing, n_jobs) if ray is None else _on_cluster(missing, n_jobs, ray)
    with bar, contextlib.closing(outcomes):
        for record, samples in outcomes:
            # Pictures first: an interrupt between the two repeats the run instead of losing them.
            if samples:
                write_samples(folder, samples[0]["task"], samples)
            append_record(path, record)
            done[record["run"]] = record
            bar.set_postfix_str(f"{record['task']}, seed {record['seed']}", refresh=False)
            bar.update()
            if on_record is not None:
                on_record(record)
    return [done[job.run_id(method)] for job in jobs for method in job.methods]


def forecast_benchmark(
    tasks: Iterable[TaskLike],
    methods: Sequence[Method],
    seeds: Iterable[int],
    out: str | Path,
    *,
    protocol: str = "clean",
    n_jobs: int | None = None,
    cache: str | Path | None = None,
    plugins: Sequence[str] = (),
) -> Forecast:
    """Say what `run_benchmark` with the same arguments would still do, and how long; nothing is written.

    Times come from records of other seeds. A method that has none on its task is fitted on a tenth and on three
    tenths of the training samples of one seed.

    Returns
    -------
    Forecast
        Runs that are missing, and the time that they are likely to take.

    Raises
    ------
    CosupError
        As `run_benchmark`, before any work.
    """
    jobs = plan_jobs(tasks, methods, seeds, protocol, cache, None, plugins)
    path = Path(out) / RECORDS_NAME
    records = read_records(out) if path.is_file() else []
    missing = _missing(jobs, {record["run"]: record for record in records})
    return forecast(jobs, missing, records, _processes(n_jobs, missing))


def plan_jobs(
    tasks: Iterable[TaskLike],
    methods: Sequence[Method],
    seeds: Iterable[int],
    protocol: str = "clean",
    cache: str | Path | None = None,
    command: str | None = None,
    plugins: Sequence[str] = (),
) -> list[Job]:
    """Check everything that can be checked without work, and cut it into jobs."""
    load_plugins(plugins)
    named: list[tuple[str, dict[str, Any]]] = []
    for task in tasks:
        name, options = (task, {}) if isinstance(task, str) else (task[0], dict(task[1]))
        canonical(options)
        named += [(member, options) for member in expand_task(str(name), options)]
    seeds = [_seed(seed) for seed in seeds]
    default_student(protocol)
    checked: tuple[tuple[str, list[Any]], ...] = (
        ("tasks", [task_label(*task) for task in named]),
        ("methods", [method.label for method in methods]),
        ("seeds", seeds),
    )
    for what, values in checked:
        if not values:
            raise CosupError(f"there are no {what} to run")
        twice = [value for value in values if values.count(value) > 1]
        if twice:
            raise CosupError(f"{what} must differ; {twice[0]!r} is given more than once")
    # Pictures show our default if it is there, on the first seed.
    shown = [m.label for m in methods if m.name == DEFAULT and not m.parameters]
    return [
        Job(
            task=name,
            options=options,
            seed=seed,
            protocol=protocol,
            methods=tuple(methods),
            pictures_of=shown[0] if shown and seed == seeds[0] else None,
            cache=None if cache is None else str(cache),
            command=command,
            plugins=tuple(plugins),
        )
        for name, options in named
        for seed in seeds
    ]


def _seed(seed: Any) -> int:
    try:
        value = operator.index(seed)
    except TypeError as error:
        raise CosupError(f"a seed must be a whole number from 0 up, not {seed!r}") from error
    if isinstance(seed, bool) or value < 0:
        raise CosupError(f"a seed must be a whole number from 0 up, not {seed!r}")
    return value


def _rest(job: Job, done: Mapping[str, Record]) -> Job:
    """Return the job without the runs that are measured already; failed ones are tried again."""
    methods = tuple(
        method
        for method in job.methods
        if (record := done.get(job.run_id(method))) is None or record["error"] is not None
    )
    return dataclasses.replace(job, methods=methods)


def _missing(jobs: Sequence[Job], done: Mapping[str, Record]) -> list[Job]:
    return [rest for job in jobs if (rest := _rest(job, done)).methods]


def _processes(n_jobs: int | None, jobs: Sequence[Job]) -> int:
    if n_jobs is None:
        return max(1, min(int(joblib.cpu_count()), len(jobs)))
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs < 1:
        raise CosupError(f"n_jobs must be a whole number of at least 1, not {n_jobs!r}")
    return n_jobs


def _outcomes(jobs: Sequence[Job], n_jobs: int | None) -> Generator[Outcome, None, None]:
    """Yield the runs as they finish."""
    n_jobs = min(_processes(n_jobs, jobs), len(jobs))
    if n_jobs < 2:
        _warm_up(jobs)
        for job in jobs:
            yield from run_job(job)
        return
    # loky rather than the standard library's pool: scripts without a __main__ guard work too.
    workers = ProcessPoolExecutor(max_workers=n_jobs)
    finished = False
    try:
        # They import what runs take, for seconds, while features are computed.
        for _ in range(n_jobs):
            workers.submit(_import)
        _warm_up(jobs)
        waiting = list(jobs)
        running: set[Future[list[Outcome]]] = set()
        while waiting or running:
            # No more than the workers can take: loky stumbles over a queue when it is stopped.
            while waiting and len(running) < n_jobs:
                running.add(workers.submit(_run_whole, waiting.pop(0)))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield from future.result()
        finished = True
    except TerminatedWorkerError as error:
        raise CosupError(
            "a worker process was killed, most likely because memory ran out; what was measured is kept. "
            "Run the same command again with --jobs 1 (n_jobs=1) to go on with less memory"
        ) from error
    finally:
        # After an interrupt nobody needs what is still running.
        workers.shutdown(wait=True, kill_workers=not finished)


def _warm_up(jobs: Sequence[Job], ray: str | None = None) -> None:
    """Load each task once, on all threads or by all of a cluster: features that are cached are computed once.

    Whatever goes wrong is met again, and recorded, by the runs themselves.
    """
    first = {canonical([job.task, job.options]): job for job in reversed(jobs)}
    for job in reversed(first.values()):
        with contextlib.suppress(Exception):
            load_task(job.task, seed=job.seed, cache=FeatureCache(job.cache, ray=ray), **job.options)


def _on_cluster(jobs: Sequence[Job], n_jobs: int | None, address: str) -> Generator[Outcome, None, None]:
    """Yield the runs as a cluster finishes them."""
    if not jobs:
        return
    most = None if n_jobs is None else _processes(n_jobs, jobs)
    read = [Path(str(job.options["root"])) for job in jobs if "root" in job.options]
    read += [Path(plugin) for plugin in jobs[0].plugins]
    with connect(address) as cluster:
        check_nodes(cluster, list(dict.fromkeys(read)))
        _warm_up(jobs, address)
        every = (job.as_text() for job in jobs)
        # Closed before the connection is: what is under way is cancelled through it.
        with contextlib.closing(run_tasks(cluster, f"{__name__}:run_text", every, in_flight=most)) as found:
            for outcomes in found:
                yield from outcomes


def _import() -> None:
    importlib.import_module("torch")


def run_text(text: str) -> list[Outcome]:
    """Run the job that `Job.as_text` wrote."""
    return _run_whole(Job.of_text(text))


def _run_whole(job: Job) -> list[Outcome]:
    return list(run_job(job))
