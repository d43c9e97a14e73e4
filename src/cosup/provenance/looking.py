"""Choose the samples that a person should look at first, and use the labels that come back; no truth is involved."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import cho_factor, cho_solve
from sklearn.base import clone

from cosup.labels import ImportedLabels, TeacherLabels, combine_labels
from cosup.provenance.answers import known_labels
from cosup.provenance.calibration import as_sure_as
from cosup.students import RidgeProbe
from cosup.utils.slices import slices
from cosup.utils.validation import FloatArray, IntArray, check_features

__all__ = ["LOOK", "after_looking", "look_first", "with_person"]

LOOK = np.dtype([("value", "f4"), ("doubt", "f4"), ("dispute", "f4"), ("influence", "f4")])
"""Why a sample is worth a look: the product, and what it is made of; see `look_first`."""

LOOKED_AT_ROWS = 1 << 14
"""Samples whose features are centred together."""

COUNTS = 4
"""Answers of the model that a person's label outweighs."""


def look_first(X: ArrayLike, labels: TeacherLabels, model: Any) -> tuple[IntArray, Any]:
    """Order samples by what a human look at them is worth.

    ``value = doubt * (1/2 + dispute) * influence``:

    - *doubt*: one less the probability of the model's answer, by the mean of two: the model's own, and that of a ridge
      student trained on the model's answers for all the *other* samples (leave-one-out, in closed form). The second is
      low where nothing but the sample itself supports its answer.
    - *dispute*: the share of the teachers that speak here, and know the answer's class (it is of their specialty, and
      they name it somewhere), that say something else; a teacher counts by how often it agrees with the model on
      classes that it knows.
    - *influence*: how much the other samples' scores move for a unit change of this one's label: the norm of its
      column of the ridge's hat matrix without the diagonal (after Cook & Weisberg 1982, *Residuals and Influence in
      Regression*); in units of the mean.

    The half leaves a say to doubt where teachers agree; measured in ``benchmarks/looking.py``.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The features that the model was fitted on.
    labels : TeacherLabels of n_samples
    model : fitted estimator of cosup

    Returns
    -------
    order : ndarray of shape (n_samples,), int64
        Positions, the most worthwhile first; ties keep the samples' order.
    parts : structured ndarray of shape (n_samples,), dtype `LOOK`
        The value of a look at each sample, and its three factors.

    Raises
    ------
    CosupError
        For features that are not finite numbers, or of another length than the labels.

    Examples
    --------
    >>> import numpy as np
    >>> from cosup import CoSupervisedClassifier, TeacherLabels
    >>> X = np.array([[0.0], [0.1], [0.2], [0.3], [1.5], [1.6], [2.7], [2.8], [2.9], [3.0]])
    >>> labels = TeacherLabels(np.array([[0], [0], [0], [0], [0], [1], [1], [1], [1], [1]]))
    >>> order, parts = look_first(X, labels, CoSupervisedClassifier(random_state=0).fit(X, labels))
    >>> sorted(order[:2].tolist())
    [4, 5]
    """
    X = check_features(np.asarray(X), n_samples=len(labels))
    n = len(X)
    answers = np.empty(n, dtype=np.int64)
    confidence = np.empty(n)
    for rows in slices(n, LOOKED_AT_ROWS):
        P = np.asarray(model.head_.predict_proba(X[rows]))
        answers[rows] = P.argmax(axis=1)
        confidence[rows] = P.max(axis=1)
    parts = np.zeros(n, dtype=LOOK)
    parts["influence"] = 1.0
    parts["doubt"] = 1.0 - confidence
    if len(np.unique(answers)) > 1:
        fit = RidgeProbe().prepare(X).train(answers, n_classes=labels.n_classes)
        for rows, p in fit.blocks(True):
            parts["doubt"][rows] = 1.0 - (confidence[rows] + p[np.arange(len(p)), answers[rows]]) / 2
        parts["influence"] = _influence(X, fit.alpha)
    parts["dispute"] = _dispute(labels, answers)
    parts["value"] = parts["doubt"] * (0.5 + parts["dispute"]) * parts["influence"]
    return np.argsort(-parts["value"], kind="stable"), parts


def _dispute(labels: TeacherLabels, answers: IntArray) -> FloatArray:
    annotated = labels.hard()
    against, weights = np.zeros(len(answers)), np.zeros(len(answers))
    for t in range(labels.n_teachers):
        speaks = annotated[:, t] >= 0
        named = np.bincount(annotated[speaks, t], minlength=labels.n_classes) > 0
        its = np.flatnonzero(speaks & (labels.covers(t) & named)[answers])
        other = annotated[its, t] != answers[its]
        weight = 1.0 - other.mean() if len(its) else 0.0
        against[its] += weight * other
        weights[its] += weight
    return np.asarray(np.divide(against, weights, out=np.zeros(len(answers)), where=weights > 0))


def _influence(X: FloatArray, alpha: float) -> FloatArray:
    """Compute norms of the hat matrix's columns without their diagonal, over their mean, (n_samples,)."""
    mean = np.mean(X, axis=0, dtype=np.float64)
    n, d = X.shape
    if n < d:
        hat = _hat(X - mean, alpha)
        return _over_mean(np.square(hat).sum(axis=1) - np.square(np.diagonal(hat)))
    gram = np.zeros((d, d))
    blocks = list(slices(len(X), LOOKED_AT_ROWS))
    for rows in blocks:
        Z = X[rows] - mean
        gram += Z.T @ Z
    penalised = gram.copy()
    penalised[np.diag_indices(d)] += max(alpha * float(np.trace(gram)) / d, 1e-12)
    inverse = cho_solve(cho_factor(penalised), np.eye(d))
    twice = inverse @ gram @ inverse
    out = np.empty(len(X))
    for rows in blocks:
        Z = X[rows] - mean
        own = np.einsum("ij,ij->i", Z @ inverse, Z)
        out[rows] = np.einsum("ij,ij->i", Z @ twice, Z) - own**2
    return _over_mean(out)


def _hat(Z: FloatArray, alpha: float) -> FloatArray:
    """Compute the hat matrix (n, n) of centred features from the products of samples, of which there are few."""
    products = Z @ Z.T
    penalised = products.copy()
    penalised[np.diag_indices(len(Z))] += max(alpha * float(np.trace(products)) / Z.shape[1], 1e-12)
    return np.asarray(cho_solve(cho_factor(penalised), products))


def _over_mean(squares: FloatArray) -> FloatArray:
    """Return roots over their mean; ones where all are zero."""
    roots = np.sqrt(np.maximum(squares, 0.0))
    scale = float(roots.mean())
    return roots / scale if scale > 0 else np.ones(len(roots))


def after_looking(X: ArrayLike, labels: TeacherLabels, model: Any, known: ArrayLike) -> Any:
    """Train a last student with the labels that a person gave.

    It is taught the model's answers, with the person's in their places, and each of these counts as often as `COUNTS`
    answers. It is made as sure of its answers as the model is of its own. As one more level of teachers, with more
    rounds, the few labels drown in the rounds' mean, and where teachers have no levels the further rounds do harm
    (``benchmarks/looking.py`` measures both; `with_person` makes such labels).

    From then on these labels are training data: they measure nothing any more, and calibrate nothing (`recalibrate`).

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The features that the model was fitted on.
    labels : TeacherLabels of n_samples
    model : fitted estimator of cosup
        It is not changed.
    known : array-like of shape (n_samples,), int
        The person's class ids, -1 where they did not look.

    Returns
    -------
    estimator
        A copy of the model with the new student.

    Raises
    ------
    CosupError
        If `known` has another length, holds a class that is none, or no label at all.
    """
    X = check_features(np.asarray(X), n_samples=len(labels))
    known = known_labels(known, len(labels), labels.n_classes)
    looked = np.flatnonzero(known >= 0)
    answers = np.empty(len(X), dtype=np.int32)
    for block in slices(len(X), LOOKED_AT_ROWS):
        answers[block] = model.head_.predict_proba(X[block]).argmax(axis=1)
    answers[looked] = known[looked]
    rows = np.concatenate([np.arange(len(X)), np.repeat(looked, COUNTS - 1)])
    final = TeacherLabels(answers[rows, None], names=["answers"], n_classes=labels.n_classes)
    out = copy.copy(model)
    # Trained on answers as if they were certain, it is more confident than the rounds' mean that gave them.
    out.head_ = as_sure_as(model.head_, clone(model).fit(X[rows], final).head_, X)
    out.level_heads_ = (*model.level_heads_[:-1], out.head_)
    return out


def with_person(labels: TeacherLabels, known: IntArray) -> TeacherLabels:
    """Add a person's labels as one more teacher, 'person', at a level of its own above all others.

    Parameters
    ----------
    labels : TeacherLabels of n_samples
    known : ndarray of shape (n_samples,), int
        Class ids, -1 where they did not look.

    Returns
    -------
    TeacherLabels
        `ImportedLabels` where `labels` are.
    """
    name = "person"
    while name in labels.names:
        name += "'"
    classes = labels.class_names if isinstance(labels, ImportedLabels) else tuple(map(str, range(labels.n_classes)))
    ids = labels.ids if isinstance(labels, ImportedLabels) else None
    named = labels if isinstance(labels, ImportedLabels) else ImportedLabels.of(labels, classes)
    person = ImportedLabels(
        known[:, None].astype(np.int32), classes, names=[name], ids=ids, source="the person's labels"
    )
    both = combine_labels([named, person]).arrange([*labels.levels.tolist(), labels.n_levels])
    if isinstance(labels, ImportedLabels):
        return both
    return TeacherLabels(
        both.annotations, levels=both.levels, specialties=both.specialties, names=both.names, n_classes=both.n_classes
    )
