"""How fast students train, as ratios: ``python benchmarks/bench.py [--quick] [--threads N] [--only ROW ...]``.

Every row runs in a process of its own (so that its peak memory is its own); what it compares takes turns in that
process, and a ratio is that of neighbours in time. Prints a table and, as its last line, everything as JSON, which
also goes to ``benchmarks/results.json`` with the machine's name; rows that were not asked for stay there as they were.
The row ``growth`` is drawn, too (docs/figures/growth.svg).
The rows ``imagenet`` and ``study`` take many minutes and are measured only when named.
How to read it all: benchmarks/studies/speed.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # where this file is imported, too
import training  # noqa: E402
import waiting  # noqa: E402
from ratios import child, peak_mb  # noqa: E402

ROWS: dict[str, tuple[str, Callable[[bool], dict[str, Any]]]] = {
    "adam-one": ("Adam, one head, CPU", training.row_adam_one),
    "adam-16": ("Adam, 16 heads at once, CPU", training.row_adam_16),
    "ridge": ("ridge path with leave-one-out", training.row_ridge),
    "logistic": ("logistic, at scikit-learn's objective", training.row_logistic),
    "growth": ("co_supervise, growth in samples and teachers", training.row_growth),
    "imagenet": ("csl-published at ImageNet's size, features on disk", training.row_imagenet),
    "study": ("the demo's study before students were made fast, and now (CPU seconds)", training.row_study),
    "start-up": ("start-up (CPU seconds)", waiting.row_start_up),
    "texts": ("texts through MiniLM, against a sorted loop of transformers (CPU seconds)", waiting.row_texts),
    "images": ("JPEGs, against a torch loop with a DataLoader of two workers", waiting.row_images),
    "default": ("the default's fit, 100,000 x 384, 10 teachers (CPU seconds)", waiting.row_default),
    "adam-method": ("Adam through make_method, against a DataLoader loop (CPU seconds)", waiting.row_adam_method),
    "gpu": ("Adam on a GPU", training.row_gpu),
    "gpu-images": ("DINOv2 ViT-S's shape on a GPU", waiting.row_gpu_images),
}

OPT_IN = ("imagenet", "study")
"""Rows that take many minutes (imagenet 1 GB of disk, too; study git's history): measured only when asked for."""


def machine(threads: int) -> dict[str, Any]:
    """What a row's numbers were taken on."""
    import sklearn
    import torch

    cpuinfo = Path("/proc/cpuinfo")
    names = [line for line in cpuinfo.read_text().splitlines() if "model name" in line] if cpuinfo.exists() else []
    return {
        "cpu": names[0].split(":")[1].strip() if names else platform.processor(),
        "cores": os.cpu_count(), "threads": threads, "load_at_start": round(os.getloadavg()[0], 2),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__,
        "sklearn": sklearn.__version__,
    }  # fmt: skip


def show(name: str, result: dict[str, Any]) -> None:
    print(f"{ROWS[name][0]}  [{result['peak_mb']:.0f} MB peak]  {result.get('status', '')}")
    for what, r in result.get("ratios", {}).items():
        mark = "ok" if r["met"] else "MISSED"
        print(f"  {what:68s} {r['min']:8.2f} {r['median']:8.2f} {r['max']:8.2f}   {r['bar']:10s} {mark}", flush=True)


def _rows_before(path: Path) -> dict[str, Any]:
    """Rows measured earlier, which stay until they are measured again; each says on what machine."""
    if not path.exists():
        return {}
    found: dict[str, Any] = json.loads(path.read_text())["rows"]
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Run the rows and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run? The ratios mean nothing")
    parser.add_argument("--threads", type=int, default=1, help="of BLAS and OpenMP, in every row")
    parser.add_argument("--rows", "--only", nargs="+", choices=list(ROWS), default=[r for r in ROWS if r not in OPT_IN])
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    parser.add_argument("--row", choices=list(ROWS), help=argparse.SUPPRESS)
    parser.add_argument("--point", nargs=5, type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    warnings.simplefilter("ignore")  # scikit-learn's about convergence; the objective is compared instead
    if asked.point:
        print(json.dumps(training.point(*asked.point)))
        return
    if asked.row:
        result = ROWS[asked.row][1](asked.quick)
        # Growth measures in children of its own.
        peaks = [p["peak_mb"] for p in result.get("points", [])]
        result.setdefault("peak_mb", max([peak_mb(), *peaks]))
        print(json.dumps(result))
        return
    report: dict[str, Any] = {"rows": _rows_before(asked.out)}
    print(f"{'':70s} {'min':>8s} {'median':>8s} {'max':>8s}   bar")
    for name in asked.rows:
        flags = ["--row", name, *(["--quick"] if asked.quick else [])]
        taken = machine(asked.threads)
        report["rows"][name] = child(*flags, threads=asked.threads) | {"machine": taken, "quick": asked.quick}
        show(name, report["rows"][name])
    scratch = asked.out.with_suffix(".tmp")
    scratch.write_text(json.dumps(report, indent=1) + "\n")
    scratch.replace(asked.out)
    if "growth" in asked.rows and asked.out == HERE / "results.json":
        from curve import FIGURE, draw

        draw(report["rows"]["growth"], FIGURE)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
