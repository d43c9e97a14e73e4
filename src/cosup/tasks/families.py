"""Families of tasks by name: the members differ in one property that a method may stand or fall with."""

from __future__ import annotations

import math
import re
from dataclasses import fields, replace
from typing import Any

from cosup.embedding.backbones import Backbone
from cosup.embedding.feature_cache import FeatureCache
from cosup.tasks.digits import NETWORK_OPTIONS, THUMBNAILS, Digits, load_class_task, load_mnist_digits
from cosup.tasks.planted import PlantedDesign, make_hierarchy
from cosup.tasks.registry import register_member, register_task
from cosup.tasks.task import Task

__all__ = ["sweep_of"]


def sweep_of(name: str) -> tuple[str, int] | None:
    """Split a member's name into its sweep and its number: what figures over a family are drawn against.

    Examples
    --------
    >>> from cosup.tasks import sweep_of
    >>> sweep_of("hierarchy-teachers-16")
    ('hierarchy-teachers', 16)
    >>> sweep_of("digits-classes") is None
    True
    """
    found = re.fullmatch(r"(.+)-(\d+)", name)
    return None if found is None else (found[1], int(found[2]))


@register_task(
    "digits-strength", "digits-classes; teachers see thumbnail x thumbnail pixels, 2 to 28 (extra: demo)",
    options=("thumbnail", *NETWORK_OPTIONS),
)  # fmt: skip
def _digits_strength(*, seed: int, cache: FeatureCache | None, thumbnail: int = 7, **options: Any) -> Task:
    def load(backbone: Backbone, cache: FeatureCache) -> Digits:
        digits = load_mnist_digits(backbone, cache, thumbnail=thumbnail)
        return replace(digits, source=f"MNIST digits under teachers that see {thumbnail}x{thumbnail} pixels")

    return load_class_task(load, seed=seed, cache=cache, name="digits-strength", **options)


for _side in THUMBNAILS:
    _what = f"digits-classes with teachers that see {_side}x{_side} pixels (extra: demo)"
    register_member("digits-strength", str(_side), _what, thumbnail=_side)

_OPTIONS = ("n_samples", "n_test", *(option.name for option in fields(PlantedDesign)))


@register_task("hierarchy", "synthetic features, a planted hierarchy of class-range teachers", options=_OPTIONS)
def _hierarchy(*, seed: int, cache: FeatureCache | None, **options: Any) -> Task:
    return make_hierarchy(random_state=seed, **options)


def _specialists(n_classes: int, size: int, generalist: float) -> float:
    """Compute the accuracy of specialists of equal ranges: the error falls with the logarithm of the range."""
    return 1 - (1 - generalist) * math.log(n_classes / size) / math.log(n_classes)


def _register(prop: str, member: object, summary: str, **options: Any) -> None:
    register_member("hierarchy", f"{prop}-{member}", f"planted: {summary}", **options)


for _size in (1, 2, 4, 8, 16, 32, 64):
    _register(
        "teachers", _size, f"number of specialists, {_size} for 64 classes",
        n_samples=3000, n_features=128, n_classes=64, separation=4.5, teachers_per_level=(1, _size),
        accuracy=(0.4, _specialists(64, _size, 0.4)),
    )  # fmt: skip
for _classes in (10, 30, 100, 300, 1000):
    _register(
        "classes", _classes, f"number of classes, {_classes:,}",
        n_samples=max(2000, 5 * _classes), n_features=256, n_classes=_classes,
        separation=2.0 + 2.5 * math.log10(_classes), teachers_per_level=(1, 2, 4, 8),
        accuracy=tuple(_specialists(_classes, size, 0.4) for size in (1, 2, 4, 8)),
    )  # fmt: skip
for _percent in (20, 35, 50, 65, 80):
    _weak = _percent / 100
    _register(
        "strength", _percent, f"accuracy of the generalist, {_percent} %: the gap's size",
        accuracy=(_weak, 1 - 0.7 * (1 - _weak), 1 - 0.4 * (1 - _weak)),
    )  # fmt: skip
for _overlap in (0, 1, 2, 4):
    _register("overlap", _overlap, f"overlap of ranges, {_overlap} of 12 classes", overlap=_overlap)
for _uncovered in (0, 2, 4, 6):
    _register("uncovered", _uncovered, f"classes without a specialist, {_uncovered} of 12", uncovered=_uncovered)
for _percent in (0, 25, 50, 75, 100):
    _register(
        "correlation", _percent, f"samples on which teachers share their luck, {_percent} %",
        correlation=_percent / 100,
    )  # fmt: skip
for _ratio in (1, 3, 10, 30):
    _register("imbalance", _ratio, f"imbalance, first class to last, {_ratio} : 1", imbalance=_ratio)
for _bad in (0, 1, 2):
    _register("useless", _bad, f"specialists a level that name classes at random, {_bad}", useless=_bad)
    _register("adversarial", _bad, f"specialists a level that mislead, {_bad}", adversarial=_bad)
# Every teacher at random: nothing can be learnt, and a method that seems to has seen the truth.
register_member(
    "hierarchy", "random", "planted: all teachers name classes at random, there is nothing to learn",
    accuracy=(1 / 12,) * 3, systematic=0.0, useless=4,
)  # fmt: skip
