"""Robust scaling of features, where they need it: broken cells, columns in other units, far from zero.

Most features come out of one network, on one scale, and lose by being standardised; they pass through as they are.
Only `SCALE_ROWS` evenly spaced rows and the extremes of every column are examined, so files and arrays give one result.

- *A broken cell* lies more than `REACH` times as far from its column's median as 99 % of the column (or of the typical
  column, where that is more). It is moved to that limit for training.
- *An offset* of more than `FAR` times its spread would take a column's digits: the columns' medians are subtracted.
- *Units*: where the widest or the narrowest columns differ from the typical one by more than `RATIO`, a ridge on the
  standardised sample is compared with one on the sample as it is, by the leave-one-out error against the teachers'
  consensus. The better scale is taken.

Centre and scale of a linear student end in its weights: what is saved, exported and served is a linear layer on the
features as they come.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from cosup.students.heads import Head, LinearHead
from cosup.students.ridge.gram import Features
from cosup.students.ridge.solvers import Factor, Whole
from cosup.students.targets import Targets
from cosup.utils.row_blocks import cache_blocks, is_half, on_disk, row_blocks, widen
from cosup.utils.shared_results import shared_result
from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = ["FeatureScaling", "ScaledHead"]

SCALE_ROWS = 2048
"""Rows that medians, spreads and errors are told from."""

REACH = 20.0
"""Times the reach of 99 % of a column beyond which a cell is broken; embeddings have up to 7."""

FAR = 1000.0
"""Times its spread that a column lies from zero from which it is centred before products in single precision."""

RATIO = 30.0
"""Ratio of columns' spreads from which units are looked at; embeddings have up to 11."""

CLEARLY = 0.99
"""Leave-one-out error, over that on the features as they are, under which standardised ones are taken."""

IN_MEMORY = 1 << 29
"""Bytes of scaled features up to which they are held; beyond, or for features on disk, they lie in a temporary file."""


@dataclass(frozen=True)
class FeatureScaling:
    """Subtract a centre, divide by a scale, and, for training, move what is out of bounds to them.

    Attributes
    ----------
    centre, scale : ndarray of shape (n_features,)
    lower, upper : ndarray of shape (n_features,)
        Bounds of the features as they come.
    clipped : bool ndarray of shape (n_features,)
        Columns that have a cell out of bounds.
    """

    centre: FloatArray
    scale: FloatArray
    lower: FloatArray
    upper: FloatArray
    clipped: BoolArray

    @classmethod
    def of(cls, X: FloatArray, consensus: Callable[[IntArray], IntArray]) -> FeatureScaling | None:
        """Tell how features must be scaled, None where they are good as they are.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
        consensus : callable
            A function of rows' positions: the class of the teachers' consensus there, -1 where none speaks.
        """
        picked = np.unique(np.linspace(0, len(X) - 1, min(len(X), SCALE_ROWS)).astype(np.int64))
        rows = np.asarray(X[picked])
        sample = np.asarray(widen(rows), dtype=np.float64)
        centre, reach = shared_result(partial(_centre_and_reach, sample), "reach", rows)
        some = reach[reach > 0]
        if not some.size:
            return None
        bound = REACH * np.maximum(reach, np.median(some))
        lower, upper = centre - bound, centre + bound
        low, high = _extremes(X)
        clipped = (low < lower) | (high > upper)
        sample = np.clip(sample, lower, upper)
        spread = sample.std(axis=0)
        varied = spread > 0
        typical = np.median(spread[varied])
        far = bool((np.abs(centre[varied]) > FAR * spread[varied]).any())
        uneven = spread.max() > RATIO * typical or typical > RATIO * np.quantile(spread[varied], 0.05)
        scale = np.ones(len(centre))
        if uneven:
            standard = np.where(varied, spread, 1.0)
            named, own = consensus(picked), sample[:, varied] - centre[varied]
            if shared_result(partial(_standard_is_better, own, standard[varied], named), "scale", rows, named):
                scale = standard
        if not (clipped.any() or far or (scale != 1.0).any()):
            return None
        return cls(centre if far or (scale != 1.0).any() else np.zeros(len(centre)), scale, lower, upper, clipped)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the record of a fit."""
        out = []
        if self.clipped.any():
            columns = np.flatnonzero(self.clipped)
            some = ", ".join(map(str, columns[:5])) + (", ..." if len(columns) > 5 else "")
            out.append(f"features: cells of {len(columns)} columns ({some}) are far out of range and were moved to it")
        if (self.scale != 1.0).any():
            out.append("features: columns differ in scale and were standardised; the student's weights undo it")
        return tuple(out)

    def training_features(self, X: FloatArray) -> FloatArray:
        """Return scaled features, in single precision unless these come in double; on disk where they are many."""
        dtype = np.float32 if is_half(X) or X.dtype == np.float32 else np.float64
        shape = X.shape
        if on_disk(X) or np.dtype(dtype).itemsize * X.size > IN_MEMORY:
            with tempfile.TemporaryFile() as file:  # the mapping outlives it
                out: FloatArray = np.memmap(file, dtype=dtype, mode="w+", shape=shape)
        else:
            out = np.empty(shape, dtype=dtype)
        for rows in row_blocks(*shape):
            out[rows] = self.apply(X[rows])
        return out

    def apply(self, X: FloatArray) -> FloatArray:
        """Scale some rows, bounds and all, in double precision."""
        block = np.clip(np.asarray(widen(X), dtype=np.float64), self.lower, self.upper)
        block -= self.centre
        block /= self.scale
        return block

    def fold(self, head: Head) -> Head:
        """Return a head for features as they come: a linear one takes up centre and scale, others apply them."""
        if isinstance(head, LinearHead):
            weight = head.weight / self.scale[:, None]
            return LinearHead(weight, head.bias - self.centre @ weight)
        return ScaledHead(self, head)


@dataclass(frozen=True)
class ScaledHead:
    """A head behind the scaling of its features."""

    scaling: FeatureScaling
    head: Head

    def predict_proba(self, X: FloatArray) -> FloatArray:
        """Predict class probabilities, (n_samples, n_classes)."""
        return self.head.predict_proba(self.scaling.apply(X))


def _extremes(X: FloatArray) -> tuple[FloatArray, FloatArray]:
    low, high = np.full(X.shape[1], np.inf), np.full(X.shape[1], -np.inf)
    for rows in cache_blocks(*X.shape):
        block = widen(X[rows])
        np.minimum(low, block.min(axis=0), out=low)
        np.maximum(high, block.max(axis=0), out=high)
    return low, high


def _centre_and_reach(sample: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Compute every column's median and the distance from it of 99 % of the column."""
    columns = np.sort(sample.T, axis=1)  # sorting whole columns takes less time than NumPy's selection in each
    centre = _sorted_quantile(columns, 0.5)
    return centre, _sorted_quantile(np.sort(np.abs(columns - centre[:, None]), axis=1), 0.99)


def _sorted_quantile(columns: FloatArray, share: float) -> FloatArray:
    """Interpolate a quantile of sorted rows (k, n) as `numpy.quantile` does."""
    place = share * (columns.shape[1] - 1)
    below, above = columns[:, math.floor(place)], columns[:, math.ceil(place)]
    return np.asarray(below + (above - below) * (place % 1))


def _standard_is_better(X: FloatArray, spread: FloatArray, named: IntArray) -> bool:
    """Tell whether a ridge predicts the classes clearly better from columns of one spread, given centred ones."""
    some = named >= 0
    classes, ids = np.unique(named[some], return_inverse=True)
    if len(classes) < 2 or some.sum() < 3:
        return False
    targets = Targets.of(ids, None, len(classes), len(ids))
    return _error((X / spread)[some], targets) < CLEARLY * _error(X[some], targets)


def _error(X: FloatArray, targets: Targets) -> float:
    """Compute the smallest leave-one-out squared error of a ridge."""
    whole = Whole(Features(X.astype(np.float32)))
    sample = whole.sample
    # From second moments that are given, eigenvectors come in single precision, which is fine for errors.
    factor = Factor(sample, sample.gram()) if sample.single and sample.d <= sample.n else whole.factor
    return float(factor.grid_errors.of(sample.moment(targets)).min())
