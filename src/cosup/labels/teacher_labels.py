"""`TeacherLabels` holds the annotations of a hierarchy of weak teachers.

Validated once, when it is made; everything downstream may rely on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from cosup.labels.checks import (
    check_hard,
    check_ids,
    check_levels,
    check_n_classes,
    check_names,
    check_soft,
    check_specialties,
)
from cosup.labels.summary import Summary, summarise
from cosup.labels.top_k import TopK
from cosup.utils.tables import frame
from cosup.utils.validation import BoolArray, CosupError, FloatArray, IntArray

__all__ = ["TeacherLabels"]


class TeacherLabels:
    """Annotations of weak teachers, arranged in levels.

    Level 0 holds the generalists; every further level holds teachers that are each good on a segment of the
    problem (Liu & Alahi 2024, fig. 3).

    Parameters
    ----------
    annotations : array-like of shape (n_samples, n_teachers) or (n_samples, n_teachers, n_classes), or TopK
        Hard annotations are class ids, -1 where the teacher abstains. Soft ones are probabilities that sum to
        one over the classes; a row of NaN is an abstention. `TopK` holds soft ones of many classes in little memory.
        An answer that leaves several classes open ("one of these") is soft: equal probabilities of these
        (`cosup.from_sets`).
    levels : array-like of shape (n_teachers,), optional
        The level of every teacher, from 0 up without a gap. None puts all at level 0.
    specialties : sequence of length n_teachers, optional
        For every teacher the class ids that it covers, or None (all, or unknown).
    names : sequence of str, optional
        Default: ``teacher 0``, ``teacher 1``, ...
    n_classes : int, optional
        Default: as many as the annotations show.

    Attributes
    ----------
    annotations : ndarray or TopK
        int32 (n_samples, n_teachers), or floating (n_samples, n_teachers, n_classes).
    levels : ndarray of shape (n_teachers,), int64
    specialties : tuple of (None or ndarray of int64)
    names : tuple of str
    n_classes : int
    shape : tuple of int
        The shape of `annotations`: scikit-learn slices objects that have one.

    Raises
    ------
    CosupError
        For wrong shapes or lengths, class ids out of range, probabilities that are not, a teacher who never
        speaks, a gap in the levels, fewer than two classes.

    Examples
    --------
    >>> import numpy as np
    >>> labels = TeacherLabels(np.array([[0, 0], [1, -1], [2, 2]]), levels=[0, 1], names=["old model", "rule"])
    >>> len(labels), labels.n_classes, labels.n_levels
    (3, 3, 2)
    >>> labels[:2].hard()
    array([[ 0,  0],
           [ 1, -1]], dtype=int32)
    """

    def __init__(
        self,
        annotations: ArrayLike | TopK,
        levels: ArrayLike | None = None,
        specialties: Sequence[Iterable[int] | None] | None = None,
        names: Sequence[str] | None = None,
        n_classes: int | None = None,
    ) -> None:
        self.annotations: Any
        if isinstance(annotations, TopK):
            self.names = check_names(names, annotations.shape[1])
            if n_classes not in (None, annotations.n_classes):
                raise CosupError(f"annotations are over {annotations.n_classes} classes but n_classes is {n_classes}")
            self.n_classes, self.annotations = annotations.n_classes, annotations
        else:
            array = _as_array(annotations)
            self.names = check_names(names, array.shape[1])
            if array.ndim == 2:
                check_ids(array)
            self.n_classes = check_n_classes(array, n_classes)
            self.annotations = (
                check_soft(array, self.names) if array.ndim == 3 else check_hard(array, self.n_classes, self.names)
            )
        n_teachers = self.annotations.shape[1]
        if self.n_classes < 2:
            raise CosupError(f"training needs at least two classes, these annotations have {self.n_classes}")
        self.levels = check_levels(levels, n_teachers)
        self.specialties = check_specialties(specialties, n_teachers, self.n_classes, self.names)
        self._check_useful()

    def _check_useful(self) -> None:
        speaks = self.speaks()
        silent = np.flatnonzero(~speaks.any(axis=0))
        if silent.size:
            raise CosupError(
                f"teacher {self.names[silent[0]]!r} (column {silent[0]}) abstains on every sample; leave it out"
            )
        if not self.is_soft:
            spoken = self.annotations[speaks]
            if (spoken == spoken[0]).all():
                raise CosupError(
                    f"every annotation names the same class ({spoken[0]}); training needs at least two classes"
                )

    # -- what it is -------------------------------------------------------------------------------------

    @property
    def is_soft(self) -> bool:
        """Whether annotations are probabilities rather than class ids."""
        return len(self.annotations.shape) == 3

    @property
    def is_sparse(self) -> bool:
        """Whether annotations are soft and hold their most probable classes only (`TopK`)."""
        return isinstance(self.annotations, TopK)

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return int(self.annotations.shape[0])

    @property
    def n_teachers(self) -> int:
        """Number of teachers, all levels together."""
        return int(self.annotations.shape[1])

    @property
    def n_levels(self) -> int:
        """Number of levels, the generalists' included."""
        return int(self.levels.max()) + 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of `annotations`."""
        return tuple(self.annotations.shape)

    @property
    def ndim(self) -> int:
        """Number of dimensions of `annotations`."""
        return len(self.annotations.shape)

    def at_level(self, level: int) -> IntArray:
        """Return the columns of the teachers at `level`, as an int64 array."""
        return np.flatnonzero(self.levels == level)

    def speaks(self) -> BoolArray:
        """Mark where teachers do not abstain, (n_samples, n_teachers)."""
        if isinstance(self.annotations, TopK):
            return self.annotations.speaks()
        if self.is_soft:
            return np.asarray(~np.isnan(self.annotations[:, :, 0]))
        return np.asarray(self.annotations >= 0)

    def hard(self) -> IntArray:
        """Return class ids, (n_samples, n_teachers) int32; -1 where a teacher abstains or leaves several open."""
        if not self.is_soft:
            return np.asarray(self.annotations, dtype=np.int32)
        return np.stack([self.predicted_class(t) for t in range(self.n_teachers)], axis=1)

    def predicted_class(self, teacher: int, rows: Any = slice(None)) -> IntArray:
        """Return one teacher's most probable class on `rows`, int32; -1 where it has none, or several."""
        if isinstance(self.annotations, TopK):
            return self.annotations.predicted_class(teacher, rows)
        if not self.is_soft:
            return np.asarray(self.annotations[rows, teacher])
        spoken = np.asarray(self.annotations[rows, teacher])
        best = spoken.argmax(axis=1)
        # A NaN equals nothing, so that an abstention has no class that is the only one, either.
        single = (spoken == np.take_along_axis(spoken, best[:, None], axis=1)).sum(axis=1) == 1
        return np.where(single, best, -1).astype(np.int32)

    def repeats(self, teacher: int, other: int) -> bool:
        """Tell whether two teachers annotate every sample alike."""
        if isinstance(self.annotations, TopK):
            ids, values = self.annotations.classes, self.annotations.probabilities
            same = np.array_equal(ids[:, teacher], ids[:, other])
            return same and np.array_equal(values[:, teacher], values[:, other], equal_nan=True)
        mine, its = self.annotations[:, teacher], self.annotations[:, other]
        return bool(np.array_equal(mine, its, equal_nan=self.is_soft))

    def covers(self, teacher: int) -> BoolArray:
        """Return the classes of a teacher's specialty as a mask (n_classes,); all where it is unknown."""
        mask = np.zeros(self.n_classes, dtype=bool)
        classes = self.specialties[teacher]
        mask[slice(None) if classes is None else classes] = True
        return mask

    def probabilities(self, teacher: int, rows: Any = slice(None)) -> FloatArray:
        """Return one teacher's probabilities.

        Parameters
        ----------
        teacher : int
            Its column.
        rows : slice or ndarray of int
            The samples; all by default.

        Returns
        -------
        ndarray of shape (n_rows, n_classes), float64
            Rows of zeros where it abstains.
        """
        if isinstance(self.annotations, TopK):
            return self.annotations.dense(teacher, rows, within=self.covers(teacher))
        if self.is_soft:
            return np.asarray(np.nan_to_num(self.annotations[rows, teacher].astype(np.float64), nan=0.0))
        ids = self.annotations[rows, teacher]
        out = np.zeros((len(ids), self.n_classes))
        spoken = np.flatnonzero(ids >= 0)
        out[spoken, ids[spoken]] = 1.0
        return out

    def vote(self, teachers: IntArray, rows: Any = slice(None)) -> FloatArray:
        """Average the probabilities of those of `teachers` that speak.

        Parameters
        ----------
        teachers : ndarray of int
            Columns.
        rows : slice or ndarray of int
            The samples; all by default.

        Returns
        -------
        ndarray of shape (n_rows, n_classes), float64
            Rows of zeros where all abstain.
        """
        n_votes = self[rows].speaks()[:, teachers].sum(axis=1)
        total = np.zeros((len(n_votes), self.n_classes))
        for t in teachers:
            total += self.probabilities(int(t), rows)
        return np.asarray(total / np.maximum(n_votes, 1)[:, None])

    def consensus(self, teachers: IntArray, rows: Any = slice(None)) -> IntArray:
        """Return the most probable class of the `vote` of some teachers, (n_rows,); -1 where all abstain."""
        vote = self.vote(teachers, rows)
        return np.where(vote.sum(axis=1) > 0, vote.argmax(axis=1), -1)

    def top_k(self, k: int = 5) -> Self:
        """Return labels with only the `k` most probable classes of every soft annotation kept (see `TopK`)."""
        if not self.is_soft:
            return self
        return self._with(TopK.of(np.asarray(self.annotations), k=k))

    # -- slicing, as scikit-learn slices y --------------------------------------------------------------

    def __len__(self) -> int:
        return self.n_samples

    def __getitem__(self, index: Any) -> Self:
        """Slice samples: an int array, a mask or a slice. A teacher may fall silent in a slice."""
        if isinstance(index, tuple) and not (len(index) == 2 and index[1] is Ellipsis):  # scikit-learn's array[i, ...]
            raise CosupError("index TeacherLabels with a slice, a mask or an array of sample positions")
        part = self.annotations[index]
        if part.ndim != self.ndim:
            raise CosupError("index TeacherLabels with a slice, a mask or an array of sample positions")
        return self._with(part)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self.annotations, dtype=dtype, copy=copy)

    def summary(self) -> Summary:
        """Count the teachers' annotations, a teacher a row."""
        classes = tuple(map(str, range(self.n_classes)))
        return summarise(self.hard(), classes, self.names, self.levels, self.specialties)

    def to_frame(self) -> Any:
        """Return annotations as a pandas data frame, a column a teacher: names of classes, None where it abstains.

        Of soft annotations, the most probable class.
        """
        classes = np.array([*getattr(self, "class_names", range(self.n_classes)), None], dtype=object)
        hard = self.hard()
        return frame({name: classes[hard[:, t]] for t, name in enumerate(self.names)}, index=getattr(self, "ids", None))

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def _with(self, annotations: Any) -> Self:
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__, annotations=annotations)
        return new

    def __repr__(self) -> str:
        kind = "hard" if not self.is_soft else f"top {self.annotations.k}" if self.is_sparse else "soft"
        sizes = "/".join(str(len(self.at_level(k))) for k in range(self.n_levels))
        return (
            f"TeacherLabels({self.n_samples} samples, {self.n_teachers} teachers in levels of {sizes}, "
            f"{self.n_classes} classes, {kind})"
        )


def _as_array(annotations: Any) -> Any:
    try:
        array = np.asarray(annotations)
    except ValueError as error:
        raise CosupError(f"annotations must be a regular array: {error}") from error
    if array.ndim not in (2, 3):
        raise CosupError(
            "annotations must have shape (n_samples, n_teachers) for class ids or (n_samples, n_teachers, "
            f"n_classes) for probabilities, got {array.shape}; one teacher's ids need labels.reshape(-1, 1)"
        )
    if 0 in array.shape:
        raise CosupError(f"annotations are empty: shape {array.shape}")
    return array
