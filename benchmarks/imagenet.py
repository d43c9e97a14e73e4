"""Co-supervision at the size of ImageNet's train set: ``python benchmarks/imagenet.py [N ...]``.

    python benchmarks/imagenet.py                                             csl-published, one array
    python benchmarks/imagenet.py --shards --method csl                       shards, through fsspec
    python benchmarks/imagenet.py --shards --method co-supervised 10000 40000 160000 1281167

Writes float16 features (N, 384) to a temporary folder, makes 15 teachers' five most probable of 1000 classes
(levels of 1, 2, 4 and 8; below the first, each speaks about its own range), and fits ``csl-published`` for one epoch a
level, or another method as it comes, in a process of its own. With ``--shards``, features (.npy) and annotations (.npz)
lie in shards of 50,000 samples, which are written one at a time, never held together, and read as ``file://`` URLs.
Features are planted: class means in noise. Prints one line of JSON a size and, of several, the exponent of N in CPU
seconds. Run it on one thread (OMP_NUM_THREADS=1), TMPDIR on a disk with 16 GB left where the method pools.
Memory is that of the process: `anonymous_mb`, the most it ever held itself; `resident_mb`, with the pages of the file
that happen to be mapped, which the system takes back when it needs them; `before_mb`, anonymous before the fit, with
the annotations.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

N, D, C, K = 1_281_167, 384, 1000, 5
LEVELS = (1, 2, 4, 8)
ROWS = 20_000
SHARD = 50_000


def memory() -> dict[str, float]:
    """MB of this process: anonymous and resident now, resident at most (Linux)."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(lines[name].split()[0]) / 1024 for name in ("RssAnon", "VmRSS", "VmHWM")}


class Watch:
    """The most anonymous memory while a block runs, looked up ten times a second: its time counts as the block's."""

    def __enter__(self) -> Watch:
        self.peak_mb, self._done = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._done.wait(0.1):
            self.peak_mb = max(self.peak_mb, memory()["RssAnon"])

    def __exit__(self, *_: Any) -> None:
        self._done.set()
        self._thread.join()


def make_features(n: int, folder: Path) -> tuple[Any, Any]:
    """Features on disk, read-only, and true classes."""
    rng = np.random.default_rng(0)
    means = 0.3 * rng.standard_normal((C, D), dtype=np.float32)
    y = rng.integers(0, C, n)
    X = np.memmap(folder / "X", dtype=np.float16, mode="w+", shape=(n, D))
    for start in range(0, n, ROWS):
        part = y[start : start + ROWS]
        X[start : start + ROWS] = means[part] + rng.standard_normal((len(part), D), dtype=np.float32)
    X.flush()
    return np.memmap(folder / "X", dtype=np.float16, mode="r", shape=(n, D)), y


def teachers() -> tuple[list[int], list[Any]]:
    """Level and range of classes of every teacher."""
    own = [(level, part) for level, count in enumerate(LEVELS) for part in np.array_split(np.arange(C), count)]
    return [level for level, _ in own], [part for _, part in own]


def annotate(y: Any, seed: Any) -> tuple[Any, Any]:
    """Five classes a teacher; the truth is among them, and first with an accuracy that rises level by level."""
    rng = np.random.default_rng(seed)
    levels, ranges = teachers()
    n = len(y)
    classes = np.empty((n, len(levels), K), dtype=np.uint16)
    probabilities = np.empty((n, len(levels), K), dtype=np.float16)
    shares = np.array([0.5, 0.2, 0.1, 0.05, 0.05])
    for m, (level, own) in enumerate(zip(levels, ranges, strict=True)):
        size = len(own)
        # Five different classes of the range: a random start, and steps that do not meet.
        first = rng.integers(0, size, n)
        picked = own[(first[:, None] + np.arange(K) * (size // (K + 1))) % size]
        inside = (y >= own[0]) & (y <= own[-1])
        place = np.where(rng.random(n) < 0.5 + 0.08 * level, 0, 1)
        absent = inside & ~(picked == y[:, None]).any(axis=1)
        rows = np.flatnonzero(absent)
        picked[rows, place[rows]] = y[rows]
        classes[:, m], probabilities[:, m] = picked, shares
    return classes, probabilities


def make_labels(y: Any) -> Any:
    """All annotations at once."""
    from cosup import TeacherLabels
    from cosup.labels import TopK

    levels, ranges = teachers()
    specialties = [None if len(own) == C else own for own in ranges]
    return TeacherLabels(TopK(*annotate(y, 1), C), levels=levels, specialties=specialties, n_classes=C)


def write_shards(X: Any, y: Any, folder: Path) -> None:
    """Features and annotations in shards."""
    levels, ranges = teachers()
    covers = np.array([np.isin(np.arange(C), own) for own in ranges])
    for name in ("features", "labels"):
        (folder / name).mkdir()
    for at, start in enumerate(range(0, len(y), SHARD)):
        rows = slice(start, start + SHARD)
        np.save(folder / "features" / f"part-{at}.npy", X[rows])
        classes, probabilities = annotate(y[rows], (1, at))
        np.savez(
            folder / "labels" / f"part-{at}.npz", classes=classes, probabilities=probabilities, n_classes=C,
            levels=np.array(levels), specialties=covers,
        )  # fmt: skip


def measure(n: int, method: str = "csl-published", *, shards: bool = False) -> dict[str, Any]:
    """Fit once; seconds and memory."""
    from cosup import make_method, read_labels
    from cosup.io.features import check_shards, read_features

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        X, y = make_features(n, folder)
        started = time.process_time()
        if shards:
            write_shards(X, y, folder)
            del X
            (folder / "X").unlink()
            started = time.process_time()
            features = read_features(f"file://{folder}/features")
            X, labels = features.X, read_labels(f"file://{folder}/labels")
            check_shards(features, labels)
        else:
            labels = make_labels(y)
        reading = time.process_time() - started
        before = memory()
        options = {"epochs": 1, "learning_rate": 1e-3} if method == "csl-published" else {}
        model = make_method(method, random_state=0, **options)
        started, cpu = time.perf_counter(), time.process_time()
        with Watch() as watch:
            model.fit(X, labels)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        after = memory()
        some = np.random.default_rng(2).integers(0, n, min(n, ROWS))
        right = float((model.predict(X[some]).astype(int) == y[some]).mean())
        said = labels.annotations.classes[some, 0, 0]
        return {
            "size": {"n": n, "d": D, "c": C, "teachers": sum(LEVELS), "top": K},
            "method": method, "options": options, "shards": -(-n // SHARD) if shards else 0,
            "seconds": seconds, "cpu_seconds": cpu, "cpu_seconds_per_million": cpu / n * 1e6,
            "reading_cpu_seconds": reading, "anonymous_mb": watch.peak_mb, "resident_mb": after["VmHWM"],
            "before_mb": before["RssAnon"], "accuracy": right, "generalist": float((said == y[some]).mean()),
            "features_mb": X.nbytes / 2**20,
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", type=int, nargs="*", default=[N])
    parser.add_argument("--method", default="csl-published", help="co-supervised is the default method of cosup")
    parser.add_argument("--shards", action="store_true")
    given = parser.parse_args()
    if len(given.sizes) == 1:
        print(json.dumps(measure(given.sizes[0], given.method, shards=given.shards)))
        return
    found = []
    for n in given.sizes:  # each in a process of its own: its memory is its own
        command = [sys.executable, __file__, str(n), "--method", given.method, *(["--shards"] if given.shards else [])]
        line = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        print(line, end="", flush=True)
        found.append(json.loads(line)["cpu_seconds"])
    print(json.dumps({"exponent": float(np.polyfit(np.log(given.sizes), np.log(found), 1)[0])}))


if __name__ == "__main__":
    main()
