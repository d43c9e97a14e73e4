"""The tasks on images from disk: PACS, DomainNet, ImageNet, and any folder of images."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cosup.embedding.backbones import Backbone, EfficientNetLite0, make_backbone
from cosup.embedding.early_layers import EarlyStages
from cosup.embedding.feature_cache import FeatureCache
from cosup.tasks.build_image_task import Experiment, Parts, TeacherDesign, build_task
from cosup.tasks.layouts import ImageList, read_image_list, split_images
from cosup.tasks.registry import register_member, register_task
from cosup.tasks.task import Task
from cosup.tasks.weak_heads import HeadRecipe
from cosup.utils.validation import CosupError, check_choice, check_positive, suggest

PUBLISHED_STUDENT = "hf:facebook/dinov2-with-registers-small"
PUBLISHED_TEACHER = "torchvision:alexnet/avgpool"
EARLY = "early"
"""The teachers' view that needs no further weights, see :class:`cosup.embedding.early_layers.EarlyStages`."""

SHARES = {"teachers": 0.3, "train": 0.5, "test": 0.2}
SPLITS = ("clean", "published")

Cut = Callable[[ImageList, int], Parts]
"""A function of images and a seed that returns the parts for teachers, student and test."""


def _backbone(spec: str, image_size: int | None, options: dict[str, Any] | None) -> Backbone:
    options = {"image_size": image_size, **(options or {})}
    known = inspect.signature(make_backbone).parameters
    for name in options:
        if name == "spec" or name not in known or (spec == EARLY and name != "image_size"):
            raise CosupError(f"the backbone {spec!r} has no option {name!r}.{suggest(name, known)}")
    return EarlyStages(options["image_size"]) if spec == EARLY else make_backbone(spec, **options)


def _root(root: str | None, name: str) -> Path:
    if root is None:
        raise CosupError(f"the task '{name}' needs the folder of its images: root=DIR, or --root DIR")
    return Path(root)


def _three_parts(images: ImageList, seed: int) -> Parts:
    """Cut every class of every domain into three: for the teachers, the student and the test."""
    parts = split_images(images, "stratified", seed=seed, shares=SHARES)
    return Parts(**parts, pool=np.arange(len(images)))


def _from_official(images: ImageList, seed: int) -> Parts:
    """Split the official parts: test for the test; of every class of train, half for the teachers."""
    official = split_images(images, "official")
    train = official["train"]
    halves = split_images(images[train], "stratified", seed=seed, shares={"teachers": 0.5, "train": 0.5})
    return Parts(train[halves["teachers"]], train[halves["train"]], official["test"], pool=np.arange(len(images)))


def _few_of_train(images: ImageList, each: int) -> ImageList:
    """Keep only `each` images a class of the official train: the same for every seed."""
    assert images.splits is not None
    rng = np.random.default_rng(0)
    chosen = images.splits == "val"
    for label in range(len(images.class_names)):
        members = np.flatnonzero((images.splits == "train") & (images.labels == label))
        chosen[rng.permutation(members)[:each]] = True
    return images[chosen]


def _imagenet_parts(images: ImageList, seed: int, *, split: str, n_train: int | None) -> Parts:
    """Take teachers from train, student and test from val, as published."""
    assert images.splits is not None
    val = np.flatnonzero(images.splits == "val")
    if split == "clean":
        return _three_parts(images, seed)
    if not (images.splits == "train").any():
        raise CosupError(
            f"the published split trains the teachers on ImageNet's train, and {images.root} has only val: use "
            "split='clean', which cuts val in three"
        )
    n_train = min(40_000, len(val) * 4 // 5) if n_train is None else n_train
    halves = split_images(images, "published", seed=seed, n_train=n_train)
    return Parts(np.flatnonzero(images.splits == "train"), halves["train"], halves["test"], pool=val)


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """Options of tasks on images; a task takes those of its line in the registry, and has its own defaults.

    Attributes
    ----------
    root : str
        Folder of the images.
    labels : {"soft", "hard"}
    levels : str, optional
        Class ranges, as in ``"1,2,4"``, or ``"domains"``.
    student, teacher : str
        Backbones; for the teacher ``"early"``, too.
    image_size : int, optional
        The size that the student's backbone sees.
    student_options, teacher_options : dict, optional
        Further arguments of `make_backbone`.
    recipe : {"logistic", "adam"}
        The way teachers' heads are trained; with `iterations`, `learning_rate` and `outputs`, see `HeadRecipe`.
    top_k : int
        Classes kept of soft annotations.
    store : str, optional
        Folder for features that are shared with other tasks.
    skip_unreadable : bool
    """

    root: str | None = None
    labels: str = "soft"
    levels: str | None = None
    student: str = EfficientNetLite0.name
    image_size: int | None = None
    student_options: dict[str, Any] | None = None
    teacher: str = EARLY
    teacher_options: dict[str, Any] | None = None
    recipe: str = "logistic"
    iterations: int = 1000
    learning_rate: float = 1e-4
    outputs: str = "all"
    top_k: int = 5
    store: str | None = None
    skip_unreadable: bool = False

    def task(self, name: str, images: ImageList, cut: Cut, *, seed: int, cache: FeatureCache | None) -> Task:
        """Cut the images into parts, embed them, train the teachers and let them annotate."""
        assert self.levels is not None
        recipe = HeadRecipe(self.recipe, self.iterations, self.learning_rate, outputs=self.outputs)
        experiment = Experiment(
            name, images, _backbone(self.student, self.image_size, self.student_options),
            _backbone(self.teacher, None, self.teacher_options),
            TeacherDesign(self.levels, recipe, self.labels, self.top_k), self.skip_unreadable,
        )  # fmt: skip
        return build_task(experiment, cut(images, seed), seed=seed, cache=cache or FeatureCache(), store=self.store)


_COMMON = (
    "root", "labels", "levels", "student", "image_size", "student_options", "teacher", "teacher_options", "iterations",
    "store", "skip_unreadable",
)  # fmt: skip
_PUBLISHED = {"student": PUBLISHED_STUDENT, "teacher": PUBLISHED_TEACHER, "recipe": "adam"}


@register_task(
    "pacs", "PACS photos from root=DIR/DOMAIN/CLASS; one specialist a domain (extras: demo, images)", options=_COMMON
)
def _pacs(*, seed: int, cache: FeatureCache | None, **given: Any) -> Task:
    options = ImageOptions(**{"levels": "domains", "image_size": 224, **given})
    images = read_image_list(_root(options.root, "pacs"), "domains")
    return options.task("pacs", images, _three_parts, seed=seed, cache=cache)


@register_task(
    "images", "any images with classes from root=DIR (folders, or a table); see docs/how-to/reproduce.md",
    options=(*_COMMON, "recipe", "learning_rate", "outputs", "top_k", "layout", "columns"),
)  # fmt: skip
def _images(
    *, seed: int, cache: FeatureCache | None, layout: str = "auto", columns: dict[str, str] | None = None, **given: Any
) -> Task:
    options = ImageOptions(**given)
    images = read_image_list(_root(options.root, "images"), layout, **({} if columns is None else {"columns": columns}))
    if options.levels is None:
        options = replace(options, levels="1,2" if images.domains is None else "domains")
    return options.task("images", images, _three_parts, seed=seed, cache=cache)


@register_task(
    "domainnet", "DomainNet from root=DIR with its official lists; one specialist a domain",
    options=(*_COMMON, "recipe", "learning_rate", "top_k"),
)  # fmt: skip
def _domainnet(*, seed: int, cache: FeatureCache | None, **given: Any) -> Task:
    options = ImageOptions(**{**_PUBLISHED, "levels": "domains", **given})
    images = read_image_list(_root(options.root, "domainnet"), "domainnet")
    return options.task("domainnet", images, _from_official, seed=seed, cache=cache)


@register_task(
    "imagenet", "ImageNet from root=DIR (train and val); class-range specialists on AlexNet, as published",
    options=(*_COMMON, "recipe", "learning_rate", "outputs", "top_k", "split", "train_images", "n_train"),
)  # fmt: skip
def _imagenet(
    *, seed: int, cache: FeatureCache | None, split: str = "published", train_images: int = 256,
    n_train: int | None = None, **given: Any,
) -> Task:  # fmt: skip
    check_choice(split, SPLITS, "split")
    check_positive(train_images, "train_images", integer=True)
    options = ImageOptions(**{**_PUBLISHED, "levels": "1,2,4,8", **given})
    part = "val" if split == "clean" else "all"
    images = _few_of_train(read_image_list(_root(options.root, "imagenet"), "imagenet", part=part), train_images)
    cut = partial(_imagenet_parts, split=split, n_train=n_train)
    return options.task("imagenet", images, cut, seed=seed, cache=cache)


# The paper's figures: PGR against the number of specialists, and against the teachers' strength. The number in a
# member's name is what the report draws them against.
for _labels in ("hard", "soft"):
    for _place, _n in enumerate((1, 2, 4, 8)):
        register_member(
            "imagenet", f"{_labels}-specialists-{_n}", f"imagenet, {_labels} labels of up to {_n} specialists",
            labels=_labels, levels=",".join(("1", "2", "4", "8")[: _place + 1]),
        )  # fmt: skip
for _family in ("imagenet", "domainnet"):
    for _n in (10, 30, 100, 300, 1000, 3000):
        register_member(
            _family, f"iterations-{_n}", f"{_family}, teachers of {_n:,} iterations: weak to strong", iterations=_n
        )
