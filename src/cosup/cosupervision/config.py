"""The configuration of the algorithm: which rule does each step."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cosup.cosupervision.assignment import ASSIGNERS
from cosup.cosupervision.rejection import REJECTIONS
from cosup.utils.validation import CosupError, check_choice, check_positive

__all__ = ["DEFAULT", "PAPER", "PUBLISHED", "CSLConfig"]


@dataclass(frozen=True)
class CSLConfig:
    """The rules of all steps; each can be replaced by name or switched off.

    Attributes
    ----------
    assign : {"student", "mass", "distance", "argmax", "likelihood", "learned", "random"}
        See `cosup.cosupervision.assignment`.
    reject : tuple of {"teacher-student", "local-global", "margin", "class-balanced", "top1", "top2", "top3"}
        Checks that an annotation must pass, see `cosup.cosupervision.rejection`. Empty keeps all.
    pool : bool
        Train on the pooled posterior of student and all levels' experts (see `cosup.cosupervision.pooling`), instead
        of on the assigned teachers' annotations.
    match_marginals : bool
        Hold the marginals of predictions and posterior at the estimated class prior, see
        `cosup.cosupervision.class_priors`.
    out_of_sample : bool
        Assign and reject by predictions of students that were not trained on the sample.
    hard : bool, optional
        Train on the most probable class of the targets instead of on the targets. None takes a pooled posterior where
        there are several generalists, and else leaves it to the student (`cosup.students.Fit.takes_soft`).
    rounds : int
        Rounds a level at the most, fewer where the posterior settles; twice as many where several generalists are the
        only level.
    ensemble : {"mean", "last"}
        The final student: the mean of all rounds' students, or the last one. The last one stands for the
        rounds that are left where the posterior has settled.
    teacher_screening : bool
        Where there are specialists, leave out teachers that the others do not agree with, see
        `cosup.cosupervision.teacher_screening`. Generalists alone are all kept: their confusions tell.
    fall_back : float
        The answer is the student of the generalists alone (vanilla) where the last student of specialists, out of
        sample, predicts its posterior's class less often than this: what can't be learnt is not worth teaching. Of
        several generalists, it is where that student explains the annotations better, whatever this is. 0 never
        falls back.
    all_classes : bool
        Give the student an output for classes that no teacher names, too: it learns nothing there, but an iterative
        student's path depends on them, and the released code has them.
    """

    assign: str = "student"
    reject: tuple[str, ...] = ()
    pool: bool = True
    match_marginals: bool = True
    out_of_sample: bool = True
    hard: bool | None = None
    rounds: int = 5
    ensemble: str = "mean"
    teacher_screening: bool = True
    fall_back: float = 0.4
    all_classes: bool = False

    def __post_init__(self) -> None:
        ASSIGNERS.find(self.assign)
        if isinstance(self.reject, str):
            raise CosupError(
                f"reject must be a tuple of names, got the string {self.reject!r}: write ({self.reject!r},)"
            )
        object.__setattr__(self, "reject", tuple(self.reject))
        for name in self.reject:
            REJECTIONS.find(name)
        check_choice(self.ensemble, ("mean", "last"), "ensemble")
        check_positive(self.rounds, "rounds", integer=True)


DEFAULT = CSLConfig()
"""The method ``co-supervised``: a pooled posterior of student and teachers, whose marginals are held."""

PAPER = replace(
    DEFAULT, reject=("teacher-student", "local-global"), pool=False, match_marginals=False, hard=True, rounds=1,
    ensemble="last", teacher_screening=False,
)  # fmt: skip
"""The method ``csl``, the paper's algorithm 1: local students, both consistency checks."""

PUBLISHED = replace(PAPER, assign="argmax", reject=("top3",), out_of_sample=False, all_classes=True)
"""The method ``csl-published``, the released code: no local students, small losses are kept, all is in sample."""
