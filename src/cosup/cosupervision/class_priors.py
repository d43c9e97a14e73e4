"""The class shares of the samples, estimated without a label.

Everything is held at the class shares, and a generalist's mean probabilities are these only where its probabilities can
be taken at their word. What a weak teacher names is the truth sent through its confusions, so that its counts are
nearer to uniform than the truth; samples on which it is silent are not counted at all; and probabilities that are
calibrated on classes of other shares than these keep the shares that they were calibrated on.
"""

from __future__ import annotations

import numpy as np

from cosup.cosupervision.hierarchy import PRIOR_SHRINKAGE, Level
from cosup.estimators.supervision import one_hot
from cosup.utils.row_store import Rows
from cosup.utils.validation import FloatArray

__all__ = ["class_shares", "named_shares", "step_of"]

ROUNDS = 30
"""Of expectation-maximisation at the most."""

STILL = 0.01
"""Nats by which a round must raise the likelihood of all samples, or it was the last."""

ENOUGH, PER_CLASS, LARGEST = 5_000, 40, 20_000
"""Samples that the mixture is fitted to, evenly taken: 40 a class, between 5,000 and 20,000 where there are as many."""

FEWEST = 10
"""Samples a class on average below which nothing is estimated."""

MOST_SCORES = 64
"""Directions of the scores, those of largest variance."""

FLAT = 1e-3
"""Variance, relative to the largest, below which a direction of the scores holds nothing."""

PART = 0.5
"""Part of the evidence that the median must account for before it overrules probabilities taken at their word: 0.1 to
0.3 on PACS, where these are right and scores no Gaussians; 0.9 on digits subsampled 10 : 1, where they are wrong."""

UNIFORM = 0.05
"""Uniform share of the estimate: a class that the student never names must not be ruled out."""

UNSEEN = 5.0
"""Annotations, spread over all classes, that are added to what a group of samples was called."""

STEPS = 300
"""Of the chain that leads to a generalist's own shares."""

NEARER = 0.45
"""Part of the way from words to uniform shares at which a generalist's own shares say that it learnt on others."""

PARTS = (0.5, 0.75, 1.0)
"""Of the way from words to what the student names that may be gone."""

CHANCE = 1.7
"""How far words must be from uniform, in units of what sampling does to counts."""


def named_shares(seen: Rows, level: Level, counted: FloatArray, *, soft: bool) -> FloatArray | None:
    """Class shares by what the first student names, where the generalists turn out to have learnt on others.

    A calibrated generalist obeys a balance: with p(y | c) the mean probability that it gives to y on samples of class
    c, and s its own shares, those of the classes it learnt on, ``s_c p(y | c) = s_y p(c | y)``. So s is the stationary
    distribution of p, whatever the shares of the samples at hand (label shift; Saerens, Latinne & Decaestecker 2002).
    The student's out-of-sample classes stand in for the truth in p. If s is the mean of the generalist's words it
    learnt on shares like these, and its words count them. If s is nearer to uniform, it learnt on equal classes, and
    its words are biased towards them; what the student names is nearer to the truth. Shares then go all the way from
    words to that, or, where the mixture of `class_shares` is borne out, as far as it finds likeliest.

    Parameters
    ----------
    seen : Rows of shape (n_samples, n_classes)
        The first student's out-of-sample probabilities, nothing held.
    level : Level
        The generalists.
    counted : ndarray of shape (n_classes,)
        The shares by their words, shrunk by `PRIOR_SHRINKAGE` towards uniform.
    soft : bool
        Whether annotations are probabilities. The balance holds only nearly for class ids; there the student must not
        move shares farther than they are from uniform ones, or it is its own habits that it adds.

    Returns
    -------
    ndarray of shape (n_classes,) or None
        Shares, a twentieth uniform; None where words count, samples are under ten a class, or a generalist does not
        cover all classes.
    """
    n, n_classes = seen.shape
    # A rule that speaks of few classes has no shares of its own.
    if n <= FEWEST * n_classes or not level.covers.all():
        return None
    called = np.zeros((n_classes, n_classes))
    named = np.zeros(n_classes)
    for rows, p in seen.blocks():
        one = one_hot(p.argmax(axis=1), n_classes)
        named += one.sum(axis=0)
        every = np.ones((len(one), 1))
        for m in range(len(level.columns)):
            called += level.teacher_proba(m, rows).together(every, one)[0].T
    named /= n
    words, uniform = _unshrunk(counted), 1 / n_classes
    away = uniform - words
    called += UNSEEN / n_classes
    called /= called.sum(axis=1, keepdims=True)
    own = np.full(n_classes, uniform)
    for _ in range(STEPS):
        own = own @ called
    distance = _variation(words, np.full(n_classes, uniform))
    by_chance = 0.4 * np.sqrt(words * (1 - words) / n).sum()
    if distance <= CHANCE * by_chance or (own - words) @ away <= NEARER * (away @ away):
        return None
    if not soft and _variation(named, words) >= distance:
        return None
    shares = np.asarray((1 - UNIFORM) * named + UNIFORM * uniform)
    if class_shares(seen, seen, counted, counted, calibrated=True) is counted:
        return shares
    # A student that learnt from class ids names frequent classes too often; where the mixture is borne out, it says
    # how far to go.
    probabilities = _sample(seen, step_of(n, n_classes))
    scores, kept = _scores(probabilities), (1 - UNIFORM) * words + UNIFORM * uniform
    far = [part * shares + (1 - part) * kept for part in PARTS]
    return max(far, key=lambda which: _mixture(scores, probabilities, which)[1])


def _variation(shares: FloatArray, others: FloatArray) -> float:
    return float(np.abs(shares - others).sum() / 2)


def _unshrunk(counted: FloatArray) -> FloatArray:
    words = np.maximum(counted - PRIOR_SHRINKAGE / len(counted), 0.0)
    return np.asarray(words / words.sum())


def class_shares(seen: Rows, posterior: Rows, held: FloatArray, counted: FloatArray, *, calibrated: bool) -> FloatArray:
    """What the class shares are now held to be, given the student's scores.

    A mixture of Gaussians, one a class with a covariance in common (the model behind linear discriminant analysis;
    Fraley & Raftery 2002), is fitted to the student's out-of-sample scores by expectation-maximisation from the
    posterior, once with its weights held at the present shares and once with free ones. Shares move only if the free
    weights are worth their number by the Bayesian information criterion (Schwarz 1978). Scores of real data are no
    Gaussians, so the mixture is not believed alone: of its weights, of how often the student names each class and of
    the generalists' shares the median is taken, class by class, and the shares held move half-way to it from what the
    generalists say.

    Parameters
    ----------
    seen : Rows of shape (n_samples, n_classes)
        The student's out-of-sample probabilities, nothing held.
    posterior : Rows of shape (n_samples, n_classes)
        Where expectation-maximisation starts.
    held : ndarray of shape (n_classes,)
        The present shares.
    counted : ndarray of shape (n_classes,)
        The shares by the generalists' words, shrunk by `PRIOR_SHRINKAGE` towards uniform.
    calibrated : bool
        Whether these are probabilities taken at their word. Then the median must also, put in place of the mixture's
        own weights, keep half of what these gain in likelihood; else it is not shares that the mixture mends.

    Returns
    -------
    ndarray of shape (n_classes,)
        New shares, or `held` itself: where a criterion says so, or samples are too few: under ten a class, or no more
        than the mixture has parameters.
    """
    n_classes = len(held)
    if seen.shape[0] <= FEWEST * n_classes:
        return held
    step = step_of(seen.shape[0], n_classes)
    # Every `step`-th of all samples, wherever blocks begin.
    probabilities = _sample(seen, step)
    scores = _scores(probabilities)
    n, d = scores.shape
    if not d or n_classes * d + d * (d + 1) // 2 >= n:
        return held
    start = _sample(posterior, step)
    _, fixed = _mixture(scores, start, held)
    weights, free = _mixture(scores, start, None)
    if free - fixed <= (n_classes - 1) / 2 * np.log(n):
        return held
    named = one_hot(probabilities.argmax(axis=1), n_classes).mean(axis=0)
    shares = np.median([weights, named, counted], axis=0)
    # Half-way only: estimates err, and a student's argmax leaves out rare classes that are held at their true shares.
    shares = (shares / shares.sum() + _unshrunk(counted)) / 2
    shares = np.asarray((1 - UNIFORM) * shares + UNIFORM / n_classes)
    if calibrated and _mixture(scores, start, shares)[1] - fixed < PART * (free - fixed):
        return held
    return shares


def step_of(n_samples: int, n_classes: int) -> int:
    """Of how many samples the mixture looks at one."""
    return -(-n_samples // min(max(PER_CLASS * n_classes, ENOUGH), LARGEST))


def _sample(rows: Rows, step: int) -> FloatArray:
    return np.concatenate([block[-of.start % step :: step].astype(np.float64) for of, block in rows.blocks()])


def _scores(probabilities: FloatArray) -> FloatArray:
    """Principal directions of the log probabilities, of variance one: they are linear in the student's scores."""
    logs = np.log(np.maximum(probabilities, 1e-30))
    logs -= logs.mean(axis=1, keepdims=True)
    logs -= logs.mean(axis=0)
    variance, directions = np.linalg.eigh(logs.T @ logs / len(logs))
    use = np.flatnonzero(variance > FLAT * max(variance[-1], 1e-12))[-MOST_SCORES:]
    return np.asarray(logs @ (directions[:, use] / np.sqrt(variance[use])))


def _mixture(scores: FloatArray, start: FloatArray, held: FloatArray | None) -> tuple[FloatArray, float]:
    """Weights and log-likelihood, in nats, of the mixture; `held` are its weights, if they are."""
    n, d = scores.shape
    likelihood = -np.inf
    square = scores.T @ scores
    # Classes by samples: sums over classes, of which there are few, then run along long rows.
    q, turned = np.ascontiguousarray(start.T), np.ascontiguousarray(scores.T)
    for _ in range(ROUNDS):
        mass = q.sum(axis=1) + 1e-9
        weights = mass / mass.sum() if held is None else held
        means = (q @ scores) / mass[:, None]
        covariance = (square - (means * mass[:, None]).T @ means) / n
        covariance += 0.01 * np.trace(covariance) / d * np.eye(d)
        precision = np.linalg.inv(covariance)
        towards = means @ precision
        q = towards @ turned
        q += (np.log(weights) - 0.5 * (means * towards).sum(axis=1))[:, None]
        most = q.max(axis=0)
        q -= most
        np.exp(q, out=q)
        total = q.sum(axis=0)
        q /= total
        before = likelihood
        likelihood = float((most + np.log(total)).sum())
        likelihood -= 0.5 * float((square * precision).sum()) + n / 2 * float(np.linalg.slogdet(covariance)[1])
        if likelihood - before < STILL:
            break
    return q.mean(axis=1), likelihood
