"""Co-supervised learning: assign, local, reject, pool, train, level by level."""

from cosup.cosupervision._pieces import Pieces
from cosup.cosupervision.classifier import CoSupervisedClassifier, PaperCSL, PublishedCSL
from cosup.cosupervision.engine import co_supervise

__all__ = ["CoSupervisedClassifier", "PaperCSL", "Pieces", "PublishedCSL", "co_supervise"]
