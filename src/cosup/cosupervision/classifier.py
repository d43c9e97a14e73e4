"""Co-supervised learning as scikit-learn estimators: our rule, the paper's algorithm, the released recipe."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from cosup.cosupervision.algorithm import co_supervise
from cosup.cosupervision.config import DEFAULT, PAPER, PUBLISHED, CSLConfig
from cosup.cosupervision.memory import expected_bytes
from cosup.estimators.base import TeacherSupervised
from cosup.estimators.supervision import Supervision
from cosup.labels import TeacherLabels
from cosup.students import AdamProbe, Student, as_student, peak_bytes
from cosup.utils.validation import FloatArray, check_choice

__all__ = ["CoSupervisedClassifier", "PaperCSL", "PublishedCSL"]


class _CoSupervised(TeacherSupervised):
    """A student and config for `co_supervise`, which a method names by ``_plan() -> (student, config)``."""

    def _plan(self) -> tuple[Any, CSLConfig]:
        raise NotImplementedError(f"{type(self).__name__} must implement _plan")

    def check_parameters(self) -> None:
        """Raise `CosupError` for parameters that `fit` would refuse, whatever the data."""
        student, _ = self._plan()
        as_student(student)

    def _peak_bytes(self, X: FloatArray, labels: TeacherLabels) -> int:
        student, config = self._plan()
        return expected_bytes(labels, config) + peak_bytes(as_student(student), X, labels.n_classes)

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        student, config = self._plan()
        return co_supervise(X, labels, student=student, config=config, random_state=seed)


class CoSupervisedClassifier(_CoSupervised):
    """A strong student trained under a hierarchy of weak teachers, without one true label.

    The student starts on the generalists' labels. Several generalists are read as witnesses, each with a confusion
    matrix; at a level of specialists the student's predictions of samples that it was not trained on decide how far
    each is followed on each sample. Witnesses, mixtures and the student's own predictions are multiplied to a posterior
    over classes whose marginals are held at the estimated class prior, and a fresh student is trained on it. There are
    five rounds a level; the final student is the mean of all rounds'. This is expectation-maximisation for a
    hierarchical mixture of experts (Jordan & Jacobs 1994) under posterior regularisation (Ganchev et al. 2010), after
    Liu & Alahi (2024), *Co-Supervised Learning*, arXiv 2402.15505.

    Parameters
    ----------
    student : {"ridge", "logistic", "adam", "gradient", "mixture", "mlp"}, Student or scikit-learn classifier
        The student. The ridge probe predicts leave-one-out in closed form and chooses its regularisation without
        labels.
    assign : {"student", "mass", "distance", "argmax", "likelihood", "learned", "random"}
        The rule that gives responsibilities, see `cosup.cosupervision.assignment`.
    reject : tuple of str
        Checks of `cosup.cosupervision.rejection` that annotations must pass; none by default, since the posterior
        already overrules unlikely ones.
    pool : bool
        Train on the pooled posterior rather than on the assigned teachers' annotations.
    match_marginals : bool
        Hold the posterior's class marginals at the class shares, see `cosup.cosupervision.class_priors`.
    out_of_sample : bool
        Assign and reject by predictions of students that were not trained on the sample.
    hard : bool, optional
        Train on the posterior's most probable class rather than on the posterior. None takes the posterior where there
        are several generalists, and else leaves it to the student: a ridge's plain scores shrink with its targets,
        while a discriminant or a logistic student is calibrated to what it is given.
    rounds : int
        Rounds a level at the most, fewer where the posterior settles; twice as many where several generalists are the
        only level.
    ensemble : {"mean", "last"}
        The final student: mean of all rounds' students, or the last.
    teacher_screening : bool
        Leave out teachers that the others do not agree with; see `cosup.cosupervision.teacher_screening`.
    random_state : int, RandomState or None
        Only cross-fitted students and random assignment draw from it; the default is deterministic.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    head_ : Head
        The final student.
    history_ : list of dict
        A record a level: ``teachers``, ``assigned``, ``kept``, ``keep_rate``, ``agreement``, ``objective``,
        ``rounds``, ``alpha``, ``seconds``, ``notes``.
    provenance_ : structured ndarray of shape (n_samples, n_levels)
        The teacher assigned, its annotation, whether it was kept or why not, the student's probability of it.
    estimates_ : Estimates
        Estimated accuracies of the student and of every teacher (by class, too) with 90 % intervals, without a label.

    Examples
    --------
    >>> import numpy as np
    >>> from cosup import CoSupervisedClassifier, TeacherLabels
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 50)
    >>> X = rng.normal(size=(100, 5)) + 3 * y[:, None]
    >>> noisy = np.where(rng.random(100) < 0.3, 1 - y, y)
    >>> model = CoSupervisedClassifier(random_state=0).fit(X, TeacherLabels(noisy[:, None]))
    >>> bool(model.score(X, y) > 0.95)
    True
    """

    def __init__(
        self,
        student: Any = "ridge",
        *,
        assign: str = DEFAULT.assign,
        reject: tuple[str, ...] = DEFAULT.reject,
        pool: bool = DEFAULT.pool,
        match_marginals: bool = DEFAULT.match_marginals,
        out_of_sample: bool = DEFAULT.out_of_sample,
        hard: bool | None = DEFAULT.hard,
        rounds: int = DEFAULT.rounds,
        ensemble: str = DEFAULT.ensemble,
        teacher_screening: bool = DEFAULT.teacher_screening,
        random_state: Any = None,
    ) -> None:
        self.student = student
        self.assign = assign
        self.reject = reject
        self.pool = pool
        self.match_marginals = match_marginals
        self.out_of_sample = out_of_sample
        self.hard = hard
        self.rounds = rounds
        self.ensemble = ensemble
        self.teacher_screening = teacher_screening
        self.random_state = random_state

    def _plan(self) -> tuple[Any, CSLConfig]:
        own = {field.name: getattr(self, field.name) for field in fields(CSLConfig) if hasattr(self, field.name)}
        return self.student, CSLConfig(**own)


class PaperCSL(CoSupervisedClassifier):
    """The paper's algorithm 1 with a well-regularised student: local students, both consistency checks.

    Assignment by the student's class mass, a local student a teacher, teacher-student and local-global consistency,
    a global student on what survives (Liu & Alahi 2024, fig. 4 and 5). Our choices where the paper is silent: a ridge
    student of label-free regularisation, and assignment and rejection by out-of-sample predictions.

    Parameters
    ----------
    student, assign, reject, pool, match_marginals, out_of_sample, hard, rounds, ensemble, teacher_screening
    random_state
        As in `CoSupervisedClassifier`, with the paper's defaults.
    """

    def __init__(
        self,
        student: Any = "ridge",
        *,
        assign: str = PAPER.assign,
        reject: tuple[str, ...] = PAPER.reject,
        pool: bool = PAPER.pool,
        match_marginals: bool = PAPER.match_marginals,
        out_of_sample: bool = PAPER.out_of_sample,
        hard: bool | None = PAPER.hard,
        rounds: int = PAPER.rounds,
        ensemble: str = PAPER.ensemble,
        teacher_screening: bool = PAPER.teacher_screening,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            student, assign=assign, reject=reject, pool=pool, match_marginals=match_marginals,
            out_of_sample=out_of_sample, hard=hard, rounds=rounds, ensemble=ensemble,
            teacher_screening=teacher_screening, random_state=random_state,
        )  # fmt: skip


class PublishedCSL(_CoSupervised):
    """The recipe of the released code (July 2024), reported at the last epoch.

    No local students. The teacher whose class range holds the previous student's most probable class is assigned
    (where ranges are unknown, as with domains, the one nearest to that student: our choice, the code has none); rho
    is the share of samples whose annotated class is among that student's top q, and the rho * N samples with the
    smallest cross-entropy are kept; a re-initialised linear probe is trained with Adam for ``int(20 / rho)`` epochs.
    Predictions are in-sample, as in that code.

    Parameters
    ----------
    criterion : {"top1", "top2", "top3", "all"}
        The q of the rejection; "all" keeps everything.
    learning_rate : float
    epochs : int
    batch_size : int
    soft : bool
        Train on the teachers' probabilities rather than on their most probable class.
    random_state : int, RandomState or None
        Initialisation and batches.
    """

    def __init__(
        self,
        criterion: str = "top3",
        *,
        learning_rate: float = 1e-4,
        epochs: int = 20,
        batch_size: int = 100,
        soft: bool = False,
        random_state: Any = None,
    ) -> None:
        self.criterion = criterion
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.soft = soft
        self.random_state = random_state

    def _plan(self) -> tuple[Any, CSLConfig]:
        check_choice(self.criterion, ("top1", "top2", "top3", "all"), "criterion")
        reject = () if self.criterion == "all" else (self.criterion,)
        return self._student(), replace(PUBLISHED, reject=reject, hard=not self.soft)

    def _student(self) -> Student:
        """Make the recipe's probe; the benchmark puts one in its place that remembers its training."""
        return AdamProbe(learning_rate=self.learning_rate, epochs=self.epochs, batch_size=self.batch_size)
