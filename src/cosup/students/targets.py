"""Check the targets of a training: class ids or probabilities, and the samples that are trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cosup.utils.row_blocks import cache_blocks, on_disk, release_pages
from cosup.utils.validation import BoolArray, CosupError, FloatArray, IntArray

__all__ = ["Targets"]


@dataclass(frozen=True)
class Targets:
    """Checked targets of one training.

    Attributes
    ----------
    ids : ndarray of shape (n_samples,) or None
        Class ids where the targets are hard; what stands outside `members` means nothing.
    soft : ndarray of shape (n_samples, n_classes) or None
        Probabilities where they are not.
    members : ndarray of shape (n_members,), int64
        Positions of the samples that are trained on.
    n_classes : int
    """

    ids: IntArray | None
    soft: FloatArray | None
    members: IntArray
    n_classes: int

    @classmethod
    def of(cls, targets: ArrayLike, train_mask: BoolArray | None, n_classes: int | None, n_samples: int) -> Targets:
        """Check what `Trainer.train` was given; one-hot rows are taken for the class ids that they are."""
        given: Any = np.asarray(targets)
        if given.ndim not in (1, 2) or len(given) != n_samples or (given.ndim == 1 and given.dtype.kind not in "iu"):
            raise CosupError(
                f"targets must be class ids, integers ({n_samples},), or probabilities ({n_samples}, n_classes); got "
                f"{given.dtype} {given.shape}"
            )
        members = np.arange(n_samples) if train_mask is None else np.flatnonzero(train_mask)
        if given.ndim == 2:
            if n_classes not in (None, given.shape[1]):
                raise CosupError(f"targets have {given.shape[1]} classes, n_classes is {n_classes}")
            ids = np.empty(n_samples, dtype=np.int64)
            used = np.ones(n_samples, dtype=bool) if train_mask is None else np.asarray(train_mask, dtype=bool)
            hard = True
            for rows in cache_blocks(n_samples, given.shape[1]):
                block = given[rows]
                ids[rows] = block.argmax(axis=1)
                alone = np.count_nonzero(block, axis=1) == 1
                certain = alone & (block[np.arange(len(block)), ids[rows]] == 1)
                release_pages(given)
                hard = bool((certain | ~used[rows]).all())
                if not hard:
                    break
            return cls(ids if hard else None, None if hard else given, members, given.shape[1])
        spoken = given >= 0
        if not spoken.all():
            members = members[spoken[members]]
        top = int(given[members].max(initial=-1))
        n_classes = top + 1 if n_classes is None else n_classes
        if top >= n_classes:
            raise CosupError(f"targets must be class ids under {n_classes}, or -1 for none; got {top}")
        return cls(given, None, members, n_classes)

    @property
    def given(self) -> Any:
        """The targets as `Trainer.train` takes them: class ids, or else probabilities."""
        return self.soft if self.ids is None else self.ids

    @property
    def train_mask(self) -> BoolArray:
        """Mask of the samples that are trained on."""
        mask = np.zeros(len(self), dtype=bool)
        mask[self.members] = True
        return mask

    @property
    def single(self) -> bool:
        """Whether they are probabilities in single precision."""
        return self.soft is not None and self.ids is None and self.soft.dtype == np.float32

    @property
    def everyone(self) -> bool:
        """Whether all samples are trained on."""
        return len(self.members) == len(self)

    def __len__(self) -> int:
        """Return the number of samples, trained on or not."""
        given = self.soft if self.ids is None else self.ids
        assert given is not None
        return len(given)

    def predicted_class(self, rows: Any) -> IntArray:
        """Return the most probable class of some samples, (n_rows,)."""
        if self.ids is not None:
            return np.asarray(self.ids[rows])
        return np.asarray(self._read(rows).argmax(axis=1))

    def _read(self, rows: Any) -> FloatArray:
        assert self.soft is not None
        if on_disk(self.soft):
            release_pages(self.soft)  # those of what was read before
        return np.asarray(self.soft[rows])

    def dense(self, rows: Any, dtype: Any = np.float64) -> FloatArray:
        """Return probabilities of some samples, (n_rows, n_classes), by default in float64."""
        if self.ids is None:
            return np.asarray(self._read(rows), dtype=dtype)
        ids = self.ids[rows]
        out = np.zeros((len(ids), self.n_classes), dtype=dtype)
        out[np.arange(len(ids)), ids] = 1.0
        return out
