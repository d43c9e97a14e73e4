"""One job: a task with a seed, its ceiling, and every method fitted and measured on it."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from threadpoolctl import threadpool_limits

from cosup.benchmark.factorial import with_right_specialists
from cosup.benchmark.measure import macro_f1, measure_levels, or_none, per_class, per_teacher, picture_samples
from cosup.benchmark.memory import watch_memory
from cosup.benchmark.published_protocol import WatchedCSL, WatchedProbe, correct_by_epoch
from cosup.benchmark.records import SCHEMA, Record, canonical, encode_correct, run_id, task_label
from cosup.benchmark.tuning import Method, default_student, takes_student
from cosup.methods import make_method
from cosup.metrics import performance_gap_recovered
from cosup.students import RidgeProbe, Student, shared
from cosup.students.caching import SharedStudent
from cosup.tasks import Task, load_task
from cosup.utils.plugins import load_plugins
from cosup.utils.shared_results import SharedResults
from cosup.utils.validation import BoolArray, CosupError

if sys.platform != "win32":
    import resource


@dataclass(frozen=True)
class Job:
    """Describe the work of one process: all methods that are missing of one task and seed."""

    task: str
    options: dict[str, Any]
    seed: int
    protocol: str
    methods: tuple[Method, ...]
    pictures_of: str | None  # label of the method whose kept and rejected samples are shown
    cache: str | None
    command: str | None
    plugins: tuple[str, ...] = ()

    def run_id(self, method: Method) -> str:
        """Name of the run of `method` in this job."""
        return run_id(self.task, self.options, method.label, method.name, method.parameters, self.seed, self.protocol)

    def as_text(self) -> str:
        """Write the job as JSON, which a cluster is sent."""
        return canonical(dataclasses.asdict(self))

    @classmethod
    def of_text(cls, text: str) -> Job:
        """Read `text` back."""
        given = json.loads(text)
        methods = tuple(Method(**method) for method in given["methods"])
        return cls(**given | {"methods": methods, "plugins": tuple(given["plugins"])})


Outcome = tuple[Record, list[dict[str, Any]]]


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Keep numpy and torch on one thread: workers share the cores, and sums come out the same."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(before)


def run_job(job: Job) -> Iterator[Outcome]:
    """Load a task with a seed, measure its ceiling, then fit and measure one method after the other."""
    with one_thread():
        try:
            load_plugins(job.plugins)
            task = load_task(job.task, seed=job.seed, cache=job.cache, **job.options)
            bench = Bench.open(task, job.protocol, job.seed)
        except Exception as error:
            for method in job.methods:
                yield {**_frame(job, method), **_failure(error)}, []
            return
        for method in job.methods:
            start = time.perf_counter()
            try:
                model, seen, cost = bench.fit(method)
                record = {**_frame(job, method), **_measure(bench, model, seen), **cost}
                pictures = (
                    picture_samples(model, task, task_label(job.task, job.options), job.seed)
                    if method.label == job.pictures_of
                    else []
                )
            except Exception as error:
                record = {**_frame(job, method), **_failure(error), "seconds": time.perf_counter() - start}
                pictures = []
            yield record, pictures


@dataclass(frozen=True)
class Bench:
    """A loaded task with the student that all methods share, and the ceiling: right or wrong, epoch by epoch.

    The last row of `ceiling` is the last epoch; under the clean protocol it is the only one.
    """

    task: Task
    published: bool
    seed: int
    student: Any
    ceiling: BoolArray
    others: dict[RidgeProbe, SharedStudent] = field(default_factory=dict)
    """Students that methods name, on the same preparation of the features."""
    results: SharedResults = field(default_factory=SharedResults)

    @classmethod
    def open(cls, task: Task, protocol: str, seed: int) -> Bench:
        """Measure the ceiling."""
        published = protocol == "published"
        watched = WatchedProbe()
        student = watched if published else shared(default_student(protocol))
        model = make_method("vanilla", student=student, random_state=seed).fit(task.X_train, task.truth.y_train)
        ceiling = None
        if published:
            ceiling = correct_by_epoch(watched, model, task.X_test, task.truth.y_test)
        if ceiling is None:
            ceiling = np.asarray(model.predict(task.X_test) == task.truth.y_test)[None]
        return cls(task, published, seed, student, ceiling)

    def fit(self, method: Method) -> tuple[Any, Task, dict[str, float | None]]:
        """Fit a method: the model, the task as it saw it, and what it cost (had nobody trained the same before)."""
        # The only methods that are given truth.
        seen = with_right_specialists(self.task) if method.oracle_assignment else self.task
        spared = self._spared()
        start = time.perf_counter()
        with watch_memory() as memory, self.results.active():
            model = self._make(method).fit(seen.X_train, seen.labels)
        seconds = time.perf_counter() - start + self._spared() - spared
        return model, seen, {"seconds": seconds, "fit_memory_mb": memory.added_mb}

    def _spared(self) -> float:
        return self.results.spared + sum(student.spared for student in self._shared())

    def _shared(self) -> list[SharedStudent]:
        return [self.student, *self.others.values()] if isinstance(self.student, SharedStudent) else []

    def _own(self, student: Student) -> Student:
        """Return the student that a method names, sharing the features' factorisation where it is a ridge, too."""
        if isinstance(student, RidgeProbe) and isinstance(self.student, SharedStudent):
            return self.others.setdefault(student, SharedStudent(student, self.student))
        return student

    def _make(self, method: Method) -> Any:
        keywords = method.keywords()
        if takes_student(method.name):
            own = method.student()
            keywords["student"] = self.student if own is None else self._own(own)
        if method.name == "oracle":
            keywords |= {"truth": self.task.truth.y_train, "expert": self.task.truth.expert}
        if self.published and method.name == "csl-published":
            return WatchedCSL(random_state=self.seed, **keywords)
        return make_method(method.name, random_state=self.seed, **keywords)

    def epochs(self, model: Any) -> BoolArray | None:
        """Judge the test samples after every epoch of a model's last training; see `correct_by_epoch`."""
        if not self.published:
            return None
        watched = getattr(model, "watched_", self.student)
        return correct_by_epoch(watched, model, self.task.X_test, self.task.truth.y_test)


def _measure(bench: Bench, model: Any, seen: Task) -> Record:
    task = bench.task
    y_test = task.truth.y_test
    weak = task.weak_test == y_test
    predicted = np.asarray(model.predict(task.X_test))
    student = predicted == y_test
    ceiling = bench.ceiling[-1]
    chosen: Record = {}
    epochs = bench.epochs(model)
    if epochs is not None:
        # As the released code: the best epoch on the very samples that are reported.
        chosen = {
            "selected": "best epoch on test",
            "epochs": [float(correct.mean()) for correct in epochs],
            "last": float(epochs[-1].mean()),
            "last_correct": encode_correct(epochs[-1]),
            "last_ceiling": float(ceiling.mean()),
            "last_ceiling_correct": encode_correct(ceiling),
        }
        student = epochs[epochs.mean(axis=1).argmax()]
    if bench.published:
        ceiling = bench.ceiling[bench.ceiling.mean(axis=1).argmax()]
    accuracies = {
        "weak": float(weak.mean()),
        "student": float(student.mean()),
        "ceiling": float(ceiling.mean()),
    }
    return {
        "n_train": len(task.X_train),
        "n_test": len(task.X_test),
        "n_features": task.X_train.shape[1],
        "n_classes": task.labels.n_classes,
        "task_description": task.description,
        "class_names": list(task.class_names),
        **accuracies,
        "pgr": or_none(performance_gap_recovered(**accuracies, undefined="nan")),
        "correct": encode_correct(student),
        "weak_correct": encode_correct(weak),
        "ceiling_correct": encode_correct(ceiling),
        "macro_f1": None if bench.published else macro_f1(y_test, predicted),
        **chosen,
        "levels": measure_levels(model, seen),
        "per_class": per_class(student, y_test, task.labels.n_classes),
        "per_teacher": per_teacher(model, seen),
        "error": None,
    }


def _frame(job: Job, method: Method) -> Record:
    """Return the fields of a run that are known without running it, and those of an unmeasured one."""
    return {
        "run": job.run_id(method),
        "schema": SCHEMA,
        "task": job.task,
        "task_options": job.options,
        "method": method.name,
        "label": method.label,
        "parameters": dict(method.parameters),
        "factors": dict(method.factors),
        "seed": job.seed,
        "protocol": job.protocol,
        "n_train": None,
        "n_test": None,
        "n_classes": None,
        "weak": None,
        "student": None,
        "ceiling": None,
        "pgr": None,
        "correct": None,
        "weak_correct": None,
        "ceiling_correct": None,
        "levels": [],
        "per_class": [],
        "per_teacher": [],
        "selected": None,
        "seconds": None,
        "fit_memory_mb": None,
        "peak_memory_mb": _peak_memory_mb(),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": importlib.metadata.version("torch"),
            "sklearn": sklearn.__version__,
            "cosup": _own_version(),
        },
        "machine": f"{platform.platform()}, {os.cpu_count()} cores",
        "command": job.command,
        "error": None,
    }


def _peak_memory_mb() -> float | None:
    """Return the most memory that this process ever held; None where the system doesn't say."""
    if sys.platform == "win32":
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Bytes on macOS, kilobytes elsewhere.
    return round(peak / (1024**2 if sys.platform == "darwin" else 1024), 1)


def _own_version() -> str:
    try:
        return importlib.metadata.version("cosup")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _failure(error: Exception) -> Record:
    """Say what went wrong; for what isn't an error of ours, also where."""
    text = f"{type(error).__name__}: {error}"
    if not isinstance(error, CosupError):
        frame = traceback.extract_tb(error.__traceback__)[-1]
        text += f" ({Path(frame.filename).name}, line {frame.lineno}, in {frame.name})"
    return {"error": text}
