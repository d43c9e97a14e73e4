"""All methods by name, behind one `fit`."""

from __future__ import annotations

import inspect
from typing import Any

from cosup._validation import CosupError, suggest
from cosup.baselines import OracleClassifier, VanillaClassifier
from cosup.cosupervision import CoSupervisedClassifier, PaperCSL, PublishedCSL
from cosup.estimator import TeacherSupervised

__all__ = ["list_methods", "make_method"]

METHODS: dict[str, tuple[type[TeacherSupervised], str]] = {
    "co-supervised": (
        CoSupervisedClassifier,
        "the default: pooled posterior of student and teachers, marginals held",
    ),
    "csl": (
        PaperCSL,
        "the paper's algorithm: local students and both consistency checks, regularised student",
    ),
    "csl-published": (
        PublishedCSL,
        "the released code's recipe: class-range argmax, top-q rate, small-loss, Adam",
    ),
    "vanilla": (VanillaClassifier, "plain weak-to-strong training on the generalists' labels"),
    "oracle": (
        OracleClassifier,
        "perfect assignment, for measuring: the last level's right specialist is known (needs truth=)",
    ),
}


def list_methods() -> dict[str, str]:
    """Every method's name and what it is, in one line."""
    return {name: line for name, (_, line) in METHODS.items()}


def make_method(name: str, **parameters: Any) -> TeacherSupervised:
    """Make a method by name.

    Parameters
    ----------
    name : str
        One of `list_methods`.
    **parameters
        Its own; ``random_state`` among them.

    Returns
    -------
    estimator
        With ``fit(X, labels)``, ``predict``, ``predict_proba``, ``score``, ``history_`` and ``provenance_``.

    Raises
    ------
    CosupError
        For an unknown name or parameter, with near matches.
    """
    if name not in METHODS:
        raise CosupError(f"there is no method {name!r}.{suggest(name, METHODS)}")
    made, _ = METHODS[name]
    known = [p for p in inspect.signature(made).parameters if p != "self"]
    for parameter in parameters:
        if parameter not in known:
            raise CosupError(f"method {name!r} has no parameter {parameter!r}.{suggest(parameter, known)}")
    return made(**parameters)
