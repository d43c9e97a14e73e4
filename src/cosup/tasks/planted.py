"""A planted hierarchy: synthetic features and teachers whose every property is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosup.labels import TeacherLabels
from cosup.tasks.registry import check_seed
from cosup.tasks.task import Task, Truth
from cosup.utils.validation import CosupError, FloatArray, IntArray, check_positive


@dataclass(frozen=True)
class _Teacher:
    level: int
    name: str
    classes: NDArray[np.int64]  # what it covers and names, in order
    own: NDArray[np.int64]  # the part of them that no other teacher of its level owns
    accuracy: float  # inside its range
    claimed: float  # the accuracy that its soft annotations pretend to
    systematic: float


@dataclass(frozen=True, kw_only=True)
class PlantedDesign:
    """The design that `make_hierarchy` plants; see there."""

    n_features: int = 64
    n_classes: int = 12
    teachers_per_level: Sequence[int] = (1, 2, 4)
    accuracy: Sequence[float] = (0.5, 0.65, 0.8)
    separation: float = 3.2
    systematic: float = 0.5
    overlap: int = 0
    uncovered: int = 0
    soft: bool = False
    abstain: float = 0.0
    correlation: float = 0.0
    imbalance: float = 1.0
    useless: int = 0
    adversarial: int = 0

    def __post_init__(self) -> None:
        check_positive(self.n_features, "n_features", integer=True)
        check_positive(self.separation, "separation", allow_zero=True)
        _check_share(self.systematic, "systematic")
        _check_share(self.abstain, "abstain")
        if self.abstain == 1:
            raise CosupError("abstain must be below 1: a teacher that never speaks is none")
        _check_share(self.correlation, "correlation")
        check_positive(self.imbalance, "imbalance")
        if self.imbalance < 1:
            raise CosupError(f"imbalance must be at least 1, the first class over the last; got {self.imbalance!r}")


def make_hierarchy(n_samples: int = 2000, n_test: int = 1000, *, random_state: int = 0, **design: Any) -> Task:
    """Make a synthetic task with a planted hierarchy of teachers.

    What is planted:

    - *Classes* y are drawn uniformly, or with shares that fall geometrically from the first class to the last, the
      first being `imbalance` times as frequent as the last. *Features* are x = mean of the class + standard
      normal noise; the means are random directions of length `separation`.
    - *Ranges*: level 0 is one generalist for all classes. The teachers of level k >= 1 divide the first
      ``n_classes - uncovered`` classes into contiguous ranges as evenly as possible (the first ranges are one
      class longer where it does not divide). Each range then grows by the next `overlap` classes, as far as
      there are covered ones.
    - *Inside its range* a teacher of level k names the true class with probability ``accuracy[k]``, and
      otherwise another class of its range: with probability `systematic` the one whose mean is nearest to x
      (a mistake that the features predict), else any with equal probability. A teacher of a single class
      always names it.
    - *Outside its range* it names a class of its range: with probability `systematic` the one with the mean
      nearest to x, else any with equal probability. It never names a class outside its range.
    - *Correlation*: on a share `correlation` of the samples a teacher does not draw for itself, but uses draws that
      all teachers share: it is right and wrong on the same samples as the others who do.
    - *Bad teachers*: of every level's specialists the last `adversarial` never name the true class when it is in
      their range, but the other class that is nearest to x; the `useless` ones before them name any class of their
      range with equal probability. Their soft annotations pretend to the accuracy of their level. A teacher of a
      single class always names it, useless or not.
    - *Abstentions*: each annotation is withheld with probability `abstain`, whatever it says.
    - *Soft* annotations give the named class the probability ``accuracy[k]`` and share the rest evenly over
      the other classes of the range: calibrated inside the range, over-confident outside
      (where ``accuracy[k]`` is below chance, the named class is the least probable one).
    - *Experts*: ``truth.expert[i, k]`` is the teacher whose range, before it grew by `overlap`, holds the
      true class of sample i; -1 if that class is uncovered.

    Each part has a random stream of its own: changing `abstain`, say, changes neither features nor mistakes,
    and the same `random_state` gives the same task.

    Parameters
    ----------
    n_samples, n_test : int
        Training and test samples. All that follows is given by name.
    n_features, n_classes : int
        Features and classes.
    teachers_per_level : sequence of int, default (1, 2, 4)
        Number of teachers a level, level 0 first; the first must be 1.
    accuracy : sequence of float, default (0.5, 0.65, 0.8)
        Accuracy of a level's teachers inside their ranges, one a level, in [0, 1].
    separation : float, default 3.2
        Length of the classes' means. With the other defaults a linear student trained on the truth is right
        on about 0.9 of the test samples.
    systematic : float, default 0.5
        Share of mistakes that the features predict, in [0, 1].
    overlap : int, default 0
        Classes by which the ranges of a level overlap.
    uncovered : int, default 0
        The last so many classes have no specialist.
    soft : bool, default False
        Whether annotations are probabilities rather than class ids.
    abstain : float, default 0
        Probability that a teacher withholds an annotation, in [0, 1).
    correlation : float, default 0
        Share of samples on which a teacher's luck is common to all teachers, in [0, 1].
    imbalance : float, default 1
        Frequency of the first class over that of the last, at least 1.
    useless, adversarial : int, default 0
        How many of every level's specialists name classes at random, and how many mislead; as many as there are,
        where a level has fewer.
    random_state : int, default 0
        Decides everything random.

    Returns
    -------
    Task
        ``labels.specialties`` holds the ranges. Annotations are int32 (n_samples, n_teachers), or float64
        (n_samples, n_teachers, n_classes). ``weak_test`` comes from the generalist's process on the test
        samples, without abstentions.

    Raises
    ------
    CosupError
        If an argument is outside its range, or a level has more teachers than there are covered classes.

    Examples
    --------
    >>> from cosup.tasks import make_hierarchy
    >>> task = make_hierarchy(n_classes=10, teachers_per_level=(1, 3), accuracy=(0.5, 0.8))
    >>> [s.tolist() for s in task.labels.specialties[1:]]
    [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]
    """
    plan = PlantedDesign(**design)
    for value, what in ((n_samples, "n_samples"), (n_test, "n_test")):
        check_positive(value, what, integer=True)
    teachers = _plan_teachers(plan)

    seeds = np.random.SeedSequence(check_seed(random_state, name="random_state"))
    of_samples, of_test, *of_teachers, of_all = seeds.spawn(3 + len(teachers))
    rng = np.random.default_rng(of_samples)
    means = rng.standard_normal((plan.n_classes, plan.n_features))
    means *= plan.separation / np.linalg.norm(means, axis=1, keepdims=True)
    X, y = _draw_samples(means, n_samples, plan.imbalance, rng)
    X_test, y_test = _draw_samples(means, n_test, plan.imbalance, np.random.default_rng(of_test))

    streams = [sequence.spawn(4) for sequence in of_teachers]
    distances = _squared_distances(X, means)
    common = _Luck.draw(n_samples, np.random.default_rng(of_all))
    hard = np.stack(
        [
            _annotate(t, y, distances, _Luck.draw(n_samples, s[0]).shared(common, plan.correlation, s[3]))
            for t, s in zip(teachers, streams, strict=True)
        ],
        axis=1,
    )
    withheld = np.stack([np.random.default_rng(s[1]).random(n_samples) < plan.abstain for s in streams], axis=1)
    weak_test = _annotate(teachers[0], y_test, _squared_distances(X_test, means), _Luck.draw(n_test, streams[0][2]))
    annotations: FloatArray | IntArray
    if plan.soft:
        annotations = _soften(hard, teachers, plan.n_classes)
        annotations[withheld] = np.nan
    else:
        annotations = np.where(withheld, -1, hard)
    sizes = "/".join(str(n) for n in plan.teachers_per_level)
    return Task(
        name="hierarchy",
        X_train=X.astype(np.float32),
        labels=TeacherLabels(
            annotations,
            levels=[t.level for t in teachers],
            specialties=[t.classes for t in teachers],
            names=[t.name for t in teachers],
            n_classes=plan.n_classes,
        ),
        X_test=X_test.astype(np.float32),
        weak_test=weak_test,
        truth=Truth(y_train=y, y_test=y_test, expert=_experts(teachers, y, plan.n_classes)),
        class_names=tuple(f"class {c}" for c in range(plan.n_classes)),
        images_train=None,
        description=f"planted hierarchy: {plan.n_classes} classes, {plan.n_features} features, levels {sizes}",
    )


def _check_share(value: float, what: str) -> None:
    check_positive(value, what, allow_zero=True)
    if value > 1:
        raise CosupError(f"{what} must be from 0 to 1, got {value!r}")


def _plan_teachers(plan: PlantedDesign) -> list[_Teacher]:
    per_level, accuracy, n_classes = tuple(plan.teachers_per_level), tuple(plan.accuracy), plan.n_classes
    check_positive(n_classes, "n_classes", integer=True)
    for what in ("overlap", "uncovered", "useless", "adversarial"):
        check_positive(getattr(plan, what), what, integer=True, allow_zero=True)
    if n_classes < 2:
        raise CosupError(f"n_classes must be at least 2, got {n_classes}")
    if not per_level or per_level[0] != 1:
        raise CosupError(f"teachers_per_level must begin with 1, the generalist; got {per_level}")
    if len(accuracy) != len(per_level):
        raise CosupError(f"accuracy has {len(accuracy)} entries for {len(per_level)} levels; give one a level")
    covered = np.arange(n_classes - plan.uncovered)
    everything = np.arange(n_classes)
    teachers: list[_Teacher] = []
    for level, (size, right) in enumerate(zip(per_level, accuracy, strict=True)):
        check_positive(size, f"teachers_per_level[{level}]", integer=True)
        _check_share(right, f"accuracy[{level}]")
        if level == 0:
            teachers.append(_Teacher(0, "generalist", everything, everything, right, right, plan.systematic))
            continue
        if size > len(covered):
            raise CosupError(f"level {level} has {size} teachers for {len(covered)} covered classes; each needs one")
        for place, own in enumerate(np.array_split(covered, size)):
            classes = covered[own[0] : own[-1] + 1 + plan.overlap]
            name = f"level {level}, classes {classes[0]}-{classes[-1]}"
            truly, predictable = float(right), plan.systematic
            if place >= size - plan.adversarial:
                truly, predictable = 0.0, 1.0
            elif place >= size - plan.adversarial - plan.useless:
                truly, predictable = 1 / len(classes), 0.0
            teachers.append(_Teacher(level, name, classes, own, truly, right, predictable))
    return teachers


def _draw_samples(
    means: NDArray[np.float64], n: int, imbalance: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    if imbalance == 1:
        y = rng.integers(len(means), size=n)
    else:
        shares = np.geomspace(imbalance, 1, len(means))
        y = rng.choice(len(means), size=n, p=shares / shares.sum())
    return means[y] + rng.standard_normal((n, means.shape[1])), y


def _squared_distances(X: NDArray[np.float64], means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute squared distances to the classes' means, up to a constant a row, (n, n_classes)."""
    distances: NDArray[np.float64] = (means**2).sum(axis=1) - 2 * X @ means.T
    return distances


@dataclass(frozen=True)
class _Luck:
    """A teacher's draws, one a sample and each uniform on [0, 1): one sample's outcome never shifts another's."""

    truth: NDArray[np.float64]
    systematic: NDArray[np.float64]
    any_class: NDArray[np.float64]

    @classmethod
    def draw(cls, n: int, stream: np.random.SeedSequence | np.random.Generator) -> _Luck:
        rng = np.random.default_rng(stream)
        return cls(rng.random(n), rng.random(n), rng.random(n))

    def shared(self, common: _Luck, share: float, stream: np.random.SeedSequence) -> _Luck:
        """Replace the draws by the `common` ones on a random share of the samples."""
        uses = np.random.default_rng(stream).random(len(self.truth)) < share
        return _Luck(
            np.where(uses, common.truth, self.truth),
            np.where(uses, common.systematic, self.systematic),
            np.where(uses, common.any_class, self.any_class),
        )


def _annotate(
    teacher: _Teacher, y: NDArray[np.int64], distances: NDArray[np.float64], luck: _Luck
) -> NDArray[np.int64]:
    """Draw the classes that a teacher names, (n,) class ids of its range; see :func:`make_hierarchy`."""
    classes = teacher.classes
    n, size = len(y), len(classes)
    says_truth = luck.truth < teacher.accuracy
    is_systematic = luck.systematic < teacher.systematic
    uniform = luck.any_class
    if size == 1:
        return np.full(n, classes[0])
    place = y - classes[0]  # ranges are contiguous
    inside = (place >= 0) & (place < size)
    rows = np.flatnonzero(inside)

    others = distances[:, classes].copy()
    others[rows, place[rows]] = np.inf  # a mistake names another class than the truth
    nearest = others.argmin(axis=1)
    anyone = (uniform * np.where(inside, size - 1, size)).astype(np.int64)
    anyone += inside & (anyone >= place)
    mistaken = np.where(is_systematic, nearest, anyone)
    return classes[np.where(inside & says_truth, place, mistaken)]


def _soften(hard: NDArray[np.int64], teachers: list[_Teacher], n_classes: int) -> NDArray[np.float64]:
    soft = np.zeros((*hard.shape, n_classes))
    rows = np.arange(len(hard))
    for column, teacher in enumerate(teachers):
        size = len(teacher.classes)
        named = teacher.claimed if size > 1 else 1.0
        soft[:, column, teacher.classes] = (1 - named) / max(size - 1, 1)
        soft[rows, column, hard[:, column]] = named
    return soft


def _experts(teachers: list[_Teacher], y: NDArray[np.int64], n_classes: int) -> NDArray[np.int64]:
    owner = np.full((n_classes, teachers[-1].level + 1), -1)
    for column, teacher in enumerate(teachers):
        owner[teacher.own, teacher.level] = column
    return owner[y]
