"""How long the served explorer takes to read, sum up and answer, and what memory it needs.

    python benchmarks/serving.py [--samples 1000000]

The account is made up; what counts is its size.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cosup.provenance import Account, account_files, read_account
from cosup.report.explorer import build_explorer, make_app

CLASSES, TEACHERS, LEVELS = 12, 12, 3
QUESTIONS = (
    "", "answer=3", "q=ticket-77", "teacher=1&relation=differs", "relation=differs&sort=low",
    "low=30&high=60&offset=100000",
)  # fmt: skip


def account_of(n: int, teachers: int = TEACHERS, classes: int = CLASSES) -> Account:
    """A made-up account of n samples, 12 teachers or more at 3 levels, 12 classes or more."""
    rng = np.random.default_rng(0)
    level = np.repeat([0, 1, 2], [1, 3, teachers - 4])
    said = rng.integers(-1, classes, (n, teachers), dtype=np.int32)
    assigned = np.stack([rng.choice(np.flatnonzero(level == k), n) for k in range(LEVELS)], axis=1).astype(np.int32)
    annotation = np.take_along_axis(said, assigned, axis=1)
    kept = (annotation >= 0) & (rng.random((n, LEVELS)) < 0.8)
    confidence = rng.beta(4, 2, n).astype(np.float32)
    rank = np.argsort(np.argsort(confidence, kind="stable"), kind="stable").astype(np.int32)
    answer = rng.integers(0, classes, n, dtype=np.int32)

    def share(*shape: int) -> np.ndarray:
        return rng.random(shape, dtype=np.float32)

    return Account(
        ids=tuple(f"ticket-{i:05}" for i in range(n)),
        class_names=tuple(f"class {c} <&>" for c in range(classes)),
        teachers=tuple(f"teacher '{t}'" for t in range(teachers)),
        teacher_levels=tuple(level.tolist()),
        specialties=(None, *(tuple(range(4 * t, 4 * t + 4)) for t in range(3)), *(None,) * (teachers - 4)),
        levels=(0, 1, 2),
        annotated=said, support=np.where(said >= 0, share(n, teachers), np.nan).astype(np.float32),
        assigned=assigned, annotation=annotation, kept=kept,
        reason=np.where(kept, 0, np.where(annotation < 0, 1, 2)).astype(np.uint8),
        reasons=("", "abstained", "overruled"), reason_texts=("", "nobody names a class", "others were assigned"),
        probability=np.where(annotation >= 0, share(n, LEVELS), np.nan).astype(np.float32),
        level_answer=np.repeat(answer[:, None], LEVELS, axis=1),
        answer=answer, second=(answer + 1) % classes, confidence=confidence, second_confidence=(1 - confidence) / 2,
        rank=rank, doubt=share(n), dispute=share(n), influence=share(n) * 2,
    )  # fmt: skip


@contextmanager
def timed(what: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    print(f"{what:42}{time.perf_counter() - started:8.2f} s", flush=True)


def main() -> None:
    from starlette.testclient import TestClient

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000_000)
    made = account_of(parser.parse_args().samples)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with timed("write"):
            for file, content in account_files(made).items():
                (folder / file).write_bytes(content)
        del made
        with timed("read"):
            account, _ = read_account(folder)
    with timed("sum up"):
        client = TestClient(make_app(account), base_url="http://127.0.0.1")
    for question in QUESTIONS:
        with timed(f"200 samples, {question or 'no question'}"):
            client.get(f"/api/samples?limit=200&{question}").raise_for_status()
    with timed("a file of those most worth a look"):
        build_explorer(account)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB")


if __name__ == "__main__":
    main()
