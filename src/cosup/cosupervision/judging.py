"""A judge of students without a label: class probabilities of all samples under the default's joint model."""

from __future__ import annotations

from functools import partial

import numpy as np

from cosup.cosupervision.algorithm import co_supervise
from cosup.labels import TeacherLabels
from cosup.utils.shared_results import shared_result
from cosup.utils.validation import FloatArray

__all__ = ["joint_posterior"]


def joint_posterior(X: FloatArray, labels: TeacherLabels, seed: int) -> FloatArray:
    """Estimate the class probabilities of all samples from features and all teachers, by the default method.

    Methods that are trained by steps are judged by it, see `cosup.students.held_out_choice.choose`. Where the
    default's student falls back to the consensus, its predictions are returned.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    labels : TeacherLabels of n_samples
    seed : int

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
    """
    return shared_result(partial(_posterior, X, labels, seed), "joint posterior", X, labels, seed)


def _posterior(X: FloatArray, labels: TeacherLabels, seed: int) -> FloatArray:
    found = co_supervise(X, labels, random_state=seed)
    if found.posterior is None:
        return found.head.predict_proba(X)
    out = np.empty((len(X), labels.n_classes))
    for rows, block in found.posterior.blocks():
        out[rows] = block
    return out
