"""Out-of-sample predictions for students that have no closed form: each fold by a student that never saw it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import KFold

from cosup.students.heads import Head
from cosup.utils.row_blocks import row_blocks
from cosup.utils.validation import CosupError, FloatArray, IntArray, check_positive

__all__ = ["CrossFit", "check_folds", "cross_fit", "fold_of", "folds_of"]


@dataclass(frozen=True)
class CrossFit:
    """The folds' students, and which sample each of them was not trained on.

    Attributes
    ----------
    heads : tuple of Head
    fold : ndarray of shape (n_samples,), int16
        The head that predicts each sample; -1 where none was trained on it: the mean of all does.
    n_classes : int
    """

    heads: tuple[Head, ...]
    fold: IntArray
    n_classes: int

    def blocks(self, X: FloatArray, rows_per_block: int | None = None) -> Iterator[tuple[slice, FloatArray]]:
        """Predict consecutive rows out of sample; see `cosup.students.Fit.blocks`."""
        for rows in row_blocks(len(X), max(self.n_classes, X.shape[1]), rows_per_block):
            part, fold = X[rows], self.fold[rows]
            out: FloatArray | None = None
            for f, head in enumerate(self.heads):
                for positions, share in (np.flatnonzero(fold == f), 1.0), (np.flatnonzero(fold < 0), len(self.heads)):
                    if not positions.size:
                        continue
                    found = head.predict_proba(part[positions])
                    if out is None:
                        out = np.zeros((len(fold), self.n_classes), dtype=found.dtype)
                    out[positions] += found if share == 1.0 else found / share
            assert out is not None
            yield rows, out


def check_folds(folds: int, student: str) -> None:
    """Raise `CosupError` unless `folds` is a whole number from 2 up."""
    check_positive(folds, f"folds of {student}", integer=True)
    if folds < 2:
        raise CosupError(f"folds of {student} must be at least 2, got {folds}")


def folds_of(members: IntArray, folds: int, random_state: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield the positions that each fold's student is trained on, and those that it predicts.

    Raises
    ------
    CosupError
        With fewer members than folds.
    """
    if len(members) < folds:
        raise CosupError(f"{folds}-fold cross-fitting needs at least {folds} samples, got {len(members)}")
    for kept, held in KFold(folds, shuffle=True, random_state=random_state).split(members):
        yield members[kept], members[held]


def fold_of(held: list[IntArray], n_samples: int) -> IntArray:
    """Number the samples by the fold whose student predicts them; see `CrossFit.fold`."""
    fold = np.full(n_samples, -1, dtype=np.int16)
    for f, positions in enumerate(held):
        fold[positions] = f
    return fold


def cross_fit(
    train: Callable[[list[IntArray]], Sequence[Head]],
    n_samples: int,
    members: IntArray,
    n_classes: int,
    folds: int,
    random_state: int,
) -> CrossFit:
    """Train a student a fold.

    Parameters
    ----------
    train : callable
        A function from the sample positions (int64) of every fold to the heads trained on them.
    n_samples : int
    members : ndarray of int64
        Positions that are trained on. The rest is predicted by the mean of the folds' students.
    n_classes, folds, random_state : int

    Returns
    -------
    CrossFit
        Predictions for every sample by a student that was not trained on it.

    Raises
    ------
    CosupError
        With fewer members than folds.
    """
    kept, held = map(list, zip(*folds_of(members, folds, random_state), strict=True))
    return CrossFit(tuple(train(kept)), fold_of(held, n_samples), n_classes)
