"""Measure this machine's rates, and keep them: a second plan needs no measurement."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy

from cosup.benchmark.job import one_thread
from cosup.embedding.feature_cache import default_cache_folder
from cosup.estimators.saving import version
from cosup.planning.engine_rates import measure_engine
from cosup.planning.image_rates import PHOTO, measure_disk, measure_embedding
from cosup.planning.known_backbones import backbone_for_plan
from cosup.planning.rates import Point, Rates, machine_name, read_rates
from cosup.planning.student_rates import measure_students
from cosup.utils.available_memory import CGROUPS
from cosup.utils.validation import CosupError

__all__ = ["measure_rates"]

KERNELS = 2
"""Part of the name that rates are kept under: raise it when kernels come or go, or count otherwise."""


def measure_rates(
    backbones: Sequence[tuple[str, int | None]] = (),
    *,
    pixels: tuple[int, int] = PHOTO,
    cache: str | Path | None = None,
    fresh: bool = False,
) -> Rates:
    """Measure the rates of this machine: once for every set of versions, then they are read from a file.

    Takes some seconds, on one thread; every backbone a few more. Rates are seconds of processor time, so that other
    programs disturb them little; the least of three timings counts.

    Parameters
    ----------
    backbones : sequence of (str, int or None)
        ``source:name`` of backbones, each with the side of its input; None is its own.
    pixels : (width, height)
        Size of the synthetic JPEGs that they are measured on.
    cache : path, optional
        Folder of the file. Default: that of `cosup.tasks.default_cache_folder`.
    fresh : bool
        Measure anew whatever there is.

    Returns
    -------
    Rates
        Seconds of this machine for each kind of work.

    Raises
    ------
    CosupError
        If a backbone can't be made: its near matches are named.
    """
    made = [(spec, backbone_for_plan(spec, size)) for spec, size in backbones]  # before seconds of work, not after them
    folder = default_cache_folder() if cache is None else Path(cache)
    versions = _versions()
    machine = machine_name()
    key = hashlib.sha256(json.dumps([machine, versions, KERNELS], sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f"rates-{key}.json"
    rates = None if fresh or not path.is_file() else _kept(path)
    before = rates
    with one_thread():
        if rates is None:
            rates = _kernels(machine, versions)
        for (spec, size), (_, backbone) in zip(backbones, made, strict=True):
            if rates.embedding(spec, size or getattr(backbone, "image_size", None), pixels) is None:
                rates = replace(rates, embeddings=(*rates.embeddings, measure_embedding(spec, size, pixels)))
    if rates is not before:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CosupError(
                f"the rates can't be kept in {folder}: {error.strerror}; set COSUP_CACHE to a folder"
            ) from error
        rates.save(path)
    return rates


def _kept(path: Path) -> Rates | None:
    """Read the cache; None where it is damaged, since it can be measured again."""
    try:
        return read_rates(path)
    except CosupError:
        return None


def _kernels(machine: str, versions: dict[str, str]) -> Rates:
    kernels: dict[str, list[Point]] = {}
    base = _resident()
    with tempfile.TemporaryDirectory(prefix="cosup-plan-") as folder:
        for measured in (measure_students(), measure_engine(), measure_disk(Path(folder))):
            for name, point in measured:
                kernels.setdefault(name, []).append(point)
    return Rates(
        machine=machine,
        cores=os.cpu_count() or 1,
        memory=_memory(),
        versions=versions,
        kernels={name: tuple(points) for name, points in kernels.items()},
        base_memory=base,
    )


def _versions() -> dict[str, str]:
    found = {
        "cosup": version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "torch": importlib.metadata.version("torch"),
    }
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # an extra
        found["pillow"] = importlib.metadata.version("pillow")
    return found


def _memory() -> int:
    """Count the bytes that the machine, or its container, has in all; 0 where the system doesn't say."""
    names = getattr(os, "sysconf_names", {})
    if not {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= set(names):
        return 0
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    limits = [limit.read_text(encoding="ascii").strip() for limit, _ in CGROUPS if limit.is_file()]
    return min(found + [int(limit) for limit in limits if limit.isdecimal()])


def _resident() -> int:
    """Count the bytes that this process holds; 0 where the system doesn't say."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0
    lines = status.read_text(encoding="ascii", errors="replace").splitlines()
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)
