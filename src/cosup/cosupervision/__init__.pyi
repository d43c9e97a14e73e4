from cosup.cosupervision.algorithm import co_supervise as co_supervise
from cosup.cosupervision.classifier import CoSupervisedClassifier as CoSupervisedClassifier
from cosup.cosupervision.classifier import PaperCSL as PaperCSL
from cosup.cosupervision.classifier import PublishedCSL as PublishedCSL
from cosup.cosupervision.config import CSLConfig as CSLConfig
from cosup.cosupervision.judging import joint_posterior as joint_posterior
from cosup.cosupervision.tuned_published import TunedPublishedCSL as TunedPublishedCSL
