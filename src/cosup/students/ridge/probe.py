"""Ridge probe: a linear student in closed form, with leave-one-out predictions for free."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cosup.students.heads import LinearHead, softmax_of_own
from cosup.students.protocol import BlockFit, CheckedTrainer, Fit
from cosup.students.ridge.calibration import Calibration, Scores, choose_calibration
from cosup.students.ridge.costs import RidgeCosts
from cosup.students.ridge.gram import Features, Sample
from cosup.students.ridge.solvers import Direct, Factor, Whole
from cosup.students.targets import Targets
from cosup.utils.row_blocks import predicted
from cosup.utils.validation import FloatArray, check_choice, check_positive

__all__ = ["RidgeProbe"]


@dataclass(frozen=True)
class RidgeProbe:
    """Squared loss on one-hot (or soft) targets with an L2 penalty, solved exactly.

    Leave-one-out predictions come in closed form from the hat matrix (Allen 1974), so choosing the regularisation and
    predicting what was not trained on cost no extra training.

    Parameters
    ----------
    alpha : float, optional
        Penalty in units of the features' mean variance. None chooses the regularisation with the smallest leave-one-out
        squared error against the teacher's targets; no truth is involved.
    calibration : {"auto", "scores", "discriminant"}
        From scores to probabilities. ``scores``: softmax of the scores times a factor of at least 8, that of the
        largest leave-one-out likelihood (see `RidgeTrainer.like`). ``discriminant``: linear
        discriminant analysis in the space of the scores, which undoes the masking of classes that squared loss suffers
        when features are few beside classes (Hastie, Buja & Tibshirani 1995, *Penalized discriminant analysis*), its
        logits scaled by the factor of largest leave-one-out likelihood. ``auto`` takes the scores unless their
        leave-one-out agreement with the teacher is under 95 % of the discriminant's: agreement rewards imitation, so
        the richer one must be clearly better.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0], [0.2], [1.0], [1.2]])
    >>> fit = RidgeProbe(alpha=0.1).prepare(X).train(np.eye(2)[[0, 0, 1, 1]])
    >>> fit.head.predict_proba(np.array([[0.1], [1.1]])).argmax(axis=1)
    array([0, 1])
    """

    alpha: float | None = None
    calibration: str = "auto"

    def __post_init__(self) -> None:
        if self.alpha is not None:
            check_positive(self.alpha, "alpha of RidgeProbe")
        check_choice(self.calibration, ("auto", "scores", "discriminant"), "calibration")

    def prepare(self, X: FloatArray) -> RidgeTrainer:
        """Factorise the features once for all targets and alphas.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)

        Returns
        -------
        RidgeTrainer
            The student tied to the features: their factorisation is computed once.
        """
        return RidgeTrainer(self, Whole(Features(X)))

    def costs(self, n: float, d: int, dtype: str, chosen_on: float | None = None) -> RidgeCosts:
        """Count what training takes on n samples of d features; alphas are chosen on `chosen_on` of these, or all."""
        return RidgeCosts(n, d, dtype, n if chosen_on is None else chosen_on)

    def peak_bytes(self, X: Any, n_classes: int) -> int:
        """Count bytes at the most, beside features and targets; see `cosup.students.peak_bytes`."""
        return self.costs(len(X), int(X.shape[1]), str(X.dtype)).peak_bytes(n_classes)


class RidgeTrainer(CheckedTrainer["RidgeFit"]):
    """A `RidgeProbe` tied to features."""

    def __init__(self, probe: RidgeProbe, whole: Whole, inverse_temperature: float | None = None) -> None:
        self._probe = probe
        self._whole = whole
        self._sharpness = inverse_temperature

    def by(self, probe: RidgeProbe) -> RidgeTrainer:
        """Tie another probe to these features and their second moments.

        Not to their factor, whose leverages in float32 are not fine enough for the weakest alphas; see `SURE`.
        """
        return RidgeTrainer(probe, Whole(self._whole.sample.features))

    def like(self, fit: Fit) -> RidgeTrainer:
        """Return a trainer with the inverse temperature of `fit`; see `cosup.students.Trainer`."""
        return RidgeTrainer(self._probe, self._whole, fit.inverse_temperature if isinstance(fit, RidgeFit) else None)

    @property
    def n_samples(self) -> int:
        """Number of prepared samples."""
        return self._whole.sample.n

    def fit(self, targets: Targets, random_state: int, alpha: float | None) -> RidgeFit:
        """Solve for checked targets. Deterministic: `random_state` is not used."""
        whole = self._whole
        sample = whole.sample if targets.everyone else Sample(whole.sample.features, targets.members)
        alpha = self._probe.alpha if alpha is None else alpha
        moment = sample.moment(targets)
        solver: Factor | Direct
        if alpha is None:
            solver = whole.factor if sample.whole else Factor(sample)
            alpha = solver.best_alpha(moment)
        else:
            solver = whole.at(alpha) if sample.whole else Direct(sample, alpha)
        scores = Scores.of(solver, moment, alpha)
        calibration, inverse_temperature = choose_calibration(self._probe.calibration, scores, self._sharpness)
        weight = calibration.weight
        return RidgeFit(
            LinearHead(weight, calibration.bias - sample.features.origin @ weight),
            alpha,
            inverse_temperature,
            calibration,
        )


@dataclass(frozen=True)
class RidgeFit(BlockFit):
    """The outcome of `RidgeTrainer.train`; see `cosup.students.Fit`."""

    head: LinearHead
    alpha: float
    inverse_temperature: float | None
    """Factor of plain scores; None behind the discriminant."""
    _readout: Calibration

    @property
    def calibration(self) -> str:
        """The way from scores to probabilities: "scores" or "discriminant"."""
        return "discriminant" if self.inverse_temperature is None else "scores"

    @property
    def takes_soft(self) -> bool:
        """Only behind the discriminant: plain scores shrink with their targets, soft ones make them underconfident."""
        return self.calibration == "discriminant"

    def blocks(self, out_of_sample: bool, rows_per_block: int | None = None) -> Iterator[tuple[slice, FloatArray]]:
        """Predict by the trained student itself, or leave-one-out; see `cosup.students.Fit.blocks`."""
        if not out_of_sample:
            X = self._readout.scores.sample.features.X
            yield from predicted(self.head.predict_proba, X, len(self.head.bias), rows_per_block)
            return
        for rows, logits in self._readout.blocks(rows_per_block):
            yield rows, softmax_of_own(logits)
