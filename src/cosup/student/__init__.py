"""Students: what is trained on annotations, and how it predicts samples that it was not trained on.

Shipped: `RidgeProbe` (closed form, leave-one-out), `LogisticProbe` (converged, cross-fitted), `AdamProbe` (the
published recipe), `GradientProbe`, `MixtureProbe` and `MlpProbe` (nets under a loss that can be chosen),
`SklearnStudent` (any classifier) and `FineTuned`, which trains the network that makes the features, too. A new one
needs `Student.prepare`, see `_protocol`. `train_heads` trains many linear heads at once.
"""

from cosup.student._adam import AdamProbe
from cosup.student._heads import LinearHeads, train_heads
from cosup.student._logistic import LogisticProbe
from cosup.student._memory import peak_bytes
from cosup.student._mlp import GradientProbe, MixtureProbe, MlpProbe
from cosup.student._protocol import (
    DeferredHead,
    Fit,
    Head,
    LinearHead,
    MeanHead,
    Student,
    Trainer,
    average_heads,
    settled,
    spread_head,
)
from cosup.student._ridge import RidgeProbe
from cosup.student._ridge_path import RidgePath, ridge_path
from cosup.student._rows import BFLOAT16, blocks_of
from cosup.student._shared import as_student, shared
from cosup.student._sklearn import SklearnStudent
from cosup.student.finetuned import FineTuned, ModuleNetwork

__all__ = [
    "BFLOAT16",
    "AdamProbe",
    "DeferredHead",
    "FineTuned",
    "Fit",
    "GradientProbe",
    "Head",
    "LinearHead",
    "LinearHeads",
    "LogisticProbe",
    "MeanHead",
    "MixtureProbe",
    "MlpProbe",
    "ModuleNetwork",
    "RidgePath",
    "RidgeProbe",
    "SklearnStudent",
    "Student",
    "Trainer",
    "as_student",
    "average_heads",
    "blocks_of",
    "peak_bytes",
    "ridge_path",
    "settled",
    "shared",
    "spread_head",
    "train_heads",
]
