"""A level as witnesses: all its teachers speak of the same class, each with confusions of its own.

    L(x | y) = prod_m prod_w (C_m[y, w] / C_m[w]) ^ (kappa * pi_m(w | x))

C_m[y, w] is how often teacher m says w on samples of class y, by the posterior of the round before, and C_m[w] how
often it says w at all; a teacher that abstains counts nothing. kappa, between 0 and 1, is how far they witness
independently. Of independent ones the log-likelihood varies within a class as much as its terms do together; of those
who copy one another it varies more, and kappa is the ratio: the magnitude that a composite likelihood is adjusted by
(Pauli, Racugno & Ventura 2011).

Confusions explain annotations as well under any other names of the classes; only the annotations themselves tell which
class is which. So classes bear those names under which posterior and teachers agree most above chance, every teacher
having one vote to give in all (an assignment problem, Kuhn 1955).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.optimize import linear_sum_assignment

from cosup.cosupervision.hierarchy import Level
from cosup.utils.losses import TINY, row_max, row_sum
from cosup.utils.row_store import Rows
from cosup.utils.validation import FloatArray, IntArray

__all__ = ["Witnesses", "annotation_evidence"]

SMOOTHING = 5.0
"""Samples of every class, with a teacher's average annotations, that are added to those that its confusions count."""


class Witnesses:
    """A level's likelihood of every sample's class: the product of its teachers' likelihoods.

    Parameters
    ----------
    level : Level
    posterior : Rows of shape (n_samples, n_classes)
        Of the round before: what confusions are counted by.
    prior : ndarray of shape (n_classes,)

    Attributes
    ----------
    names : ndarray of shape (n_classes,), or None
        The column of the posterior that is each class by the teachers' agreement with it; None where all stay.
    """

    def __init__(self, level: Level, posterior: Rows, prior: FloatArray) -> None:
        self._level, self._posterior, self._prior = level, posterior, prior
        self._log_ratio, self._spread = self._confusions(posterior)
        specialties = [level.labels.covers(int(t))[level.active] for t in level.columns]
        self._open = np.stack([r[covers].sum(axis=0) for r, covers in zip(self._log_ratio, specialties, strict=True)])

    def of(self, rows: slice) -> FloatArray:
        """Likelihood of every class up to a factor, (n_rows, n_classes): positive, one for the likeliest class."""
        score = self.independence * self._log_likelihood(rows)
        score -= row_max(score)
        return np.asarray(np.exp(score, out=score))

    def evidence(self) -> float:
        """Average over samples the log-likelihood of what all teachers say, given the posterior, in nats.

        It is counted from what they say at random (C_m[w]), and each in full.
        """
        total = 0.0
        for rows, q in self._posterior.blocks():
            score = self._log_likelihood(rows)
            most = row_max(score)
            total += float((np.log(np.maximum(row_sum(q * np.exp(score - most)), TINY)) + most).sum())
        return total / self._posterior.shape[0]

    def _log_likelihood(self, rows: slice) -> FloatArray:
        """Sum the teachers' log-likelihoods, each counted in full, (n_rows, n_classes)."""
        out = np.zeros((rows.stop - rows.start, len(self._prior)))
        self._level.probabilities(rows).add_meanings(out, None, self._log_ratio, self._open)
        return out

    def _confusions(self, posterior: Rows) -> tuple[FloatArray, FloatArray]:
        """Count log-ratios (n_teachers, annotated class, true class), and the evidence of independence.

        That is, for every true class (first axis): the mean of the centred log-likelihood, and the sum over teachers
        of its variances, (2, n_classes, n_classes).
        """
        level = self._level
        n, n_classes = posterior.shape
        together, usage = level.together(posterior)
        of_class = sum((q.sum(axis=0, dtype=np.float64) for _, q in posterior.blocks()), np.zeros(n_classes))
        self.names = _names(together, usage, of_class / n, level.vote_weights / n)
        usage /= n
        spread = np.zeros((2, n_classes, n_classes))
        for table, rate in zip(together, usage, strict=True):
            table += SMOOTHING * rate[:, None]
            table /= of_class + SMOOTHING
            ratio = np.log(np.maximum(table, TINY) / np.maximum(rate, TINY)[:, None])
            ratio[rate <= 0] = 0.0
            centred = ratio - (ratio @ self._prior)[:, None]
            mean = table.T @ centred
            spread[0] += mean
            spread[1] += table.T @ centred**2 - mean**2
            table[:] = ratio
        return together, spread

    @cached_property
    def independence(self) -> float:
        """Estimate kappa: variance within a class that independent teachers would have, over what is found."""
        mean, variance = self._spread
        expected = found = between = 0.0
        for rows, q in self._posterior.blocks():
            score = self._log_likelihood(rows)
            score -= (score @ self._prior)[:, None]
            centre = q @ mean
            found += float(np.square(score - centre).sum(axis=0) @ self._prior)
            between += float((q @ mean**2 - centre**2).sum(axis=0) @ self._prior)
            expected += float((q @ variance).sum(axis=0) @ self._prior)
        return float(np.clip(expected / max(found - between, TINY), 0.0, 1.0)) if expected > 0 else 1.0


def annotation_evidence(level: Level, student_proba: Rows, prior: FloatArray) -> float:
    """Tell how well a student explains the annotations of samples that it did not train on, in nats a sample.

    The truth is taken as drawn from the student's probabilities, and each teacher as a witness with the confusions that
    it shows beside the student. So it needs no label, and no consensus of the teachers either: of two students, the one
    that finds the teachers more alike on samples that it finds alike has the larger evidence.

    Parameters
    ----------
    level : Level
    student_proba : Rows of shape (n_samples, n_classes)
        Out of sample.
    prior : ndarray of shape (n_classes,)
    """
    return Witnesses(level, student_proba, prior).evidence()


def _names(together: FloatArray, annotated: FloatArray, shares: FloatArray, votes: FloatArray) -> IntArray | None:
    """Name the posterior's columns so that agreement above chance is largest, (n_classes,); None where all stay.

    They also stay where the agreement that is gained is within its standard error: a teacher of few annotations has a
    whole vote, too.

    Parameters
    ----------
    together : ndarray of shape (n_teachers, n_classes, n_classes)
        Counts of annotated and posterior classes.
    annotated : ndarray of shape (n_teachers, n_classes)
    shares : ndarray of shape (n_classes,)
        Of the posterior.
    votes : ndarray of shape (n_teachers,)
        A whole vote over the number of samples that a teacher annotates.
    """
    agreement = np.tensordot(votes, together, axes=1) - np.outer(votes @ annotated, shares)
    classes, columns = linear_sum_assignment(agreement, maximize=True)
    gain = agreement[classes, columns].sum() - np.trace(agreement)
    moved = annotated[:, classes != columns].sum(axis=1)
    return np.asarray(columns) if gain > np.sqrt(votes**2 @ moved) else None
