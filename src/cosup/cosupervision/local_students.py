"""Local students: for every teacher of a level one student, trained on its annotations of the samples it was given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosup.students import Trainer
from cosup.utils.row_store import row_slices
from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = ["LocalStudents", "train_local"]

SMALLEST_SHARE = 20
"""A teacher with fewer samples gets no local student: its out-of-sample predictions would be noise."""


@dataclass(frozen=True)
class LocalStudents:
    """Predictions of the local students of a level.

    Attributes
    ----------
    predicted : ndarray of shape (n_samples,)
        The most probable class of every assigned sample, by its own teacher's student, trained without that sample;
        -1 where there is no such student.
    """

    predicted: IntArray

    @property
    def trained(self) -> BoolArray:
        """Where there is a prediction, (n_samples,)."""
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
        The global student's: local ones are as regularised.
    out_of_sample : bool
        Whether predictions are by students that did not train on the sample.
    seed : int

    Returns
    -------
    LocalStudents
    """
    predicted = np.full(len(assigned), -1)
    for m in np.unique(assigned[assigned >= 0]):
        share = assigned == m
        if share.sum() < SMALLEST_SHARE:
            continue
        fit = trainer.train(annotations, train_mask=share, random_state=seed, alpha=alpha, n_classes=n_classes)
        for rows, p in fit.blocks(out_of_sample, row_slices(len(assigned), n_classes)[0].stop):
            predicted[rows] = np.where(share[rows], p.argmax(axis=1), predicted[rows])
    return LocalStudents(predicted)
