"""Measured rates: seconds of one core for an operation of each kernel, at a few sizes, as a JSON file."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cosup.utils.atomic_files import write_whole
from cosup.utils.validation import CosupError

__all__ = ["Embedding", "Point", "Rates", "machine_name", "read_rates"]

SCHEMA = 1


@dataclass(frozen=True)
class Point:
    """One measurement.

    Attributes
    ----------
    x, y : int
        The sizes that the rate may depend on: features and classes, or teachers and classes.
    seconds : float
        Seconds of one core for an operation.
    """

    x: int
    y: int
    seconds: float


@dataclass(frozen=True)
class Embedding:
    """Cost of one image to a backbone.

    Attributes
    ----------
    backbone : str
        ``source:name``.
    image_size : int
        Side of the network's input, in pixels.
    width, height, file_bytes : int
        Size of the JPEGs that it was measured on.
    n_features : int
    decode, prepare, forward, keep : float
        Seconds of one core an image: reading the file, resizing it, the network, and hashing and writing down.
    memory : int
        Bytes that embedding took at its peak, beside the libraries; for a batch of 100.
    """

    backbone: str
    image_size: int
    width: int
    height: int
    file_bytes: int
    n_features: int
    decode: float
    prepare: float
    forward: float
    keep: float
    memory: int

    @property
    def seconds(self) -> float:
        """Seconds of one core for an image."""
        return self.decode + self.prepare + self.forward + self.keep


@dataclass(frozen=True)
class Rates:
    """Rates of one machine; made by `measure_rates`, kept as JSON.

    Attributes
    ----------
    machine : str
        The machine that was measured.
    cores : int
    memory : int
        Bytes that the machine (or its container) has.
    versions : dict of str to str
        Versions of the libraries that were measured.
    kernels : dict of str to tuple of Point
    embeddings : tuple of Embedding
    base_memory : int
        Bytes of a process that has imported everything.
    """

    machine: str
    cores: int
    memory: int
    versions: dict[str, str]
    kernels: dict[str, tuple[Point, ...]]
    embeddings: tuple[Embedding, ...] = ()
    base_memory: int = 0
    _tables: dict[str, tuple[Any, Any, Any]] = field(default_factory=dict, repr=False, compare=False)

    def of(self, kernel: str, x: float = 1, y: float = 1) -> float:
        """Return the seconds of one operation at a size.

        Between measured sizes the logarithm of the rate is linear in those of the sizes; beyond them it stays.

        Raises
        ------
        CosupError
            If the kernel was not measured.
        """
        if kernel not in self._tables:
            if kernel not in self.kernels:
                raise CosupError(
                    f"these rates lack {kernel!r}, as of another cosup; measure them anew: cosup plan --measure FILE"
                )
            points = self.kernels[kernel]
            xs, ys = sorted({p.x for p in points}), sorted({p.y for p in points})
            at = {(p.x, p.y): np.log(p.seconds) for p in points}
            if len(at) != len(xs) * len(ys):
                raise CosupError(
                    f"the rates of {kernel!r} are no full grid; measure them anew with cosup plan --measure"
                )
            self._tables[kernel] = np.log(xs), np.log(ys), np.array([[at[a, b] for b in ys] for a in xs])
        xs, ys, table = self._tables[kernel]
        row = [np.interp(np.log(x), xs, column) for column in table.T]
        return float(np.exp(np.interp(np.log(y), ys, row)))

    def embedding(self, backbone: str, image_size: int | None, pixels: tuple[int, int]) -> Embedding | None:
        """Find the measurement of a backbone at a size, or None."""
        for found in self.embeddings:
            same = found.backbone == backbone and (found.width, found.height) == pixels
            if same and image_size in (None, found.image_size):
                return found
        return None

    def to_json(self) -> dict[str, Any]:
        """Return names and values that JSON knows."""
        kernels = {name: [[p.x, p.y, p.seconds] for p in points] for name, points in self.kernels.items()}
        return {
            "kind": "cosup rates", "schema": SCHEMA, "machine": self.machine, "cores": self.cores,
            "memory": self.memory, "versions": self.versions, "base_memory": self.base_memory, "kernels": kernels,
            "embeddings": [asdict(e) for e in self.embeddings],
        }  # fmt: skip

    def save(self, path: str | Path) -> None:
        """Write them as JSON, whole or not at all."""
        write_whole(Path(path), json.dumps(self.to_json(), indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_rates(path: str | Path) -> Rates:
    """Read what `Rates.save` wrote.

    Parameters
    ----------
    path : path

    Returns
    -------
    Rates
        Rates as they were measured and written.

    Raises
    ------
    CosupError
        If the file is missing, or no such file.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CosupError(
            f"there are no rates in {path} ({error.strerror}); cosup plan --measure {path} writes them"
        ) from error
    except ValueError as error:
        raise CosupError(f"{path} is no JSON ({error}); cosup plan --measure {path} writes it anew") from error
    return _parsed(content, path)


def _parsed(content: Any, path: Path) -> Rates:
    if not isinstance(content, dict) or content.get("kind") != "cosup rates":
        raise CosupError(f"{path} holds no rates; cosup plan --measure FILE writes such a file")
    if content.get("schema") != SCHEMA:
        raise CosupError(
            f"{path} has schema {content.get('schema')!r}, this cosup reads {SCHEMA}; measure the rates anew"
        )
    try:
        return Rates(
            machine=str(content["machine"]),
            cores=int(content["cores"]),
            memory=int(content["memory"]),
            versions=dict(content["versions"]),
            kernels={name: _points(name, points) for name, points in content["kernels"].items()},
            embeddings=tuple(Embedding(**e) for e in content["embeddings"]),
            base_memory=int(content["base_memory"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CosupError(f"{path} is damaged ({error!r}); measure the rates anew with cosup plan --measure") from error


def _points(name: str, points: Iterable[tuple[int, int, float]]) -> tuple[Point, ...]:
    found = tuple(Point(int(x), int(y), float(seconds)) for x, y, seconds in points)
    if not found or any(not (np.isfinite(p.seconds) and p.seconds > 0 and min(p.x, p.y) >= 1) for p in found):
        raise ValueError(f"rates of {name!r} must be above 0")
    return found


def machine_name() -> str:
    """Name processor, cores and system, to which rates belong."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    return f"{platform.node()}: {model}, {os.cpu_count()} cores, {platform.system()}"
