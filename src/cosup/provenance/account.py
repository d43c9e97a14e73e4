"""The account of a fit: every sample's annotations, assigned teachers, rejections and answer."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cosup.estimators.supervision import PROVENANCE
from cosup.labels import TeacherLabels
from cosup.provenance.reasons import reason_text
from cosup.utils.slices import slices
from cosup.utils.tables import MOST, frame, html_table
from cosup.utils.validation import BoolArray, CosupError, FloatArray, IntArray, check_features

__all__ = ["Account"]

ANSWERED_ROWS = 1 << 16
"""Samples whose probabilities over all classes are held together."""

NEAR = 20_000
"""Ids among which near matches of an unknown one are sought."""


# eq=False: comparing arrays field by field has no single truth value.
@dataclass(frozen=True, eq=False, repr=False)
class Account:
    """The account of every sample in a fit; n samples, m teachers, K levels.

    Attributes
    ----------
    ids : tuple of str
        A sample's name each.
    class_names, teachers : tuple of str
    teacher_levels : tuple of int
        Level of each teacher.
    specialties : tuple of (None or tuple of int)
        Class ids that each teacher covers, where known.
    levels : tuple of int
        Number of the level that each of the K columns below is about.
    annotated : ndarray of shape (n, m), int32
        Class id that the teacher names, -1 where it abstains.
    support : ndarray of shape (n, m), float32
        Probability that the final student gives to the teacher's annotation; NaN where it abstains.
    assigned : ndarray of shape (n, K), int32
        The teacher assigned at the level, -1: none, or several as one.
    annotation : ndarray of shape (n, K), int32
        Class id of its annotation, -1: none.
    kept : ndarray of shape (n, K), bool
        Whether the level trained on that annotation.
    reason : ndarray of shape (n, K), uint8
        Why not: a position in `reasons`.
    reasons : tuple of str
        Names of rejection rules and steps; the first is empty: kept.
    reason_texts : tuple of str
        The reasons as clauses.
    probability : ndarray of shape (n, K), float32
        The student's probability of the annotation, out of sample; NaN where there is none.
    level_answer : ndarray of shape (n, K), int32
        The answer of the student after the level; -1 where that isn't known.
    answer, second : ndarray of shape (n,), int32
        The final student's most probable classes; -1 where that isn't known.
    confidence, second_confidence : ndarray of shape (n,), float32
        Its probabilities of these.
    rank : ndarray of shape (n,), int32
        Place in the order in which to look (see `cosup.provenance.look_first`), from 0; -1 where that isn't known.
    doubt, dispute, influence : ndarray of shape (n,), float32
        The factors of that order.
    """

    ids: tuple[str, ...]
    class_names: tuple[str, ...]
    teachers: tuple[str, ...]
    teacher_levels: tuple[int, ...]
    specialties: tuple[tuple[int, ...] | None, ...]
    levels: tuple[int, ...]
    annotated: IntArray
    support: FloatArray
    assigned: IntArray
    annotation: IntArray
    kept: BoolArray
    reason: IntArray
    reasons: tuple[str, ...]
    reason_texts: tuple[str, ...]
    probability: FloatArray
    level_answer: IntArray
    answer: IntArray
    second: IntArray
    confidence: FloatArray
    second_confidence: FloatArray
    rank: IntArray
    doubt: FloatArray
    dispute: FloatArray
    influence: FloatArray
    nearest: IntArray | None = None
    distance: FloatArray | None = None

    @classmethod
    def of(
        cls,
        model: Any,
        labels: TeacherLabels,
        X: ArrayLike | None = None,
        *,
        class_names: Sequence[str] | None = None,
        ids: Sequence[str] | None = None,
        looking: tuple[IntArray, Any] | None = None,
        nearest: tuple[IntArray, FloatArray] | None = None,
    ) -> Account:
        """Gather what a fitted model left behind.

        Parameters
        ----------
        model : fitted estimator of cosup
            With ``provenance_`` and ``history_``, so as it was fitted, not as it was read from disk.
        labels : TeacherLabels
            The labels that it was fitted on.
        X : array-like of shape (n_samples, n_features), optional
            The features that it was fitted on; without them, nothing is known of the student's answers.
        class_names : sequence of str, optional
            Default: the class ids.
        ids : sequence of str, optional
            Default: the samples' positions.
        looking : (order, parts), optional
            The result of `cosup.provenance.look_first`.

        Raises
        ------
        CosupError
            If the model has no provenance, or lengths do not fit together.
        """
        provenance = getattr(model, "provenance_", None)
        if provenance is None or provenance.ndim != 2 or not provenance.size:
            raise CosupError(
                "this model has no provenance: it was not fitted, or was read from disk; "
                "what 'cosup fit' left in its folder is read by cosup.provenance.read_account"
            )
        n, K = provenance.shape
        for what, given in (("labels", labels), ("X", X), ("ids", ids)):
            if given is not None and len(given) != n:  # type: ignore[arg-type]
                raise CosupError(f"{what} has {len(given)} samples, but the model was fitted on {n}")  # type: ignore[arg-type]
        names = tuple(str(c) for c in (model.classes_ if class_names is None else class_names))
        if len(names) != labels.n_classes:
            raise CosupError(f"there are {len(names)} class names for {labels.n_classes} classes")
        reasons = ("", *sorted(set(np.unique(provenance["reason"]).tolist()) - {""}))
        reason = np.zeros((n, K), dtype=np.uint8)
        for place, text in enumerate(reasons[1:], start=1):
            reason[provenance["reason"] == text] = place
        account = cls(
            ids=tuple(str(i) for i in (range(n) if ids is None else ids)),
            class_names=names,
            teachers=tuple(labels.names),
            teacher_levels=tuple(int(k) for k in labels.levels),
            specialties=tuple(None if s is None else tuple(int(c) for c in s) for s in labels.specialties),
            levels=tuple(int(entry["level"]) for entry in model.history_),
            annotated=labels.hard(),
            support=np.full((n, labels.n_teachers), np.nan, np.float32),
            assigned=provenance["teacher"].astype(np.int32),
            annotation=provenance["annotation"].astype(np.int32),
            kept=provenance["kept"].astype(bool),
            reason=reason,
            reasons=reasons,
            reason_texts=tuple(reason_text(name) for name in reasons),
            probability=provenance["probability"].astype(np.float32),
            level_answer=np.full((n, K), -1, np.int32),
            answer=np.full(n, -1, np.int32),
            second=np.full(n, -1, np.int32),
            confidence=np.full(n, np.nan, np.float32),
            second_confidence=np.full(n, np.nan, np.float32),
            rank=np.full(n, -1, np.int32),
            doubt=np.full(n, np.nan, np.float32),
            dispute=np.full(n, np.nan, np.float32),
            influence=np.full(n, np.nan, np.float32),
            nearest=None if nearest is None else nearest[0],
            distance=None if nearest is None else nearest[1],
        )
        if X is not None:
            account._answer(model, check_features(np.asarray(X), n_samples=n))
        if looking is not None:
            order, parts = looking
            account.rank[order] = np.arange(n)
            for name in ("doubt", "dispute", "influence"):
                getattr(account, name)[:] = parts[name]
        return account

    def _answer(self, model: Any, X: FloatArray) -> None:
        """Fill in what the students answer, a block of samples at a time."""
        for rows in slices(len(self), ANSWERED_ROWS):
            P = np.asarray(model.head_.predict_proba(X[rows]))
            place = np.arange(len(P))
            # A model that was read from disk has its last student only.
            first = len(self.levels) - len(model.level_heads_)
            for k, head in enumerate(model.level_heads_, start=first):
                level = P if head is model.head_ else head.predict_proba(X[rows])
                self.level_answer[rows, k] = level.argmax(axis=1)
            annotated = self.annotated[rows]
            support = P[place[:, None], np.maximum(annotated, 0)]
            self.support[rows] = np.where(annotated >= 0, support, np.nan)
            best = P.argmax(axis=1)
            self.answer[rows], self.confidence[rows] = best, P[place, best]
            P = P.copy()
            P[place, best] = -1.0
            best = P.argmax(axis=1)
            self.second[rows], self.second_confidence[rows] = best, P[place, best]

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return (
            f"Account({len(self):,} samples, {len(self.teachers)} teachers, {len(self.levels)} levels, "
            f"{len(self.class_names)} classes)"
        )

    def to_frame(self) -> Any:
        """Return a row a sample, as a pandas data frame: annotations, assigned teachers, what is kept, the answers."""
        classes = np.array([*self.class_names, None], dtype=object)
        teachers = np.array([*self.teachers, None], dtype=object)
        columns: dict[str, Any] = {"answer": classes[self.answer], "confidence": self.confidence}
        for t, name in enumerate(self.teachers):
            columns[f"says: {name}"] = classes[self.annotated[:, t]]
        for k, level in enumerate(self.levels):
            columns[f"level {level}: assigned"] = teachers[self.assigned[:, k]]
            columns[f"level {level}: says"] = classes[self.annotation[:, k]]
            columns[f"level {level}: kept"] = self.kept[:, k]
        return frame(columns, index=self.ids)

    def _repr_html_(self) -> str:
        first = range(min(len(self), MOST))
        rows = []
        for i in first:
            named_classes = [self.class_names[c] if c >= 0 else "" for c in self.annotated[i]]
            rows.append(
                (self.ids[i], self.class_names[self.answer[i]], f"{self.confidence[i]:.2f}", ", ".join(named_classes))
            )
        head = ("id", "answer", "confidence", f"what {', '.join(self.teachers[:4])} ... name")
        more = len(self) - len(rows)
        return html_table(head, rows, caption=repr(self)[8:-1], notes=[f"{more:,} more: to_frame()"] if more else [])

    def provenance(self) -> Any:
        """Return the model's ``provenance_``, (n, K) of dtype `PROVENANCE`, from which `of` gathered it."""
        out = np.zeros(self.assigned.shape, dtype=PROVENANCE)
        out["teacher"], out["annotation"], out["kept"] = self.assigned, self.annotation, self.kept
        out["reason"], out["probability"] = np.array(self.reasons)[self.reason], self.probability
        return out

    def field(self, teacher: int) -> BoolArray:
        """Return the classes that a teacher can be asked about, (n_classes,) bool: those it covers and names.

        A teacher that never names a class does not contradict an answer of that class by naming another.
        """
        annotated = self.annotated[:, teacher]
        named = np.bincount(annotated[annotated >= 0], minlength=len(self.class_names)) > 0
        specialty = self.specialties[teacher]
        return named if specialty is None else named & np.isin(np.arange(len(named)), specialty)

    def covers(self, teacher: int) -> BoolArray:
        """Mark where a teacher can be asked about the final answer's class, (n,) bool."""
        return (self.answer >= 0) & self.field(teacher)[np.maximum(self.answer, 0)]

    def place(self, name: str) -> int:
        """Find the position of a sample by its id.

        Raises
        ------
        CosupError
            If there is none, with near matches.
        """
        if name in self.ids:
            return self.ids.index(name)
        near = difflib.get_close_matches(name, self.ids[:NEAR], n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else f"; the first is {self.ids[0]!r}"
        raise CosupError(f"there is no sample {name!r} among {len(self):,}{hint}")

    def take(self, rows: IntArray | slice) -> Account:
        """Return the account of some samples."""
        several = (
            "annotated", "support", "assigned", "annotation", "kept", "reason", "probability", "level_answer", "answer",
            "second", "confidence", "second_confidence", "rank", "doubt", "dispute", "influence",
        )  # fmt: skip
        places = np.arange(len(self))[rows]
        cut: dict[str, Any] = {name: getattr(self, name)[places] for name in several}
        if self.nearest is not None and self.distance is not None:
            # Neighbours that are not taken are dropped.
            there = np.full(len(self) + 1, -1, dtype=np.int32)
            there[places] = np.arange(len(places))
            cut["nearest"] = there[self.nearest[places]]
            cut["distance"] = np.where(cut["nearest"] < 0, np.nan, self.distance[places]).astype(np.float32)
        return replace(self, ids=tuple(self.ids[i] for i in places), **cut)
