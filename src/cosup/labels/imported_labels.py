"""`ImportedLabels`: `TeacherLabels` that know the classes' names, the samples' ids and where they came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from cosup.labels.checks import check_levels, check_specialties
from cosup.labels.matching import describe_missing, match_ids, why_none
from cosup.labels.summary import Summary, summarise
from cosup.labels.teacher_labels import TeacherLabels
from cosup.labels.top_k import TopK
from cosup.utils.shard import Shard
from cosup.utils.validation import CosupError, IntArray, some, suggest

__all__ = ["ImportedLabels"]

Specialties = Mapping[str, Iterable[str]] | Sequence[Iterable[int] | None]
"""Teacher's name -> names of the classes that it covers; or as in `TeacherLabels`."""


class ImportedLabels(TeacherLabels):
    """Annotations with the names of classes and samples.

    A method that is fitted on it predicts class names.

    Parameters
    ----------
    annotations, levels, names
        As in `TeacherLabels`.
    class_names : sequence of str
        Class id -> name.
    specialties : mapping of teacher's name to names of classes, or sequence as in `TeacherLabels`, optional
    ids : sequence of str, optional
        One a sample, no two alike.
    source : str, optional
        The name in messages: the file's path.
    notes : sequence of str
        Remarks for the user on how it was read.

    Attributes
    ----------
    class_names : tuple of str
    ids : tuple of str, or None
    source : str
    notes : tuple of str
    shards : tuple of Shard
        The files that they were read from, where these are several; empty once samples were taken or moved.

    Raises
    ------
    CosupError
        As `TeacherLabels`, and for names or ids that repeat or are unknown.

    Examples
    --------
    >>> labels = ImportedLabels([[0, 1], [1, -1], [0, 0]], ["ham", "spam"], names=["rule", "model"])
    >>> print(labels.summary())
    teacher  level  coverage  overlaps  conflicts  agreement  votes  names
    rule         0   100.0 %    66.7 %     33.3 %     50.0 %      3  all 2
    model        0    66.7 %    66.7 %     33.3 %     50.0 %      2  all 2
    3 samples, 2 classes (ham, spam); 0 without a label, 2 with several, 1 with a conflict
    Agreement on 2 samples with several labels: 50.0 % of pairs, Krippendorff's alpha 0.00, Fleiss' kappa -0.33
    """

    def __init__(
        self,
        annotations: ArrayLike | TopK,
        class_names: Sequence[str],
        *,
        levels: ArrayLike | None = None,
        specialties: Specialties | None = None,
        names: Sequence[str] | None = None,
        ids: Sequence[str] | None = None,
        source: str = "",
        notes: Sequence[str] = (),
    ) -> None:
        self.class_names = tuple(str(name) for name in class_names)
        self.source, self.notes = source, tuple(notes)
        self.shards: tuple[Shard, ...] = ()
        try:
            twice = _repeated(self.class_names)
            if twice is not None:
                raise CosupError(f"two classes are named {twice!r}")
            super().__init__(annotations, levels, None, names, len(self.class_names))
            if specialties is not None:
                self.specialties = self._arranged(self.levels, specialties).specialties
        except CosupError as error:
            raise CosupError(f"{source}: {error}" if source else str(error)) from error
        self.ids = None if ids is None else tuple(map(str, ids))
        if self.ids is not None:
            if len(self.ids) != len(self):
                raise CosupError(f"{source or 'the labels'}: {len(self.ids)} ids for {len(self)} samples")
            twice = _repeated(self.ids)
            if twice is not None:
                raise CosupError(f"{source or 'the labels'}: two samples have the id {twice!r}")

    def _check_useful(self) -> None:
        # One rule alone may name one class only: other sources may be added, and a fit checks again.
        silent = np.flatnonzero(~self.speaks().any(axis=0))
        if silent.size:
            raise CosupError(
                f"teacher {self.names[silent[0]]!r} (column {silent[0]}) abstains on every sample; leave it out"
            )

    @classmethod
    def of(
        cls, labels: TeacherLabels, class_names: Sequence[str], *, ids: Sequence[str] | None = None, source: str = ""
    ) -> ImportedLabels:
        """Give names to labels that have none, as `cosup.tasks.annotations` or one's own code leaves them."""
        return cls(
            labels.annotations, class_names, levels=labels.levels, specialties=labels.specialties, names=labels.names,
            ids=ids, source=source,
        )  # fmt: skip

    def summary(self) -> Summary:
        """Summarise coverage, overlaps, conflicts and agreement of every teacher, and what else is unusual."""
        return summarise(self.hard(), self.class_names, self.names, self.levels, self.specialties, self.notes)

    def arrange(
        self,
        levels: Mapping[str, int] | Sequence[int] | None = None,
        specialties: Specialties | None = None,
    ) -> Self:
        """Return the labels with other levels or specialties.

        Parameters
        ----------
        levels : mapping of teacher's name to level, or one level a teacher
            Teachers that a mapping leaves out keep theirs.
        specialties : mapping of teacher's name to names of classes, or sequence as in `TeacherLabels`
            Likewise.

        Raises
        ------
        CosupError
            For unknown teachers and classes, with near matches, and for a gap in the levels.
        """
        chosen: Any = self.levels
        if isinstance(levels, Mapping):
            chosen = self.levels.copy()
            for teacher, level in levels.items():
                chosen[self._teacher(teacher)] = level
        elif levels is not None:
            if len(levels) != self.n_teachers:
                raise CosupError(
                    f"levels have {len(levels)} numbers, but {self.source or 'the labels'} have {self.n_teachers} "
                    f"teachers ({', '.join(self.names)}); give one a teacher, in this order"
                )
            chosen = np.asarray(levels)
        return self._arranged(chosen, specialties)

    def _arranged(self, levels: Any, specialties: Specialties | None) -> Self:
        classes: Any = list(self.specialties)
        if isinstance(specialties, Mapping):
            for teacher, covered in specialties.items():
                classes[self._teacher(teacher)] = [self._class(teacher, name) for name in covered]
        elif specialties is not None:
            classes = list(specialties)
        new = self._with(self.annotations)
        new.levels = check_levels(levels, self.n_teachers)
        new.specialties = check_specialties(classes, self.n_teachers, self.n_classes, self.names)
        return new

    def _teacher(self, name: str) -> int:
        if name not in self.names:
            raise CosupError(f"{self.source or 'the labels'}: there is no teacher {name!r}.{suggest(name, self.names)}")
        return self.names.index(name)

    def _class(self, teacher: str, name: str) -> int:
        if name not in self.class_names:
            raise CosupError(
                f"the specialty of {teacher!r}: {self.source or 'the labels'} has no class {name!r}."
                f"{suggest(name, self.class_names)}"
            )
        return self.class_names.index(name)

    def align(
        self, ids: Sequence[str], *, partial: bool = False, what: str = "the features", match: str | None = None
    ) -> Self:
        """Bring the samples into the order of `ids`.

        Parameters
        ----------
        ids : sequence of str
            The ids of the features' rows. Blanks and Unicode forms need not agree.
        partial : bool
            Leave out what only the labels have, and let all teachers abstain on what only `ids` has.
        what : str
            The name of the owner of `ids` in messages.
        match : {"slashes", "name", "stem", "path", "case", "zeros", "beginning"}, optional
            The way ids are matched: with / in place of backslashes, by the last part of their paths (with or without
            extension), by paths without extension, whatever their case, without leading zeros, or without the beginning
            that all ids of a side share. Default: as they are.

        Returns
        -------
        ImportedLabels
            ``len(ids)`` samples.

        Raises
        ------
        CosupError
            If these labels have no ids; if ids are missing on either side, unless `partial`; if none is on both: then
            with the `match` under which they join, if there is one.
        """
        source = self.source or "the labels"
        if self.ids is None:
            raise CosupError(f"{source} have no ids to join by; add a column 'id'")
        ids = tuple(map(str, ids))
        keys = match_ids(self.ids, ids, match)
        place = {name: row for row, name in enumerate(keys.mine)}
        order = np.fromiter((place.get(name, -1) for name in keys.others), dtype=np.int64, count=len(ids))
        found = set(keys.others)
        missing = [name for name, row in zip(ids, order, strict=True) if row < 0]
        extra = [name for name, key in zip(self.ids, keys.mine, strict=True) if key not in found]
        if len(missing) == len(order):
            raise CosupError(
                f"no id of {source} is one of {what}: here {', '.join(map(repr, self.ids[:3]))}, there "
                f"{', '.join(map(repr, ids[:3]))}; {source} lacks {some(missing)}{why_none(self.ids, ids)}"
            )
        if (missing or extra) and not partial:
            raise CosupError(describe_missing(source, what, missing, extra))
        notes = [keys.note] if keys.note else []
        notes += [f"{some(missing)} have no label: every teacher abstains on them"] if missing else []
        notes += [f"{some(extra)} have labels, but no features, and were left out"] if extra else []
        new = self._with(_rows(self.annotations, order))
        new.ids, new.notes, new.shards = ids, (*self.notes, *notes), ()
        return new

    def __getitem__(self, index: Any) -> Self:
        """Slice samples, their ids included; see `TeacherLabels`."""
        sliced = super().__getitem__(index)
        sliced.shards = ()
        if self.ids is not None:
            key = index[0] if isinstance(index, tuple) else index
            sliced.ids = tuple(np.array(self.ids, dtype=object)[key].tolist())
        return sliced


def _rows(annotations: Any, order: IntArray) -> Any:
    """Return the rows at `order`; abstentions for -1."""
    out = annotations[order]
    absent = order < 0
    if absent.any():
        if isinstance(out, TopK):
            shares = out.probabilities.copy()
            shares[absent] = np.nan
            return TopK(np.where(out.classes == out.n_classes, -1, out.classes.astype(np.int32)), shares, out.n_classes)
        out[absent] = -1 if out.ndim == 2 else np.nan
    return out


def _repeated(names: Sequence[str]) -> str | None:
    if len(set(names)) == len(names):
        return None
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
