"""Out-of-sample predictions for students that have no closed form: each fold by a student that never saw it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.model_selection import KFold

from cosup._validation import CosupError, FloatArray, IntArray
from cosup.student._protocol import Head

__all__ = ["cross_fit"]


def cross_fit(
    train: Callable[[IntArray], Head],
    X: FloatArray,
    members: IntArray,
    n_classes: int,
    folds: int,
    random_state: int,
) -> FloatArray:
    """Predict every sample by students that were not trained on it.

    Parameters
    ----------
    train : callable
        From sample positions (int64) to a head trained on them.
    X : ndarray of shape (n_samples, n_features)
    members : ndarray of int64
        Positions that are trained on. The rest is predicted by the mean of the folds' students.
    n_classes, folds, random_state : int

    Returns
    -------
    ndarray of shape (n_samples, n_classes)

    Raises
    ------
    CosupError
        With fewer members than folds.
    """
    if len(members) < folds:
        raise CosupError(f"{folds}-fold cross-fitting needs at least {folds} samples, got {len(members)}")
    out = np.zeros((len(X), n_classes))
    outside = np.setdiff1d(np.arange(len(X)), members, assume_unique=True)
    for kept, held in KFold(folds, shuffle=True, random_state=random_state).split(members):
        head = train(members[kept])
        out[members[held]] = head.predict_proba(X[members[held]])
        if outside.size:
            out[outside] += head.predict_proba(X[outside]) / folds
    return out
