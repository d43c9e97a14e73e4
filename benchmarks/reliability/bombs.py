"""Small files that would be large."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
from reliability.commands import command
from reliability.rows import Row
from reliability.world import World


def bombed(world: World, root: Path) -> Row:
    """A clear error, within a gigabyte more than the process has."""
    row = Row("bombs: packed zeros, nested JSON, wide and long parquet, under a limit of memory")

    def limited() -> None:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), resource.RLIM_INFINITY))

    np.savez_compressed(root / "zeros.npz", X=np.zeros((1 << 14, 1 << 13)))
    (root / "nested.jsonl").write_text('{"id": "a", "text": ' + "[" * 200_000 + "]" * 200_000 + "}\n")
    wide = pyarrow.table({f"f{i}": pyarrow.array([0.0]) for i in range(100_000)})
    pyarrow.parquet.write_table(wide, root / "wide.parquet")
    zeros = pyarrow.array(np.zeros(1 << 24))
    pyarrow.parquet.write_table(pyarrow.table({f"f{i}": zeros for i in range(16)}), root / "long.parquet")
    labels = ["--labels", world.root / "old.csv", "--out", root / "bomb"]
    for name, words in (
        ("zeros.npz", ["fit", "--features", root / "zeros.npz", *labels]),
        ("wide.parquet", ["fit", "--features", root / "wide.parquet", *labels]),
        ("long.parquet", ["fit", "--features", root / "long.parquet", *labels]),
        ("nested.jsonl", ["fit", "--text", root / "nested.jsonl", *labels]),
        (
            "nested labels",
            ["fit", "--features", world.root / "old.npz", "--labels", root / "nested.jsonl", "--out", root / "bomb"],
        ),
    ):
        code, said = command(words, limited)
        row.count(code == 2 and "Traceback" not in said, f"{name}: {code} {said[-300:]}")
    return row
