"""Co-supervised learning: train a strong student under a hierarchy of weak teachers, without true labels.

>>> from cosup import CoSupervisedClassifier, TeacherLabels
>>> labels = TeacherLabels(annotations, levels=[0, 1, 1])              # doctest: +SKIP
>>> model = CoSupervisedClassifier(random_state=0).fit(X, labels)      # doctest: +SKIP

Every public name is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cosup.cosupervision import CoSupervisedClassifier as CoSupervisedClassifier
    from cosup.cosupervision import CSLConfig as CSLConfig
    from cosup.cosupervision import co_supervise as co_supervise
    from cosup.cosupervision.assignment import register_assigner as register_assigner
    from cosup.cosupervision.rejection import register_rejection as register_rejection
    from cosup.embedding import embed_images as embed_images
    from cosup.embedding import make_backbone as make_backbone
    from cosup.embedding import read_image as read_image
    from cosup.embedding.texts_to_features import embed_texts as embed_texts
    from cosup.embedding.texts_to_features import make_encoder as make_encoder
    from cosup.io.features import read_features as read_features
    from cosup.io.features import read_texts as read_texts
    from cosup.io.labels import from_frame as from_frame
    from cosup.io.labels import from_functions as from_functions
    from cosup.io.labels import from_probabilities as from_probabilities
    from cosup.io.labels import from_snorkel as from_snorkel
    from cosup.io.labels import read_labels as read_labels
    from cosup.labels import ImportedLabels as ImportedLabels
    from cosup.labels import TeacherLabels as TeacherLabels
    from cosup.labels import TopK as TopK
    from cosup.labels import combine_labels as combine_labels
    from cosup.methods import list_methods as list_methods
    from cosup.methods import load as load
    from cosup.methods import make_method as make_method
    from cosup.methods import register_method as register_method
    from cosup.metrics import performance_gap_recovered as performance_gap_recovered
    from cosup.students import AdamProbe as AdamProbe
    from cosup.students import GradientProbe as GradientProbe
    from cosup.students import LogisticProbe as LogisticProbe
    from cosup.students import MixtureProbe as MixtureProbe
    from cosup.students import MlpProbe as MlpProbe
    from cosup.students import RidgeProbe as RidgeProbe
    from cosup.students import SklearnStudent as SklearnStudent
    from cosup.students import register_student as register_student
    from cosup.tasks import register_task as register_task
    from cosup.utils.validation import CosupError as CosupError

__version__ = "0.1.0"

_HOMES = {
    "cosup.cosupervision": ("CSLConfig", "CoSupervisedClassifier", "co_supervise"),
    "cosup.cosupervision.assignment": ("register_assigner",),
    "cosup.cosupervision.rejection": ("register_rejection",),
    "cosup.embedding": ("embed_images", "make_backbone", "read_image"),
    "cosup.embedding.texts_to_features": ("embed_texts", "make_encoder"),
    "cosup.io.features": ("read_features", "read_texts"),
    "cosup.io.labels": ("from_frame", "from_functions", "from_probabilities", "from_snorkel", "read_labels"),
    "cosup.labels": ("ImportedLabels", "TeacherLabels", "TopK", "combine_labels"),
    "cosup.methods": ("list_methods", "load", "make_method", "register_method"),
    "cosup.metrics": ("performance_gap_recovered",),
    "cosup.students": (
        "AdamProbe", "GradientProbe", "LogisticProbe", "MixtureProbe", "MlpProbe", "RidgeProbe", "SklearnStudent",
        "register_student",
    ),
    "cosup.tasks": ("register_task",),
    "cosup.utils.validation": ("CosupError",),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'cosup' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
