"""Estimated accuracies of a fit's teachers and student: the one record that models, files and pages hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cosup.utils.errors import CosupError
from cosup.utils.tables import align, foremost, frame, html_table, left_out
from cosup.utils.validation import FloatArray

__all__ = ["STUDENT", "Estimates"]

STUDENT = "the student"
"""The student's name beside the teachers'."""

NOTE = "Estimated without a label, from who agrees with whom; 90 % intervals."


@dataclass(frozen=True, eq=False)
class Estimates:
    """Estimated accuracies, each with a 90 % interval.

    Attributes
    ----------
    student : ndarray of shape (3,)
        Estimate, lower and upper end, of the student on samples that it was not trained on; NaN where it is not known.
    teachers : ndarray of shape (n_teachers, 3)
        Of every teacher on the samples that it speaks of.
    by_class : ndarray of shape (n_teachers, n_classes, 3), optional
        Of every teacher on the samples of a class; NaN where it never names the class or it is not among those named.
    names : tuple of str
        The teachers', where these are known.
    note : str
        How they came about, and what they rest on.
    """

    student: FloatArray
    teachers: FloatArray
    by_class: FloatArray | None = None
    names: tuple[str, ...] = ()
    note: str = NOTE

    @property
    def overall(self) -> FloatArray:
        """All in one table, (n_teachers + 1, 3): the teachers in order, and the student as the last."""
        return np.vstack([self.teachers, self.student])

    def unknown(self) -> Estimates:
        """Forget every value: they come from a model that is not used."""
        student, teachers = np.full_like(self.student, np.nan), np.full_like(self.teachers, np.nan)
        by_class = None if self.by_class is None else np.full_like(self.by_class, np.nan)
        return replace(self, student=student, teachers=teachers, by_class=by_class)

    def of_teachers(self, names: Sequence[str]) -> Estimates:
        """Keep the first teachers, as many as are named, or add further ones of whom nothing is known."""
        m = len(names)

        def fitted(values: FloatArray) -> FloatArray:
            more = [(0, max(m - len(values), 0))] + [(0, 0)] * (values.ndim - 1)
            return np.pad(values[:m], more, constant_values=np.nan)

        by_class = None if self.by_class is None else fitted(self.by_class)
        return replace(self, teachers=fitted(self.teachers), by_class=by_class, names=tuple(names))

    def check(self, n_teachers: int, n_classes: int) -> None:
        """Raise CosupError if they are of another number of teachers or classes."""
        if self.overall.shape != (n_teachers + 1, 3):
            raise CosupError(f"estimates are of {len(self.teachers)} teachers, but the account has {n_teachers}")
        expected = (n_teachers, n_classes, 3)
        if self.by_class is not None and self.by_class.shape != expected:
            raise CosupError(f"estimates by class have shape {self.by_class.shape}, expected {expected}")

    def to_json(self) -> dict[str, Any]:
        """Encode them as plain values; NaN becomes None, and the student, of whom no class is estimated, comes last."""
        by_class = None
        if self.by_class is not None:
            by_class = _plain(np.concatenate([self.by_class, np.full((1, *self.by_class.shape[1:]), np.nan)]))
        return {"overall": _plain(self.overall), "byClass": by_class, "note": self.note}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Estimates:
        """Decode the values of `to_json`.

        Raises
        ------
        CosupError
            If it is something else, or values that no share of samples has.
        """
        try:
            overall, by_class = _floats(content["overall"]), content["byClass"]
            known = [overall] if by_class is None else [overall, _floats(by_class)]
            note = content["note"]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise CosupError(f"these are no estimates ({error})") from error
        tables = all(values.ndim == axes and values.size for values, axes in zip(known, (2, 3), strict=False))
        if not tables or not isinstance(note, str) or not all(map(_are_intervals, known)):
            raise CosupError("these are no shares with intervals and a note")
        return cls(overall[-1], overall[:-1], None if by_class is None else known[1][:-1], note=note)

    def to_frame(self) -> Any:
        """Make a pandas data frame of a row a teacher and one for the student: estimate, lower and upper end."""
        return frame(dict(zip(("estimate", "low", "high"), self.overall.T, strict=True)), index=self._named())

    def _named(self) -> list[str]:
        names = list(self.names) or [f"teacher {t}" for t in range(len(self.teachers))]
        return [*names, *(f"teacher {t}" for t in range(len(names), len(self.teachers))), STUDENT]

    def __str__(self) -> str:
        """Write a table, the student last; of many teachers, those with the narrowest intervals."""
        rows = [
            (name, "not known" if np.isnan(middle) else f"{middle:5.1%} ({low:.1%} to {high:.1%})")
            for name, (middle, low, high) in self._shown()
        ]
        table = [f"  {line}" for line in align(rows)]
        return "\n".join(["Estimated accuracy, without a label (90 % interval):", *table, *self._left()])

    def _repr_html_(self) -> str:
        rows = [
            (name, *("not known" if np.isnan(value) else f"{value:.1%}" for value in values))
            for name, values in self._shown()
        ]
        return html_table(
            ("", "accuracy", "low", "high"), rows, caption="Estimated without a label, 90 % intervals",
            notes=[*self._left(), "No interval shows mistakes that teachers and student share; labels do."],
        )  # fmt: skip

    def _shown(self) -> list[tuple[str, FloatArray]]:
        """Pair names and values of the teachers that are known best, in order, and of the student."""
        names, values = self._named(), self.overall
        width = np.nan_to_num(self.teachers[:, 2] - self.teachers[:, 1], nan=np.inf)
        return [(names[i], values[i]) for i in [*foremost(-width), len(self.teachers)]]

    def _left(self) -> list[str]:
        return left_out(len(self.teachers), "teachers have wider intervals or none")


def _plain(values: FloatArray) -> Any:
    """Make nested lists, None for NaN."""
    plain = np.round(values, 4).astype(object)
    plain[~np.isfinite(values)] = None
    return plain.tolist()


def _floats(content: Any) -> FloatArray:
    """Read numbers of JSON as an array, null as NaN; TypeError or ValueError where something else is among them."""
    values = np.array(content, dtype=object)
    if not all(value is None or type(value) in (int, float) for value in values.flat):
        raise TypeError("there is something else than numbers")
    return values.astype(np.float64)


def _are_intervals(values: FloatArray) -> bool:
    """Tell whether the last axis holds a share and the ends of an interval around it, or only NaN."""
    if values.shape[-1] != 3:
        return False
    missing = np.isnan(values)
    middle, low, high = np.moveaxis(values[~missing.any(axis=-1)], -1, 0)
    whole = missing.any(axis=-1) == missing.all(axis=-1)
    return bool(whole.all() and ((low >= 0) & (low <= middle) & (middle <= high) & (high <= 1)).all())
