"""Co-supervised learning: train a strong student under a hierarchy of weak teachers, without true labels.

>>> from cosup import CoSupervisedClassifier, TeacherLabels
>>> labels = TeacherLabels(annotations, levels=[0, 1, 1])              # doctest: +SKIP
>>> model = CoSupervisedClassifier(random_state=0).fit(X, labels)      # doctest: +SKIP

Every public name is imported when it is first asked for.
"""

from cosup.utils.lazy_attributes import lazy_attributes

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_attributes(__name__, __file__)
