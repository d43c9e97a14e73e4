"""A factorial design read: main effects of the ingredients, and their pairwise interactions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from cosup.benchmark import decode_correct, task_label
from cosup.metrics import Interval, bootstrap_contrasts, performance_gap_recovered
from cosup.report import figures
from cosup.report.markup import Child, Data, Markup, Panel, join, table, tag
from cosup.report.summary import Record, by_task, has_gap, mean, percent, signed
from cosup.utils.validation import BoolArray, FloatArray

MOST_INTERACTIONS = 20


@dataclass(frozen=True)
class Design:
    """The runs of one factorial design on one task.

    Attributes
    ----------
    title, protocol : str
    runs, seeds : int
        Crossed settings that were measured with every seed, and seeds.
    left_out : int
        Settings that were not: some of their runs failed or are still missing.
    mean : float
        PGR of all runs together.
    main : list of (factor, level, Interval)
        PGR of the runs at this level minus that of all runs.
    interactions : list of (factors, levels, Interval)
        What two levels bring together beyond their main effects; the largest first.
    """

    title: str
    protocol: str
    runs: int
    seeds: int
    left_out: int
    mean: float
    main: list[tuple[str, str, Interval]]
    interactions: list[tuple[tuple[str, str], tuple[str, str], Interval]]


def designs(records: Sequence[Record]) -> list[Design]:
    """Estimate the effects of every design that is there and has a gap."""
    groups = [[r for r in group if r.get("factors") and r["error"] is None] for group in by_task(records)]
    return [_design(group) for group in groups if group and has_gap(group)]


def _design(records: Sequence[Record]) -> Design:
    seeds = sorted({record["seed"] for record in records})
    by_label: dict[str, dict[int, Record]] = {}
    for record in records:
        by_label.setdefault(record["label"], {})[record["seed"]] = record
    # Balanced: a setting that lacks a seed would count its other seeds' luck for an effect.
    whole = {label: runs for label, runs in by_label.items() if len(runs) == len(seeds)}
    if not whole:
        seeds = [seed for seed in seeds if all(seed in runs for runs in by_label.values())] or seeds[:1]
        whole = {label: runs for label, runs in by_label.items() if all(seed in runs for seed in seeds)}
    settings = [next(iter(runs.values()))["factors"] for runs in whole.values()]
    correct = [np.stack([decode_correct(runs[seed]) for runs in whole.values()]) for seed in seeds]
    some = [next(iter(whole.values()))[seed] for seed in seeds]
    ends = [[decode_correct(record, f) for record in some] for f in ("weak_correct", "ceiling_correct")]

    levels = [(f, v) for f in settings[0] for v in dict.fromkeys(s[f] for s in settings)]
    at = {(f, v): np.array([s[f] == v for s in settings]) for f, v in levels}
    several = [(f, v) for f, v in levels if not at[f, v].all()]
    pairs = [(a, b) for a, b in combinations(several, 2) if a[0] != b[0] and (at[a] & at[b]).any()]
    contrasts = [_share(at[level]) - _share(np.ones(len(settings), dtype=bool)) for level in several]
    everything = _share(np.ones(len(settings), dtype=bool))
    for a, b in pairs:
        contrasts.append(_share(at[a] & at[b]) - _share(at[a]) - _share(at[b]) + everything)
    found = bootstrap_contrasts(correct, np.array(contrasts), *ends) if contrasts else []
    effects = [(f, v, interval) for (f, v), interval in zip(several, found, strict=False)]
    interactions = [
        ((a[0], b[0]), (a[1], b[1]), interval) for (a, b), interval in zip(pairs, found[len(several) :], strict=True)
    ]
    interactions.sort(key=lambda item: -abs(item[2].estimate))
    accuracy, weak, ceiling = (mean([r[f] for r in records]) for f in ("student", "weak", "ceiling"))
    first = records[0]
    return Design(
        title=task_label(first["task"], first["task_options"]),
        protocol=first["protocol"],
        runs=len(whole),
        seeds=len(seeds),
        left_out=len(by_label) - len(whole),
        mean=performance_gap_recovered(accuracy, weak, ceiling, undefined="nan"),
        main=effects,
        interactions=interactions,
    )


def _share(rows: BoolArray) -> FloatArray:
    return np.asarray(rows / rows.sum(), dtype=np.float64)


def main_effects(design: Design, name: str) -> list[Panel]:
    """Draw the effect of every level against the mean of all runs."""
    if not design.main:
        return []
    factors = list(dict.fromkeys(f for f, _, _ in design.main))
    rows = [
        figures.Dot(f"{f}: {v}", _points(interval), factors.index(f) % 6) for f, v, interval in design.main
    ]  # fmt: skip
    drawing = figures.spans(
        rows, zero=0.0, axis="points of PGR over the mean of all runs", name=name,
        description=f"Main effects of the ingredients on {design.title}; the values follow.",
    )  # fmt: skip
    left = (
        f" {design.left_out} settings that were not measured with every seed are left out." if design.left_out else ""
    )
    caption = (
        f"Main effects on {design.title}: PGR of all runs with the ingredient minus that of all {design.runs} crossed "
        f"settings ({percent(design.mean)} %), {design.seeds} seeds; 90 % intervals over seeds and test samples.{left}"
    )
    data = Data(
        f"{design.title}: main effects, points of PGR", ("", "effect (90 %)"),
        [(f"{f}: {v}", signed(interval)) for f, v, interval in design.main],
    )  # fmt: skip
    return [Panel(drawing, caption, [data])]


def _points(interval: Interval) -> Interval:
    return Interval(100 * interval.estimate, 100 * interval.low, 100 * interval.high, interval.dropped)


def interactions(design: Design) -> Markup | None:
    """Tabulate the largest pairwise interactions."""
    if not design.interactions:
        return None
    shown = design.interactions[:MOST_INTERACTIONS]
    rows: list[Sequence[Child]] = [(f"{a[0]}: {b[0]}", f"{a[1]}: {b[1]}", signed(interval)) for a, b, interval in shown]
    caption = (
        f"{design.title}: the {len(shown)} largest of {len(design.interactions)} pairwise interactions, in points of "
        "PGR: the effect of the two together beyond the sum of their main effects."
    )
    note = "A fraction of the design cannot tell an interaction of some factors from those of the others."
    return join(table(caption, ("", "with", "interaction (90 %)"), rows, text=(1,)), tag("p", note, class_="soft"))
