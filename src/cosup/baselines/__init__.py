"""Offer every rival of co-supervision as an estimator with the same ``fit``.

`vanilla` holds the two ends of the scale; `confidence` the losses that let a student disagree with its teacher;
`ensembles` teachers that are weighed while the student learns; `aggregation` votes, pools and crowd models; `joint`
and `neighbourhoods` models that see features and several teachers at once; `noisy` what is done about noisy labels;
`relabelling` students that overrule their teachers. Those with a loss of their own share a trainer and one label-free
rule for their regularisation, see `gradient` and `cosup.students.held_out_choice`. `pooled` and `train_once` serve a
method of one's own, see docs/how-to/extend.md.
"""

from cosup.baselines.aggregation import DawidSkene, Glad, LogPool, Mace, MajorityVote, MeanVote, Snorkel
from cosup.baselines.confidence import AdaptiveConfidence, ConfidenceLoss, ConvexMixture, ReverseCrossEntropy, ReverseKL
from cosup.baselines.consensus import pooled, train_once
from cosup.baselines.ensembles import EnsembleBoost, EvidentialClassifier, SimplexWeights
from cosup.baselines.joint import Crowdlab, CrowdLayer, Fable, LossesOverLabels, Raykar
from cosup.baselines.neighbourhoods import Liger
from cosup.baselines.noisy import (
    ConfidentLearning,
    CoTeaching,
    NeighbourSmoothing,
    ReliabilityWeighting,
    SelfDistillation,
    SmallLoss,
)
from cosup.baselines.relabelling import Coherence, Selective, SpecialistLogOdds, TwoStage
from cosup.baselines.vanilla import OracleClassifier, VanillaClassifier

__all__ = [
    "AdaptiveConfidence",
    "CoTeaching",
    "Coherence",
    "ConfidenceLoss",
    "ConfidentLearning",
    "ConvexMixture",
    "CrowdLayer",
    "Crowdlab",
    "DawidSkene",
    "EnsembleBoost",
    "EvidentialClassifier",
    "Fable",
    "Glad",
    "Liger",
    "LogPool",
    "LossesOverLabels",
    "Mace",
    "MajorityVote",
    "MeanVote",
    "NeighbourSmoothing",
    "OracleClassifier",
    "Raykar",
    "ReliabilityWeighting",
    "ReverseCrossEntropy",
    "ReverseKL",
    "Selective",
    "SelfDistillation",
    "SimplexWeights",
    "SmallLoss",
    "Snorkel",
    "SpecialistLogOdds",
    "TwoStage",
    "VanillaClassifier",
    "pooled",
    "train_once",
]
