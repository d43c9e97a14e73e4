"""Define tasks: features, annotations, a test split, and the truth kept apart for measuring."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosup.labels import TeacherLabels
from cosup.utils.validation import CosupError, FloatArray, IntArray, UInt8Array, check_features


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise CosupError(message)


def _is_vector_of_ints(values: object) -> bool:
    return isinstance(values, np.ndarray) and values.ndim == 1 and np.issubdtype(values.dtype, np.integer)


# eq=False: comparing arrays field by field has no single truth value.
@dataclass(frozen=True, eq=False)
class Truth:
    """The truth of a task, for measuring and for the oracle only; no ``fit`` ever sees it.

    Parameters
    ----------
    y_train : ndarray of int, shape (n_train,)
        True class of every training sample.
    y_test : ndarray of int, shape (n_test,)
        True class of every test sample.
    expert : ndarray of int, shape (n_train, n_levels)
        For every training sample and level, the teacher (a column of the task's annotations) that is the
        right specialist of this sample; -1 where the level has no teacher for it.

    Raises
    ------
    CosupError
        If a field is not an integer array of its shape, or holds a negative class.
    """

    y_train: IntArray
    y_test: IntArray
    expert: IntArray

    def __post_init__(self) -> None:
        for name in ("y_train", "y_test"):
            values = getattr(self, name)
            _require(_is_vector_of_ints(values), f"Truth.{name} must be a 1-d array of integers")
            _require(values.size == 0 or values.min() >= 0, f"Truth.{name} holds a negative class")
        expert = self.expert
        _require(
            isinstance(expert, np.ndarray) and expert.ndim == 2 and np.issubdtype(expert.dtype, np.integer),
            "Truth.expert must be an array of integers of shape (n_train, n_levels)",
        )
        _require(
            len(expert) == len(self.y_train),
            f"Truth.expert has {len(expert)} rows, but there are {len(self.y_train)} training samples",
        )
        _require(expert.size == 0 or expert.min() >= -1, "Truth.expert holds a number below -1")


@dataclass(frozen=True, eq=False)
class Task:
    """One weak-to-strong task: what a student may see, what it is tested on, and the truth for measuring.

    Parameters
    ----------
    name : str
        The task's name, as in :func:`cosup.tasks.list_tasks`.
    X_train : ndarray of float32, shape (n_train, n_features)
        The student's features of the training samples.
    labels : TeacherLabels
        The teachers' annotations of the training samples, levels 0 to K.
    X_test : ndarray of float32, shape (n_test, n_features)
        The student's features of the test samples.
    weak_test : ndarray of int, shape (n_test,)
        The generalist's hard predictions on the test samples: what the weak accuracy is measured on.
    truth : Truth
        The truth, for measuring and for the oracle only.
    class_names : tuple of str
        One name a class.
    images_train : ndarray of uint8, shape (n_train, h, w) or (n_train, h, w, 3), or None
        Grey or RGB pictures of the training samples, for the report only.
    description : str
        One line for the report.

    Raises
    ------
    CosupError
        If shapes, dtypes or numbers of samples and classes do not fit together.
    """

    name: str
    X_train: FloatArray
    labels: TeacherLabels
    X_test: FloatArray
    weak_test: IntArray
    truth: Truth
    class_names: tuple[str, ...]
    images_train: UInt8Array | None
    description: str

    def __post_init__(self) -> None:
        for name in ("X_train", "X_test"):
            X = check_features(getattr(self, name), name=f"Task.{name}")
            _require(X.dtype == np.float32, f"Task.{name} must be float32, got {X.dtype}")
        n_train, n_features = self.X_train.shape
        n_test = len(self.X_test)
        _require(
            self.X_test.shape[1] == n_features,
            f"Task.X_test has {self.X_test.shape[1]} features, but X_train has {n_features}",
        )
        _require(_is_vector_of_ints(self.weak_test), "Task.weak_test must be a 1-d array of integers")
        for name, length, expected in (
            ("labels", len(self.labels), n_train),
            ("truth.y_train", len(self.truth.y_train), n_train),
            ("truth.y_test", len(self.truth.y_test), n_test),
            ("weak_test", len(self.weak_test), n_test),
        ):
            _require(length == expected, f"Task.{name} has {length} samples, but its features have {expected}")
        self._check_classes()
        self._check_experts()
        self._check_images(n_train)

    def _check_classes(self) -> None:
        n_classes = self.labels.n_classes
        _require(
            len(self.class_names) == n_classes,
            f"Task.class_names has {len(self.class_names)} names for {n_classes} classes",
        )
        for name, values in (
            ("truth.y_train", self.truth.y_train),
            ("truth.y_test", self.truth.y_test),
            ("weak_test", self.weak_test),
        ):
            _require(
                values.size == 0 or (values.min() >= 0 and values.max() < n_classes),
                f"Task.{name} holds a class outside 0..{n_classes - 1}",
            )

    def _check_experts(self) -> None:
        expert = self.truth.expert
        _require(
            expert.shape[1] == self.labels.n_levels,
            f"Truth.expert has {expert.shape[1]} columns for {self.labels.n_levels} levels",
        )
        for level in range(self.labels.n_levels):
            allowed = np.append(self.labels.at_level(level), -1)
            _require(
                bool(np.isin(expert[:, level], allowed).all()),
                f"Truth.expert[:, {level}] names a teacher that is not at level {level}",
            )

    def _check_images(self, n_train: int) -> None:
        images = self.images_train
        if images is None:
            return
        is_grey_or_rgb = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
        _require(
            images.dtype == np.uint8 and is_grey_or_rgb and len(images) == n_train,
            "Task.images_train must be uint8 of shape (n_train, h, w) or (n_train, h, w, 3)",
        )
