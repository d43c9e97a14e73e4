"""`TopK`: soft annotations of which only the most probable classes are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cosup.utils.slices import rows_within, slices
from cosup.utils.validation import BoolArray, CosupError, FloatArray, IntArray, check_positive

__all__ = ["TopK"]

SUM_TOLERANCE = 1e-2
"""Excess over one that k probabilities in half precision may sum to."""

SORTED_ROWS = 65_536
"""Samples that `TopK.of` and the checks look at together."""


@dataclass(frozen=True, init=False, eq=False)
class TopK:
    """The k most probable classes of every annotation, instead of all: 1.28 million samples by 15 teachers take 384 MB.

    What an annotation's probabilities lack of one is spread evenly over the classes that it does not list; where its
    teacher's specialty is known to `TeacherLabels`, over those of the specialty.

    Parameters
    ----------
    classes : array-like of int, shape (n_samples, n_teachers, k)
        Class ids. -1 fills a place that is not used.
    probabilities : array-like of float, shape (n_samples, n_teachers, k)
        Their probabilities, summing to at most one; any floating dtype, float16 is enough. An annotation of NaN is an
        abstention.
    n_classes : int

    Attributes
    ----------
    classes : ndarray of uint16 (int32 beyond 65,534 classes), shape (n_samples, n_teachers, k)
        `n_classes` in the places that are not used.
    probabilities : ndarray, shape (n_samples, n_teachers, k)
        Zero in the places that are not used.
    n_classes : int

    Raises
    ------
    CosupError
        For shapes that differ, class ids out of range or listed twice, probabilities that are not or sum to more than
        one.

    Examples
    --------
    >>> import numpy as np
    >>> dense = np.array([[[0.7, 0.2, 0.1, 0.0]], [[0.0, 0.0, 0.5, 0.5]]])
    >>> TopK.of(dense, k=1).dense(0).round(2)
    array([[0.7 , 0.1 , 0.1 , 0.1 ],
           [0.17, 0.17, 0.5 , 0.17]])
    """

    classes: IntArray
    probabilities: FloatArray
    n_classes: int

    def __init__(self, classes: ArrayLike, probabilities: ArrayLike, n_classes: int) -> None:
        check_positive(n_classes, "n_classes", integer=True)
        ids, values = np.asarray(classes), np.asarray(probabilities)
        if ids.ndim != 3 or ids.shape != values.shape:
            raise CosupError(
                "classes and probabilities must both have shape (n_samples, n_teachers, k), got "
                f"{ids.shape} and {values.shape}"
            )
        if 0 in ids.shape:
            raise CosupError(f"annotations are empty: shape {ids.shape}")
        if ids.dtype.kind not in "iu" or values.dtype.kind != "f":
            raise CosupError(f"classes must be integers and probabilities floating, got {ids.dtype} and {values.dtype}")
        kind = np.uint16 if n_classes < 65_535 else np.int32
        kept = np.empty(ids.shape, dtype=kind)
        filled = values.copy()
        for rows in slices(len(ids), SORTED_ROWS):
            kept[rows], filled[rows] = _checked(ids[rows], values[rows], n_classes, rows.start)
        object.__setattr__(self, "classes", kept)
        object.__setattr__(self, "probabilities", filled)
        object.__setattr__(self, "n_classes", int(n_classes))

    @classmethod
    def of(cls, annotations: ArrayLike, k: int = 5, *, dtype: Any = np.float16) -> TopK:
        """Keep the `k` most probable classes of dense annotations.

        Parameters
        ----------
        annotations : array-like of float, shape (n_samples, n_teachers, n_classes)
            May be memory-mapped: it is read a block of samples at a time. Rows of NaN abstain.
        k : int
            All classes are kept where there are fewer.
        dtype : numpy dtype
            The type of the probabilities kept.

        Returns
        -------
        TopK
            The K most probable classes and their probabilities.
        """
        check_positive(k, "k", integer=True)
        given = np.asanyarray(annotations)
        if given.ndim != 3 or given.dtype.kind != "f":
            raise CosupError(
                "annotations must be floating of shape (n_samples, n_teachers, n_classes), got "
                f"{given.dtype} {given.shape}"
            )
        n_classes = given.shape[2]
        k = min(k, n_classes)
        ids = np.empty((*given.shape[:2], k), dtype=np.int32)
        values = np.empty(ids.shape, dtype=dtype)
        for rows in slices(len(given), rows_within(SORTED_ROWS, n_classes)):
            block = np.asarray(given[rows])
            # A stable order: ties go to the smaller class id, whatever the memory layout.
            best = np.argsort(-block, axis=2, kind="stable")[:, :, :k]
            ids[rows] = best
            values[rows] = np.take_along_axis(block, best, axis=2)
        return cls(ids, values, n_classes)

    @classmethod
    def joined(cls, parts: Sequence[TopK]) -> TopK:
        """Join the annotations of several sets of samples, one after the other, without checking them again.

        Raises
        ------
        CosupError
            If they differ in teachers, classes or k.
        """
        alike = {(part.classes.shape[1:], part.n_classes) for part in parts}
        if len(alike) != 1:
            raise CosupError("annotations that are put together must have the same teachers, classes and k")
        classes, probabilities = ([getattr(part, name) for part in parts] for name in ("classes", "probabilities"))
        return cls._of(np.concatenate(classes), np.concatenate(probabilities), parts[0].n_classes)

    @classmethod
    def _of(cls, classes: IntArray, probabilities: FloatArray, n_classes: int) -> TopK:
        """Make it of arrays that have been checked."""
        new = object.__new__(cls)
        for name, value in (("classes", classes), ("probabilities", probabilities), ("n_classes", int(n_classes))):
            object.__setattr__(new, name, value)
        return new

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of the dense annotations, (n_samples, n_teachers, n_classes)."""
        return (len(self.classes), self.classes.shape[1], self.n_classes)

    @property
    def ndim(self) -> int:
        """Three, as of the dense annotations."""
        return 3

    @property
    def k(self) -> int:
        """Classes that are kept of an annotation."""
        return int(self.classes.shape[2])

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.classes.nbytes + self.probabilities.nbytes

    def speaks(self) -> BoolArray:
        """Mark where teachers do not abstain, (n_samples, n_teachers)."""
        return np.asarray(~np.isnan(self.probabilities[:, :, 0]))

    def predicted_class(self, teacher: int, rows: Any = slice(None)) -> IntArray:
        """Return one teacher's most probable class on `rows`, int32; -1 where it has none, or several."""
        values = self.probabilities[rows, teacher]
        best = values.argmax(axis=1)[:, None]
        single = (values == np.take_along_axis(values, best, axis=1)).sum(axis=1) == 1
        ids = np.take_along_axis(self.classes[rows, teacher], best, axis=1)[:, 0].astype(np.int32)
        return np.where(single, ids, np.int32(-1))

    def entries(self, teacher: int | IntArray, rows: Any = slice(None)) -> tuple[IntArray, FloatArray, FloatArray]:
        """Return the classes that one teacher lists, or that several do, on a slice of the samples.

        Returns
        -------
        classes : ndarray of shape (n_rows, k) or (n_rows, n_teachers, k), int64
            `n_classes` in places that are not used.
        probabilities : ndarray of the same shape, float64
            Zeros for an abstention.
        rest : ndarray of shape (n_rows,) or (n_rows, n_teachers), float64
            One less their sum; zero for an abstention.
        """
        ids = self.classes[rows, teacher].astype(np.int64)
        values = self.probabilities[rows, teacher].astype(np.float64)
        silent = np.isnan(values[..., 0])
        values[silent] = 0.0
        total = values.sum(axis=-1)
        values /= np.maximum(total, 1.0)[..., None]
        rest = np.where(silent, 0.0, np.maximum(1.0 - total, 0.0))
        return ids, values, rest

    def dense(self, teacher: int, rows: Any = slice(None), within: BoolArray | None = None) -> FloatArray:
        """Return one teacher's probabilities over all classes.

        Parameters
        ----------
        teacher : int
        rows : slice or ndarray of int
        within : bool ndarray of shape (n_classes,), optional
            The classes that what is missing is spread over; all by default, or where all of these are listed.

        Returns
        -------
        ndarray of shape (n_rows, n_classes), float64
            Rows of zeros for an abstention.
        """
        ids, values, rest = self.entries(teacher, rows)
        out = np.zeros((len(ids), self.n_classes + 1))
        listed = np.zeros(out.shape, dtype=bool)
        np.put_along_axis(listed, ids, True, axis=1)
        open_to = ~listed[:, :-1]
        if within is not None:
            inside = open_to & within
            open_to = np.where(np.any(inside, axis=1, keepdims=True), inside, open_to)
        out[:, :-1] = open_to * (rest / np.maximum(open_to.sum(axis=1), 1))[:, None]
        np.put_along_axis(out, ids, values, axis=1)
        return out[:, :-1]

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, index: Any) -> TopK:
        """Select the annotations of some samples: by an int array, a mask or a slice."""
        classes, probabilities = self.classes[index], self.probabilities[index]
        if classes.ndim != 3:
            raise CosupError("index TopK with a slice, a mask or an array of sample positions")
        return self._of(classes, probabilities, self.n_classes)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        out = np.stack([self.dense(t) for t in range(self.shape[1])], axis=1)
        out[~self.speaks()] = np.nan
        return out.astype(dtype or np.float64)

    def __repr__(self) -> str:
        n, m, c = self.shape
        return f"TopK({n} samples, {m} teachers, {self.k} of {c} classes, {self.nbytes / 1e6:.1f} MB)"


def _checked(ids: Any, values: Any, n_classes: int, start: int) -> tuple[Any, Any]:
    """Check class ids and probabilities, and make unused places uniform; an error names the sample."""

    def fail(bad: Any, what: str) -> None:
        if bad.any():
            row, column = (int(i) for i in np.argwhere(bad)[0][:2])
            raise CosupError(f"{what} at sample {start + row}, teacher's column {column} ({int(bad.sum())} in all)")

    silent: BoolArray = np.isnan(values).all(axis=2)
    fail(np.isnan(values).any(axis=2) & ~silent, "probabilities with some NaN (an abstention is all NaN)")
    unused = (ids == -1) | (ids == n_classes)
    fail(~silent[:, :, None] & ((ids < -1) | (ids > n_classes)), f"a class id that is not in 0 to {n_classes - 1}")
    fail(~silent & unused.all(axis=2), "an annotation that lists no class (an abstention has NaN probabilities)")
    fail(~silent[:, :, None] & ~(np.isfinite(values) & (values >= 0)), "a probability that is not finite or negative")
    fail(~silent[:, :, None] & unused & (values > 0), "a probability without a class")
    kept = np.where(unused | silent[:, :, None], n_classes, ids)
    order = np.sort(kept, axis=2)
    fail((order[:, :, 1:] == order[:, :, :-1]) & (order[:, :, 1:] < n_classes), "a class that is listed twice")
    total = values.sum(axis=2, dtype=np.float64)
    fail(~silent & (total > 1 + SUM_TOLERANCE), "probabilities that sum to more than one")
    complete = ~silent & ((kept < n_classes).sum(axis=2) == n_classes)
    fail(complete & (total < 1 - SUM_TOLERANCE), "probabilities of all classes that do not sum to one")
    return kept, values
