"""Fashion-MNIST under class-range teachers, where Debian's package of it is installed."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosup.embedding.backbones import Backbone
from cosup.embedding.feature_cache import FeatureCache
from cosup.tasks.digits import NETWORK_OPTIONS, Digits, embedded_images, load_class_task, shrink
from cosup.tasks.registry import register_task
from cosup.tasks.task import Task
from cosup.utils.validation import CosupError, IntArray, UInt8Array

__all__ = ["DEFAULT_ROOT", "load_fashion"]

DEFAULT_ROOT = Path("/usr/share/datasets/fashion-mnist")
CLASS_NAMES = (
    "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
EACH = 500
"""Pictures a class, as many as of the digits: embedding them takes half a minute, and the tasks can be compared."""

# The type and shape of idx files (LeCun): two zero bytes, 8 for unsigned bytes, the number of dimensions.
_IMAGES, _LABELS = b"\x00\x00\x08\x03", b"\x00\x00\x08\x01"


def load_fashion(
    backbone: Backbone, cache: FeatureCache, *, root: str | os.PathLike[str] = DEFAULT_ROOT, thumbnail: int = 4
) -> Digits:
    """Load the first 500 pictures a class of Fashion-MNIST's training file, embedded by a backbone.

    Parameters
    ----------
    backbone : Backbone
    cache : FeatureCache
        Images and features are kept here.
    root : path, default "/usr/share/datasets/fashion-mnist"
        Folder with ``train-images-idx3-ubyte.gz`` and ``train-labels-idx1-ubyte.gz``.
    thumbnail : {2, 4, 7, 14, 28}
        Side of what the teachers see.

    Returns
    -------
    Digits
        Pictures and their classes.

    Raises
    ------
    CosupError
        If a file is not there or not in the idx format, or the cache's folder is of no use.

    Notes
    -----
    Xiao, Rasul & Vollgraf, Fashion-MNIST, arXiv 1708.07747 (2017); Debian package dataset-fashion-mnist (non-free).
    """
    images_file = Path(root) / "train-images-idx3-ubyte.gz"
    labels_file = Path(root) / "train-labels-idx1-ubyte.gz"
    for file in (images_file, labels_file):
        if not file.is_file():
            raise CosupError(
                f"Fashion-MNIST is not at {file.parent} ({file.name} is missing): "
                "apt-get install dataset-fashion-mnist, or name its folder with root="
            )
    packed = labels_file.read_bytes()
    y = _read_idx(labels_file, packed, _LABELS, (-1,))

    def read() -> tuple[UInt8Array, IntArray]:
        images = _read_idx(images_file, images_file.read_bytes(), _IMAGES, (-1, 28, 28))
        if len(images) != len(y):
            raise CosupError(f"{images_file} holds {len(images)} pictures, but {labels_file.name} {len(y)} labels")
        rows = np.sort(np.concatenate([np.flatnonzero(y == c)[:EACH] for c in range(len(CLASS_NAMES))]))
        return images[rows], y[rows].astype(np.int64)

    version = hashlib.sha256(packed + str(images_file.stat().st_size).encode()).hexdigest()
    images, classes, features = embedded_images("fashion-mnist", version, read, backbone, cache)
    return Digits(images, shrink(images, thumbnail), features, classes, CLASS_NAMES, "classes", "Fashion-MNIST")


def _read_idx(path: Path, packed: bytes, magic: bytes, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    try:
        data = gzip.decompress(packed)
    except (OSError, EOFError, zlib.error) as error:
        raise CosupError(f"{path} is not a gzip file, or is cut short ({error}); reinstall its package") from error
    header = 4 * (1 + len(shape))
    numbers = np.frombuffer(data[4:header], dtype=">u4")
    sizes = tuple(int(n) for n in numbers)
    expected = tuple(s if s > 0 else n for s, n in zip(shape, sizes, strict=False))
    if data[:4] != magic or sizes != expected or len(data) != header + int(np.prod(sizes)):
        raise CosupError(f"{path} is not an idx file of Fashion-MNIST; reinstall its package")
    return np.frombuffer(data, dtype=np.uint8, offset=header).reshape(sizes)


@register_task(
    "fashion-classes", "Fashion-MNIST; teachers of all classes, two halves and five pairs (extra: demo; apt)",
    options=("root", "thumbnail", *NETWORK_OPTIONS),
)  # fmt: skip
def _fashion_classes(
    *, seed: int, cache: FeatureCache | None, root: str = str(DEFAULT_ROOT), thumbnail: int = 4, **options: Any
) -> Task:
    return load_class_task(
        partial(load_fashion, root=root, thumbnail=thumbnail), seed=seed, cache=cache, name="fashion-classes", **options
    )
