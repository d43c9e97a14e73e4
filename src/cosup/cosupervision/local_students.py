"""Local students: one for every teacher of a level, trained on the samples that are assigned to this teacher."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosup.students import Trainer
from cosup.utils.row_store import row_slices
from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = ["LocalStudents", "train_local"]

FEWEST_ASSIGNED = 20
"""Samples that a teacher's local student is trained on at the least; without one, no annotation is contradicted."""


@dataclass(frozen=True)
class LocalStudents:
    """Predictions of a level's local students.

    Attributes
    ----------
    predicted : ndarray of shape (n_samples,)
        The most probable class of every sample, by the local student of its assigned teacher; -1 where no teacher is
        assigned, or its local student was not trained.
    """

    predicted: IntArray

    @property
    def trained(self) -> BoolArray:
        """Mask of the samples that have a prediction, (n_samples,)."""
        return np.asarray(self.predicted >= 0)


def train_local(
    trainer: Trainer,
    assigned: IntArray,
    annotations: FloatArray | IntArray,
    *,
    n_classes: int,
    alpha: float | None,
    out_of_sample: bool,
    seed: int,
) -> LocalStudents:
    """Train theta_km on {(x_i, pi_km(x_i)) : z(x_i) = m} for every teacher m (algorithm 1, step 2).

    Parameters
    ----------
    trainer : Trainer
    assigned : ndarray of shape (n_samples,)
        Position of the teacher, -1 for none.
    annotations : ndarray of shape (n_samples,) or (n_samples, n_classes)
        The assigned teachers' annotations, as class ids or probabilities.
    n_classes : int
    alpha : float or None
        The global student's regularisation, which local ones share.
    out_of_sample : bool
        Whether a sample is predicted by a student that did not train on it.
    seed : int

    Returns
    -------
    LocalStudents
    """
    predicted = np.full(len(assigned), -1)
    for m in np.unique(assigned[assigned >= 0]):
        own = assigned == m
        if own.sum() < FEWEST_ASSIGNED:
            continue
        fit = trainer.train(annotations, train_mask=own, random_state=seed, alpha=alpha, n_classes=n_classes)
        for rows, p in fit.blocks(out_of_sample, row_slices(len(assigned), n_classes)[0].stop):
            predicted[rows] = np.where(own[rows], p.argmax(axis=1), predicted[rows])
    return LocalStudents(predicted)
