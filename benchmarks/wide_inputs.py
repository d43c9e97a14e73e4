"""Time and memory of wide tables, huge cells, and of one mistake beside many images: each in a process of its own.

python benchmarks/wide_inputs.py [NAME ...]
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

CASES: dict[str, tuple[str, Callable[[Path], str]]] = {}
"""Name -> what it is, and a function that writes the input into a folder and returns the code that reads it."""


def case(what: str) -> Callable[[Callable[[Path], str]], Callable[[Path], str]]:
    """Register a case."""

    def add(write: Callable[[Path], str]) -> Callable[[Path], str]:
        CASES[write.__name__] = (what, write)
        return write

    return add


def _wide_labels(folder: Path, width: int, rows: int) -> None:
    votes = np.random.default_rng(0).integers(3, size=(rows, width))
    with (folder / "a.csv").open("w") as file:
        file.write("id," + ",".join(f"t{t}" for t in range(width)) + "\n")
        file.writelines(f"s{i}," + ",".join(map("abc".__getitem__, row)) + "\n" for i, row in enumerate(votes.tolist()))


@case("labels of 16,000 columns by 200 rows")
def labels_16k(folder: Path) -> str:
    """Write it."""
    _wide_labels(folder, 16_000, 200)
    return "labels = cosup.read_labels('a.csv'); labels.summary()"


@case("features of 16,000 columns by 500 rows, CSV")
def features_16k(folder: Path) -> str:
    """Write it."""
    X = np.random.default_rng(0).normal(size=(500, 16_000)).round(4)
    head = "id," + ",".join(f"f{f}" for f in range(X.shape[1]))
    np.savetxt(
        folder / "a.csv", np.column_stack([np.arange(500), X]), fmt="%.4f", delimiter=",", header=head, comments=""
    )
    return "print(cosup.read_features('a.csv').X.shape)"


@case("labels of 1,000,000 columns")
def labels_1m(folder: Path) -> str:
    """Write it."""
    _wide_labels(folder, 1_000_000, 3)
    return "cosup.read_labels('a.csv')"


@case("features of 1,000,000 columns, CSV")
def features_1m(folder: Path) -> str:
    """Write it."""
    with (folder / "a.csv").open("w") as file:
        file.write(",".join(f"f{f}" for f in range(1_000_000)) + "\n")
        file.writelines(",".join(["0.125"] * 1_000_000) + "\n" for _ in range(3))
    return "cosup.read_features('a.csv')"


@case("a cell of 50 MB in labels")
def cell_labels(folder: Path) -> str:
    """Write it."""
    (folder / "a.csv").write_text("id,rule\na,cat\nb," + "x" * 50_000_000 + "\nc,cat\n")
    return "cosup.read_labels('a.csv', class_names=['cat', 'dog'])"


@case("a text of 50 MB")
def cell_text(folder: Path) -> str:
    """Write it."""
    (folder / "a.csv").write_text('id,text\na,cat\nb,"' + "x, " * 16_666_666 + '"\n')
    return "print(len(cosup.read_texts('a.csv')['b']))"


@case("a label of 50 MB in JSON lines")
def cell_json(folder: Path) -> str:
    """Write it."""
    (folder / "a.jsonl").write_text('{"id": 1, "label": "' + "x" * 50_000_000 + '"}\n{"id": 2, "label": "cat"}\n')
    return "cosup.read_labels('a.jsonl', class_names=['cat', 'dog'])"


@case("a parquet of 100,000 columns")
def parquet_100k(folder: Path) -> str:
    """Write it."""
    import pyarrow
    import pyarrow.parquet

    columns = {f"f{f}": np.zeros(2, dtype=np.float32) for f in range(100_000)}
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "a.parquet")
    return "cosup.read_features('a.parquet')"


@case("one mistake in labels beside 100,000 images (names only), cosup fit")
def images_100k(folder: Path) -> str:
    """Write it."""
    photos = folder / "photos"
    for part in range(100):
        (photos / str(part)).mkdir(parents=True)
    names = [f"{i % 100}/{i:06}.jpg" for i in range(100_000)]
    for name in names:
        (photos / name).touch()
    votes = np.random.default_rng(0).integers(10, size=(100_000, 3)).tolist()
    rows = [f"{name},{a},{b},{c}\n" for name, (a, b, c) in zip(names, votes, strict=True)]
    rows[77_777] = rows[77_777].replace(".jpg", ".jgp")
    (folder / "labels.csv").write_text("id,r,s,t\n" + "".join(rows))
    return (
        "import sys; from cosup.cli import main; "
        "main(['fit', '--images', 'photos', '--labels', 'labels.csv', '--out', 'model'])"
    )


def measure(name: str) -> None:
    """Write an input, read it in a process of its own, and print seconds, those of the processor, and memory."""
    what, write = CASES[name]
    with tempfile.TemporaryDirectory() as place:
        code = write(Path(place))
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", f"import cosup\n{code}"], cwd=place, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - start
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        work = used.ru_utime + used.ru_stime
        peak = used.ru_maxrss / 1e6
        said = (done.stderr.strip().splitlines() or done.stdout.strip().splitlines() or ["read"])[-1]
        left = "; something was written" if (Path(place) / "model").exists() else ""
        print(f"| {what} | {seconds:.1f} s | {work:.1f} s | {peak:.2f} GB | {said[:150]}{left} |", flush=True)


if __name__ == "__main__":
    chosen = sys.argv[1:] or list(CASES)
    for name in chosen:
        if len(chosen) == 1:
            measure(name)
        else:  # the peak of children is the largest of all: one a process
            subprocess.run([sys.executable, __file__, name], check=True)
