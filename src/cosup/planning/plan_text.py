"""A plan as a table."""

from __future__ import annotations

from cosup.planning.plan import Plan
from cosup.utils.tables import align

__all__ = ["render_plan", "size", "span"]

HEADER = ("stage", "time", "core hours", "memory", "disk", "money", "bottleneck")


def span(seconds: float) -> str:
    """Write a time in its usual unit."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    for unit, name, most in ((1, "s", 100), (60, "min", 100), (3600, "h", 100), (86400, "days", 1000)):
        if seconds < unit * most:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds / 86400 / 365.25:,.3g} years"


def size(count: float) -> str:
    """Write bytes in their usual unit."""
    for power, name in ((15, "PB"), (12, "TB"), (9, "GB"), (6, "MB")):
        if count >= 10**power:
            return f"{count / 10**power:.3g} {name}"
    return f"{count / 1e3:.3g} kB"


def render_plan(plan: Plan) -> str:
    """Render the table that ``cosup plan`` prints.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    str
        Lines for a terminal.
    """
    job, cluster = plan.job, plan.cluster
    priced = cluster.price > 0
    rows = [HEADER]
    for stage in plan.stages:
        money = f"{stage.money:,.2f}" if priced else "-"
        rows.append(
            (
                stage.name, span(stage.seconds), f"{stage.core_seconds / 3600:,.3g}", size(stage.memory),
                size(stage.disk), money, stage.bottleneck,
            )
        )  # fmt: skip
    core = sum(stage.core_seconds for stage in plan.stages)
    money = f"{plan.money:,.2f}" if priced else "-"
    rows.append(("all", span(plan.seconds), f"{core / 3600:,.3g}", "", size(plan.disk), money, ""))
    what = f"{job.n:,} {'images' if job.images else f'samples of {job.features:,} features'}"
    lines = [
        f"{what}, {job.classes:,} classes, {sum(job.levels):,} teachers ({'/'.join(map(str, job.levels))}), "
        + f"{', '.join(job.methods)}"
        + (f", {job.seeds} seeds" if job.seeds > 1 else ""),
        f"on {cluster.name}: {cluster.machines:,} x {cluster.cores} cores, {cluster.memory_gb:,.0f} GB each",
        "",
        *align(rows),
        "",
        *(f"{stage.name} rests on: {stage.basis}" for stage in plan.stages),
        f"Rates are of {plan.machine}. Memory is that of one machine.",
        "THE SHARDED DESIGN IS NOT BUILT: see benchmarks/studies/internet-scale.md."
        if job.sharded
        else "A fit is one process, and its time one core's.",
    ]
    if cluster.disk_price:
        lines.append(f"Keeping what is written for a month: {plan.disk_money:,.2f}.")
    return "\n".join(lines)
