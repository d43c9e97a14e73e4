"""`TeacherLabels`: what a hierarchy of weak teachers said about a set of samples.

Validated once, when it is made; everything downstream may rely on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cosup._validation import BoolArray, CosupError, FloatArray, IntArray, first_bad

__all__ = ["TeacherLabels"]

SUM_TOLERANCE = 1e-3
"""How far a soft annotation's probabilities may sum away from one (float16 storage rounds by about this)."""


class TeacherLabels:
    """Annotations of weak teachers, arranged in levels.

    Level 0 holds the generalists; every further level holds teachers that are each good on a segment of the
    problem (Liu & Alahi 2024, fig. 3).

    Parameters
    ----------
    annotations : array-like of shape (n_samples, n_teachers) or (n_samples, n_teachers, n_classes)
        Hard annotations are class ids, -1 where the teacher abstains. Soft ones are probabilities that sum to
        one over the classes; a row of NaN is an abstention.
    levels : array-like of shape (n_teachers,), optional
        The level of every teacher, from 0 up without a gap. None puts all at level 0.
    specialties : sequence of length n_teachers, optional
        For every teacher None (it covers everything, or nobody knows what) or the class ids that it covers.
    names : sequence of str, optional
        Default: ``teacher 0``, ``teacher 1``, ...
    n_classes : int, optional
        Default: as many as the annotations show.

    Attributes
    ----------
    annotations : ndarray
        int32 (n_samples, n_teachers), or floating (n_samples, n_teachers, n_classes).
    levels : ndarray of shape (n_teachers,), int64
    specialties : tuple of (None or ndarray of int64)
    names : tuple of str
    n_classes : int
    shape : tuple of int
        That of `annotations`: scikit-learn takes an object with a shape for something that it can slice.

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
        annotations: ArrayLike,
        levels: ArrayLike | None = None,
        specialties: Sequence[Iterable[int] | None] | None = None,
        names: Sequence[str] | None = None,
        n_classes: int | None = None,
    ) -> None:
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
        n_teachers = array.shape[1]
        self.names = _check_names(names, n_teachers)
        if array.ndim == 2:
            _check_ids(array)
        self.n_classes = _check_n_classes(array, n_classes)
        self.annotations = (
            _check_soft(array, self.names) if array.ndim == 3 else _check_hard(array, self.n_classes, self.names)
        )
        self.levels = _check_levels(levels, n_teachers)
        self.specialties = _check_specialties(specialties, n_teachers, self.n_classes, self.names)
        self._check_useful()

    def _check_useful(self) -> None:
        speaks = self.speaks()
        silent = np.flatnonzero(~speaks.any(axis=0))
        if silent.size:
            raise CosupError(
                f"teacher {self.names[silent[0]]!r} (column {silent[0]}) abstains on every sample; leave it out"
            )
        first = self.annotations[speaks][0]
        seen_one = (self.annotations[speaks] == first).all() if not self.is_soft else False
        if seen_one:
            raise CosupError(f"every annotation names the same class ({first}); training needs at least two classes")

    # -- what it is -------------------------------------------------------------------------------------

    @property
    def is_soft(self) -> bool:
        """Whether annotations are probabilities rather than class ids."""
        return self.annotations.ndim == 3

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
        return self.annotations.ndim

    def at_level(self, level: int) -> IntArray:
        """Columns of the teachers at `level`, as an int64 array."""
        return np.flatnonzero(self.levels == level)

    def speaks(self) -> BoolArray:
        """Where a teacher does not abstain, (n_samples, n_teachers)."""
        if self.is_soft:
            return np.asarray(~np.isnan(self.annotations[:, :, 0]))
        return np.asarray(self.annotations >= 0)

    def hard(self) -> IntArray:
        """Class ids, (n_samples, n_teachers) int32; -1 where a teacher abstains."""
        if not self.is_soft:
            return np.asarray(self.annotations, dtype=np.int32)
        speaks = self.speaks()
        ids = np.where(speaks[:, :, None], self.annotations, 0).argmax(axis=2).astype(np.int32)
        ids[~speaks] = -1
        return np.asarray(ids)

    def probabilities(self, teacher: int) -> FloatArray:
        """One teacher's probabilities, (n_samples, n_classes) float64; rows of zeros where it abstains."""
        if self.is_soft:
            return np.nan_to_num(self.annotations[:, teacher].astype(np.float64), nan=0.0)
        out = np.zeros((self.n_samples, self.n_classes))
        ids = self.annotations[:, teacher]
        rows = np.flatnonzero(ids >= 0)
        out[rows, ids[rows]] = 1.0
        return out

    def vote(self, teachers: IntArray) -> FloatArray:
        """Mean probabilities of those of `teachers` that speak.

        Parameters
        ----------
        teachers : ndarray of int
            Columns.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), float64
            Rows of zeros where all abstain.
        """
        total = np.zeros((self.n_samples, self.n_classes))
        for t in teachers:
            total += self.probabilities(int(t))
        heard = self.speaks()[:, teachers].sum(axis=1)
        return np.asarray(total / np.maximum(heard, 1)[:, None])

    # -- slicing, as scikit-learn slices y --------------------------------------------------------------

    def __len__(self) -> int:
        return self.n_samples

    def __getitem__(self, index: Any) -> TeacherLabels:
        """Slice samples: an int array, a mask or a slice. A teacher may fall silent in a slice."""
        if isinstance(index, tuple) and not (len(index) == 2 and index[1] is Ellipsis):  # scikit-learn's array[i, ...]
            raise CosupError("index TeacherLabels with a slice, a mask or an array of sample positions")
        part = self.annotations[index]
        if part.ndim != self.annotations.ndim:
            raise CosupError("index TeacherLabels with a slice, a mask or an array of sample positions")
        return self._with(part)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self.annotations, dtype=dtype, copy=copy)

    def _with(self, annotations: Any) -> TeacherLabels:
        new = object.__new__(TeacherLabels)
        new.__dict__.update(self.__dict__, annotations=annotations)
        return new

    def __repr__(self) -> str:
        kind = "soft" if self.is_soft else "hard"
        sizes = "/".join(str(len(self.at_level(k))) for k in range(self.n_levels))
        return (
            f"TeacherLabels({self.n_samples} samples, {self.n_teachers} teachers in levels of {sizes}, "
            f"{self.n_classes} classes, {kind})"
        )


def _check_names(names: Sequence[str] | None, n_teachers: int) -> tuple[str, ...]:
    if names is None:
        return tuple(f"teacher {i}" for i in range(n_teachers))
    out = tuple(str(n) for n in names)
    if len(out) != n_teachers:
        raise CosupError(f"names has {len(out)} entries for {n_teachers} teachers")
    if len(set(out)) != n_teachers:
        twice = next(n for n in out if out.count(n) > 1)
        raise CosupError(f"teachers' names must differ; {twice!r} occurs more than once")
    return out


def _check_n_classes(array: np.ndarray[Any, Any], n_classes: int | None) -> int:
    if n_classes is None:
        found = array.shape[2] if array.ndim == 3 else int(np.max(array, initial=-1)) + 1
    else:
        found = int(n_classes)
        if array.ndim == 3 and array.shape[2] != found:
            raise CosupError(f"annotations have {array.shape[2]} columns of probabilities but n_classes is {found}")
    if found < 2:
        raise CosupError(f"training needs at least two classes, these annotations have {max(found, 0)}")
    return found


def _check_ids(array: np.ndarray[Any, Any]) -> None:
    if array.dtype.kind == "f":
        bad = ~(np.isfinite(array) & (array == np.round(array)))
        if bad.any():
            raise CosupError(
                f"class ids must be whole numbers, -1 for an abstention; first other value at {first_bad(bad)}"
            )
    elif array.dtype.kind not in "iu":
        raise CosupError(f"class ids must be integers, got dtype {array.dtype}; encode names as 0, 1, 2, ...")


def _check_hard(array: np.ndarray[Any, Any], n_classes: int, names: tuple[str, ...]) -> IntArray:
    bad = (array < -1) | (array >= n_classes)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise CosupError(
            f"annotation {array[row, column]:g} of teacher {names[column]!r} at {first_bad(bad)} is out of range: "
            f"class ids go from 0 to {n_classes - 1}, -1 abstains"
        )
    return np.ascontiguousarray(array, dtype=np.int32)


def _check_soft(array: np.ndarray[Any, Any], names: tuple[str, ...]) -> FloatArray:
    if array.dtype.kind != "f":
        raise CosupError(
            f"annotations of three dimensions are probabilities and must be floating, got dtype {array.dtype}"
        )
    missing = np.isnan(array)
    part = missing.any(axis=2) & ~missing.all(axis=2)
    if part.any():
        raise CosupError(
            f"probabilities with some NaN, first at {first_bad(part)} (row, teacher's column); "
            "an abstention is a row that is all NaN"
        )
    speaks = ~missing.any(axis=2)
    values = array[speaks]
    if not np.isfinite(values).all() or (values < 0).any():
        bad = (~np.isfinite(array) & ~missing) | (array < 0)
        raise CosupError(f"probabilities must be finite and not negative; first other value at {first_bad(bad)}")
    total = np.where(speaks, array.sum(axis=2, dtype=np.float64), 1.0)
    bad = np.abs(total - 1.0) > SUM_TOLERANCE
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise CosupError(
            f"probabilities of teacher {names[column]!r} at {first_bad(bad)} sum to {total[row, column]:.4g}, not 1; "
            "normalise them, or use NaN for an abstention"
        )
    return array


def _check_levels(levels: ArrayLike | None, n_teachers: int) -> IntArray:
    if levels is None:
        return np.zeros(n_teachers, dtype=np.int64)
    out = np.asarray(levels)
    if out.shape != (n_teachers,):
        raise CosupError(f"levels must have one entry a teacher: shape ({n_teachers},), got {out.shape}")
    if out.dtype.kind not in "iuf" or not np.array_equal(out, np.round(out)) or (out < 0).any():
        raise CosupError(f"levels must be whole numbers from 0 up, got {out.tolist()}")
    out = out.astype(np.int64)
    gaps = sorted(set(range(int(out.max()) + 1)) - set(out.tolist()))
    if gaps:
        raise CosupError(
            f"nobody is at level {gaps[0]}: levels go from 0 (the generalists) up without a gap, got {out.tolist()}"
        )
    return out


def _check_specialties(
    specialties: Sequence[Iterable[int] | None] | None,
    n_teachers: int,
    n_classes: int,
    names: tuple[str, ...],
) -> tuple[IntArray | None, ...]:
    if specialties is None:
        return (None,) * n_teachers
    given = list(specialties)
    if len(given) != n_teachers:
        raise CosupError(f"specialties has {len(given)} entries for {n_teachers} teachers; use None for unknown")
    out: list[IntArray | None] = []
    for name, classes in zip(names, given, strict=True):
        if classes is None:
            out.append(None)
            continue
        if not isinstance(classes, Iterable):
            raise CosupError(f"the specialty of teacher {name!r} must be a set of class ids or None, got {classes!r}")
        ids = np.unique(np.asarray(list(classes)))
        if ids.size == 0:
            raise CosupError(f"the specialty of teacher {name!r} is empty; use None if it is unknown")
        if ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() >= n_classes:
            raise CosupError(
                f"the specialty of teacher {name!r} must be class ids from 0 to {n_classes - 1}, got {ids.tolist()}"
            )
        out.append(ids.astype(np.int64))
    return tuple(out)
