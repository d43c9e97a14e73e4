"""Students: what is trained on annotations, and how it predicts samples that it was not trained on.

Shipped: `RidgeProbe` (closed form, leave-one-out), `LogisticProbe` (converged, cross-fitted), `AdamProbe` (the
published recipe), `GradientProbe`, `MixtureProbe` and `MlpProbe` (nets under a loss that can be chosen) and
`SklearnStudent` (any classifier). A new one needs `Student.prepare`, see `cosup.students.protocol`. `train_heads`
trains many linear heads at once. `cosup.finetuning` has the student that trains the network, too.
"""

from cosup.students.adam.heads import LinearHeads, train_heads
from cosup.students.adam.probe import AdamProbe
from cosup.students.caching import shared
from cosup.students.heads import DeferredHead, Head, LinearHead, MeanHead, average_heads, materialised, spread_head
from cosup.students.logistic.probe import LogisticProbe
from cosup.students.memory import peak_bytes
from cosup.students.mlp.probe import GradientProbe, MixtureProbe, MlpProbe
from cosup.students.protocol import Fit, Student, Trainer
from cosup.students.registry import STUDENTS, as_student, register_student
from cosup.students.ridge.path import RidgePath, ridge_path
from cosup.students.ridge.probe import RidgeProbe
from cosup.students.sklearn_student import SklearnStudent

__all__ = [
    "STUDENTS",
    "AdamProbe",
    "DeferredHead",
    "Fit",
    "GradientProbe",
    "Head",
    "LinearHead",
    "LinearHeads",
    "LogisticProbe",
    "MeanHead",
    "MixtureProbe",
    "MlpProbe",
    "RidgePath",
    "RidgeProbe",
    "SklearnStudent",
    "Student",
    "Trainer",
    "as_student",
    "average_heads",
    "materialised",
    "peak_bytes",
    "register_student",
    "ridge_path",
    "shared",
    "spread_head",
    "train_heads",
]
