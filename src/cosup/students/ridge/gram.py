"""The linear algebra of ridges: features as blocks of rows, and factors of their second moments.

Nothing of the features' size is kept beside a centred copy where that is small (`KEPT`): every product goes over
blocks of rows. Positions are about one `origin`; a sample's own mean enters as a `shift`. So the second moments of a
subset are those of all rows less those of the few left out, whichever is less work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from cosup.students.targets import Targets
from cosup.utils.row_blocks import LARGE, cache_blocks, column_means, take, widen
from cosup.utils.validation import CosupError, FloatArray, IntArray

__all__ = ["Features", "Moment", "Sample"]

MANY = 32
"""Samples a feature from which second moments of features in single precision are summed in it, block by block: their
error, up to 1e-6 of the mean variance, is far under that of a sample."""

CHANGED = 0.25
"""Share of the class ids up to which moments follow from those of the ids before."""

KEPT = 1 << 28
"""Bytes up to which centred features are kept; beyond, they are read and centred anew for every product."""


NEAR = 3.0
"""Times its spread that a column's mean may lie from zero for products about zero to be as good as about the mean."""

NEAR_ROWS = 2048
"""Rows that spreads are told from."""


class Features:
    """All rows, about their mean, or about zero where that is near and no centred copy is kept.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Any floating dtype, possibly memory-mapped.
    keep_centred : bool
        Keep a centred copy where that is small.
    """

    def __init__(self, X: FloatArray, *, keep_centred: bool = True) -> None:
        self.X = X
        self.mean = column_means(X)
        self.kept = keep_centred and 8 * X.size <= KEPT
        about_zero = keep_centred and not self.kept and self._near_zero()
        self.origin = np.zeros(X.shape[1]) if about_zero else self.mean
        self._latest: tuple[IntArray, FloatArray] = np.empty(0, dtype=np.int64), np.empty(0)

    def _near_zero(self) -> bool:
        some = widen(self.X[:: max(1, len(self.X) // NEAR_ROWS)])
        return bool((np.abs(self.mean) <= NEAR * some.std(axis=0, dtype=np.float64)).all())

    @cached_property
    def _whole(self) -> FloatArray:
        return self._filled(np.float64)

    @cached_property
    def _whole_single(self) -> FloatArray:
        return self._filled(np.float32)

    def _filled(self, dtype: Any) -> FloatArray:
        out = np.empty(self.X.shape, dtype=dtype)
        for rows in cache_blocks(*self.X.shape):
            self._centred(rows, dtype, out[rows])
        return out

    def _centred(self, rows: slice | IntArray, dtype: Any, out: FloatArray | None = None) -> FloatArray:
        part = widen(take(self.X, rows))
        if self.origin is self.mean:
            return np.asarray(np.subtract(part, self.mean.astype(dtype), out=out, dtype=dtype, casting="same_kind"))
        if part.dtype == dtype or out is None:
            return np.asarray(part, dtype=dtype)
        out[...] = part
        return out

    def read(self, rows: slice | IntArray) -> FloatArray:
        """Read some rows, (n_rows, n_features) float64."""
        return self._whole[rows] if self.kept else self._centred(rows, np.float64)

    def read_single(self, rows: slice | IntArray) -> FloatArray:
        """Read some rows in float32."""
        return self._whole_single[rows] if self.kept else self._centred(rows, np.float32)

    def blocks(
        self, members: IntArray | None, width: int = 0, *, single: bool = False
    ) -> Iterator[tuple[slice, FloatArray]]:
        """Yield slices of the members, None for all, and their rows in float64 or float32; see `cache_blocks`.

        A block is the caller's until the next is asked for: where features are not kept, all are read into one buffer,
        since fresh memory takes longer than centring.
        """
        (n, d), dtype = self.X.shape, np.float32 if single else np.float64
        held = (self._whole_single if single else self._whole) if self.kept else None
        buffer = np.empty((0, d), dtype=dtype)
        for rows in cache_blocks(n if members is None else len(members), max(d, width) // (2 if single else 1)):
            at, size = rows if members is None else members[rows], rows.stop - rows.start
            if held is not None:
                yield rows, held[at]
                continue
            buffer = buffer if len(buffer) else np.empty((size, d), dtype=dtype)
            yield rows, self._centred(at, dtype, buffer[:size])

    @cached_property
    def gram(self) -> FloatArray:
        """Compute ``Z'Z`` about the origin, in a new array."""
        return self.gram_of(None)

    def gram_of(self, members: IntArray | None) -> FloatArray:
        """Compute ``Z'Z`` of some rows, None for all, about the origin."""
        d = self.X.shape[1]
        total = np.zeros((d, d))
        n = len(self.X) if members is None else len(members)
        single = self.X.dtype != np.float64 and n >= MANY * d and n * d**2 >= LARGE
        for _, Z in self.blocks(members, single=single):
            total += Z.T @ Z
        return total

    def gram_less(self, members: IntArray, left_out: IntArray) -> FloatArray:
        """Compute ``Z'Z`` of `members`, all but those `left_out`, by way of the latter where that is less work.

        The last such sum over samples is kept: of two local students that share all samples, the second one's follow
        from the first one's.
        """
        summed, total = self._latest
        if not any(np.array_equal(summed, rows) for rows in (members, left_out)):
            summed = min(members, left_out, key=len)
            total = self.gram_of(summed)
            self._latest = summed, total
        return total.copy() if np.array_equal(summed, members) else np.asarray(self.gram - total)


class Sample:
    """The rows that a ridge is trained on."""

    def __init__(self, features: Features, members: IntArray) -> None:
        if len(members) < 2:
            raise CosupError(f"a ridge probe needs at least 2 samples, got {len(members)}")
        self.features, self.members = features, members
        self.n, self.d = len(members), features.X.shape[1]
        self.whole = self.n == len(features.X)
        self._latest: tuple[IntArray, FloatArray] = np.empty(0, dtype=np.int64), np.empty(0)
        # Leverages then err by about 1e-6, which features in single precision do anyway.
        self.single = features.X.dtype != np.float64 and self.n * self.d**2 >= LARGE

    def blocks(self, width: int = 0, *, single: bool = False) -> Iterator[tuple[slice, FloatArray]]:
        """Yield slices of the members, and their rows about the origin; see `Features.blocks`."""
        return self.features.blocks(None if self.whole else self.members, width, single=single)

    @cached_property
    def _outside(self) -> IntArray:
        return np.setdiff1d(np.arange(len(self.features.X)), self.members, assume_unique=True)

    @cached_property
    def shift(self) -> FloatArray:
        """Their mean about the origin, (n_features,)."""
        if self.whole:
            return np.asarray(self.features.mean - self.features.origin)
        return np.asarray(sum(Z.sum(axis=0) for _, Z in self.blocks()) / self.n)

    @property
    def mean(self) -> FloatArray:
        """Their mean, (n_features,)."""
        return np.asarray(self.features.origin + self.shift)

    def gram(self) -> FloatArray:
        """Compute ``Z'Z`` about their own mean, in a new array."""
        features = self.features
        total = features.gram.copy() if self.whole else features.gram_less(self.members, self._outside)
        total -= self.n * np.outer(self.shift, self.shift)
        return total

    def rows(self) -> FloatArray:
        """Read all of them about their own mean, (n, n_features): for when they are fewer than features."""
        return self.features.read(slice(None) if self.whole else self.members) - self.shift

    def moment(self, targets: Targets) -> Moment:
        """Compute the moments of targets that a ridge needs."""
        n_classes = targets.n_classes
        single = self.single or (targets.single and self.features.X.dtype != np.float64)
        if targets.ids is not None:
            ids = targets.ids[self.members]
            mean, total = np.bincount(ids, minlength=n_classes) / self.n, self._class_sums(ids, n_classes, single).T
        else:
            mean, turned = np.zeros(n_classes), np.zeros((n_classes, self.d))  # in the order in which it is added to
            total = turned.T
            for rows, Z in self.blocks(n_classes, single=single):
                T = targets.dense(rows if self.whole else self.members[rows], Z.dtype)
                mean += np.ones(len(T), dtype=T.dtype) @ T
                total += Z.T @ T
            mean /= self.n
        return Moment(targets, mean, np.ascontiguousarray(total - self.n * np.outer(self.shift, mean)))

    def _class_sums(self, ids: IntArray, n_classes: int, single: bool) -> FloatArray:
        """Add up the rows of every class, (n_classes, n_features): of few ids that changed, by way of the ones before.

        Rounds of training change few of their targets.
        """
        before, total = self._latest
        known = len(before) == self.n and len(total) == n_classes
        changed = np.flatnonzero(ids != before) if known else np.arange(self.n)
        if known and len(changed) <= CHANGED * self.n:
            total = total.copy()
            for rows, Z in self.features.blocks(self.members[changed], single=single):
                at = changed[rows]
                total += _by_class(ids[at], Z, n_classes) - _by_class(before[at], Z, n_classes)
        else:
            total = np.zeros((n_classes, self.d))
            for rows, Z in self.blocks(single=single):
                total += _by_class(ids[rows], Z, n_classes)
        self._latest = ids, total
        return total


def _by_class(ids: IntArray, Z: FloatArray, n_classes: int) -> FloatArray:
    """Add up the rows of every class, (n_classes, n_features)."""
    n = len(ids)
    one_hot = csr_array((np.ones(n, dtype=Z.dtype), ids, np.arange(n + 1)), shape=(n, n_classes))
    return np.asarray(one_hot.T @ Z)


@dataclass(frozen=True)
class Moment:
    """The moments that a ridge takes from targets.

    Attributes
    ----------
    targets : Targets
    mean : ndarray of shape (n_classes,)
        Over the samples that are trained on.
    product : ndarray of shape (n_features, n_classes)
        ``Z'T`` of these, about both means.
    """

    targets: Targets
    mean: FloatArray
    product: FloatArray

    @property
    def large(self) -> bool:
        """Whether products over samples, features and classes are in float32 where that is fine; see `LARGE`."""
        return len(self.targets.members) * self.product.size >= LARGE
