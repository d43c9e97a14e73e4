"""Aggregate all teachers into one label a sample, then train a student: votes, pools and crowd models."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from cosup.baselines.consensus import FLOOR, check_fraction, every_teacher, floored, pooled, train_once
from cosup.baselines.crowd import on_arrays
from cosup.estimators.base import TeacherSupervised
from cosup.estimators.supervision import Supervision
from cosup.labels import TeacherLabels
from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import CosupError, FloatArray, IntArray, check_positive

__all__ = ["DawidSkene", "Glad", "LogPool", "Mace", "MajorityVote", "MeanVote", "Snorkel", "log_pool", "majority"]


def majority(annotated: IntArray, n_classes: int) -> FloatArray:
    """Count shares of votes, (n_samples, n_classes), of class ids (n_samples, n_teachers), -1 for an abstention."""
    counts = np.zeros((len(annotated), n_classes))
    for column in annotated.T:
        rows = np.flatnonzero(column >= 0)
        counts[rows, column[rows]] += 1.0
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0))


def log_pool(labels: TeacherLabels, floor: float = FLOOR) -> FloatArray:
    """Multiply and normalise the floored probabilities of the teachers that speak; zeros where none does."""
    total = np.zeros((len(labels), labels.n_classes))
    speaks = labels.speaks()
    for t in range(labels.n_teachers):
        total += np.log(floored(labels.probabilities(t), floor)) * speaks[:, t : t + 1]
    total -= total.max(axis=1, keepdims=True)
    pool = np.exp(total) * np.asarray(speaks.any(axis=1))[:, None]
    return np.asarray(pool / np.maximum(pool.sum(axis=1, keepdims=True), 1e-300))


class _Aggregated(TeacherSupervised):
    """Train a student on what `_pool` makes of all teachers."""

    def __init__(self, student: Any = "ridge", *, soft: bool = False, random_state: Any = None) -> None:
        self.student = student
        self.soft = soft
        self.random_state = random_state

    def _pool(self, labels: TeacherLabels, seed: int) -> tuple[FloatArray, list[str]]:
        """Return a posterior, (n_samples, n_classes), zeros where no teacher speaks, and notes."""
        raise NotImplementedError(f"{type(self).__name__} must implement _pool")

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        pool, notes = self._pool(labels, seed)
        consensus = pooled(every_teacher(labels).columns, pool)
        return train_once(self.student, X, labels, consensus, seed, soft=self.soft, notes=notes)


class MajorityVote(_Aggregated):
    """The student on the class that most teachers name; a tie goes to the smallest class id.

    Levels and specialties are ignored: specialists vote on samples outside their specialty, too.

    Parameters
    ----------
    student : name of a student (see `as_student`), Student or scikit-learn classifier
    soft : bool
        Train on the pooled probabilities rather than on their most probable class.
    random_state : int, RandomState or None
    """

    def _pool(self, labels: TeacherLabels, seed: int) -> tuple[FloatArray, list[str]]:
        return majority(labels.hard(), labels.n_classes), []


class MeanVote(_Aggregated):
    """The student on the mean of all teachers' probabilities (linear opinion pool; Stone 1961).

    On hard annotations this is `MajorityVote`.

    Parameters
    ----------
    student, soft, random_state
        As for `MajorityVote`.
    """

    def _pool(self, labels: TeacherLabels, seed: int) -> tuple[FloatArray, list[str]]:
        return every_teacher(labels).vote, []


class LogPool(_Aggregated):
    """The student on the normalised product of all teachers' probabilities (logarithmic opinion pool; Genest 1984).

    Parameters
    ----------
    student, soft, random_state
        As for `MajorityVote`.
    floor : float
        Share of the uniform distribution in every teacher's probabilities, in (0, 1]: no teacher has a veto.
    """

    def __init__(
        self, student: Any = "ridge", *, floor: float = FLOOR, soft: bool = False, random_state: Any = None
    ) -> None:
        super().__init__(student, soft=soft, random_state=random_state)
        self.floor = floor

    def _pool(self, labels: TeacherLabels, seed: int) -> tuple[FloatArray, list[str]]:
        check_fraction(self.floor, "floor", low=1e-6)
        return log_pool(labels, self.floor), []


def _crowd(labels: TeacherLabels, name: str, **options: Any) -> FloatArray:
    """Compute the posterior of a model of crowd-kit, (n_samples, n_classes); zeros where no teacher speaks."""
    module = import_extra("crowdkit.aggregation.classification", extra="crowd", purpose=f"{name} aggregation")
    pandas = import_extra("pandas", extra="crowd", purpose=f"{name} aggregation")
    annotated = labels.hard()
    task, worker = np.nonzero(annotated >= 0)
    frame = pandas.DataFrame({"task": task, "worker": worker, "label": annotated[task, worker]})
    model = on_arrays(getattr(module, name))(**options)
    # crowd-kit calls deprecated pandas functions, and takes logarithms of densities that underflow; neither is
    # the user's doing. What comes out is checked below.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        posterior = model.fit(frame).probas_
    found = posterior.reindex(index=range(len(labels)), columns=range(labels.n_classes)).fillna(0.0).to_numpy(float)
    broken = (annotated >= 0).any(axis=1) & ~(found.sum(axis=1) > 0)
    if broken.any() or not np.isfinite(found).all():
        raise CosupError(
            f"crowd-kit's {name} found no posterior for {max(int(broken.sum()), 1)} samples: a likelihood underflowed"
        )
    return np.asarray(found / np.maximum(found.sum(axis=1, keepdims=True), 1e-300))


class _CrowdModel(_Aggregated):
    """Train a student on the posterior of crowd-kit's model `_model`."""

    _model: str

    def __init__(self, student: Any, *, n_iter: int, soft: bool, random_state: Any) -> None:
        super().__init__(student, soft=soft, random_state=random_state)
        self.n_iter = n_iter

    def _options(self, seed: int) -> dict[str, Any]:
        return {}

    def _pool(self, labels: TeacherLabels, seed: int) -> tuple[FloatArray, list[str]]:
        check_positive(self.n_iter, "n_iter", integer=True)
        return _crowd(labels, self._model, n_iter=self.n_iter, **self._options(seed)), []


class DawidSkene(_CrowdModel):
    """The student on Dawid & Skene's (1979) posterior: every teacher has a confusion matrix, found by EM (crowd-kit).

    Needs the extra ``crowd``.

    Parameters
    ----------
    student, soft, random_state
        As for `MajorityVote`.
    n_iter : int
        Iterations of EM at most.
    """

    _model = "DawidSkene"

    def __init__(
        self, student: Any = "ridge", *, n_iter: int = 100, soft: bool = False, random_state: Any = None
    ) -> None:
        super().__init__(student, n_iter=n_iter, soft=soft, random_state=random_state)


class Glad(_CrowdModel):
    """The student on GLAD's posterior: an ability a teacher, a difficulty a sample (Whitehill et al. 2009; crowd-kit).

    Needs the extra ``crowd``. Its steps are taken on arrays, see `cosup.baselines.crowd`.

    Parameters
    ----------
    student, soft, random_state
        As for `MajorityVote`.
    n_iter : int
        Iterations of EM at most; crowd-kit's own default is 100.
    """

    _model = "GLAD"

    def __init__(
        self, student: Any = "ridge", *, n_iter: int = 3, soft: bool = False, random_state: Any = None
    ) -> None:
        super().__init__(student, n_iter=n_iter, soft=soft, random_state=random_state)


class Mace(_CrowdModel):
    """The student on the posterior of MACE: teachers know or guess (Hovy et al. 2013; crowd-kit's variational EM).

    Needs the extra ``crowd``. One start: crowd-kit draws the same start for all its restarts.

    Parameters
    ----------
    student, soft
        As for `MajorityVote`.
    n_iter : int
        Iterations of EM.
    random_state : int, RandomState or None
        Student and start.
    """

    _model = "MACE"

    def __init__(
        self, student: Any = "ridge", *, n_iter: int = 50, soft: bool = False, random_state: Any = None
    ) -> None:
        super().__init__(student, n_iter=n_iter, soft=soft, random_state=random_state)

    def _options(self, seed: int) -> dict[str, Any]:
        return {"n_restarts": 1, "random_state": seed}


class Snorkel(_Aggregated):
    """The student on the posterior of Snorkel's label model (Ratner et al. 2019), by its own implementation.

    As in its tutorials: 500 epochs, class balance uniform. Needs the extra ``snorkel``; where fewer than three teachers
    ever speak, which is what the model asks for, the majority takes its place.

    Parameters
    ----------
    student, soft
        As for `MajorityVote`.
    n_epochs : int
    random_state : int, RandomState or None
        Student and start.
    """

    def __init__(
        self, student: Any = "ridge", *, n_epochs: int = 500, soft: bool = False, random_state: Any = None
    ) -> None:
        super().__init__(student, soft=soft, random_state=random_state)
        self.n_epochs = n_epochs

    def _pool(self, labels: TeacherLabels, seed: int) -> tuple[FloatArray, list[str]]:
        check_positive(self.n_epochs, "n_epochs", integer=True)
        module = import_extra("snorkel.labeling.model", extra="snorkel", purpose="Snorkel's label model")
        annotated = labels.hard()
        speaking = annotated[:, (annotated >= 0).any(axis=0)]
        if speaking.shape[1] < 3:
            return majority(annotated, labels.n_classes), ["fewer than three teachers speak: their majority"]
        model = module.LabelModel(cardinality=labels.n_classes, verbose=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its dependencies' deprecations
            model.fit(speaking, n_epochs=self.n_epochs, log_freq=self.n_epochs, seed=seed % 2**31, progress_bar=False)
            posterior = model.predict_proba(speaking)
        return posterior * np.asarray(speaking >= 0).any(axis=1, keepdims=True), []
