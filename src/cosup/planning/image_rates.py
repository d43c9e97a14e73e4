"""Rates of images and of the disk: synthetic JPEGs are read, prepared and embedded; a file is written and read back."""

from __future__ import annotations

import csv
import io
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from cosup.benchmark.memory import watch_memory
from cosup.embedding import read_image
from cosup.embedding.backbones.cpu import STEADY, in_parts
from cosup.embedding.feature_store import FileEntry, hash_file
from cosup.planning.known_backbones import backbone_for_plan
from cosup.planning.rates import Embedding, Point
from cosup.planning.stopwatch import core_seconds
from cosup.planning.student_rates import Measured
from cosup.utils.optional_imports import import_extra

__all__ = ["PHOTO", "measure_disk", "measure_embedding"]

PHOTO = (500, 375)
"""Width and height of most of ImageNet's photos."""

IMAGES, USUAL_BATCH = 32, 100
"""Images that are read and prepared, and how many `cosup embed` takes at a time."""

DISK_BYTES = FRESH_BYTES = 1 << 27
TEXT_ROWS = 10_000


def photo(width: int, height: int, seed: int) -> np.ndarray[Any, Any]:
    """Make a picture of blots with grain: JPEG packs it into about half a byte a pixel, as it does photos."""
    pillow = import_extra("PIL.Image", extra="images", purpose="synthetic photos")
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells, weight in ((4, 90.0), (16, 40.0), (64, 25.0)):
        coarse = rng.integers(0, 256, (max(2, height * cells // width), cells, 3), dtype=np.uint8)
        blots = pillow.fromarray(coarse).resize((width, height), 3)
        total += weight * (np.asarray(blots, dtype=np.float64) / 127.5 - 1)
    total += 128 + rng.normal(scale=9.0, size=(height, width, 1))
    return np.clip(total, 0, 255).astype(np.uint8)


def measure_embedding(spec: str, image_size: int | None, pixels: tuple[int, int]) -> Embedding:
    """Measure what an image costs a backbone.

    Parameters
    ----------
    spec : str
        ``source:name``, see `cosup.tasks.make_backbone`.
    image_size : int, optional
        Side of the network's input. Default: the backbone's own.
    pixels : (width, height)
        Size of the synthetic JPEGs.

    Raises
    ------
    CosupError
        If the backbone can't be made.
    """
    backbone = backbone_for_plan(spec, image_size)
    width, height = pixels
    pillow = import_extra("PIL.Image", extra="images", purpose="synthetic photos")
    with tempfile.TemporaryDirectory(prefix="cosup-plan-") as name:
        folder = Path(name)
        files = []
        for i in range(IMAGES):
            files.append(folder / f"{i:03}.jpg")
            pillow.fromarray(photo(width, height, i)).save(files[-1], quality=90)
        sizes = [file.stat().st_size for file in files]
        images = [read_image(file) for file in files]
        prepared = [backbone.prepare(image) for image in images]
        import torch

        # Parts of a usual batch that are computed side by side: cores that share one wait for each other.
        parts = in_parts(torch.empty(USUAL_BATCH, *prepared[0].shape, device="meta"))
        at_once = min(joblib.cpu_count(), len(parts))
        batch = torch.stack([prepared[i % IMAGES] for i in range(at_once * STEADY)])
        with watch_memory() as peak:
            backbone.forward(batch)  # weights are loaded, kernels are chosen, and no memory is kept from before
        decode = core_seconds(lambda: [read_image(file) for file in files]) / IMAGES
        prepare = core_seconds(lambda: [backbone.prepare(image) for image in images]) / IMAGES
        forward = core_seconds(lambda: backbone.forward(batch)) / len(batch)
        rows = backbone.forward(torch.stack(prepared))

        def kept() -> object:
            entries = [FileEntry(file.name, size, 0, hash_file(file)) for file, size in zip(files, sizes, strict=True)]
            torch.stack(prepared)
            return [entry.line() for entry in entries], rows.astype(np.float16).tobytes()

        keep = core_seconds(kept) / IMAGES
    # Held are the pixels of three batches (one is read, one is made), and the layers' outputs for the parts of one.
    layers = (peak.added_mb or 0.0) * 1e6 * max(map(len, parts)) / STEADY
    memory = 4 * int(batch[0].numel()) * 3 * USUAL_BATCH + round(layers)
    return Embedding(
        spec, int(batch.shape[2]), width, height, round(sum(sizes) / IMAGES), int(backbone.n_features),
        decode, prepare, forward, keep, memory,
    )  # fmt: skip


def measure_disk(folder: Path) -> Measured:
    """Measure seconds a byte of writing (until it is on the disk) and reading (not from memory), wall time."""
    block = np.random.default_rng(0).integers(0, 256, 1 << 22, dtype=np.uint8).tobytes()
    with tempfile.TemporaryFile(dir=folder) as file:
        start = time.perf_counter()
        for _ in range(DISK_BYTES // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        written = time.perf_counter() - start
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.seek(0)
        start = time.perf_counter()
        while file.read(len(block)):
            pass
        read = time.perf_counter() - start
    yield "disk write", Point(1, 1, written / DISK_BYTES)
    yield "disk read", Point(1, 1, read / DISK_BYTES)
    table = np.random.default_rng(0).random((1 << 15, 8)).astype(np.float32)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(table.tobytes())
        file.flush()

        def spilled() -> object:
            file.seek(0)
            return np.frombuffer(file.read(), dtype=np.float32).astype(np.float64)

        # A value that lies in a temporary file because memory would not hold it.
        yield "spilled", Point(1, 1, core_seconds(spilled) / table.size)

    def touched() -> None:
        np.empty(FRESH_BYTES // 8).fill(1.0)

    # A byte of memory that the system has to provide first.
    yield "fresh memory", Point(1, 1, core_seconds(touched) / FRESH_BYTES)
    answers = np.full((TEXT_ROWS, 2), 0.5, dtype=np.float32)
    best = answers.argmax(axis=1)

    def text() -> bytes:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        for row, place in enumerate(best):
            writer.writerow((row, "class name", f"{answers[row, place]:.4f}"))
        return out.getvalue().encode("utf-8")

    # A row of predictions as text.
    yield "row of text", Point(1, 1, core_seconds(text) / TEXT_ROWS)
