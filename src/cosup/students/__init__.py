"""Students: what is trained on annotations, and how it predicts samples that it was not trained on.

Shipped: `RidgeProbe` (closed form, leave-one-out), `LogisticProbe` (converged, cross-fitted), `AdamProbe` (the
published recipe), `GradientProbe`, `MixtureProbe` and `MlpProbe` (nets under a loss that can be chosen) and
`SklearnStudent` (any classifier). A new one needs `Student.prepare`, see `cosup.students.protocol`. `train_heads`
trains many linear heads at once. `cosup.finetuning` has the student that trains the network, too.
"""

from cosup.utils.lazy_attributes import lazy_attributes

__getattr__, __dir__, __all__ = lazy_attributes(__name__, __file__)
