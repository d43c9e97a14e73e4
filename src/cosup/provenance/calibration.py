"""A student's probabilities made sharper or softer by a few labels, where the labels support it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from cosup.estimators.supervision import one_hot
from cosup.provenance.answers import known_labels
from cosup.students import Head, LinearHead
from cosup.utils.validation import CosupError, FloatArray, IntArray, check_features

__all__ = ["Calibration", "as_sure_as", "calibrate", "recalibrate"]

FOLDS = 10

ENOUGH = 10_000
"""Samples by which one head is made as sure as another."""

WIDEST = 3.0
"""Logarithm of the temperature that is sought at the most."""


@dataclass(frozen=True)
class Calibration:
    """A temperature (Guo et al. 2017, *On Calibration of Modern Neural Networks*), and whether it is worth having.

    Attributes
    ----------
    temperature : float
        The divisor of logits: 1 where the labels support no other one.
    labels : int
        Number of labels that it rests on.
    before, after : float
        Log loss as the probabilities are, and cross-validated with a temperature, in nats.
    """

    temperature: float
    labels: int
    before: float
    after: float

    def __str__(self) -> str:
        what = (
            "probabilities stay as they are"
            if self.temperature == 1
            else f"probabilities are {'softened' if self.temperature > 1 else 'sharpened'} by a temperature of "
            f"{self.temperature:.2f}"
        )
        return (
            f"{what}: on {self.labels} labels log loss is {self.before:.3f}, cross-validated with a temperature "
            f"{self.after:.3f}"
        )


def calibrate(logits: FloatArray, truth: IntArray) -> Calibration:
    """Choose a temperature by log loss.

    It is taken only if it lowers the cross-validated log loss by more than one standard error of the difference.

    Parameters
    ----------
    logits : ndarray of shape (n_labels, n_classes)
        The logits of a student that was not trained on these labels.
    truth : ndarray of shape (n_labels,), int

    Returns
    -------
    Calibration
        The temperature, and the log loss with and without it.
    """
    targets = one_hot(truth, logits.shape[1])
    plain = _losses(logits, targets, 1.0)
    other = np.full(len(truth), np.inf)
    # Shuffled, because the order of users' files is seldom random.
    fold = np.random.default_rng(0).permutation(len(truth)) % min(FOLDS, len(truth))
    for k in range(fold.max() + 1 if len(truth) > 1 else 0):
        its = fold == k
        other[its] = _losses(logits[its], targets[its], _best(logits[~its], targets[~its]))
    gain = plain - other
    error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else np.inf
    borne_out = bool(gain.mean() > error)
    after = float(other.mean()) if len(truth) > 1 else float("nan")
    return Calibration(_best(logits, targets) if borne_out else 1.0, len(truth), float(plain.mean()), after)


def as_sure_as(model: Head, head: Head, X: FloatArray) -> Head:
    """Make one student as sure of its answers as another one: the temperature of least cross-entropy against it.

    Parameters
    ----------
    model : Head
        The head whose probabilities are used.
    head : Head
        The other one; it comes back as it is if it is not linear.
    X : ndarray of shape (n_samples, n_features)
    """
    if not isinstance(head, LinearHead):
        return head
    rows = np.unique(np.linspace(0, len(X) - 1, ENOUGH).astype(np.int64))
    return _at(head, _best(_logits(head, X[rows]), model.predict_proba(X[rows])))


def _at(head: LinearHead, temperature: float) -> LinearHead:
    return LinearHead(head.weight / temperature, head.bias / temperature)


def _logits(head: Head, X: FloatArray) -> FloatArray:
    return np.asarray(np.log(np.maximum(head.predict_proba(X), np.finfo(np.float64).tiny)))


def _best(logits: FloatArray, targets: FloatArray) -> float:
    """Find the temperature of least cross-entropy against probabilities."""
    found = minimize_scalar(
        lambda t: _losses(logits, targets, np.exp(t)).mean(), bounds=(-WIDEST, WIDEST), method="bounded"
    )
    return float(np.exp(found.x))


def _losses(logits: FloatArray, targets: FloatArray, temperature: float) -> FloatArray:
    scaled = logits / temperature
    return np.asarray(logsumexp(scaled, axis=1) - (targets * scaled).sum(axis=1))


def recalibrate(model: Any, X: ArrayLike, known: ArrayLike) -> tuple[Any, Calibration]:
    """Return calibrate a fitted model's probabilities by a person's labels.

    The labels should be of samples drawn uniformly. Those chosen by doubt are wrong more often than their probabilities
    say, even where these are right on the whole, and make them too soft (``benchmarks/looking.py`` measures both).

    Parameters
    ----------
    model : fitted estimator of cosup with a linear student
        It is not changed. It must not have been trained on `known`.
    X : array-like of shape (n_samples, n_features)
    known : array-like of shape (n_samples,), int
        The person's class ids, -1 where they did not look.

    Returns
    -------
    model : estimator
        A copy with calibrated probabilities; predictions are the same. What was done is in the last level's notes.
    calibration : Calibration
        The temperature that was chosen, and the log loss with and without it.

    Raises
    ------
    CosupError
        If the student is not linear, or `known` is not as described.

    Examples
    --------
    >>> import numpy as np
    >>> from cosup import CoSupervisedClassifier, TeacherLabels
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(2, size=400)
    >>> X = rng.normal(size=(400, 3)) + y[:, None]
    >>> noisy = np.where(rng.random(400) < 0.3, 1 - y, y)
    >>> model = CoSupervisedClassifier(student="logistic", random_state=0).fit(X, TeacherLabels(noisy[:, None]))
    >>> known = np.where(np.arange(400) < 100, y, -1)
    >>> better, calibration = recalibrate(model, X, known)
    >>> bool(calibration.after < calibration.before), bool(calibration.temperature != 1)
    (True, True)
    """
    X = check_features(np.asarray(X))
    known = known_labels(known, len(X), len(model.classes_))
    head = model.head_
    if not isinstance(head, LinearHead):
        raise CosupError(
            f"only linear students can be calibrated, this one is a {type(head).__name__}; use student='ridge', "
            "'logistic' or 'adam'"
        )
    rows = np.flatnonzero(known >= 0)
    calibration = calibrate(_logits(head, X[rows]), known[rows])
    out = copy.copy(model)
    if calibration.temperature != 1:
        out.head_ = _at(head, calibration.temperature)
        out.level_heads_ = (*model.level_heads_[:-1], out.head_)
    if model.history_:
        last = model.history_[-1]
        out.history_ = [*model.history_[:-1], {**last, "notes": [*last["notes"], str(calibration)]}]
    return out, calibration
