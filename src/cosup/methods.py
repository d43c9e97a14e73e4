"""All methods by name, behind one `fit`; a further one is a class decorated with `register_method`."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cosup.utils.registry import Registry
from cosup.utils.validation import CosupError, suggest

if TYPE_CHECKING:
    from cosup.estimators.base import TeacherSupervised

__all__ = ["list_methods", "load", "make_method", "method_parameters", "register_method"]

Kind = TypeVar("Kind", bound="type[TeacherSupervised]")

DEFAULT = "co-supervised"
"""The method that is fitted where none is named."""


@dataclass(frozen=True)
class MethodEntry:
    """A registered method.

    Parameters
    ----------
    estimator : class, or str
        Where it is called by name, ``room.Class``, its room is imported when the class is asked for: a list of
        methods needs none of them.
    summary : str
        A line on what it is.
    """

    estimator: type[TeacherSupervised] | str
    summary: str

    @property
    def class_name(self) -> str:
        """Name of the estimator's class."""
        return self.estimator.rpartition(".")[2] if isinstance(self.estimator, str) else self.estimator.__name__

    @property
    def kind(self) -> type[TeacherSupervised]:
        """The estimator's class."""
        if not isinstance(self.estimator, str):
            return self.estimator
        room, _, name = self.estimator.rpartition(".")
        found: type[TeacherSupervised] = getattr(importlib.import_module(f"cosup.{room}"), name)
        return found


METHODS: Registry[MethodEntry] = Registry("method")
"""Methods by name."""

_SHIPPED: dict[str, tuple[str, str]] = {
    DEFAULT: (
        "cosupervision.CoSupervisedClassifier",
        "the default: pooled posterior of student and teachers, marginals held",
    ),
    "csl": (
        "cosupervision.PaperCSL",
        "the paper's algorithm: local students and both consistency checks, regularised student",
    ),
    "csl-published": (
        "cosupervision.PublishedCSL",
        "the released code's recipe: class-range argmax, top-q rate, small-loss, Adam",
    ),
    "csl-published-tuned": (
        "cosupervision.TunedPublishedCSL",
        "that recipe, its number of steps and learning rate chosen by the label-free rule that all rivals share",
    ),
    "vanilla": ("baselines.VanillaClassifier", "plain weak-to-strong training on the generalists' labels"),
    "confidence-loss": (
        "baselines.ConfidenceLoss",
        "the student's own hardened prediction in the target (Burns et al. 2023)",
    ),
    "adaptive-confidence": ("baselines.AdaptiveConfidence", "the same, weighed sample by sample (Guo et al. 2024)"),
    "reverse-kl": ("baselines.ReverseKL", "reverse KL divergence from the generalists (Yao et al. 2025)"),
    "reverse-ce": ("baselines.ReverseCrossEntropy", "reverse cross-entropy to the generalists (Yao et al. 2025)"),
    "convex-mixture": (
        "baselines.ConvexMixture",
        "convex combination of 100 heads under reverse KL (Mulgund & Pabbaraju 2025)",
    ),
    "simplex-weights": (
        "baselines.SimplexWeights",
        "student and weights of all teachers, learned together (RAVEN 2025)",
    ),
    "evidential": (
        "baselines.EvidentialClassifier",
        "Dirichlet evidence from weak labels (Cui et al. 2024)",
    ),
    "ensemble-boost": ("baselines.EnsembleBoost", "student on a SAMME-weighted vote of all teachers (EnsemW2S 2024)"),
    "majority": ("baselines.MajorityVote", "student on the majority of all teachers"),
    "mean": ("baselines.MeanVote", "student on the mean of all teachers' probabilities"),
    "log-pool": ("baselines.LogPool", "student on the product of all teachers' probabilities"),
    "dawid-skene": ("baselines.DawidSkene", "student on Dawid-Skene's posterior of all teachers (needs cosup[crowd])"),
    "glad": ("baselines.Glad", "student on GLAD's posterior of all teachers (needs cosup[crowd])"),
    "mace": ("baselines.Mace", "student on MACE's posterior of all teachers (needs cosup[crowd])"),
    "knn-smooth": ("baselines.NeighbourSmoothing", "student on the generalists' labels, smoothed over 30 neighbours"),
    "small-loss": ("baselines.SmallLoss", "student on the generalists' labels of small out-of-sample loss"),
    "co-teaching": ("baselines.CoTeaching", "two heads that exchange small-loss samples (Han et al. 2018)"),
    "confident-learning": (
        "baselines.ConfidentLearning",
        "student without the labels that cleanlab finds wrong (needs cosup[noisy])",
    ),
    "self-distillation": ("baselines.SelfDistillation", "student on its own out-of-sample predictions, three times"),
    "reliability-weighting": (
        "baselines.ReliabilityWeighting",
        "the generalists' labels, weighed by who else agrees (after Guo & Yang 2024)",
    ),
    "snorkel": ("baselines.Snorkel", "student on the posterior of Snorkel's label model (needs cosup[snorkel])"),
    "raykar": ("baselines.Raykar", "student and every teacher's confusion matrix by joint EM (Raykar et al. 2010)"),
    "crowd-layer": ("baselines.CrowdLayer", "a matrix a teacher on top of the student (Rodrigues & Pereira 2018)"),
    "crowdlab": ("baselines.Crowdlab", "student on CROWDLAB's consensus (Goh et al. 2022; needs cosup[noisy])"),
    "liger": (
        "baselines.Liger",
        "labels carried to neighbours, teachers weighed by region of the features (Chen et al. 2022)",
    ),
    "lol": ("baselines.LossesOverLabels", "a loss a teacher, nothing aggregated (Sam & Kolter 2023)"),
    "fable": ("baselines.Fable", "Bayesian classifier combination under Gaussian processes (Zhang et al. 2023)"),
    "selective": (
        "baselines.Selective",
        "the student's own label where it knows, else a smoothed one (Lang et al. 2026)",
    ),
    "two-stage": (
        "baselines.TwoStage",
        "certain labels first, then the student's own for the others (Shi et al. 2025)",
    ),
    "log-odds": (
        "baselines.SpecialistLogOdds",
        "the student shifted by specialists against generalists, as on-policy weak-to-strong distillation",
    ),
    "coherence": ("baselines.Coherence", "student on the labels that predict one another best (Wen et al. 2025)"),
    "oracle": (
        "baselines.OracleClassifier",
        "perfect assignment, for measuring: the last level's right specialist is known (needs truth=)",
    ),
}
for _name, (_estimator, _summary) in _SHIPPED.items():
    METHODS.add(_name, MethodEntry(_estimator, _summary))
METHODS.mark_shipped()


def register_method(name: str, summary: str) -> Callable[[Kind], Kind]:
    """Register the decorated estimator as a method.

    Parameters
    ----------
    name : str
        The name that `make_method` knows it by.
    summary : str
        One line for `list_methods`.

    Returns
    -------
    decorator
        For a subclass of `TeacherSupervised` whose ``__init__`` takes ``random_state``, and ``student`` where the
        benchmark is to choose the student.

    Raises
    ------
    CosupError
        If the name is taken, the class is no such subclass, or it does not take ``random_state``.

    Examples
    --------
    >>> from cosup.baselines import VanillaClassifier
    >>> from cosup.methods import register_method
    >>> @register_method("soft-vanilla", "plain training on the generalists' probabilities")  # doctest: +SKIP
    ... class SoftVanilla(VanillaClassifier):
    ...     def __init__(self, student="ridge", *, random_state=None):
    ...         super().__init__(student, soft=True, random_state=random_state)
    """

    def checked(kind: Kind) -> MethodEntry:
        from cosup.estimators.base import TeacherSupervised

        if not (isinstance(kind, type) and issubclass(kind, TeacherSupervised)):
            raise CosupError(f"the method {name!r} must be a subclass of TeacherSupervised, got {kind!r}")
        if "random_state" not in inspect.signature(kind).parameters:
            raise CosupError(f"the method {name!r} must take random_state in its __init__")
        return MethodEntry(kind, summary)

    return METHODS.decorator(name, checked)


def list_methods() -> dict[str, str]:
    """Describe every method in one line, by name."""
    return {name: entry.summary for name, entry in METHODS.items()}


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
    known = method_parameters(name)
    for parameter in parameters:
        if parameter not in known:
            raise CosupError(f"method {name!r} has no parameter {parameter!r}.{suggest(parameter, known)}")
    return METHODS[name].kind(**parameters)


def method_parameters(name: str) -> tuple[str, ...]:
    """Name the parameters that `make_method` takes for a method; unknown names raise as there."""
    return tuple(inspect.signature(METHODS.find(name).kind).parameters)


def load(folder: str | Path) -> TeacherSupervised:
    """Read a model that its ``save`` or ``cosup fit`` wrote, of this or any earlier release.

    Parameters
    ----------
    folder : path

    Returns
    -------
    estimator
        It predicts exactly what the saved one did, and can be fitted anew: its parameters are those that were saved.
        Attributes ``class_names_`` (tuple of str) and ``inputs_`` (dict, what features are made of) come with it.

    Raises
    ------
    CosupError
        When a file is missing, broken, or of a later format.

    Notes
    -----
    A method that is not registered here (see `register_method`) comes back as a `TeacherSupervised`, which predicts.

    Examples
    --------
    >>> import cosup
    >>> model = cosup.load("model")  # doctest: +SKIP
    """
    from cosup.estimators.base import TeacherSupervised
    from cosup.estimators.saving import META, WEIGHTS, beside, read_saved

    arrays, content = read_saved(folder)
    meta, names = content["meta"], content["class_names"]
    entries = {entry.class_name: entry for entry in METHODS.values()}
    entry = entries.get(meta.get("method", ""))
    model = (TeacherSupervised if entry is None else entry.kind).from_arrays(arrays, meta)
    if len(model.classes_) != len(names) or model.n_features_in_ != content["n_features"]:
        raise CosupError(f"{folder}: {META} and {WEIGHTS} don't belong together; fit the model again")
    model.class_names_, model.inputs_ = tuple(names), beside(content.get("inputs", {}), folder)
    columns = content.get("feature_names")
    if columns is not None:
        if (
            not isinstance(columns, list)
            or len(columns) != model.n_features_in_
            or not all(isinstance(name, str) for name in columns)
        ):
            raise CosupError(f"{folder}: {META} names other features than the model has; fit the model again")
        model.feature_names_in_ = np.array(columns, dtype=object)
    return model
