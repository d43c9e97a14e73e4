"""Pooling: a posterior over classes from the student and all levels' teachers, with the marginals held.

The expectation step of one joint model. With P the student's out-of-sample probabilities, calibrated,

    q(y | x)  proportional to  P(y | x) * L_0(x | y) * prod_k mix_k(y | x),   subject to  mean_x q(y | x) = prior(y)

Several generalists are *witnesses* of one class: L_0 is the product of their likelihoods under a confusion matrix each
(`cosup.cosupervision.witnesses`); a lone one is a mixture of one. A level of specialists is a *mixture* whose component
the gate names: mix_k = sum_m g_m pi_m (`LevelExpert`). Gates of all levels so far are computed anew in every round, by
the latest student. A lone generalist whose annotations have to be corrected drops out: the student began with them, and
they would count twice. The constraint on the posterior's marginals (posterior regularisation, Ganchev et al. 2010)
removes the direction in which expectation-maximisation collapses: mistakes of a weak teacher pile up in some classes,
the student copies the imbalance, and the gate amplifies it. It is a penalty, by the divergence of the marginals from
the prior, where the prior is only partly supported (unbalanced transport, Chizat et al. 2018); see `marginals`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from cosup.cosupervision.assignment import uncovered
from cosup.cosupervision.class_priors import ClassPrior
from cosup.cosupervision.hierarchy import Level
from cosup.cosupervision.marginals import hold_marginals
from cosup.cosupervision.teacher_predictions import FLOOR, LevelProba
from cosup.cosupervision.witnesses import Witnesses
from cosup.utils.losses import TINY, row_sum
from cosup.utils.paired import SOME, sure_sign
from cosup.utils.row_store import Rows, RowStore, row_slices
from cosup.utils.validation import FloatArray, IntArray

__all__ = ["BLOCKS", "LevelExpert", "pool"]

BLOCKS = 64
"""Blocks, evenly spaced, of which the first samples are asked first where there are many."""

ROUNDING = 1e-6
"""A share that is left to nobody by rounding only."""


class LevelExpert:
    """A level's mixture of experts for every sample: annotations as they are, or corrected for their confusions.

    ``mix = sum_m g_m pi_m`` takes teachers' probabilities as they are. The other reading replaces pi_m by the posterior
    under the confusion matrix that teacher and (out-of-sample) student show together on the samples given to the
    teacher. Hard or overconfident annotations need that, calibrated ones lose by it, and the student's expected
    log-likelihood tells which is which without a label.

    Parameters
    ----------
    level : Level
    gate : ndarray of shape (n_samples, n_teachers)
    student_proba : Rows of shape (n_samples, n_classes)
        The student's out-of-sample probabilities.
    prior : ndarray of shape (n_classes,)

    Attributes
    ----------
    corrected : bool
        Which reading it is.
    """

    def __init__(self, level: Level, gate: FloatArray, student_proba: Rows, prior: FloatArray) -> None:
        self._level, self._gate, self._prior = level, gate, prior.astype(np.float32)
        self._meaning = self._confusions(student_proba)
        specialties = [level.labels.covers(int(t))[level.active] for t in level.columns]
        self._open = np.stack(
            [covers.astype(np.float32) @ c for c, covers in zip(self._meaning, specialties, strict=True)]
        )
        # What a row of a product will sum to, from the sums of the rows it is made of.
        self._sums = self._meaning.sum(axis=2), self._open.sum(axis=1)
        self._only: FloatArray | None = None
        self.corrected = self._gains_by_correction(student_proba)

    def _gains_by_correction(self, student_proba: Rows) -> bool:
        """Tell whether the student finds corrected annotations likelier; of many samples, by some if these are sure."""
        n, n_classes = student_proba.shape
        if n >= 4 * SOME:
            n_blocks = len(row_slices(n, n_classes))
            step = max(1, n_blocks // BLOCKS)
            each = SOME * step // n_blocks
            first = ((slice(rows.start, rows.start + len(p[:each])), p[:each]) for rows, p in student_proba.blocks())
            gains = sure_sign(np.concatenate([self._gain(*part) for part in itertools.islice(first, 0, None, step)]))
            if gains is not None:
                return gains
        return sum(float(self._gain(rows, p).sum()) for rows, p in student_proba.blocks()) > 0

    def _gain(self, rows: slice, p: FloatArray) -> FloatArray:
        """Compute how much likelier corrected annotations are, in nats, of the samples where anyone speaks."""
        annotations = self._level.probabilities(rows)
        annotated, corrected = self._mixture_as_is(rows, annotations), self._corrected_mixture(rows, annotations)
        gain = np.einsum("ij,ij->i", p, np.log(corrected / annotated), dtype=np.float64)
        gain[~self._level.annotated[rows]] = 0.0
        if len(p) == len(self._level.speaks):  # all samples are one block: the answer has just been calculated
            self._only = corrected if gain.sum() > 0 else annotated
        return np.asarray(gain)

    def of(self, rows: slice) -> FloatArray:
        """The mixture of some samples, (n_rows, n_classes): positive, rows sum to one; uniform where nobody speaks."""
        if self._only is not None:
            return self._only
        return (self._corrected_mixture if self.corrected else self._mixture_as_is)(
            rows, self._level.probabilities(rows)
        )

    def _confusions(self, student_proba: Rows) -> FloatArray:
        """Multiply each class's prior (last axis) by how probable it makes every teacher's annotations (first axis)."""
        together, usage = self._level.together(student_proba, self._gate)
        usage /= np.maximum(self._gate.sum(axis=0), TINY)[:, None]
        out = np.empty(together.shape, dtype=np.float32)
        for of_teacher, table, used in zip(out, together, usage, strict=True):
            # Of the confusions' rows, every predicted class sums to one over what is annotated (the first axis).
            table += used[:, None]
            table *= self._prior / np.maximum(table.sum(axis=0), TINY)
            np.divide(table, np.maximum(used, TINY)[:, None], out=of_teacher, casting="same_kind")
        return out

    def _mixture_as_is(self, rows: slice, annotations: LevelProba) -> FloatArray:
        mixture = self._floor(rows)
        annotations.add_mixture(mixture, self._weights(rows))
        return mixture

    def _corrected_mixture(self, rows: slice, annotations: LevelProba) -> FloatArray:
        mixture = self._floor(rows)
        weights = (self._weights(rows) / np.maximum(annotations.totals(*self._sums), TINY)).astype(np.float32)
        annotations.add_meanings(mixture, weights, self._meaning, self._open)
        return mixture

    def _weights(self, rows: slice) -> FloatArray:
        return ((1 - FLOOR) * self._gate[rows]).astype(np.float32, copy=False)

    def _floor(self, rows: slice) -> FloatArray:
        """The part of a mixture that is no teacher's: a uniform one, and that of classes that nobody covers."""
        gate, n_classes = self._gate[rows], len(self._prior)
        out = np.full((len(gate), n_classes), FLOOR / n_classes, dtype=np.float32)
        share = np.maximum(1.0 - row_sum(gate)[:, 0], 0.0)
        left = share > ROUNDING
        if left.any():
            uncovered_by = uncovered(self._level, self._prior, rows)[left]
            out[left] += (1 - FLOOR) * share[left, None] * uncovered_by
        out[~self._level.annotated[rows]] = 1.0 / n_classes
        return out


def pool(
    student_proba: Rows,
    experts: Sequence[LevelExpert | Witnesses],
    prior: ClassPrior | None,
    names: IntArray | None = None,
) -> tuple[RowStore, float]:
    """Log-linear pool of the student and the experts of all levels.

    Parameters
    ----------
    student_proba : Rows of shape (n_samples, n_classes)
    experts : sequence of LevelExpert or Witnesses
    prior : ClassPrior, or None
        The marginals to hold; None holds none.
    names : ndarray of shape (n_classes,), optional
        Which column of the product each class of the posterior is, where student and experts have exchanged some
        (`Witnesses.names`).

    Returns
    -------
    posterior : RowStore of shape (n_samples, n_classes)
    free_energy : float
        ``-mean log sum_y P(y|x) prod_j mix_j(y|x)`` in nats: how badly student and experts agree.
    """
    posterior = RowStore(*student_proba.shape)
    energy = 0.0
    for rows, p in student_proba.blocks():
        product = np.maximum(p, TINY, dtype=p.dtype)
        for expert in experts:
            product *= expert.of(rows)
        evidence = np.maximum(row_sum(product), np.finfo(p.dtype).tiny)
        product /= evidence
        posterior.put(rows, product if names is None else product[:, names])
        energy -= float(np.log(evidence).sum())
    if prior is not None:
        hold_marginals(posterior, prior)
    return posterior, energy / student_proba.shape[0]
