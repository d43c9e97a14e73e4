"""From records to what is shown: seeds put together, intervals, comparisons with vanilla."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosup.benchmark import decode_correct, task_label
from cosup.methods import DEFAULT
from cosup.metrics import Interval, bootstrap_pgr, paired_difference, performance_gap_recovered
from cosup.report.method_names import name_for_readers
from cosup.utils.validation import BoolArray, CosupError

Record = Mapping[str, Any]
DASH = "\N{EN DASH}"
"""Stands where there is no number."""
LEVEL_FIELDS = ("student", "precision", "recall", "keep_rate", "assigned_accuracy", "agreement")


@dataclass(frozen=True)
class LevelSummary:
    """One level of a method, averaged over the seeds; NaN where nothing was measured."""

    level: int
    pgr: float
    student: float
    precision: float
    recall: float
    keep_rate: float
    assigned_accuracy: float
    agreement: float


@dataclass(frozen=True)
class TeacherShare:
    """The samples of one right specialist, averaged over the seeds; NaN where nothing was measured."""

    teacher: str
    student: float
    annotated: float
    found: float


@dataclass(frozen=True)
class MethodSummary:
    """One method on one task, all seeds together."""

    label: str  # as a reader knows it
    key: str  # as the records have it
    method: str
    whole: bool  # False for an ablation: parameters were given where a run without any exists
    records: tuple[Record, ...]  # by seed
    accuracy: float
    macro_f1: float  # NaN where classes are about equal
    pgr: Interval | None  # None where the gap isn't positive
    versus: Interval | None  # paired difference to vanilla; None for vanilla itself or where there is none
    levels: tuple[LevelSummary, ...]
    per_class: tuple[float, ...]
    per_teacher: tuple[TeacherShare, ...]
    seconds: float
    memory: float  # MB that a fit added at its peak; NaN where the system does not say
    selected: bool  # whether an epoch was chosen on the test samples

    @property
    def last(self) -> LevelSummary | None:
        """The last level, if the method has levels."""
        return self.levels[-1] if self.levels else None


@dataclass(frozen=True)
class TaskSummary:
    """One task under one protocol."""

    title: str
    name: str  # as `cosup tasks` knows it
    description: str
    protocol: str
    class_names: tuple[str, ...]
    n_train: int
    n_test: int
    seeds: tuple[int, ...]
    weak: float
    ceiling: float
    methods: tuple[MethodSummary, ...]  # in the order of the records
    ours: MethodSummary | None
    vanilla: MethodSummary | None

    def ablations(self) -> list[tuple[MethodSummary, MethodSummary, Interval | None]]:
        """List (whole method, ablation, PGR of the whole minus PGR of the ablation, paired)."""
        return [
            (whole, part, compare(whole.records, part.records))
            for whole in self.methods
            if whole.whole
            for part in self.methods
            if part.method == whole.method and part is not whole
        ]


def summarise(records: Iterable[Record]) -> list[TaskSummary]:
    """Put the runs of each task and protocol together; those of a factorial design are left to `by_task`.

    Raises
    ------
    CosupError
        When there is no record at all.
    """
    groups = by_task(records)
    if not groups:
        raise CosupError("there are no records yet; run 'cosup bench' or 'cosup demo' first")
    measured = [[r for r in group if r["error"] is None and not r.get("factors")] for group in groups]
    return [_task(group) for group in measured if group]


def by_task(records: Iterable[Record]) -> list[list[Record]]:
    """Group the records by task, its options and the protocol."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        key = json.dumps([record["task"], record["task_options"], record["protocol"]], sort_keys=True)
        groups.setdefault(key, []).append(record)
    return list(groups.values())


def failures(records: Iterable[Record]) -> list[Record]:
    """Return the runs that ended with an error."""
    return [record for record in records if record["error"] is not None]


def notes(task: TaskSummary) -> list[tuple[str, int, str, int]]:
    """List the methods' own notes: (method, level, note, in how many runs)."""
    counts: dict[tuple[str, int, str], int] = {}
    for method in task.methods:
        for record in method.records:
            for level in record["levels"]:
                for note in level["notes"]:
                    key = (method.label, level["level"], note)
                    counts[key] = counts.get(key, 0) + 1
    return [(*key, count) for key, count in counts.items()]


def compare(a: Sequence[Record], b: Sequence[Record]) -> Interval | None:
    """PGR of `a` minus that of `b` on the seeds that both have; None without such seeds or without a gap."""
    by_seed = {record["seed"]: record for record in b}
    # Paired means the same test samples: then the weak teacher is right on the same ones.
    pairs = [(x, by_seed[x["seed"]]) for x in a if x["seed"] in by_seed]
    pairs = [(x, y) for x, y in pairs if all(x[f] == y[f] for f in ("n_test", "weak_correct"))]
    if not pairs or not has_gap([x for x, _ in pairs]):
        return None
    return paired_difference(
        bits((x for x, _ in pairs), "correct"),
        bits((y for _, y in pairs), "correct"),
        bits((x for x, _ in pairs), "weak_correct"),
        bits((x for x, _ in pairs), "ceiling_correct"),
    )


def _task(records: Sequence[Record]) -> TaskSummary:
    first = records[0]
    by_label: dict[str, list[Record]] = {}
    for record in records:
        by_label.setdefault(record["label"], []).append(record)
    for group in by_label.values():
        group.sort(key=lambda record: record["seed"])
    has_whole = {group[0]["method"] for group in by_label.values() if not group[0]["parameters"]}
    vanilla = next((g for g in by_label.values() if g[0]["method"] == "vanilla" and not g[0]["parameters"]), None)
    methods = tuple(_method(label, group, has_whole, vanilla) for label, group in by_label.items())
    # Weak and ceiling belong to (task, seed): each counts once, not once a method.
    by_seed = {record["seed"]: record for record in records}
    return TaskSummary(
        title=task_label(first["task"], first["task_options"]),
        name=first["task"],
        description=first.get("task_description", ""),
        protocol=first["protocol"],
        class_names=tuple(first.get("class_names") or (str(c) for c in range(first["n_classes"]))),
        n_train=first["n_train"],
        n_test=first["n_test"],
        seeds=tuple(sorted(by_seed)),
        weak=float(np.mean([record["weak"] for record in by_seed.values()])),
        ceiling=float(np.mean([record["ceiling"] for record in by_seed.values()])),
        methods=methods,
        ours=next((m for m in methods if m.method == DEFAULT and m.whole), None),
        vanilla=next((m for m in methods if m.method == "vanilla" and m.whole), None),
    )


def _method(
    label: str, records: Sequence[Record], has_whole: set[str], vanilla: Sequence[Record] | None
) -> MethodSummary:
    first = records[0]
    pgr = (
        bootstrap_pgr(*(bits(records, f) for f in ("correct", "weak_correct", "ceiling_correct")))
        if has_gap(records)
        else None
    )
    per_class = [[math.nan if v is None else v for v in record["per_class"]] for record in records]
    return MethodSummary(
        label=name_for_readers(label, first["method"]),
        key=label,
        method=first["method"],
        whole=not first["parameters"] or first["method"] not in has_whole,
        records=tuple(records),
        accuracy=float(np.mean([record["student"] for record in records])),
        macro_f1=mean([record.get("macro_f1") for record in records]),
        pgr=pgr,
        versus=None if vanilla is None or first["method"] == "vanilla" else compare(records, vanilla),
        levels=_levels(records),
        per_class=tuple(mean(column) for column in zip(*per_class, strict=False)),
        per_teacher=_teachers(records),
        seconds=mean([record["seconds"] for record in records]),
        memory=mean([record.get("fit_memory_mb") for record in records]),
        selected=any(record.get("selected") is not None for record in records),
    )


def _teachers(records: Sequence[Record]) -> tuple[TeacherShare, ...]:
    entries = [{entry["teacher"]: entry for entry in record.get("per_teacher", [])} for record in records]
    names = dict.fromkeys(name for entry in entries for name in entry)
    return tuple(
        TeacherShare(name, *(mean([e[name][f] for e in entries if name in e]) for f in ("student", "said", "found")))
        for name in names
    )


def _levels(records: Sequence[Record]) -> tuple[LevelSummary, ...]:
    n_levels = min(len(record["levels"]) for record in records)
    weak, ceiling = mean([r["weak"] for r in records]), mean([r["ceiling"] for r in records])
    out = []
    for place in range(n_levels):
        entries = [record["levels"][place] for record in records]
        values = {field: mean([entry[field] for entry in entries]) for field in LEVEL_FIELDS}
        student = values["student"]
        pgr = math.nan
        if not math.isnan(student):
            pgr = performance_gap_recovered(student, weak, ceiling, undefined="nan")
        out.append(LevelSummary(level=entries[0]["level"], pgr=pgr, **values))
    return tuple(out)


def has_gap(records: Sequence[Record]) -> bool:
    """Tell whether the ceiling is above the weak teacher, on average over the seeds."""
    return bool(np.mean([r["ceiling"] for r in records]) > np.mean([r["weak"] for r in records]))


def bits(records: Iterable[Record], field: str) -> list[BoolArray]:
    """Decode which test samples were right, a vector a record."""
    return [decode_correct(record, field) for record in records]


def mean(values: Iterable[float | None]) -> float:
    """Mean of the values that are there; NaN when none is."""
    there = [value for value in values if value is not None and not math.isnan(value)]
    return float(np.mean(there)) if there else math.nan


# -- how numbers are written ---------------------------------------------------------------------------------


def percent(value: float | None, digits: int = 1) -> str:
    """Write a share as a percentage without its sign; a dash where there is none."""
    if value is None or math.isnan(value):
        return DASH
    return f"{100 * value:.{digits}f}"


def span(interval: Interval | None) -> str:
    """Write the ends of an interval in percent."""
    if interval is None:
        return DASH
    return f"{100 * interval.low:.0f} to {100 * interval.high:.0f}"


def signed(interval: Interval | None) -> str:
    """Write a difference with its sign and its interval, in points."""
    if interval is None:
        return DASH
    low, middle, high = (f"{100 * value:+.1f}" for value in (interval.low, interval.estimate, interval.high))
    return f"{middle} ({low} to {high})"


def duration(seconds: float) -> str:
    """Write a time in seconds with two digits that matter."""
    if math.isnan(seconds):
        return DASH
    return f"{seconds:.2f}" if seconds < 10 else f"{seconds:.0f}"
