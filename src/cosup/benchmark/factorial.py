"""Ingredients crossed: assignment x rejection x head x loss x labels, in full or as a fraction of the design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from cosup.benchmark.tuning import Method
from cosup.cosupervision.assignment import ASSIGNERS
from cosup.cosupervision.rejection import REJECTIONS
from cosup.labels import TeacherLabels
from cosup.tasks import Task
from cosup.utils.validation import CosupError, IntArray, check_positive, suggest

__all__ = ["FACTORS", "design", "factorial_methods", "with_right_specialists"]

FACTORS: dict[str, dict[str, dict[str, Any]]] = {
    "assignment": {
        level: {"assign": rule}
        for level, rule in {
            "mass": "mass", "distance": "distance", "likelihood": "likelihood", "learned weights": "learned",
            "random": "random", "oracle": "oracle",
        }.items()
    },
    "rejection": {
        level: {"reject": rules}
        for level, rules in {
            "none": [], "top-3": ["top3"], "margin": ["margin"], "class-balanced": ["class-balanced"],
            "teacher-student": ["teacher-student"], "local-global": ["local-global"],
            "both": ["teacher-student", "local-global"],
        }.items()
    },
    "head": {
        "linear": {"student": {"name": "gradient"}},
        "convex mixture": {"student": {"name": "mixture", "gated": False}},
        "gated mixture": {"student": {"name": "mixture"}},
        "small MLP": {"student": {"name": "mlp"}},
    },
    "loss": {
        "squared error": {"loss": "squared"}, "cross-entropy": {"loss": "cross-entropy"},
        "confidence": {"loss": "confidence"}, "reverse KL": {"loss": "reverse-kl"},
    },
    "labels": {"hard": {"hard": True}, "soft": {"hard": False}},
}  # fmt: skip
"""Factor -> level -> parameters of the method ``csl``; the loss is the student's (`cosup.students.GradientProbe`).
Rules that plugins register are further levels, see `design`."""

_SOLVED = {"squared": "ridge", "cross-entropy": "logistic"}
"""Losses whose linear head has a solver: the ridge and the logistic probe stand for it in the design."""


def design() -> dict[str, dict[str, dict[str, Any]]]:
    """Return the levels of `FACTORS`, and one for every assignment and rejection rule that a plugin registered."""
    levels = {name: dict(its) for name, its in FACTORS.items()}
    levels["assignment"] |= {name: {"assign": name} for name in ASSIGNERS.added}
    levels["rejection"] |= {name: {"reject": [name]} for name in REJECTIONS.added}
    return levels


def factorial_methods(*, fraction: int = 1, factors: Mapping[str, Sequence[str]] | None = None) -> list[Method]:
    """List the crossed ingredients of the paper's algorithm as methods: one pass, one student a level.

    Parameters
    ----------
    fraction : int, default 1
        Take one run in so many: those whose levels' positions add up to a multiple of it (the positions of a factor
        with fewer levels count several times: for 4, those of the labels twice). With all levels, every pair of
        levels of two factors then occurs equally often for 4, and every three of three factors for 2. So main effects
        are clear of each other, and for 2 of the interactions of two factors, too. What a fraction cannot tell
        apart is an interaction of some factors from those of the others.
    factors : mapping of str to sequence of str, optional
        The levels to cross, of those factors that are not to be crossed in full; see `design`.

    Returns
    -------
    list of Method
        Labels such as ``assignment=mass, rejection=both, head=ridge, labels=hard``.

    Raises
    ------
    CosupError
        For an unknown factor or level, a factor without levels, or a fraction that leaves some level out.
    """
    check_positive(fraction, "fraction", integer=True)
    known = design()
    chosen = {name: list(levels) for name, levels in known.items()}
    for name, levels in (factors or {}).items():
        if name not in known:
            raise CosupError(f"there is no factor {name!r}.{suggest(name, known)}")
        for level in levels:
            if level not in known[name]:
                raise CosupError(f"the factor {name!r} has no level {level!r}.{suggest(level, known[name])}")
        if not levels:
            raise CosupError(f"the factor {name!r} needs at least one level")
        chosen[name] = list(levels)
    methods = []
    for places in product(*(range(len(levels)) for levels in chosen.values())):
        if sum(
            place * _stride(len(levels), fraction) for place, levels in zip(places, chosen.values(), strict=True)
        ) % (fraction):
            continue
        here = {name: levels[place] for (name, levels), place in zip(chosen.items(), places, strict=True)}
        parameters: dict[str, Any] = {}
        for name, level in here.items():
            parameters |= known[name][level]
        parameters["student"] = _student(parameters["student"], parameters.pop("loss"))
        label = ", ".join(f"{name}={level}" for name, level in here.items())
        methods.append(Method(label, "csl", parameters, factors=here))
    for name, levels in chosen.items():
        missing = set(levels) - {method.factors[name] for method in methods}
        if missing:
            raise CosupError(f"a fraction of 1/{fraction} leaves out {name}={missing.pop()}; take a smaller one")
    return methods


def _stride(levels: int, fraction: int) -> int:
    """Choose the stride of a factor's positions that spreads them over the remainders as evenly as may be."""
    return fraction // levels if fraction % levels == 0 else 1


def _student(head: Mapping[str, Any], loss: str) -> str | dict[str, Any]:
    if head["name"] == "gradient" and loss in _SOLVED:
        return _SOLVED[loss]
    return {**head, "loss": loss}


def with_right_specialists(task: Task) -> Task:
    """Replace the teachers above level 0 by one a level: on every sample the right specialist, who is known (oracle).

    Where a level has none for a sample, or it abstains, the level is silent.
    """
    labels, expert = task.labels, task.truth.expert
    first = labels.at_level(0)
    columns = [labels.probabilities(int(t)) for t in first]
    for level in range(1, labels.n_levels):
        columns.append(_of_expert(labels, expert[:, level]))
    annotations = np.stack(columns, axis=1)
    annotations[annotations.sum(axis=2) <= 0] = np.nan
    names = [*(labels.names[t] for t in first), *(f"right one of level {k}" for k in range(1, labels.n_levels))]
    levels = [0] * len(first) + list(range(1, labels.n_levels))
    together = TeacherLabels(annotations, levels=levels, names=names, n_classes=labels.n_classes)
    right = np.array([0, *range(len(first), len(levels))])  # column of the right one at each level
    experts = np.where(expert >= 0, right, -1)
    return replace(task, labels=together, truth=replace(task.truth, expert=experts))


def _of_expert(labels: TeacherLabels, expert: IntArray) -> Any:
    out = np.zeros((len(labels), labels.n_classes))
    for t in np.unique(expert[expert >= 0]):
        rows = expert == t
        out[rows] = labels.probabilities(int(t))[rows]
    return out
