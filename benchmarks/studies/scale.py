"""Rewrite the tables of internet-scale.md and the example of plan.md, beside this file, from measured rates.

    python benchmarks/studies/scale.py            from benchmarks/studies/rates.json
    python benchmarks/studies/scale.py --measure  measure this machine first (about half a minute; on an idle machine)

Nothing in those tables is written by hand; every table says by which command its numbers come.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from cosup import CosupError
from cosup.planning import Cluster, Job, Plan, measure_rates, plan, read_cluster, read_rates, render_plan
from cosup.planning.plan import NETWORK_WAITS
from cosup.planning.plan_text import size, span

DOCS = Path(__file__).parent
RATES = DOCS / "rates.json"
LITE, SIDE = "lite:efficientnet-lite0", 224
TREE = (1, 9, 90, 900)
BILLION, CLASSES = 10**9, 1000
EVERYTHING = Cluster(machines=1, cores=1, memory_gb=1e12, name="one core with all the memory there is")


def job(n: int = BILLION, levels: tuple[int, ...] = TREE, **changes: object) -> Job:
    """A job of this size."""
    known = {"images": n, "backbone": LITE, "image_size": SIDE, "classes": CLASSES, "levels": levels}
    return Job(**{**known, **changes})  # type: ignore[arg-type]


def hours(seconds: float) -> str:
    """Core hours, in three digits."""
    value = seconds / 3600
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(rows: list[tuple[str, ...]]) -> str:
    """Rows of cells, the first of them the header, as Markdown."""
    head, *rest = rows
    lines = [head, tuple("---" for _ in head), *rest]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


class Tables:
    """One method a table, called as the page calls it."""

    def __init__(self) -> None:
        self.rates = read_rates(RATES)
        self.cluster = read_cluster(DOCS / "cluster.toml")

    def plan(self, job: Job, cluster: Cluster | None = None) -> Plan:
        """On the assumed cluster, or on another."""
        return plan(job, self.rates, cluster or self.cluster)

    def rates_of(self) -> str:
        """What was measured, and on what."""
        eye = next(e for e in self.rates.embeddings if e.image_size == SIDE)
        versions = ", ".join(f"{name} {version}" for name, version in sorted(self.rates.versions.items()))
        products = 1e-9 / self.rates.of("blocks scores large", 512, 512)
        marginals, pairs = (1e-6 / self.rates.of(*kernel) for kernel in (("marginals", 1, 256), ("pairs",)))
        written, read = (1e-6 / self.rates.of(f"disk {what}") for what in ("write", "read"))
        rows = [
            ("rate, one core", "measured"),
            (f"{LITE} at {SIDE}, JPEGs of {eye.width} x {eye.height}", f"{1 / eye.seconds:.1f} images a second"),
            ("of that: reading files, resizing", f"{(eye.decode + eye.prepare) / eye.seconds:.0%}"),
            ("out-of-sample predictions, many classes", f"{products:.0f} billion multiplications a second"),
            ("holding marginals (30 rounds), 256 classes", f"{marginals:.0f} million values a second"),
            ("comparing two teachers", f"{pairs:.0f} million samples a second"),
            ("disk, written and read", f"{written:,.0f} and {read:,.0f} MB a second"),
        ]
        return f"Measured on {self.rates.machine} ({versions}).\n\n{table(rows)}"

    def steps(self) -> str:
        """The same command with more of everything, on one machine of the cluster."""
        one = Cluster(**{**vars(self.cluster), "machines": 1, "name": "one machine"})
        rows = [("images", "teachers", "embed", "teach", "fit", "memory of the fit", "money, embed and teach on all")]
        for n, levels in (
            (1_281_167, (1, 2, 4, 8)), (10**7, (1, 9)), (10**8, (1, 9, 90)), (BILLION, TREE)
        ):  # fmt: skip
            whole = self.plan(job(n, levels), EVERYTHING)
            found = self.plan(job(n, levels, sharded=True))
            fit = whole["fit"]
            fits = fit.memory <= one.memory_gb * 1e9
            rows.append((
                f"{n:,}", f"{sum(levels):,}", span(whole["embed"].core_seconds / one.cores),
                span(whole["teach"].core_seconds / one.cores), span(fit.seconds),
                size(fit.memory) + ("" if fits else ", does not fit"),
                f"{found['embed'].money + found['teach'].money:,.0f}",
            ))  # fmt: skip
        return table(rows)

    def billion(self) -> str:
        """The largest job in the sharded design, stage by stage."""
        found = self.plan(job(sharded=True, predictions=BILLION))
        rows = [("stage", "clock", "core hours", "memory a machine", "disk", "money", "bottleneck")]
        for s in found.stages:
            rows.append((
                s.name, span(s.seconds), hours(s.core_seconds), size(s.memory), size(s.disk), f"{s.money:,.0f}",
                s.bottleneck,
            ))  # fmt: skip
        total = sum(s.core_seconds for s in found.stages)
        rows.append(("all", span(found.seconds), hours(total), "", size(found.disk), f"{found.money:,.0f}", ""))
        return table(rows) + f"\n\nKeeping what is written for a month: {found.disk_money:,.0f}."

    def parts(self) -> str:
        """Core hours of the fit's parts: as cosup does it, and in the design that is sharded."""
        as_is, sharded = self.plan(job(), EVERYTHING)["fit"], self.plan(job(sharded=True))["fit"]
        rows = [("part of the fit, core hours", "as cosup does it", "sharded design")]
        for what, seconds in sorted(as_is.parts.items(), key=lambda part: -part[1]):
            rows.append((what, hours(seconds), hours(sharded.parts.get(what, 0.0))))
        rows.append(("all", hours(as_is.core_seconds), hours(sharded.core_seconds)))
        talk = sharded.parts[NETWORK_WAITS] / self.cluster.all_cores / self.cluster.speed
        memory = f"{size(as_is.memory)} on one machine, {size(sharded.memory)} on each of {self.cluster.machines:,}"
        return table(rows) + f"\n\nMemory: {memory}. Waiting for sums to go round: {span(talk)} on the clock."

    def trees(self) -> str:
        """A thousand teachers in one level and in a tree."""
        rows = [("levels", "fit as it is, core hours", "sharded, core hours", "memory as it is", "memory sharded")]
        for levels in ((1, 999), (1, 31, 968), TREE):
            as_is, sharded = (
                self.plan(job(levels=levels), EVERYTHING)["fit"],
                self.plan(job(levels=levels, sharded=True))["fit"],
            )
            rows.append((
                "/".join(map(str, levels)), hours(as_is.core_seconds), hours(sharded.core_seconds),
                size(as_is.memory), size(sharded.memory),
            ))  # fmt: skip
        return table(rows)

    def local(self) -> str:
        """The paper's algorithm: a local student a teacher."""
        rows = [("method csl, core hours", "as cosup does it", "sharded design")]
        as_is = self.plan(job(methods=("csl",)), EVERYTHING)["fit"]
        sharded = self.plan(job(methods=("csl",), sharded=True))["fit"]
        for what in ("local students", "whole fit"):
            pair = (as_is.parts.get(what, as_is.core_seconds), sharded.parts.get(what, sharded.core_seconds))
            rows.append((what, *map(hours, pair)))
        return table(rows)

    def annotations(self) -> str:
        """What a billion times a thousand annotations take."""
        rows = [("annotations", "bytes each", "of all teachers", "of 1 + 3 x 8 teachers a sample")]
        few = 1 + 8 * (len(TREE) - 1)
        for name, each in (
            ("class ids (uint16)", 2), ("class ids as cosup writes them", 4),
            ("five classes with probabilities (TopK)", 20),
            ("all probabilities (float32)", 4 * CLASSES),
        ):  # fmt: skip
            rows.append((name, f"{each:,}", size(each * BILLION * sum(TREE)), size(each * BILLION * few)))
        return table(rows)

    def example(self) -> str:
        """What the command prints, on the machine that the rates are of."""
        found = plan(
            Job(images=100_000, backbone=LITE, image_size=SIDE, classes=100, levels=(1, 14), predictions=10_000),
            self.rates,
        )
        why = "<!-- not checked: figures of one machine, written by scale.py -->"
        return f"{why}\n```text\n{render_plan(found)}\n```"


def filled(text: str, tables: Tables) -> str:
    """The page with every marked table anew."""

    def one(found: re.Match[str]) -> str:
        return f"{found[1]}\n{getattr(tables, found[2])()}\n{found[3]}"

    return re.sub(r"(<!-- table: (\w+) -->)\n.*?(<!-- end of table -->)", one, text, flags=re.DOTALL)


def pages() -> Iterator[tuple[Path, str]]:
    """Pages with their tables, as they should be."""
    tables = Tables()
    for name in ("internet-scale.md", "plan.md"):
        path = DOCS / name
        yield path, filled(path.read_text(encoding="utf-8"), tables)


def main() -> None:
    """Write the pages."""
    if "--measure" in sys.argv[1:]:
        try:
            measure_rates([(LITE, SIDE)], fresh=True).save(RATES)
        except CosupError as error:
            sys.exit(str(error))
    for path, text in pages():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
