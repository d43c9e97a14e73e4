"""Co-supervised learning: assign, local, reject, pool, train, level by level."""

from cosup.cosupervision.algorithm import co_supervise
from cosup.cosupervision.classifier import CoSupervisedClassifier, PaperCSL, PublishedCSL
from cosup.cosupervision.config import CSLConfig

__all__ = ["CSLConfig", "CoSupervisedClassifier", "PaperCSL", "PublishedCSL", "co_supervise"]
