"""Trust: which teachers belong to the group that bears one another out, told from their annotations alone.

One teacher who names permuted classes, or noise among soft probabilities, is enough to spoil the generalists' mean and
with it everything that follows. Teachers who know something agree with one another, class by class, more often than
chance; those who don't do not, and those who are wrong in a system of their own do so only with their like. The
largest group of mutual support is believed. Nobody can tell a group of liars with one story from honest teachers when
they are the larger group: exchanging the names of the classes makes the one into the other.
"""

from __future__ import annotations

import numpy as np

from cosup.labels import TeacherLabels
from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = ["mutual_support", "rules", "screen_teachers"]

FEWEST = 10
"""Samples that two teachers are compared on at the least."""

OFTEN = 0.9
"""Share of the samples from which a teacher speaks of nearly everything."""

ENOUGH = 3.0
"""Standard errors above chance from which a class counts as agreed on."""

LEAST = 0.2
"""Support by the group that a teacher needs. On the development tasks honest teachers have 0.3 to 1, others less than
0.2 except by chance in two-class ranges."""

LEAST_AGREEMENT = 2.5
"""Standard errors above chance by which a teacher who claims every class must agree with the group on the whole."""

CLEARLY = 0.5
"""Support by a generalist from which a specialist stays if that is beyond doubt, whatever other specialists say."""

BEYOND_DOUBT = 8.0
"""Standard errors above chance from which a specialist stays on less support: PACS's sketch specialist has 13 to 19
at a support of 0.04 to 0.25, and of 1,440 useless or adversarial teachers nobody reached it with any support."""


def mutual_support(labels: TeacherLabels) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Measure every two teachers' support for each other, where each names a class of the other's specialty.

    Parameters
    ----------
    labels : TeacherLabels

    Returns
    -------
    support : ndarray of shape (n_teachers, n_teachers)
        Over the classes, weighted by their share, how clearly agreement exceeds chance: from -1 (every class clearly
        less often) to 1 (every class clearly more often); 0 where they can't be compared.
    errors : ndarray of shape (n_teachers, n_teachers)
        Agreement above chance in standard errors, all classes together.
    common : ndarray of shape (n_teachers, n_teachers)
        Samples compared on, 0 where too few.
    """
    hard = labels.hard()
    n_teachers, n_classes = labels.n_teachers, labels.n_classes
    covers = np.array([labels.covers(t) for t in range(n_teachers)])
    rule_of = rules(labels, hard)
    support, errors, common = (np.zeros((n_teachers, n_teachers)) for _ in range(3))
    for t in range(n_teachers):
        for u in range(t):
            a, b = hard[:, t], hard[:, u]
            if (rule_of[t] < 0) != (rule_of[u] < 0):
                rule, other, c = (a, b, rule_of[t]) if rule_of[t] >= 0 else (b, a, rule_of[u])
                z, m = _borne_out(rule >= 0, other, c)
                support[t, u] = support[u, t] = float(np.clip(z / ENOUGH, -1, 1))
                errors[t, u] = errors[u, t] = z
                common[t, u] = common[u, t] = m
                continue
            rows = (a >= 0) & (b >= 0)
            rows[rows] = covers[u, a[rows]] & covers[t, b[rows]]
            m = int(rows.sum())
            if m < FEWEST:
                continue
            a, b = a[rows], b[rows]
            of_a, of_b = (np.bincount(v, minlength=n_classes) / m for v in (a, b))
            chance = of_a * of_b
            total = chance.sum()
            if not 0 < total < 1 - 1e-9:
                continue
            excess = np.bincount(a[a == b], minlength=n_classes) / m - chance
            sd = np.sqrt(chance * (1 - of_a) * (1 - of_b) / m)
            clear = np.clip(np.divide(excess, ENOUGH * sd, out=np.zeros(n_classes), where=sd > 0), -1, 1)
            support[t, u] = support[u, t] = float((of_a + of_b) / 2 @ clear)
            errors[t, u] = errors[u, t] = excess.sum() / np.sqrt(total * (1 - total) / m)
            common[t, u] = common[u, t] = m
    return support, errors, common


def rules(labels: TeacherLabels, hard: IntArray) -> IntArray:
    """The class of every teacher who names one class where it speaks, and abstains elsewhere; -1 for the others.

    A teacher who is known to have but one class says nothing by naming it, whenever it speaks: it can't be compared.
    """
    out = np.full(labels.n_teachers, -1)
    for t, classes in enumerate(labels.specialties):
        if classes is not None and len(classes) == 1:
            continue
        annotated = hard[hard[:, t] >= 0, t]
        if annotated.size < OFTEN * len(hard) and (annotated == annotated[:1]).all() and annotated.size:
            out[t] = annotated[0]
    return out


def _borne_out(speaks: BoolArray, other: IntArray, c: int) -> tuple[float, int]:
    """Compare how often another names class `c` where a rule for it speaks, in standard errors; and count samples.

    Of a rule that says one class or nothing, it is when it speaks that tells.
    """
    labelled = other >= 0
    m = int((speaks & labelled).sum())
    share = float((other[labelled] == c).mean()) if labelled.any() else 0.0
    if m < FEWEST or not 0 < share < 1:
        return 0.0, 0
    return float(((other[speaks & labelled] == c).mean() - share) / np.sqrt(share * (1 - share) / m)), m


def screen_teachers(labels: TeacherLabels) -> tuple[BoolArray, FloatArray]:
    """Which teachers to train on.

    Parameters
    ----------
    labels : TeacherLabels

    Returns
    -------
    keep : bool ndarray of shape (n_teachers,)
        At least one of level 0. Where no two teachers can be compared, everybody who doesn't always name one class.
    support : ndarray of shape (n_teachers,)
        Mean support by the group, from -1 to 1; NaN where there is nobody to compare with.
    """
    support, errors, common = mutual_support(labels)
    # A teacher who repeats another has no vote of its own.
    hard = labels.hard()
    voter = ~_repeats(hard)
    constant = _constant(labels, hard)
    nothing = np.full(labels.n_teachers, np.nan)
    group = np.zeros(labels.n_teachers, dtype=bool)
    group[voter] = _largest_group(support[np.ix_(voter, voter)], common[np.ix_(voter, voter)] > 0)
    if group.sum() < 2:
        return (~constant if not constant.all() else ~np.zeros_like(constant)), nothing
    by_group = _mean(support, common, group)
    while True:
        # A stranger within the group lowers everybody's support: the least supported is looked at, one at a time.
        inner = np.where(group & ~np.isnan(by_group), by_group, np.inf)
        known = inner[np.isfinite(inner)]
        if not known.size or known.min() >= np.median(known) / 2:
            break
        group[int(inner.argmin())] = False
        by_group = _mean(support, common, group)
    agreement = _mean(errors, common, group)
    clear = agreement >= LEAST_AGREEMENT
    first = labels.levels == 0
    claims_all = first | np.array([s is None for s in labels.specialties])
    compared = ~np.isnan(by_group)
    # A specialist who is wrong on most of what is not its own agrees on few classes, yet beyond doubt.
    partly = ~first & (by_group > 0) & (agreement >= BEYOND_DOUBT)
    # Specialists of domains contradict one another wherever at most one is at home: the generalists' word decides.
    core = first & group
    if core.any():
        partly |= ~first & ((errors[:, core] >= BEYOND_DOUBT) & (support[:, core] >= CLEARLY)).any(axis=1)
    keep = ~constant & (~compared | ((by_group >= LEAST) & (clear | ~claims_all)) | partly)
    # Training starts from level 0, and one stranger there is worse than one teacher the fewer.
    rank = np.where(first & ~constant & compared, by_group, -np.inf)
    if np.isfinite(rank).any():
        keep &= ~(first & compared & (by_group < rank.max() / 2))
        # One generalist's word against another's: which of them is wrong, nobody can tell.
        keep |= first & ~constant & ((common[:, group] > 0).sum(axis=1) < 2)
        if not keep[first].any():
            keep[int(rank.argmax())] = True
    elif not keep[first].any():
        keep[first] = True
    return keep, by_group


def _largest_group(support: FloatArray, compared: BoolArray) -> BoolArray:
    """The group of mutual support: fixed point of ``w <- max(B w, 0)`` with the largest Rayleigh quotient."""
    B = support.copy()
    # Specialists of disjoint ranges never meet: they support each other as far as a third one supports both.
    for t, u in zip(*np.nonzero(np.triu(~compared, 1)), strict=True):
        B[t, u] = B[u, t] = max(float(np.minimum(support[t], support[u]).max()), 0.0)
    np.fill_diagonal(B, 1.0)
    W = np.eye(len(B))  # started from every teacher, side by side
    for _ in range(50):
        W = np.maximum(B @ W, 0.0)
        W /= np.maximum(W.max(axis=0), 1e-12)
    quotient = np.einsum("tk,tu,uk->k", W, B, W) / np.maximum((W**2).sum(axis=0), 1e-12)
    # Groups of equal regularisation are believed together: order must not decide.
    return np.asarray(W[:, quotient >= quotient.max() - 1e-6].max(axis=1) >= 0.5)


def _mean(values: FloatArray, common: FloatArray, group: BoolArray) -> FloatArray:
    """Mean over the group, weighted by the samples in common; NaN without any."""
    weight = common[:, group]
    total = weight.sum(axis=1)
    return np.where(total > 0, (values[:, group] * weight).sum(axis=1) / np.maximum(total, 1.0), np.nan)


def _repeats(hard: IntArray) -> BoolArray:
    """Who says on every sample what an earlier teacher says."""
    _, first = np.unique(hard, axis=1, return_index=True)
    out = np.ones(hard.shape[1], dtype=bool)
    out[first] = False
    return out


def _constant(labels: TeacherLabels, hard: IntArray) -> BoolArray:
    """Who claims more than one class, speaks of (nearly) everything and always names the same."""
    out = np.zeros(labels.n_teachers, dtype=bool)
    for t, classes in enumerate(labels.specialties):
        annotated = hard[hard[:, t] >= 0, t]
        always = annotated.size >= OFTEN * len(hard) and annotated.size > 0
        out[t] = (classes is None or len(classes) > 1) and always and bool((annotated == annotated[:1]).all())
    return out
