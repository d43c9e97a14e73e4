"""Co-supervision at the size of ImageNet's train set: ``python benchmarks/imagenet.py [N]``.

Writes float16 features (N, 384) to a temporary folder, makes 15 teachers' five most probable of 1000 classes
(levels of 1, 2, 4 and 8; below the first, each speaks about its own range), and fits ``csl-published`` for one epoch a
level in this process. Features are planted: class means in noise. Prints one line of JSON. Memory is that of the
process: `anonymous_mb`, the most it ever held itself; `resident_mb`, with the pages of the file that happen to be
mapped, which the system takes back when it needs them; `before_mb`, anonymous before the fit, with the annotations.
"""

from __future__ import annotations

import json
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


def memory() -> dict[str, float]:
    """MB of this process: anonymous and resident now, resident at most (Linux)."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(lines[name].split()[0]) / 1024 for name in ("RssAnon", "VmRSS", "VmHWM")}


class Watch:
    """The most anonymous memory while a block runs, looked up a hundred times a second."""

    def __enter__(self) -> Watch:
        self.peak_mb, self._done = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._done.wait(0.01):
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


def make_labels(y: Any) -> Any:
    """Five classes a teacher; the truth is among them, and first with an accuracy that rises level by level."""
    from cosup import TeacherLabels
    from cosup.teachers import TopK

    rng = np.random.default_rng(1)
    n, teachers = len(y), sum(LEVELS)
    classes = np.empty((n, teachers, K), dtype=np.uint16)
    probabilities = np.empty((n, teachers, K), dtype=np.float16)
    levels, specialties = [], []
    shares = np.array([0.5, 0.2, 0.1, 0.05, 0.05])
    for level, count in enumerate(LEVELS):
        for own in np.array_split(np.arange(C), count):
            m, size = len(levels), len(own)
            levels.append(level)
            specialties.append(None if count == 1 else own)
            # Five different classes of the range: a random start, and steps that do not meet.
            first = rng.integers(0, size, n)
            picked = own[(first[:, None] + np.arange(K) * (size // (K + 1))) % size]
            inside = (y >= own[0]) & (y <= own[-1])
            place = np.where(rng.random(n) < 0.5 + 0.08 * level, 0, 1)
            absent = inside & ~(picked == y[:, None]).any(axis=1)
            rows = np.flatnonzero(absent)
            picked[rows, place[rows]] = y[rows]
            classes[:, m], probabilities[:, m] = picked, shares
    return TeacherLabels(TopK(classes, probabilities, C), levels=levels, specialties=specialties, n_classes=C)


def measure(n: int) -> dict[str, Any]:
    """Fit once; seconds and memory."""
    from cosup import make_method

    with tempfile.TemporaryDirectory() as folder:
        X, y = make_features(n, Path(folder))
        labels = make_labels(y)
        before = memory()
        model = make_method("csl-published", epochs=1, learning_rate=1e-3, random_state=0)
        started = time.perf_counter()
        with Watch() as watch:
            model.fit(X, labels)
        seconds = time.perf_counter() - started
        after = memory()
        some = np.random.default_rng(2).integers(0, n, min(n, ROWS))
        right = float((model.predict(X[some]) == y[some]).mean())
        said = labels.annotations.classes[some, 0, 0]
        return {
            "size": {"n": n, "d": D, "c": C, "teachers": sum(LEVELS), "top": K, "epochs": 1},
            "seconds": seconds, "anonymous_mb": watch.peak_mb, "resident_mb": after["VmHWM"],
            "before_mb": before["RssAnon"], "accuracy": right, "generalist": float((said == y[some]).mean()),
            "features_mb": X.nbytes / 2**20,
        }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else N)))
