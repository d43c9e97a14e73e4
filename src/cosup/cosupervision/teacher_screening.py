"""Teacher screening: find the teachers that other teachers support, from their annotations alone.

One teacher that permutes classes, or gives random probabilities, is enough to spoil the generalists' mean and with it
all that follows. Teachers that know something agree with one another, class by class, more often than by chance;
useless ones do not, and systematically wrong ones agree only with those that share their errors. The largest group of
teachers that support one another is kept. If a group with the same systematic errors is the larger one, no method can
tell it from the honest teachers: permuting the names of the classes turns one group into the other.
"""

from __future__ import annotations

import hashlib

import numpy as np

from cosup.labels import TeacherLabels
from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = ["mutual_support", "rules", "screen_teachers"]

FEWEST_COMPARED = 10
"""Samples that two teachers are compared on at the least."""

NEARLY_ALL = 0.9
"""Share of the samples from which a teacher counts as annotating all of them."""

CLASS_AGREED = 3.0
"""Standard errors above chance from which two teachers count as agreeing on a class."""

LEAST_SUPPORT = 0.2
"""Support by the group that a teacher needs."""

LEAST_AGREEMENT = 2.5
"""Standard errors above chance by which a teacher for all classes must agree with the group, all classes together."""

GENERALIST_SUPPORT = 0.5
"""Support by a generalist that keeps a specialist, whatever other specialists annotate, if their agreement is
`CERTAIN`."""

CERTAIN = 8.0
"""Standard errors above chance from which a specialist is kept on less support: one that is wrong outside of its
specialty agrees on few classes, yet certainly."""


def mutual_support(labels: TeacherLabels) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Measure how far every two teachers agree, on samples where each annotates a class of the other's specialty.

    Parameters
    ----------
    labels : TeacherLabels

    Returns
    -------
    support : ndarray of shape (n_teachers, n_teachers)
        How clearly agreement exceeds chance, mean over the classes weighted by their share: from -1 (clearly less
        often in every class) to 1 (clearly more often in every class); 0 where the two can't be compared.
    errors : ndarray of shape (n_teachers, n_teachers)
        Agreement above chance in standard errors, all classes together.
    common : ndarray of shape (n_teachers, n_teachers)
        Number of samples that they are compared on, 0 where these are too few.
    """
    hard = labels.hard()
    n_teachers, n_classes = labels.n_teachers, labels.n_classes
    covers = np.array([labels.covers(t) for t in range(n_teachers)])
    rule_of = rules(labels, hard)
    columns = np.ascontiguousarray(hard.T)
    support, errors, common = (np.zeros((n_teachers, n_teachers)) for _ in range(3))
    for t in range(n_teachers):
        for u in range(t):
            a, b = columns[t], columns[u]
            if (rule_of[t] < 0) != (rule_of[u] < 0):
                rule, other, c = (a, b, rule_of[t]) if rule_of[t] >= 0 else (b, a, rule_of[u])
                z, m = _rule_agreement(rule >= 0, other, c)
                support[t, u] = support[u, t] = float(np.clip(z / CLASS_AGREED, -1, 1))
                errors[t, u] = errors[u, t] = z
                common[t, u] = common[u, t] = m
                continue
            rows = (a >= 0) & (b >= 0)
            rows[rows] = covers[u, a[rows]] & covers[t, b[rows]]
            m = int(rows.sum())
            if m < FEWEST_COMPARED:
                continue
            a, b = a[rows], b[rows]
            of_a, of_b = (np.bincount(v, minlength=n_classes) / m for v in (a, b))
            chance = of_a * of_b
            total = chance.sum()
            if not 0 < total < 1 - 1e-9:
                continue
            excess = np.bincount(a[a == b], minlength=n_classes) / m - chance
            sd = np.sqrt(chance * (1 - of_a) * (1 - of_b) / m)
            clear = np.clip(np.divide(excess, CLASS_AGREED * sd, out=np.zeros(n_classes), where=sd > 0), -1, 1)
            support[t, u] = support[u, t] = float((of_a + of_b) / 2 @ clear)
            errors[t, u] = errors[u, t] = excess.sum() / np.sqrt(total * (1 - total) / m)
            common[t, u] = common[u, t] = m
    return support, errors, common


def rules(labels: TeacherLabels, hard: IntArray) -> IntArray:
    """Find the class of every teacher that is a rule: it annotates one class, or abstains. -1 for other teachers.

    A teacher whose known specialty is a single class is not counted as a rule, and can't be compared.
    """
    out = np.full(labels.n_teachers, -1)
    for t, classes in enumerate(labels.specialties):
        if classes is not None and len(classes) == 1:
            continue
        annotated = hard[hard[:, t] >= 0, t]
        if annotated.size < NEARLY_ALL * len(hard) and (annotated == annotated[:1]).all() and annotated.size:
            out[t] = annotated[0]
    return out


def _rule_agreement(speaks: BoolArray, other: IntArray, c: int) -> tuple[float, int]:
    """Measure how much more often another teacher annotates class `c` where a rule for it speaks than elsewhere.

    Returns the difference, in standard errors, and the number of samples.
    """
    labelled = other >= 0
    m = int((speaks & labelled).sum())
    share = float((other[labelled] == c).mean()) if labelled.any() else 0.0
    if m < FEWEST_COMPARED or not 0 < share < 1:
        return 0.0, 0
    return float(((other[speaks & labelled] == c).mean() - share) / np.sqrt(share * (1 - share) / m)), m


def screen_teachers(labels: TeacherLabels) -> tuple[BoolArray, FloatArray]:
    """Choose the teachers to train on.

    Parameters
    ----------
    labels : TeacherLabels

    Returns
    -------
    keep : bool ndarray of shape (n_teachers,)
        At least one teacher of level 0. Where no two teachers can be compared, all that don't always annotate one
        class.
    support : ndarray of shape (n_teachers,)
        Mean support by the group, from -1 to 1; NaN where there is no teacher to compare with.
    """
    support, errors, common = mutual_support(labels)
    # Teachers that repeat another one do not make a group larger.
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
        # A wrong teacher in the group lowers all teachers' support: the least supported ones leave, one at a time.
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
    # A specialist that is wrong outside of its specialty agrees on few classes, yet certainly.
    partly = ~first & (by_group > 0) & (agreement >= CERTAIN)
    # Specialists of domains contradict one another on most samples: support by the generalists decides.
    core = first & group
    if core.any():
        partly |= ~first & ((errors[:, core] >= CERTAIN) & (support[:, core] >= GENERALIST_SUPPORT)).any(axis=1)
    keep = ~constant & (~compared | ((by_group >= LEAST_SUPPORT) & (clear | ~claims_all)) | partly)
    # Training starts from level 0, where a wrong teacher does more harm than a missing one.
    rank = np.where(first & ~constant & compared, by_group, -np.inf)
    if np.isfinite(rank).any():
        keep &= ~(first & compared & (by_group < rank.max() / 2))
        # Where only two generalists can be compared, nothing tells which of them is wrong.
        keep |= first & ~constant & ((common[:, group] > 0).sum(axis=1) < 2)
        if not keep[first].any():
            keep[int(rank.argmax())] = True
    elif not keep[first].any():
        keep[first] = True
    return keep, by_group


def _largest_group(support: FloatArray, compared: BoolArray) -> BoolArray:
    """Find the group of mutual support: the fixed point of ``w <- max(B w, 0)`` with the largest Rayleigh quotient."""
    B = support.copy()
    # Specialists of disjoint ranges can't be compared: they support each other as far as a third one supports both.
    for t, u in zip(*np.nonzero(np.triu(~compared, 1)), strict=True):
        B[t, u] = B[u, t] = max(float(np.minimum(support[t], support[u]).max()), 0.0)
    np.fill_diagonal(B, 1.0)
    W = np.eye(len(B))  # started from every teacher, side by side
    for _ in range(50):
        W = np.maximum(B @ W, 0.0)
        W /= np.maximum(W.max(axis=0), 1e-12)
    quotient = np.einsum("tk,tu,uk->k", W, B, W) / np.maximum((W**2).sum(axis=0), 1e-12)
    # Groups with equal quotients are kept together, so that the teachers' order has no influence.
    return np.asarray(W[:, quotient >= quotient.max() - 1e-6].max(axis=1) >= 0.5)


def _mean(values: FloatArray, common: FloatArray, group: BoolArray) -> FloatArray:
    """Average over the group, weighted by the samples in common; NaN without any."""
    weight = common[:, group]
    total = weight.sum(axis=1)
    return np.where(total > 0, (values[:, group] * weight).sum(axis=1) / np.maximum(total, 1.0), np.nan)


def _repeats(hard: IntArray) -> BoolArray:
    """Mark the teachers that annotate every sample as an earlier teacher does."""
    seen: set[bytes] = set()
    out = np.zeros(hard.shape[1], dtype=bool)
    for t, column in enumerate(hard.T):
        digest = hashlib.blake2b(np.ascontiguousarray(column).tobytes()).digest()
        out[t] = digest in seen
        seen.add(digest)
    return out


def _constant(labels: TeacherLabels, hard: IntArray) -> BoolArray:
    """Mark the teachers for more than one class that annotate (nearly) all samples, always with the same class."""
    out = np.zeros(labels.n_teachers, dtype=bool)
    for t, classes in enumerate(labels.specialties):
        annotated = hard[hard[:, t] >= 0, t]
        always = annotated.size >= NEARLY_ALL * len(hard) and annotated.size > 0
        out[t] = (classes is None or len(classes) > 1) and always and bool((annotated == annotated[:1]).all())
    return out
