"""Co-supervised learning: train a strong student under a hierarchy of weak teachers, without true labels.

>>> from cosup import CoSupervisedClassifier, TeacherLabels
>>> labels = TeacherLabels(annotations, levels=[0, 1, 1])              # doctest: +SKIP
>>> model = CoSupervisedClassifier(random_state=0).fit(X, labels)      # doctest: +SKIP
"""

from cosup.cosupervision import CoSupervisedClassifier, Pieces, co_supervise
from cosup.io.labels import read_labels
from cosup.labels import ImportedLabels, TeacherLabels, TopK, combine_labels
from cosup.methods import list_methods, load, make_method
from cosup.metrics import performance_gap_recovered
from cosup.students import AdamProbe, GradientProbe, LogisticProbe, MixtureProbe, MlpProbe, RidgeProbe, SklearnStudent
from cosup.utils.validation import CosupError

__version__ = "0.1.0"

__all__ = [
    "AdamProbe",
    "CoSupervisedClassifier",
    "CosupError",
    "GradientProbe",
    "ImportedLabels",
    "LogisticProbe",
    "MixtureProbe",
    "MlpProbe",
    "Pieces",
    "RidgeProbe",
    "SklearnStudent",
    "TeacherLabels",
    "TopK",
    "co_supervise",
    "combine_labels",
    "list_methods",
    "load",
    "make_method",
    "performance_gap_recovered",
    "read_labels",
]
