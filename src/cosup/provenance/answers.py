"""Labels that a person gave after a look: how they are read, and what they say of what was estimated without them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cosup.estimators.accuracy import STUDENT, Estimates
from cosup.io.tables import ID_COLUMNS, read_table
from cosup.provenance.account import NEAR, Account
from cosup.provenance.label_studio import read_label_studio
from cosup.utils.tables import align, foremost, frame, html_table, left_out
from cosup.utils.validation import BoolArray, CosupError, FloatArray, IntArray, suggest

__all__ = ["Checked", "check_estimates", "known_labels", "read_answers"]

PERSON = ("person", "label", "class", "answer")
"""Names of the column that holds the answers, in this order of preference."""

CHOSEN, UNIFORM = "chosen", "uniform"
"""Column that tells how a sample was chosen, and its value for those that were drawn uniformly."""

TELLING = 0.4
"""Width of a measured interval up to which it can confirm an estimate: a wider one contradicts hardly any."""

LEVEL = 0.9
"""Level of the intervals, as of those that are estimated without labels."""


def read_answers(
    path: str | Path, ids: Sequence[str], class_names: Sequence[str], *, drawn: bool | None = None
) -> IntArray:
    """Read the labels that a person gave.

    Parameters
    ----------
    path : path
        CSV, TSV or parquet: a column ``id`` and a column ``person`` (or label, class, answer; or the only other one)
        with names of classes, blank where there is no answer; ``cosup look --out`` and label mode write it. Or what
        Label Studio exports as JSON.
    ids : sequence of str
        All samples', in order.
    class_names : sequence of str
    drawn : bool, optional
        Where the file says how samples were chosen, in a column ``chosen``: only those that were drawn uniformly, or
        only the others. By default, and where the file does not say it, all.

    Returns
    -------
    ndarray of shape (n_samples,), int64
        Class ids, -1 where there is no answer.

    Raises
    ------
    CosupError
        For an id or a class that is unknown, a sample with two different answers, a file without an answer or column.
    """
    path = Path(path)
    rows_of = {name: row for row, name in enumerate(ids)}
    class_of = {name: c for c, name in enumerate(class_names)}
    known = np.full(len(ids), -1, dtype=np.int64)
    first: dict[int, str] = {}
    given = list(_studio_answers(path) if path.suffix.lower() == ".json" else _table_answers(path))
    for there, where, name, answer, chosen in given:
        if drawn is not None and chosen and (chosen == UNIFORM) != drawn:
            continue
        if name not in rows_of:
            raise CosupError(f"{there}: {_no_sample(name, ids)}")
        if answer not in class_of:
            raise CosupError(
                f"{where} names the class {answer!r}.{suggest(answer, class_names)} A class that no "
                "teacher names is known to a fit that is told of it: cosup fit --classes"
            )
        sample = rows_of[name]
        if known[sample] not in (-1, class_of[answer]):
            raise CosupError(
                f"{where}: {name!r} is {answer!r} here, and {class_names[known[sample]]!r} in {first[sample]}; keep "
                "one answer a sample"
            )
        known[sample] = class_of[answer]
        first.setdefault(sample, where)
    if not first:
        which = "" if not given else ", drawn uniformly," if drawn else " that was chosen for a look"
        raise CosupError(f"{path} holds no answer{which}: fill it in, or leave the option out")
    return known


Answer = tuple[str, str, str, str, str]
"""Places of id and class, the id, the class, and the way the sample was chosen, where that is known."""


def _studio_answers(path: Path) -> Iterator[Answer]:
    for place, (name, answer, chosen) in enumerate(read_label_studio(path), start=1):
        where = f"{path}, label {place}"
        yield where, where, name, answer, chosen


def _table_answers(path: Path) -> Iterator[Answer]:
    table = read_table(path)
    place = table.find(*ID_COLUMNS)
    if place is None:
        raise CosupError(f"{path} has no column 'id'; write the file with 'cosup look DIR --out FILE' and fill it in")
    others = [column for column in range(len(table.columns)) if column != place]
    column = table.find(*PERSON)
    if column is None and len(others) == 1:
        column = others[0]
    if column is None:
        raise CosupError(f"{path} has no column {PERSON[0]!r} with the answers; its columns: {', '.join(table.names)}")
    annotated, names, how = table.columns[column], table.columns[place].texts(), table.find(CHOSEN)
    chosen = None if how is None else table.columns[how].texts()
    answered = np.flatnonzero(annotated.codes >= 0).tolist()
    if not answered:
        raise CosupError(f"{path} holds no answer: the column {table.names[column]!r} is blank in all rows; fill it in")
    for row in answered:
        answer = annotated.values[annotated.codes[row]]
        yield table.where(row, place), table.where(row, column), names[row], answer, chosen[row] if chosen else ""


def _no_sample(name: str, ids: Sequence[str]) -> str:
    if not name:
        return "the id is blank"
    known = suggest(name, ids[:NEAR]).partition(" Known:")[0]
    return f"there is no sample {name!r} among the {len(ids):,} that the model was fitted on.{known}"


def known_labels(known: ArrayLike, n_samples: int, n_classes: int, what: str = "known") -> IntArray:
    """Check labels that a person gave: class ids, -1 for unknown.

    Raises
    ------
    CosupError
        If they have another length or type, hold a class that is none, or no label at all.
    """
    known = np.asarray(known)
    if known.shape != (n_samples,) or known.dtype.kind not in "iu":
        raise CosupError(
            f"{what} has shape {known.shape} and type {known.dtype}; it must be {n_samples} class ids, -1 for unknown"
        )
    if known.min() < -1 or known.max() >= n_classes:
        raise CosupError(f"{what} holds a class outside 0..{n_classes - 1}, or a number below -1")
    if not (known >= 0).any():
        raise CosupError(f"{what} holds no label at all: all are -1")
    return known


@dataclass(frozen=True, eq=False)
class Checked:
    """Accuracies of the teachers and, last, of the student, measured by a person's labels; m teachers.

    Attributes
    ----------
    names : tuple of str
    looked, right : ndarray of shape (m + 1,), int
        Samples with a label that each speaks of, and those where it agrees with the label.
    expected : ndarray of shape (m + 1,)
        Number of these that the student gets right by its own probabilities.
    uniform : ndarray of shape (m + 1,), int
        Number of those with a label that were drawn uniformly, by which the rest is measured.
    measured : ndarray of shape (m + 1, 3)
        Accuracy on all samples that it speaks of with its 90 % interval; NaN where nothing was drawn uniformly.
    estimated : ndarray of shape (m + 1, 3)
        The accuracies estimated without labels; NaN where they aren't known.
    """

    names: tuple[str, ...]
    looked: IntArray
    right: IntArray
    expected: FloatArray
    uniform: IntArray
    measured: FloatArray
    estimated: FloatArray

    @property
    def verdicts(self) -> tuple[str, ...]:
        """Whether the intervals contradict: "agrees", "too high" or "too low" (the estimate), or why that is open."""
        out = []
        for (_, low, high), (_, bottom, top) in zip(self.measured, self.estimated, strict=True):
            if np.isnan(low) or np.isnan(bottom):
                out.append("not measured" if np.isnan(low) else "no estimate")
            elif bottom > high or top < low:
                out.append("too high" if bottom > high else "too low")
            else:
                out.append("agrees" if high - low <= TELLING else "too few labels to tell")
        return tuple(out)

    def __str__(self) -> str:
        """Write a table, and its conclusions; of many teachers, those with most labels."""
        return "\n".join([*align([_HEAD, *self._rows()]), *self._remarks()])

    def to_frame(self) -> Any:
        """Return a row a teacher and one for the student, as a pandas data frame."""
        columns: dict[str, Any] = {"labels": self.looked, "right": self.right}
        for what, values in (("measured", self.measured), ("estimated", self.estimated)):
            columns |= {what: values[:, 0], f"{what} low": values[:, 1], f"{what} high": values[:, 2]}
        return frame({**columns, "the estimate": self.verdicts}, index=self.names)

    def _repr_html_(self) -> str:
        return html_table(_HEAD, self._rows(), notes=self._remarks())

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                self.names[i], str(self.looked[i]), str(self.right[i]), _said(self.measured[i]),
                _said(self.estimated[i]), self.verdicts[i],
            )
            for i in [*foremost(self.looked[:-1]), len(self.names) - 1]
        ]  # fmt: skip

    def _remarks(self) -> list[str]:
        verdicts = zip(self.names, self.verdicts, strict=True)
        wrong = [name for name, verdict in verdicts if verdict in ("too high", "too low")]
        if np.isnan(self.measured[-1, 0]):
            first = (
                "None of these labels was drawn uniformly, so they measure no accuracy: those chosen by doubt are "
                "harder than the rest. Draw some with cosup look --uniform."
            )
        elif wrong:
            first = f"The labels contradict what was estimated of {', '.join(wrong)}: go by what was measured."
        elif self.verdicts[-1] == "agrees":
            first = "The labels don't contradict what was estimated."
        else:
            first = "These are too few labels to tell whether the estimates hold: draw more with cosup look --uniform."
        return [
            *left_out(len(self.names) - 1, "teachers have fewer labels"),
            first,
            f"Of the {self.looked[-1]} samples with a label the student has {self.right[-1]} right; by its own "
            f"probabilities it would be {self.expected[-1]:.0f}.",
        ]


_HEAD = ("", "labels", "right", "measured (90 % interval)", "estimated without a label", "the estimate")


def check_estimates(
    account: Account,
    *,
    looked: ArrayLike | None = None,
    uniform: ArrayLike | None = None,
    estimates: Estimates | None = None,
) -> Checked:
    """Measure teachers and student by a person's labels, next to what was estimated without them.

    Samples that were chosen because they are doubtful are harder than the others, so they speak for themselves only;
    those drawn uniformly speak for all the others (a stratum that is looked at completely, and a uniform draw from the
    other one: Cochran 1977, *Sampling Techniques*, chapter 5). With a of N samples looked at, r of them right, and s of
    the u others that were drawn uniformly right, accuracy is ``(r + (N - a) s / u) / N``, and its interval that of s of
    u by Clopper & Pearson (1934): exact, so at least 90 %.

    Parameters
    ----------
    account : Account
        With the student's answers. Accuracy is that of these answers: of samples that the student was fitted on, though
        on no true label.
    looked, uniform : array-like of shape (n_samples,), int, optional
        Class ids that a person gave, -1 elsewhere: on samples chosen in whatever way, and on samples drawn uniformly
        from all; at least one of the two.
    estimates : Estimates, optional
        ``model.estimates_``.

    Returns
    -------
    Checked
        Measured accuracies beside the estimated ones.

    Raises
    ------
    CosupError
        If no label is given, labels have another length or unknown classes, a sample has two different ones, or the
        account lacks the student's answers.
    """
    n, n_classes = len(account), len(account.class_names)
    if (account.answer < 0).any():
        raise CosupError("the account lacks the student's answers; make it with the features: Account.of(..., X)")
    if looked is None and uniform is None:
        raise CosupError("no labels are given: looked=, uniform=, or both")
    nothing = np.full(n, -1)
    chosen = nothing if looked is None else known_labels(looked, n, n_classes, "looked")
    drawn = nothing if uniform is None else known_labels(uniform, n, n_classes, "uniform")
    both = np.flatnonzero((chosen >= 0) & (drawn >= 0) & (chosen != drawn))
    if both.size:
        raise CosupError(
            f"sample {account.ids[both[0]]!r} was given two answers: {account.class_names[chosen[both[0]]]!r} among "
            f"those looked at, {account.class_names[drawn[both[0]]]!r} among those drawn uniformly; keep one"
        )
    truth = np.where(chosen >= 0, chosen, drawn)
    annotated = np.column_stack([account.annotated, account.answer])
    sure = np.column_stack([account.support, account.confidence])
    m = annotated.shape[1]
    estimated = np.full((m, 3), np.nan)
    if estimates is not None:
        estimates.check(m - 1, n_classes)
        estimated = estimates.overall
    speaks = annotated >= 0
    right = speaks & (annotated == truth[:, None])
    seen = speaks & (truth >= 0)[:, None]
    stratum = (chosen >= 0)[:, None] & speaks
    rest = ((chosen < 0) & (drawn >= 0))[:, None] & speaks
    return Checked(
        names=(*account.teachers, STUDENT),
        looked=seen.sum(axis=0),
        right=right.sum(axis=0),
        expected=np.where(seen, sure, 0.0).sum(axis=0),
        uniform=rest.sum(axis=0),
        measured=_stratified(speaks, right, stratum, rest),
        estimated=estimated,
    )


def _stratified(speaks: BoolArray, right: BoolArray, stratum: BoolArray, rest: BoolArray) -> FloatArray:
    """Estimate accuracy with its interval, (m, 3), from a stratum that is known and a draw from the other."""
    from scipy.stats import beta  # loaded only where answers are read

    total, inside = speaks.sum(axis=0), stratum.sum(axis=0)
    known, u = (right & stratum).sum(axis=0), rest.sum(axis=0)
    s = (right & rest).sum(axis=0)
    tail = (1 - LEVEL) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        low = np.where(s > 0, beta.ppf(tail, s, u - s + 1), 0.0)
        high = np.where(s < u, beta.ppf(1 - tail, s + 1, u - s), 1.0)
        shares = np.stack([s / u, low, high], axis=1)
        whole = u == total - inside  # all of the other samples were drawn as well
        shares[whole] = np.where(u[whole] > 0, s[whole] / np.maximum(u[whole], 1), 0.0)[:, None]
        shares[(u == 0) & ~whole] = np.nan
        return np.asarray((known[:, None] + (total - inside)[:, None] * shares) / total[:, None])


def _said(values: FloatArray) -> str:
    middle, low, high = values
    return "-" if np.isnan(middle) else f"{middle:.1%} ({low:.1%} to {high:.1%})"
