"""What `cosup plan` predicts, and what is measured: six runs that nothing was calibrated on.

    python benchmarks/planning.py [--images FOLDER] [--only fit,csl] [--repeats 2]

This machine is measured anew first (or `--rates FILE`), on one thread, as everything that is measured here. Every run's
time is given as seconds of processor time (other programs disturb them less) and on the clock; of fits and predictions
the least of `--repeats` counts, as of the rates. Ratios are predicted over measured; the bar is 0.8 to 1.25.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner

from cosup.benchmark import Method, run_benchmark
from cosup.benchmark.job import one_thread
from cosup.benchmark.memory import watch_memory
from cosup.cli import main as command
from cosup.embedding import embed_images, list_image_files, make_backbone
from cosup.labels import TeacherLabels, TopK
from cosup.methods import make_method
from cosup.planning import Cluster, Job, Stage, measure_rates, plan, read_rates
from cosup.tasks import make_hierarchy

LITE = "lite:efficientnet-lite0"
ONE_CORE = Cluster(memory_gb=1e4, name="one core")
RUNS = ("embed", "fit", "listed", "csl", "sweep", "predict")

HEADER = (
    "                processor s                       clock s                MB of memory       MB of disk\n"
    "run      predicted  measured  ratio        predicted  measured  ratio predicted measured   "
    "predicted measured"
)

Measured = tuple[float, float, float | None, float | None]
"""Seconds of processor time and on the clock, MB of memory added, MB on the disk."""


def timed(work: Callable[[], Any], repeats: int) -> Measured:
    found = []
    for _ in range(repeats):
        with watch_memory() as peak:
            cpu, clock = time.process_time(), time.perf_counter()
            work()
            found.append((time.process_time() - cpu, time.perf_counter() - clock))
    return min(c for c, _ in found), min(w for _, w in found), peak.added_mb, None


def planted(n: int, d: int, c: int, levels: tuple[int, ...], path: Path) -> tuple[Any, Any]:
    """A planted task's features as `cosup embed` leaves them, and its annotations."""
    task = make_hierarchy(
        n_samples=n, n_test=1, n_features=d, n_classes=c, teachers_per_level=levels,
        accuracy=[0.5] + [0.7] * len(levels[1:]),
    )  # fmt: skip
    np.save(path, task.X_train.astype(np.float16))
    return np.load(path, mmap_mode="r"), task.labels


def embed(folder: Path, images: Path, repeats: int) -> tuple[Job, str, Measured]:
    paths = list_image_files(images)[:1000]
    backbone = make_backbone(LITE, image_size=224)
    measured = timed(
        lambda: embed_images(images, paths, backbone, folder / "store", workers=1, progress=False), 1
    )  # fmt: skip
    disk = sum(file.stat().st_size for file in (folder / "store").iterdir()) / 1e6
    job = Job(images=len(paths), backbone=LITE, image_size=224, pixels=(227, 227), classes=7, methods=("vanilla",))
    return job, "embed", (*measured[:3], disk)


def fit(folder: Path, images: Path, repeats: int) -> tuple[Job, str, Measured]:
    X, labels = planted(20_000, 384, 50, (1, 4), folder / "X.npy")
    measured = timed(lambda: make_method("co-supervised", random_state=0).fit(X, labels), repeats)
    return Job(samples=20_000, features=384, classes=50, levels=(1, 4)), "fit", measured


def listed(folder: Path, images: Path, repeats: int) -> tuple[Job, str, Measured]:
    """The default on five classes with probabilities an annotation, in place of class ids."""
    n, c, levels = 10_000, 200, (1, 4)
    X, labels = planted(n, 384, c, levels, folder / "X.npy")
    # A teacher lists classes of its own range that follow the one it names.
    shares = np.array([0.5, 0.2, 0.1, 0.05, 0.05])
    ids, values = np.zeros((n, sum(levels), 5), dtype=np.int64), np.zeros((n, sum(levels), 5))
    for t in range(sum(levels)):
        own = np.flatnonzero(labels.covers(t))
        said = labels.hard()[:, t]
        place = np.searchsorted(own, np.maximum(said, 0)) % len(own)
        ids[:, t] = own[(place[:, None] + np.arange(5) * (len(own) // 5)) % len(own)]
        values[:, t] = np.where((said >= 0)[:, None], shares, np.nan)
    top = TeacherLabels(
        TopK(ids, values.astype(np.float16), c), levels=labels.levels, specialties=labels.specialties, n_classes=c
    )
    measured = timed(lambda: make_method("co-supervised", random_state=0).fit(X, top), repeats)
    return Job(samples=n, features=384, classes=c, levels=levels, top_k=5), "fit", measured


def csl(folder: Path, images: Path, repeats: int) -> tuple[Job, str, Measured]:
    X, labels = planted(60_000, 384, 50, (1, 4), folder / "X.npy")
    measured = timed(lambda: make_method("csl", random_state=0).fit(X, labels), repeats)
    return Job(samples=60_000, features=384, classes=50, levels=(1, 4), methods=("csl",)), "fit", measured


def sweep(folder: Path, images: Path, repeats: int) -> tuple[Job, str, Measured]:
    methods = ("vanilla", "co-supervised")
    options = {
        "n_samples": 10_000, "n_features": 128, "n_classes": 20, "teachers_per_level": [1, 2, 4],
    }  # fmt: skip

    def work() -> None:
        run_benchmark(
            [("hierarchy", options)], [Method(m, m) for m in methods], range(10), folder / "runs", n_jobs=1,
            progress=False,
        )  # fmt: skip

    job = Job(
        samples=10_000, features=128, classes=20, levels=(1, 2, 4), methods=methods, seeds=10, dtype="float64"
    )  # fmt: skip
    return job, "sweep", timed(work, 1)


def predict(folder: Path, images: Path, repeats: int) -> tuple[Job, str, Measured]:
    X, labels = planted(2000, 384, 50, (1, 4), folder / "small.npy")
    make_method("vanilla", random_state=0).fit(X, labels).save(folder / "model")
    np.save(folder / "X.npy", np.random.default_rng(0).normal(size=(500_000, 384)).astype(np.float16))

    def work() -> None:
        done = CliRunner().invoke(
            command,
            [
                "predict", "--model", str(folder / "model"), "--features", str(folder / "X.npy"),
                "--out", str(folder / "p.csv"),
            ],
        )  # fmt: skip
        assert done.exit_code == 0, done.output

    measured = timed(work, repeats)
    disk = (folder / "p.csv").stat().st_size / 1e6
    job = Job(samples=2000, features=384, classes=50, methods=("vanilla",), predictions=500_000)
    return job, "predict", (*measured[:3], disk)


def line(name: str, stage: Stage, base: float, measured: Measured) -> str:
    cpu, clock, memory, disk = measured
    ratio = stage.core_seconds / cpu
    return (
        f"{name:8} {stage.core_seconds:9.2f} {cpu:9.2f} {ratio:6.2f} {'ok' if 0.8 <= ratio <= 1.25 else 'MISSED':6} "
        f"{stage.seconds:9.2f} {clock:9.2f} {stage.seconds / clock:6.2f}   "
        f"{(stage.memory - base) / 1e6:7.0f} {memory or float('nan'):7.0f}   "
        + ("" if disk is None else f"{stage.disk / 1e6:8.2f} {disk:8.2f}")
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=Path("/work/shared/data/pacs/images"))
    parser.add_argument("--only", default=",".join(RUNS))
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--rates", type=Path)
    given = parser.parse_args()
    asked = given.only.split(",")
    with one_thread(), tempfile.TemporaryDirectory() as cache:
        start = time.process_time(), time.perf_counter()
        if given.rates:
            rates = read_rates(given.rates)
        else:
            eyes = [(LITE, 224)] if "embed" in asked else []
            rates = measure_rates(eyes, pixels=(227, 227), cache=cache, fresh=True)
        print(
            f"{rates.machine}, {platform.python_version()}, load {os.getloadavg()[0]:.1f}; measuring took "
            f"{time.process_time() - start[0]:.0f} s of processor time, {time.perf_counter() - start[1]:.0f} s"
        )
        print(HEADER)
        for name in RUNS:
            if name in asked:
                with tempfile.TemporaryDirectory() as folder:
                    job, stage, measured = globals()[name](Path(folder), given.images, given.repeats)
                # A fit is one thread's work; a network runs on all cores.
                cluster = replace(ONE_CORE, cores=rates.cores) if name == "embed" else ONE_CORE
                print(line(name, plan(job, rates, cluster)[stage], rates.base_memory, measured), flush=True)


if __name__ == "__main__":
    main()
