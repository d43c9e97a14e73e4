"""The paper's vision experiments on images from disk: embed, train weak teachers, annotate; every step is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosup._validation import CosupError, IntArray, check_choice, check_positive
from cosup.datasets._extras import import_extra
from cosup.datasets._task import Task, Truth, UInt8Array
from cosup.datasets.backbones import Backbone
from cosup.datasets.cache import Arrays, FeatureCache
from cosup.datasets.embedding import embed_images
from cosup.datasets.images import read_image
from cosup.datasets.layouts import ImageList
from cosup.datasets.store import FeatureStore
from cosup.datasets.weak_heads import (
    HeadRecipe,
    Specialist,
    WeakHead,
    class_range_specialists,
    group_specialists,
    train_heads_of,
)
from cosup.teachers import TeacherLabels, TopK

PICTURE_SIDE = 96
MAX_PICTURES = 5000
"""Training samples beyond which a task carries no pictures for the report."""

MAX_DENSE = 50
"""Classes up to which soft annotations are kept whole."""

_ROWS = 4096


@dataclass(frozen=True, eq=False)
class Parts:
    """Who sees which images; no image is in two of them.

    Parameters
    ----------
    teachers, train, test : ndarray of int
        Indexes into a list of images: what teachers are trained on, what the student is trained on, what is tested.
    pool : ndarray of int
        Every image that the student may see under another seed: these are embedded once, for all seeds.
    """

    teachers: IntArray
    train: IntArray
    test: IntArray
    pool: IntArray

    def __post_init__(self) -> None:
        together = np.concatenate([self.teachers, self.train, self.test])
        if len(np.unique(together)) != len(together):
            raise CosupError("an image is in two parts of the split; teachers, student and test must share none")
        for name in ("teachers", "train", "test"):
            if len(getattr(self, name)) == 0:
                raise CosupError(f"no image is left for the part '{name}'")


@dataclass(frozen=True, eq=False)
class Experiment:
    """What a vision task is made of.

    Parameters
    ----------
    name : str
    images : ImageList
        Images of known classes.
    student, teacher : Backbone
    recipe : HeadRecipe
    levels : str
        ``"1,2,4,8"``: class ranges, so many teachers a level; or ``"domains"``: one specialist a domain.
    labels : {"soft", "hard"}
    top_k : int
        Classes that soft annotations keep where there are more.
    skip_unreadable : bool
    """

    name: str
    images: ImageList
    student: Backbone
    teacher: Backbone
    recipe: HeadRecipe
    levels: str
    labels: str = "soft"
    top_k: int = 5
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        check_choice(self.labels, ("soft", "hard"), "kind of labels")
        check_positive(self.top_k, "top_k", integer=True)
        if self.levels == "domains" and self.images.domains is None:
            raise CosupError(f"{self.images.root} has no domains for specialists; give levels as in 1,2,4")
        if len(self.images) == 0 or (self.images.labels < 0).any():
            raise CosupError(
                f"images of {self.images.root} have no classes, and a task needs them to train teachers and to test; "
                "for images without classes: cosup embed, then cosup fit with your own teachers' labels"
            )

    def specialists(self, members: IntArray) -> list[Specialist]:
        """Lay out the teachers over the images at `members`."""
        if self.levels == "domains":
            assert self.images.domains is not None
            return group_specialists(self.images.domains[members], self.images.domain_names)
        return class_range_specialists(self.images.labels[members], len(self.images.class_names), parse(self.levels))

    def experts(self, index: IntArray, specialists: Sequence[Specialist]) -> IntArray:
        """Find the right specialist of every image at `index` and level, (n, n_levels)."""
        out = np.zeros((len(index), specialists[-1].level + 1), dtype=np.int64)
        for column, specialist in enumerate(specialists):
            if specialist.classes is not None:
                out[np.isin(self.images.labels[index], specialist.classes), specialist.level] = column
        if self.levels == "domains":
            assert self.images.domains is not None
            out[:, 1] = 1 + self.images.domains[index]
        return out


def parse(levels: str) -> list[int]:
    """``"1,2,4"`` as numbers.

    Raises
    ------
    CosupError
        If it is something else.
    """
    try:
        return [int(part) for part in str(levels).split(",")]
    except ValueError as error:
        raise CosupError(f"levels must be 'domains', or teachers a level as in 1,2,4,8; got {levels!r}") from error


def build_task(experiment: Experiment, parts: Parts, *, seed: int, cache: FeatureCache, store: str | None) -> Task:
    """Embed, train teachers, annotate, and put the task together; what is there already is used.

    Parameters
    ----------
    experiment : Experiment
    parts : Parts
    seed : int
        Decides how teachers are initialised and what they see first.
    cache : FeatureCache
        Pictures for the report are kept here.
    store : path, optional
        Folder for features, teachers and annotations. Default: ``stores`` in the cache.

    Returns
    -------
    Task

    Raises
    ------
    CosupError
        As :func:`embed_images` and :class:`Experiment`.
    """
    images = experiment.images
    base = cache.folder / "stores" if store is None else Path(store)
    strong = _features(experiment, experiment.student, parts.pool, base)
    weak = _features(experiment, experiment.teacher, np.arange(len(images)), base)
    taught, train, test = (
        _readable(images, index, strong, weak) for index in (parts.teachers, parts.train, parts.test)
    )
    for what, index in (("train", train), ("test", test), ("teachers", taught)):
        if len(index) == 0:
            raise CosupError(f"no readable image is left for the part '{what}'")
    specialists = experiment.specialists(taught)
    top, weak_test = _annotations(experiment, specialists, weak, (taught, train, test), seed, base)
    classes = images.class_names
    return Task(
        name=experiment.name,
        X_train=_rows(strong, images, train),
        labels=TeacherLabels(
            top,
            levels=[s.level for s in specialists],
            specialties=[s.classes for s in specialists],
            names=[s.name for s in specialists],
            n_classes=len(classes),
        ),
        X_test=_rows(strong, images, test),
        weak_test=weak_test,
        truth=Truth(images.labels[train], images.labels[test], experiment.experts(train, specialists)),
        class_names=classes,
        images_train=_pictures(images, train, cache),
        description=_describe(experiment, specialists, train),
    )


def _describe(experiment: Experiment, specialists: Sequence[Specialist], train: IntArray) -> str:
    sizes = np.bincount([s.level for s in specialists])
    return (
        f"{len(train):,} images of {len(experiment.images.class_names)} classes; student {experiment.student.name}; "
        f"{'/'.join(map(str, sizes))} teachers a level on {experiment.teacher.name}, {experiment.recipe.iterations} "
        "iterations"
    )


def _features(experiment: Experiment, backbone: Backbone, index: IntArray, base: Path) -> FeatureStore:
    """Features of images, in a folder that is named by the images and the backbone."""
    paths = [experiment.images.paths[i] for i in index]
    key = [str(experiment.images.root.resolve()), backbone.name, backbone.fingerprint, *paths]
    plain = "".join(c if c.isalnum() else "-" for c in backbone.name)
    folder = base / f"{experiment.name}-{plain}-{_hash(key)}"
    return embed_images(
        experiment.images.root, paths, backbone, folder, skip_unreadable=experiment.skip_unreadable, wait=True
    )


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _readable(images: ImageList, index: IntArray, *stores: FeatureStore) -> IntArray:
    lost = {path for store in stores for path in store.unreadable}
    return index[[images.paths[i] not in lost for i in index]] if lost else index


def _rows(store: FeatureStore, images: ImageList, index: IntArray) -> NDArray[np.float32]:
    return store.take(store.rows([images.paths[i] for i in index]))


def _annotations(
    experiment: Experiment,
    specialists: Sequence[Specialist],
    weak: FeatureStore,
    parts: tuple[IntArray, IntArray, IntArray],
    seed: int,
    base: Path,
) -> tuple[Any, IntArray]:
    """Annotations of the training images, and the generalist's word on the test images."""
    images, recipe = experiment.images, experiment.recipe
    n_classes = len(images.class_names)
    taught, train, test = (weak.rows([images.paths[i] for i in part]) for part in parts)
    y = images.labels[parts[0]]
    key = [weak.manifest["sha256"], *(_hash(p.tolist()) for p in (taught, y)), asdict(recipe), experiment.levels, seed]
    folder = base / f"{experiment.name}-teachers-{_hash(key)}"
    heads = train_heads_of(specialists, lambda rows: weak.take(taught[rows]), y, n_classes, recipe, folder, seed=seed)
    k = n_classes if n_classes <= MAX_DENSE else min(experiment.top_k, n_classes)
    said = FeatureCache(folder).get(
        {"kind": "annotations", "k": k, "rows": _hash([train.tolist(), test.tolist()])},
        lambda: _annotate(heads, weak, train, test, n_classes, k),
    )
    top = TopK(said["classes"], said["probabilities"], n_classes)
    if experiment.labels == "hard":
        return top.hard(), said["weak_test"]
    if k < n_classes:
        return top, said["weak_test"]
    return np.stack([top.dense(t) for t in range(len(heads))], axis=1), said["weak_test"]


def _annotate(
    heads: Sequence[WeakHead], weak: FeatureStore, train: IntArray, test: IntArray, n_classes: int, k: int
) -> Arrays:
    """The `k` most probable classes by every head; half precision where that is not all of them."""
    classes = np.empty((len(train), len(heads), k), dtype=np.int32)
    probabilities = np.empty(classes.shape, dtype=np.float32 if k == n_classes else np.float16)
    for start in range(0, len(train), _ROWS):
        rows = slice(start, start + _ROWS)
        X = weak.take(train[rows])
        for column, head in enumerate(heads):
            top = TopK.of(head.probabilities(X, n_classes)[:, None], k, dtype=probabilities.dtype)
            classes[rows, column], probabilities[rows, column] = top.classes[:, 0], top.probabilities[:, 0]
    blocks = [weak.take(test[start : start + _ROWS]) for start in range(0, len(test), _ROWS)]
    weak_test = np.concatenate([heads[0].probabilities(X, n_classes).argmax(axis=1) for X in blocks])
    return {"classes": classes, "probabilities": probabilities, "weak_test": weak_test.astype(np.int64)}


def _pictures(images: ImageList, train: IntArray, cache: FeatureCache) -> UInt8Array | None:
    """The training images as thumbnails, for the report; None where they are too many."""
    if len(train) > MAX_PICTURES:
        return None
    files = [(images.paths[i], images.path(i).stat().st_size) for i in train]
    key = {"kind": "pictures", "root": str(images.root.resolve()), "files": _hash(files), "side": PICTURE_SIDE}
    return cache.get(key, lambda: {"pictures": np.stack([_picture(images.path(i)) for i in train])})["pictures"]


def _picture(path: Path) -> UInt8Array:
    pillow = import_extra("PIL.Image", extra="images", purpose="pictures in the report")
    image = pillow.fromarray(read_image(path)).convert("RGB")
    return np.asarray(image.resize((PICTURE_SIDE, PICTURE_SIDE)), dtype=np.uint8)
