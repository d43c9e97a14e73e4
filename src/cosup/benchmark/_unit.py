"""One unit of work: a task with a seed, its ceiling, and every method fitted and measured on it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from threadpoolctl import threadpool_limits

from cosup._validation import CosupError
from cosup.benchmark._measure import measure_levels, or_none, per_class, picture_samples
from cosup.benchmark._methods import Method, default_student, takes_student
from cosup.benchmark._records import SCHEMA, Record, encode_correct, run_id, task_label
from cosup.datasets import Task, load_task
from cosup.methods import make_method
from cosup.metrics import performance_gap_recovered
from cosup.student import shared

if sys.platform != "win32":
    import resource


@dataclass(frozen=True)
class Unit:
    """What one worker does in one go: all methods that are missing of one task and seed."""

    task: str
    options: dict[str, Any]
    seed: int
    protocol: str
    methods: tuple[Method, ...]
    pictures_of: str | None  # label of the method whose kept and rejected samples are shown
    cache: str | None
    command: str | None

    def run_id(self, method: Method) -> str:
        """Name of the run of `method` in this unit."""
        return run_id(self.task, self.options, method.label, method.name, method.parameters, self.seed, self.protocol)


Outcome = tuple[Record, list[dict[str, Any]]]


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Keep numpy and torch on one thread: workers share the cores, and sums come out the same."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(before)


def run_unit(unit: Unit) -> Iterator[Outcome]:
    """Load a task with a seed, measure its ceiling, then fit and measure one method after the other."""
    with _one_thread():
        try:
            task = load_task(unit.task, seed=unit.seed, cache=unit.cache, **unit.options)
            student = shared(default_student(unit.protocol))
            ceiling_model = make_method("vanilla", student=student, random_state=unit.seed)
            ceiling_model.fit(task.X_train, task.truth.y_train)
            ceiling = np.asarray(ceiling_model.predict(task.X_test)) == task.truth.y_test
        except Exception as error:
            for method in unit.methods:
                yield {**_frame(unit, method), **_failure(error)}, []
            return
        for method in unit.methods:
            start = time.perf_counter()
            try:
                model = _make(unit, method, task, student)
                model.fit(task.X_train, task.labels)
                seconds = time.perf_counter() - start
                record = {**_frame(unit, method), **_measure(model, task, ceiling), "seconds": seconds}
                pictures = (
                    picture_samples(model, task, task_label(unit.task, unit.options), unit.seed)
                    if method.label == unit.pictures_of
                    else []
                )
            except Exception as error:
                record = {**_frame(unit, method), **_failure(error), "seconds": time.perf_counter() - start}
                pictures = []
            yield record, pictures


def _make(unit: Unit, method: Method, task: Task, student: Any) -> Any:
    keywords = method.keywords()
    if takes_student(method.name):
        own = method.student()
        keywords["student"] = student if own is None else own
    if method.name == "oracle":  # the only method that is given truth
        keywords |= {"truth": task.truth.y_train, "expert": task.truth.expert}
    return make_method(method.name, random_state=unit.seed, **keywords)


def _measure(model: Any, task: Task, ceiling: Any) -> Record:
    y_test = task.truth.y_test
    weak = task.weak_test == y_test
    student = np.asarray(model.predict(task.X_test)) == y_test
    accuracies = {
        "weak": float(weak.mean()),
        "student": float(student.mean()),
        "ceiling": float(ceiling.mean()),
    }
    return {
        "n_train": len(task.X_train),
        "n_test": len(task.X_test),
        "n_classes": task.labels.n_classes,
        "task_description": task.description,
        "class_names": list(task.class_names),
        **accuracies,
        "pgr": or_none(performance_gap_recovered(**accuracies, undefined="nan")),
        "correct": encode_correct(student),
        "weak_correct": encode_correct(weak),
        "ceiling_correct": encode_correct(ceiling),
        "levels": measure_levels(model, task),
        "per_class": per_class(student, y_test, task.labels.n_classes),
        "error": None,
    }


def _frame(unit: Unit, method: Method) -> Record:
    """Everything about a run that is known without running it, and the fields of an unmeasured one."""
    return {
        "run": unit.run_id(method),
        "schema": SCHEMA,
        "task": unit.task,
        "task_options": unit.options,
        "method": method.name,
        "label": method.label,
        "parameters": dict(method.parameters),
        "seed": unit.seed,
        "protocol": unit.protocol,
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
        "seconds": None,
        "peak_memory_mb": _peak_memory_mb(),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
            "sklearn": sklearn.__version__,
            "cosup": _own_version(),
        },
        "machine": f"{platform.platform()}, {os.cpu_count()} cores",
        "command": unit.command,
        "error": None,
    }


def _peak_memory_mb() -> float | None:
    """Most memory that this process ever held; None where the system doesn't say."""
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
