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

from cosup.embedding.backbones import Backbone
from cosup.embedding.feature_cache import Arrays, FeatureCache
from cosup.embedding.feature_store import FeatureStore
from cosup.embedding.images_to_features import embed_images
from cosup.embedding.read_images import read_image
from cosup.labels import TeacherLabels, TopK
from cosup.tasks.layouts import ImageList
from cosup.tasks.task import Task, Truth
from cosup.tasks.weak_heads import (
    HeadRecipe,
    Specialist,
    TaughtSamples,
    WeakHead,
    class_range_specialists,
    group_specialists,
    train_heads_of,
)
from cosup.utils.optional_imports import import_extra
from cosup.utils.slices import slices
from cosup.utils.validation import CosupError, IntArray, UInt8Array, check_choice, check_positive

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


@dataclass(frozen=True)
class TeacherDesign:
    """The weak teachers of a vision task, before they are trained.

    Parameters
    ----------
    levels : str
        ``"1,2,4,8"``: class ranges, so many teachers a level; or ``"domains"``: a generalist and a specialist each.
    recipe : HeadRecipe
    labels : {"soft", "hard"}
    top_k : int
        Classes that soft annotations keep, where there are more than 50.
    """

    levels: str
    recipe: HeadRecipe
    labels: str = "soft"
    top_k: int = 5

    def __post_init__(self) -> None:
        check_choice(self.labels, ("soft", "hard"), "kind of labels")
        check_positive(self.top_k, "top_k", integer=True)


@dataclass(frozen=True, eq=False)
class Experiment:
    """Hold the parts of a vision task.

    Parameters
    ----------
    name : str
    images : ImageList
        Images of known classes.
    student, teacher : Backbone
    design : TeacherDesign
    skip_unreadable : bool
    """

    name: str
    images: ImageList
    student: Backbone
    teacher: Backbone
    design: TeacherDesign
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        if self.design.levels == "domains" and self.images.domains is None:
            raise CosupError(f"{self.images.root} has no domains for specialists; give levels as in 1,2,4")
        if len(self.images) == 0 or (self.images.labels < 0).any():
            raise CosupError(
                f"images of {self.images.root} have no classes, and a task needs them to train teachers and to test; "
                "for images without classes: cosup embed, then cosup fit with your own teachers' labels"
            )

    def experts(self, index: IntArray, labels: TeacherLabels) -> IntArray:
        """Find the right specialist of every image at `index` and level, (n, n_levels)."""
        out = np.zeros((len(index), labels.n_levels), dtype=np.int64)
        for column, classes in enumerate(labels.specialties):
            if classes is not None:
                out[np.isin(self.images.labels[index], classes), labels.levels[column]] = column
        if self.design.levels == "domains":
            assert self.images.domains is not None
            out[:, 1] = 1 + self.images.domains[index]
        return out


def parse(levels: str) -> list[int]:
    """Parse ``"1,2,4"`` as numbers.

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
    strong = _features(experiment, experiment.student, parts.pool, base, cache.ray)
    weak = _features(experiment, experiment.teacher, np.arange(len(images)), base, cache.ray)
    taught, train, test = (
        _readable(images, index, strong, weak) for index in (parts.teachers, parts.train, parts.test)
    )
    for what, index in (("train", train), ("test", test), ("teachers", taught)):
        if len(index) == 0:
            raise CosupError(f"no readable image is left for the part '{what}'")
    y, n_train = images.labels, len(train)
    design = experiment.design
    key = [weak.manifest["sha256"], _hash(taught.tolist()), asdict(design.recipe), design.levels, seed]
    labels = teach(
        images, weak, taught, np.concatenate([train, test]), design,
        folder=base / f"{experiment.name}-teachers-{_hash(key)}", seed=seed,
    )  # fmt: skip
    return Task(
        name=experiment.name,
        X_train=_rows(strong, images, train),
        labels=labels[:n_train],
        X_test=_rows(strong, images, test),
        weak_test=labels[n_train:].hard()[:, 0].astype(np.int64),
        truth=Truth(y[train], y[test], experiment.experts(train, labels)),
        class_names=images.class_names,
        images_train=_pictures(images, train, cache),
        description=_describe(experiment, labels, n_train),
    )


def _describe(experiment: Experiment, labels: TeacherLabels, n_train: int) -> str:
    return (
        f"{n_train:,} images of {labels.n_classes} classes; student {experiment.student.name}; "
        f"{'/'.join(map(str, np.bincount(labels.levels)))} teachers a level on {experiment.teacher.name}, "
        f"{experiment.design.recipe.iterations} iterations"
    )


def _features(experiment: Experiment, backbone: Backbone, index: IntArray, base: Path, ray: str | None) -> FeatureStore:
    """Embed images into a folder that is named by the images and the backbone."""
    paths = [experiment.images.paths[i] for i in index]
    key = [str(experiment.images.root.resolve()), backbone.name, backbone.fingerprint, *paths]
    plain = "".join(c if c.isalnum() else "-" for c in backbone.name)
    folder = base / f"{experiment.name}-{plain}-{_hash(key)}"
    return embed_images(
        experiment.images.root, paths, backbone, folder, skip_unreadable=experiment.skip_unreadable, wait=True, ray=ray
    )


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _readable(images: ImageList, index: IntArray, *stores: FeatureStore) -> IntArray:
    lost = {path for store in stores for path in store.unreadable}
    return index[[images.paths[i] not in lost for i in index]] if lost else index


def _rows(store: FeatureStore, images: ImageList, index: IntArray) -> NDArray[np.float32]:
    return store.take(store.rows([images.paths[i] for i in index]))


def teach(
    images: ImageList,
    weak: FeatureStore,
    taught: IntArray,
    asked: IntArray,
    design: TeacherDesign,
    *,
    folder: Path,
    seed: int = 0,
) -> TeacherLabels:
    """Train weak teachers on some images and let them annotate others; both are kept in `folder`.

    Parameters
    ----------
    images : ImageList
    weak : FeatureStore
        The features that the teachers see.
    taught, asked : ndarray of int
        Indexes into `images`: those that teachers are trained on, whose classes must be known, and those that they
        annotate. None may be in both.
    design : TeacherDesign
    folder : path
        One for every set of teachers; made if it does not exist. A stopped call goes on behind the last teacher.
    seed : int

    Returns
    -------
    TeacherLabels
        Of the images at `asked`.

    Raises
    ------
    CosupError
        If an image is both taught and asked about, has no class but is taught, or is unreadable.
    """
    if np.intersect1d(taught, asked).size:
        raise CosupError("teachers must not annotate the images that they were trained on")
    n_classes = len(images.class_names)
    y = images.labels[taught]
    if len(taught) == 0 or (y < 0).any():
        raise CosupError(f"teachers need images of known classes to be trained on; {images.root} gives {len(y):,}")
    own, others = (weak.rows([images.paths[i] for i in index]) for index in (taught, asked))
    if (own < 0).any() or (others < 0).any():
        raise CosupError(f"some of these images are unreadable and have no features in {weak.folder}; leave them out")
    specialists = _specialists(images, taught, design.levels)
    samples = TaughtSamples(lambda rows: weak.take(own[rows]), y, n_classes)
    heads = train_heads_of(specialists, samples, design.recipe, folder, seed=seed)
    k = n_classes if n_classes <= MAX_DENSE else min(design.top_k, n_classes)
    annotated = FeatureCache(folder).get(
        {"kind": "annotations", "k": k, "features": weak.manifest["sha256"], "rows": _hash(others.tolist())},
        lambda: _annotate(heads, weak, others, n_classes, k),
    )
    top = TopK(annotated["classes"], annotated["probabilities"], n_classes)
    annotations: Any = top
    if design.labels == "hard" or k == n_classes:
        read = top.predicted_class if design.labels == "hard" else top.dense
        annotations = np.stack([read(t) for t in range(len(heads))], axis=1)
    return TeacherLabels(
        annotations,
        levels=[s.level for s in specialists],
        specialties=[s.classes for s in specialists],
        names=[s.name for s in specialists],
        n_classes=n_classes,
    )


def _specialists(images: ImageList, taught: IntArray, levels: str) -> list[Specialist]:
    if levels != "domains":
        return class_range_specialists(images.labels[taught], len(images.class_names), parse(levels))
    if images.domains is None:
        raise CosupError(f"{images.root} has no domains for specialists; give levels as in 1,2,4")
    return group_specialists(images.domains[taught], images.domain_names)


def _annotate(heads: Sequence[WeakHead], weak: FeatureStore, rows: IntArray, n_classes: int, k: int) -> Arrays:
    """Find the `k` most probable classes by every head; half precision where that is not all of them."""
    classes = np.empty((len(rows), len(heads), k), dtype=np.int32)
    probabilities = np.empty(classes.shape, dtype=np.float32 if k == n_classes else np.float16)
    for block in slices(len(rows), _ROWS):
        X = weak.take(rows[block])
        for column, head in enumerate(heads):
            top = TopK.of(head.probabilities(X, n_classes)[:, None], k, dtype=probabilities.dtype)
            classes[block, column], probabilities[block, column] = top.classes[:, 0], top.probabilities[:, 0]
    return {"classes": classes, "probabilities": probabilities}


def _pictures(images: ImageList, train: IntArray, cache: FeatureCache) -> UInt8Array | None:
    """Make thumbnails of the training images, for the report; None where they are too many."""
    if len(train) > MAX_PICTURES:
        return None
    files = [(images.paths[i], images.path(i).stat().st_size) for i in train]
    key = {"kind": "pictures", "root": str(images.root.resolve()), "files": _hash(files), "side": PICTURE_SIDE}
    return cache.get(key, lambda: {"pictures": np.stack([_picture(images.path(i)) for i in train])})["pictures"]


def _picture(path: Path) -> UInt8Array:
    pillow = import_extra("PIL.Image", extra="images", purpose="pictures in the report")
    image = pillow.fromarray(read_image(path)).convert("RGB")
    return np.asarray(image.resize((PICTURE_SIDE, PICTURE_SIDE)), dtype=np.uint8)
