"""Describe the job that is planned and its machines: checked before anything is calculated."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from cosup.methods import DEFAULT, list_methods
from cosup.utils.validation import CosupError, IntArray, check_choice, check_positive, suggest

__all__ = ["MODELLED", "Cluster", "Job", "Shape", "read_cluster", "sizes_of"]

MODELLED = (DEFAULT, "csl", "csl-published", "vanilla")
"""Methods whose operations are counted; every other one is timed by ``cosup bench --dry-run``."""

ID_BYTES = 4
"""Bytes of a class id."""

DTYPES = ("float16", "float32", "float64")


@dataclass(frozen=True)
class Shape:
    """The sizes that memory forecasts ask of annotations, without any.

    Attributes
    ----------
    n_samples, n_classes : int
    sizes : tuple of int
        Teachers a level.
    is_soft : bool
        Whether annotations are probabilities.
    """

    n_samples: int
    n_classes: int
    sizes: tuple[int, ...]
    is_soft: bool = False

    @property
    def n_teachers(self) -> int:
        """Number of teachers of all levels."""
        return sum(self.sizes)

    @property
    def n_levels(self) -> int:
        """Number of levels."""
        return len(self.sizes)

    @cached_property
    def levels(self) -> IntArray:
        """The level of every teacher."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def at_level(self, level: int) -> IntArray:
        """Return the columns of a level's teachers."""
        return np.flatnonzero(self.levels == level)

    def __len__(self) -> int:
        """Return the number of samples."""
        return self.n_samples


@dataclass(frozen=True)
class Cluster:
    """Machines, all alike.

    Parameters
    ----------
    machines : int
    cores : int
        Cores of one machine.
    memory_gb : float
        Memory of one machine.
    price : float
        Price of one machine for an hour, in any currency.
    speed : float
        Speed of a core, relative to one of the machine that was measured.
    network_gb : float
        Gigabytes a second between any two machines.
    latency : float
        Seconds until all machines know a sum.
    disk_price : float
        Price of a terabyte for a month.
    name : str
    """

    machines: int = 1
    cores: int = 1
    memory_gb: float = 16.0
    price: float = 0.0
    speed: float = 1.0
    network_gb: float = 1.25
    latency: float = 1e-3
    disk_price: float = 0.0
    name: str = "cluster"

    def __post_init__(self) -> None:
        for what in ("machines", "cores"):
            check_positive(getattr(self, what), f"{what} of the cluster", integer=True)
        for what in ("memory_gb", "speed", "network_gb"):
            check_positive(getattr(self, what), f"{what} of the cluster")
        for what in ("price", "disk_price", "latency"):
            check_positive(getattr(self, what), f"{what} of the cluster", allow_zero=True)

    @property
    def all_cores(self) -> int:
        """Cores of all machines."""
        return self.machines * self.cores


def read_cluster(path: str | Path) -> Cluster:
    """Read a cluster from JSON or TOML: the names of `Cluster`'s parameters with their values.

    Raises
    ------
    CosupError
        For a file that is missing or neither, a name that `Cluster` does not have, or a value that makes no sense.
    """
    path = Path(path)
    kind = check_choice(path.suffix.lower(), (".json", ".toml"), f"kind of cluster file {path}:")
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if kind == ".json" else tomllib.loads(text)
    except OSError as error:
        raise CosupError(f"the cluster file {path} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise CosupError(f"the cluster file {path} is no {kind[1:].upper()}: {error}") from error
    if not isinstance(content, dict):
        raise CosupError(f"the cluster file {path} must hold names with values, such as machines = 8")
    known = [f.name for f in fields(Cluster)]
    for name in content:
        if name not in known:
            raise CosupError(f"{path}: a cluster has no {name!r}.{suggest(name, known)}")
    return Cluster(**{"name": path.stem, **content})


@dataclass(frozen=True)
class Job:
    """The work to be planned. Stages without numbers are left out.

    Parameters
    ----------
    images : int, optional
        To be embedded, taught and fitted on.
    samples, features : int, optional
        Numbers of samples and features that exist, in place of images and a backbone.
    backbone, weak : str, optional
        The student's and the teachers' backbone; ``weak`` None: teachers look at the student's features.
    image_size : int, optional
        Side of the network's input.
    pixels : (width, height)
        Size of the image files.
    classes : int
    levels : sequence of int
        Teachers a level, as in 1, 4, 16.
    known : bool
        Whether every specialist's classes are known.
    methods : sequence of str
    seeds : int
        With more than one run, a sweep as of ``cosup bench``: its runs share features, and each seed has a ceiling.
    predictions : int
        Samples to predict afterwards.
    dtype : {"float16", "float32", "float64"}
        The features' type.
    top_k : int, optional
        Classes with probabilities that every annotation lists. Default: annotations are class ids.
    sharded : bool
        Plan the design of benchmarks/studies/internet-scale.md, over machines, instead of what cosup does.
    """

    images: int | None = None
    samples: int | None = None
    features: int | None = None
    backbone: str | None = None
    weak: str | None = None
    image_size: int | None = None
    pixels: tuple[int, int] = (500, 375)
    classes: int = 10
    levels: Sequence[int] = (1, 4)
    known: bool = True
    methods: Sequence[str] = (DEFAULT,)
    seeds: int = 1
    predictions: int = 0
    dtype: str = "float16"
    top_k: int | None = None
    sharded: bool = False

    def __post_init__(self) -> None:
        for what in ("images", "samples", "features", "image_size"):
            if getattr(self, what) is not None:
                check_positive(
                    getattr(self, what), f"the number of {what}" if what != "image_size" else what, integer=True
                )
        check_positive(self.classes, "the number of classes", integer=True)
        if self.top_k is not None:
            check_positive(self.top_k, "the number of classes of an annotation", integer=True)
            if self.top_k > self.classes:
                raise CosupError(f"annotations can't list {self.top_k} of {self.classes} classes")
        check_positive(self.seeds, "the number of seeds", integer=True)
        check_positive(self.predictions, "the number of predictions", integer=True, allow_zero=True)
        check_choice(self.dtype, DTYPES, "dtype")
        if (self.images is None) == (self.samples is None):
            raise CosupError("say how much there is: --images N with --backbone, or --samples N with --features D")
        if self.images is not None and self.backbone is None:
            raise CosupError(
                f"{self.images:,} images need a backbone that turns them into features: --backbone SOURCE:NAME"
            )
        if self.samples is not None and self.features is None:
            raise CosupError(f"{self.samples:,} samples need a number of features: --features D")
        if self.classes < 2:
            raise CosupError(f"there must be at least 2 classes, got {self.classes}")
        if self.n < 2:
            raise CosupError(f"a student needs at least 2 samples, got {self.n}")
        if not self.levels:
            raise CosupError("there is no level; say how many teachers each has, as in 1,4,16")
        for size in self.levels:
            check_positive(size, "the number of teachers of a level", integer=True)
        if min(self.pixels) < 1:
            raise CosupError(f"image files of {self.pixels[0]}x{self.pixels[1]} pixels do not exist")
        if not self.methods:
            raise CosupError("there is no method to plan")
        for method in self.methods:
            check_choice(method, list_methods(), "method")
            if method not in MODELLED:
                raise CosupError(
                    f"the operations of {method!r} are not counted, those of {', '.join(MODELLED)} are; "
                    f"cosup bench --methods {method} --dry-run says how long it takes on a task"
                )

    @property
    def n(self) -> int:
        """Images or samples."""
        return int(self.images or self.samples or 0)

    @property
    def runs(self) -> int:
        """Fits of a sweep."""
        return self.seeds * len(self.methods)

    def shape(self, machines: int = 1) -> Shape:
        """Return the shape of annotations, or of one machine's part of them."""
        return Shape(-(-self.n // machines), self.classes, tuple(self.levels), self.top_k is not None)

    @property
    def annotation_bytes(self) -> int:
        """Bytes of an annotation in memory and on the disk: a class id; or ids and probabilities, each in 16 bits."""
        return ID_BYTES if self.top_k is None else self.top_k * 4 if self.classes < 1 << 16 else self.top_k * 6


def sizes_of(teachers: int | None, levels: Sequence[int] | None) -> tuple[int, ...]:
    """Count the teachers a level: as given, or a generalist and specialists below it.

    Raises
    ------
    CosupError
        If levels do not add up to `teachers`.
    """
    if teachers is not None:
        check_positive(teachers, "the number of teachers", integer=True)
    if levels:
        if teachers not in (None, sum(levels)):
            raise CosupError(
                f"levels of {', '.join(map(str, levels))} have {sum(levels)} teachers, not {teachers}; give one"
            )
        return tuple(levels)
    teachers = 5 if teachers is None else teachers
    return (1,) if teachers == 1 else (1, teachers - 1)
