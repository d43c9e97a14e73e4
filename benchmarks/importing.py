"""How long a large file of hard labels takes to import and summarise, and how much memory: in a process of its own.

    python benchmarks/importing.py [--samples 1000000] [--teachers 12] [--classes 10] [--format parquet|csv]

Writes the file first (names of classes, blank for a tenth to nine tenths of the samples, an id a row), then reads it.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def write(path, n_samples, n_teachers, n_classes):
    import pyarrow
    from pyarrow import csv, parquet

    rng = np.random.default_rng(0)
    names = np.array([f"class {c}" for c in range(n_classes)], dtype=object)
    truth = rng.integers(0, n_classes, n_samples)
    columns = {"id": [f"sample-{row:07d}" for row in range(n_samples)]}
    for t in range(n_teachers):
        said = np.where(rng.random(n_samples) < 0.7, truth, rng.integers(0, n_classes, n_samples))
        silent = rng.random(n_samples) < 0.1 + 0.8 * t / n_teachers
        columns[f"teacher {t}"] = pyarrow.array(np.where(silent, None, names[said]), pyarrow.string())
    table = pyarrow.table(columns)
    if path.suffix == ".csv":
        csv.write_csv(table, path)
    else:
        parquet.write_table(table, path)


def read(path):
    from cosup.io.labels import read_labels

    start = time.perf_counter()
    labels = read_labels(path)
    imported = time.perf_counter()
    text = str(labels.summary())
    done = time.perf_counter()
    print(text, file=sys.stderr)
    print(json.dumps({
        "import_s": round(imported - start, 2), "summary_s": round(done - imported, 2),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }))  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--teachers", type=int, default=12)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--format", choices=["parquet", "csv"], default="parquet")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        read(given.read)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"labels.{given.format}"
        write(path, given.samples, given.teachers, given.classes)
        print(f"{path.stat().st_size / 1e6:.0f} MB", file=sys.stderr)
        start = time.perf_counter()
        subprocess.run([sys.executable, __file__, "--read", str(path)], check=True)
        print(f"the whole process: {time.perf_counter() - start:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
