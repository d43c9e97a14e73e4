"""Offer every rival of co-supervision as an estimator with the same ``fit``.

`vanilla` holds the two ends of the scale; `confidence` the losses that let a student disagree with its teacher;
`ensembles` teachers that are weighed while the student learns; `aggregation` votes, pools and crowd models; `joint`
and `neighbourhoods` models that see features and several teachers at once; `noisy` what is done about noisy labels;
`relabelling` students that overrule their teachers. Those with a loss of their own share a trainer and one label-free
rule for regularisation, steps and learning rate, see `gradient` and `cosup.students.held_out_choice`. `pooled` and
`train_once` serve a method of one's own, see docs/how-to/extend.md.
"""

from cosup.utils.lazy_attributes import lazy_attributes

__getattr__, __dir__, __all__ = lazy_attributes(__name__, __file__)
