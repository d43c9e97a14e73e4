"""Local students: for every teacher of a level one student, trained on its annotations of the samples it was given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosup._validation import BoolArray, FloatArray, IntArray
from cosup.student import Trainer

__all__ = ["LocalStudents", "train_local"]

SMALLEST_SHARE = 20
"""A teacher with fewer samples gets no local student: its out-of-sample predictions would be noise."""


@dataclass(frozen=True)
class LocalStudents:
    """What the local students of a level predict.

    Attributes
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Of every assigned sample by its own teacher's student, trained without that sample.
    trained : bool ndarray of shape (n_samples,)
        Where there is such a prediction.
    """

    probabilities: FloatArray
    trained: BoolArray


def train_local(
    trainer: Trainer,
    assigned: IntArray,
    annotations: FloatArray,
    *,
    strength: float | None,
    out_of_sample: bool,
    seed: int,
) -> LocalStudents:
    """Train theta_km on {(x_i, pi_km(x_i)) : z(x_i) = m} for every teacher m (algorithm 1, step 2).

    Parameters
    ----------
    trainer : Trainer
    assigned : ndarray of shape (n_samples,)
        Position of the teacher, -1 for none.
    annotations : ndarray of shape (n_samples, n_classes)
        What the assigned teacher said.
    strength : float or None
        The global student's: local ones are as regularised.
    out_of_sample : bool
        Whether predictions are by students that did not train on the sample.
    seed : int

    Returns
    -------
    LocalStudents
    """
    probabilities = np.zeros_like(annotations)
    trained = np.zeros(len(assigned), dtype=bool)
    for m in np.unique(assigned[assigned >= 0]):
        share = assigned == m
        if share.sum() < SMALLEST_SHARE:
            continue
        fit = trainer.train(annotations, keep=share, random_state=seed, strength=strength)
        predicted = fit.out_of_sample if out_of_sample else fit.in_sample
        probabilities[share] = predicted[share]
        trained |= share
    return LocalStudents(probabilities, trained)
