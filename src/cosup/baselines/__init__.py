"""Offer every rival of co-supervision as an estimator with the same ``fit``.

`vanilla` holds the two ends of the scale; `confidence` the losses that let a student disagree with its teacher;
`ensembles` teachers that are weighed while the student learns; `aggregation` votes, pools and crowd models; `noisy`
what is done about noisy labels. Those with a loss of their own share a trainer and one label-free rule for their
regularisation, see `gradient` and `regularisation`. `pooled` and `train_once` serve a method of one's own, see
docs/extending.md.
"""

from cosup.baselines.aggregation import DawidSkene, Glad, LogPool, Mace, MajorityVote, MeanVote
from cosup.baselines.confidence import AdaptiveConfidence, ConfidenceLoss, ConvexMixture, ReverseCrossEntropy, ReverseKL
from cosup.baselines.consensus import pooled, train_once
from cosup.baselines.ensembles import EnsembleBoost, EvidentialClassifier, SimplexWeights
from cosup.baselines.noisy import (
    ConfidentLearning,
    CoTeaching,
    NeighbourSmoothing,
    ReliabilityWeighting,
    SelfDistillation,
    SmallLoss,
)
from cosup.baselines.vanilla import OracleClassifier, VanillaClassifier

__all__ = [
    "AdaptiveConfidence",
    "CoTeaching",
    "ConfidenceLoss",
    "ConfidentLearning",
    "ConvexMixture",
    "DawidSkene",
    "EnsembleBoost",
    "EvidentialClassifier",
    "Glad",
    "LogPool",
    "Mace",
    "MajorityVote",
    "MeanVote",
    "NeighbourSmoothing",
    "OracleClassifier",
    "ReliabilityWeighting",
    "ReverseCrossEntropy",
    "ReverseKL",
    "SelfDistillation",
    "SimplexWeights",
    "SmallLoss",
    "VanillaClassifier",
    "pooled",
    "train_once",
]
