"""From a job, rates and machines to time, memory, disk and money, stage by stage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from cosup.methods import make_method
from cosup.planning.job import Cluster, Job
from cosup.planning.rates import Embedding, Rates
from cosup.planning.work import ROUNDS, fit_terms, predict_terms, teach_terms
from cosup.students import Operations
from cosup.utils.validation import CosupError

__all__ = ["Plan", "Stage", "plan"]

LINE_BYTES = 200
"""Bytes of an image in a store's list of files, about, as `cosup.embedding.embed_images` reckons them."""

LARGE_AT, SMALL_AT = (512, 512), (512, 256)
"""Sizes between which torch's products are compared with NumPy's."""

ROW_BYTES, PREDICTED_BYTES = 20, 250
"""Bytes of a row of predictions, about: as text on the disk, and as numbers and text in memory until it is written."""

PREDICTED_ENTRIES = 1 << 24
"""Features or classes times samples that are predicted at a time."""

DISK_WAITS, NETWORK_WAITS = "waiting for the disk", "waiting for other machines"
"""Parts in which no core works."""


@dataclass(frozen=True)
class Stage:
    """Time, memory and disk that one stage takes.

    Attributes
    ----------
    name : str
        embed, teach, fit or sweep, predict.
    core_seconds : float
        Processor time of the machine whose rates these are.
    seconds : float
        Time on the clock.
    memory : float
        Bytes a machine.
    disk : float
        Bytes that are written.
    money : float
    machines : int
        Used at a time.
    bottleneck : str
        The part that takes most of the time, and its share.
    basis : str
        The basis of the numbers.
    parts : dict of str to float
        Core-seconds of every part, in words; those of cores that wait are no part of `core_seconds`.
    """

    name: str
    core_seconds: float
    seconds: float
    memory: float
    disk: float
    money: float
    machines: int
    bottleneck: str
    basis: str
    parts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """All stages, and what they are planned on.

    Attributes
    ----------
    job : Job
    cluster : Cluster
    machine : str
        The machine whose rates these are.
    stages : tuple of Stage
    """

    job: Job
    cluster: Cluster
    machine: str
    stages: tuple[Stage, ...]

    def __getitem__(self, name: str) -> Stage:
        """Return a stage by its name."""
        return next(stage for stage in self.stages if stage.name == name)

    @property
    def seconds(self) -> float:
        """Seconds of all stages, one after the other."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def money(self) -> float:
        """Money of all stages."""
        return sum(stage.money for stage in self.stages)

    @property
    def disk(self) -> float:
        """Bytes that all stages write."""
        return sum(stage.disk for stage in self.stages)

    def to_json(self) -> dict[str, Any]:
        """Return names and values that JSON knows."""
        job = {name: value for name, value in asdict(self.job).items() if not name.startswith("_")}
        totals = {"seconds": self.seconds, "money": self.money, "disk": self.disk, "disk_money": self.disk_money}
        stages = [asdict(stage) for stage in self.stages]
        return {"job": job, "cluster": asdict(self.cluster), "rates_of": self.machine, "stages": stages, **totals}

    @property
    def disk_money(self) -> float:
        """Cost of keeping that for a month."""
        return self.disk / 1e12 * self.cluster.disk_price


def plan(job: Job, rates: Rates, cluster: Cluster | None = None) -> Plan:
    """Plan all stages that the job has numbers for.

    Counts of operations times measured seconds an operation; the counts are those of docs/reference/memory.md.

    Parameters
    ----------
    job : Job
    rates : Rates
        Rates of this machine (`measure_rates`) or of another (`read_rates`).
    cluster : Cluster, optional
        Default: the machine that the rates are of.

    Returns
    -------
    Plan
        Memory, disk and time of each step, with their formulas.

    Raises
    ------
    CosupError
        If the rates lack the backbone, or a stage needs more memory than a machine has.

    Examples
    --------
    >>> from cosup.planning import Job, measure_rates, plan
    >>> found = plan(Job(samples=20_000, features=384, classes=50), measure_rates())  # doctest: +SKIP
    >>> round(found["fit"].seconds, 1)  # doctest: +SKIP
    2.4
    """
    if cluster is None:
        memory = rates.memory / 1e9 or float("inf")
        cluster = Cluster(1, rates.cores, min(memory, 1e9), name="this machine")
    return _Planner(job, rates, cluster).plan()


class _Planner:
    def __init__(self, job: Job, rates: Rates, cluster: Cluster) -> None:
        self.job, self.rates, self.cluster = job, rates, cluster
        self._student = self._embedding(job.backbone) if job.images else None
        self.d = self._student.n_features if self._student else int(job.features or 0)

    def plan(self) -> Plan:
        """Plan all stages that the job has numbers for."""
        stages = []
        if self.job.images:
            stages += [self._embed(), self._teach()]
        stages.append(self._sweep() if self.job.runs > 1 else self._fit())
        if self.job.predictions:
            stages.append(self._predict())
        for stage in stages:
            self._check(stage)
        return Plan(self.job, self.cluster, self.rates.machine, tuple(stages))

    def _embedding(self, backbone: str | None) -> Embedding:
        found = self.rates.embedding(str(backbone), self.job.image_size, self.job.pixels)
        if found is None:
            have = ", ".join(f"{e.backbone} at {e.image_size}" for e in self.rates.embeddings) or "none"
            width, height = self.job.pixels
            raise CosupError(
                f"these rates hold no {backbone!r} on images of {width}x{height} pixels (they hold: {have}); "
                "measure it where the rates are of: cosup plan --measure FILE --backbone ..."
            )
        return found

    # -- stages --------------------------------------------------------------------------------------------------

    def _embed(self) -> Stage:
        job = self.job
        assert self._student is not None
        eyes = [self._student] + ([self._embedding(job.weak)] if job.weak else [])
        parts: dict[str, float] = {}
        for e in eyes:
            for what, seconds in (
                ("reading files", e.decode), ("resizing", e.prepare), ("the network", e.forward), ("keeping", e.keep)
            ):  # fmt: skip
                parts[what] = parts.get(what, 0.0) + job.n * seconds
        disk = sum(job.n * (e.n_features * np.dtype(job.dtype).itemsize + LINE_BYTES) for e in eyes)
        core = sum(parts.values())
        writing = disk * self.rates.of("disk write") / self.cluster.machines
        wall = max(self._spread(core), writing)
        memory = self.rates.base_memory + max(e.memory for e in eyes)
        names = ", ".join(f"{e.backbone} at {e.image_size}" for e in eyes)
        basis = f"JPEGs of {eyes[0].width}x{eyes[0].height} pixels through {names}"
        return self._stage("embed", parts, wall, (memory, disk), self.cluster.machines, basis)

    def _teach(self) -> Stage:
        job = self.job
        d = self._embedding(job.weak).n_features if job.weak else self.d
        parts = self._parts(teach_terms(job, d))
        annotations = job.annotation_bytes * job.n * sum(job.levels)
        memory = self.rates.base_memory + 4 * d * job.classes * sum(job.levels) + annotations / self._split
        return self._stage(
            "teach", parts, self._spread(sum(parts.values())), (memory, annotations), self.cluster.machines,
            f"linear teachers of the published recipe; annotations as {self._annotations}",
        )  # fmt: skip

    def _fit(self) -> Stage:
        job = self.job
        terms = fit_terms(job, self.d, job.methods[0])
        parts = self._parts(terms)
        core = sum(parts.values())
        basis = f"counted operations at measured rates; annotations as {self._annotations}"
        if not job.sharded:
            waits = self._waits(terms)
            if waits:
                parts[DISK_WAITS] = waits * self.cluster.speed
            wall = core / self.cluster.speed + waits
            return self._stage("fit", parts, wall, (self._memory(), self._model()), 1, basis, core)
        serial = sum(self._seconds(t) for t in terms if not t.spread)
        talk = self._talk()
        wall = self._spread(core - serial) + serial / self.cluster.speed + talk
        # Waiting cores are counted as if they worked, so that parts add up to the time on the clock.
        parts[NETWORK_WAITS] = talk * self.cluster.all_cores * self.cluster.speed
        basis = "the design of benchmarks/studies/internet-scale.md, which cosup does not have yet"
        return self._stage(
            "fit", parts, wall, (self._memory(self.cluster.machines), self._model()), self.cluster.machines, basis, core
        )  # fmt: skip

    def _sweep(self) -> Stage:
        """Plan a sweep as `cosup bench` runs it: a seed's runs share features and their factors, and have a ceiling."""
        job, cluster = self.job, self.cluster
        parts: dict[str, float] = {}
        one = fit_terms(job, self.d, "vanilla")
        runs = [one] + [fit_terms(job, self.d, method, factor=False) for method in job.methods]
        for terms in runs:
            for what, seconds in self._parts(terms).items():
                parts[what] = parts.get(what, 0.0) + job.seeds * seconds
        core = sum(parts.values())
        at_once = min(job.seeds, cluster.all_cores)
        waves = -(-job.seeds // at_once)
        wall = core / job.seeds * waves / cluster.speed
        beside = min(at_once, cluster.cores)
        machines = -(-at_once // cluster.cores)
        basis = f"{job.runs} runs; a seed's share features and a ceiling; loading the task is not in it"
        return self._stage("sweep", parts, wall, (self._memory() * beside, job.runs * self._model()), machines, basis)

    def _predict(self) -> Stage:
        job, d = self.job, self.d
        terms = predict_terms(job, d)
        parts = self._parts(terms)
        at_once = min(job.predictions, PREDICTED_ENTRIES // max(d, job.classes, 1))
        own = job.predictions * PREDICTED_BYTES / self.cluster.machines + at_once * (4 * d + 12 * job.classes)
        written = ROW_BYTES * job.predictions
        return self._stage(
            "predict", parts, self._spread(sum(parts.values()), one_core=True), (self.rates.base_memory + own, written),
            self.cluster.machines, "a model of one linear layer; answers as CSV",
        )  # fmt: skip

    # -- what stages are made of ---------------------------------------------------------------------------------

    def _seconds(self, term: Operations) -> float:
        rate = self.rates.of(term.kernel, term.x, term.y)
        if term.large:
            # Beyond 2^30 multiplications products are torch's: what an operation then takes less, or more.
            large = self.rates.of(f"{term.kernel} large", *LARGE_AT)
            rate = max(rate + large - self.rates.of(term.kernel, *SMALL_AT), min(large, rate))
        return term.count * rate

    def _parts(self, terms: Iterable[Operations]) -> dict[str, float]:
        parts: dict[str, float] = {}
        for term in terms:
            parts[term.what] = parts.get(term.what, 0.0) + self._seconds(term)
        return parts

    def _spread(self, core: float, *, one_core: bool = False) -> float:
        """Convert processor time to time on the clock, of all cores or one of every machine."""
        return core / self.cluster.speed / (self.cluster.machines if one_core else self.cluster.all_cores)

    @property
    def _split(self) -> int:
        return self.cluster.machines if self.job.sharded else 1

    def _waits(self, terms: Sequence[Operations]) -> float:
        """Estimate the seconds of waiting for the disk, where features are more than memory holds."""
        size = np.dtype(self.job.dtype).itemsize
        if self.job.n * self.d * size <= self.cluster.memory_gb * 1e9 - self._memory():
            return 0.0
        passes = sum(t.count for t in terms if t.kernel.startswith("read "))
        return passes * size * self.rates.of("disk read")

    def _talk(self) -> float:
        """Estimate the seconds that machines of the sharded design take to add up and share the results of a pass."""
        cluster, c, d = self.cluster, self.job.classes, self.d
        if cluster.machines == 1:
            return 0.0
        levels = len(self.job.levels) - 1
        trainings = 1 + ROUNDS * levels
        # Weights there and moments back, sums of marginals; second moments once; a level's tables in every round that
        # it is read in, each teacher's for its own classes.
        sums = trainings * (8 * d * c * 2 + 62 * 8 * c) + 8 * d * d + ROUNDS * levels * (levels + 3) / 2 * 8 * c * c
        steps = trainings * (62 + 8)
        return 2 * sums / (cluster.network_gb * 1e9) + steps * cluster.latency

    def _memory(self, machines: int = 1) -> float:
        """Add up the bytes of a fit: the methods' own forecast, the annotations, the libraries."""
        shape: Any = self.job.shape(machines)
        X = np.broadcast_to(np.zeros((), dtype=self.job.dtype), (shape.n_samples, self.d))  # takes no memory
        own = max(make_method(method)._peak_bytes(X, shape) for method in self.job.methods)
        return float(self.rates.base_memory + self.job.annotation_bytes * shape.n_samples * shape.n_teachers + own)

    @property
    def _annotations(self) -> str:
        k = self.job.top_k
        return "class ids" if k is None else f"{k} class{'es' if k > 1 else ''} with probabilities"

    def _model(self) -> float:
        return 8.0 * (self.d + 1) * self.job.classes

    def _stage(
        self, name: str, parts: dict[str, float], wall: float, space: tuple[float, float], machines: int, basis: str,
        core: float | None = None,
    ) -> Stage:  # fmt: skip
        memory, disk = space
        total = sum(parts.values())
        most = max(parts, key=parts.__getitem__)
        share = parts[most] / total if total else 0.0
        money = wall / 3600 * machines * self.cluster.price
        return Stage(
            name, total if core is None else core, wall, memory, disk, money, machines, f"{most} ({share:.0%})", basis,
            parts,
        )  # fmt: skip

    def _check(self, stage: Stage) -> None:
        there = self.cluster.memory_gb * 1e9
        if stage.memory <= there:
            return
        remedy = {
            "embed": "a smaller batch (cosup embed --batch-size) or larger machines",
            "predict": "larger machines, or predict in parts",
            "sweep": f"fewer processes a machine (it has {self.cluster.cores} cores) or larger machines",
        }.get(stage.name, "larger machines, fewer teachers a level, or fewer samples; method csl holds no posterior")
        raise CosupError(
            f"{stage.name} needs {stage.memory / 1e9:,.1f} GB of memory on a machine, and a machine has "
            f"{there / 1e9:,.1f} GB ({self.cluster.name}): {remedy}"
        )
