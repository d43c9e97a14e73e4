"""CSLConfig that the crossed ingredients need, on cases whose answer is known by hand."""

import numpy as np
import pytest

from cosup import CoSupervisedClassifier, RidgeProbe, TeacherLabels
from cosup.cosupervision.assignment import ASSIGNERS, AssignmentContext, choose
from cosup.cosupervision.hierarchy import Hierarchy
from cosup.cosupervision.rejection import REJECTIONS, Evidence
from cosup.tasks import make_hierarchy
from cosup.utils.row_store import RowStore


def gate(name, said, beliefs):
    """Responsibilities of hard teachers without specialties, in the order of the columns of `said`."""
    said = np.asarray(said)
    labels = TeacherLabels(
        np.column_stack([np.arange(len(said)) % 3, said]), levels=[0] + [1] * said.shape[1], n_classes=3
    )
    level = Hierarchy.of(labels, all_classes=True).levels[1]
    trainer = RidgeProbe().prepare(np.random.default_rng(0).normal(size=(len(said), 3)))
    found = ASSIGNERS[name](level, AssignmentContext(RowStore.holding(np.asarray(beliefs, dtype=float)), trainer, 0))
    return found[:, np.argsort(level.columns)]


def test_likelihood_believes_whom_the_student_understands():
    g = gate("likelihood", [[0, 2], [1, 0], [-1, 2]], [[0.9, 0.05, 0.05], [0.9, 0.05, 0.05], [0.8, 0.1, 0.1]])
    assert choose(g).tolist() == [0, 1, 1]
    np.testing.assert_allclose(g.sum(axis=1), 1)


def test_learned_weights_are_the_same_on_every_sample():
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=300)
    good, bad = np.where(rng.random(300) < 0.9, y, (y + 1) % 3), rng.integers(3, size=300)
    said = np.column_stack([good, bad])
    said[:5, 0] = -1
    beliefs = np.full((300, 3), 0.1)
    beliefs[np.arange(300), y] = 0.8
    g = gate("learned", said, beliefs)
    assert np.ptp(g[5:, 0]) == 0
    assert g[5, 0] > 0.9
    np.testing.assert_allclose(g[:5], [[0, 1]] * 5)


def evidence(said, p):
    return Evidence.of(np.asarray(said), [(slice(0, len(said)), np.asarray(p))])


def test_margins_are_against_the_best_other_class():
    found = evidence([0, 1, 2], [[0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [0.6, 0.3, 0.1]])
    np.testing.assert_allclose(found.margin, [0.3, -0.3, -0.5])


def test_margin_keeps_a_share_of_all_and_class_balanced_of_every_class():
    # Class 0 is easy, class 1 hard: ten annotations of each.
    easy = np.column_stack([np.linspace(0.8, 0.9, 10), 1 - np.linspace(0.8, 0.9, 10)])
    hard = np.column_stack([np.linspace(0.6, 0.4, 10), np.linspace(0.4, 0.6, 10)])
    found = evidence([0] * 10 + [1] * 10 + [-1], np.vstack([easy, hard, [[0.5, 0.5]]]))
    by_margin, balanced = REJECTIONS["margin"].keep(found), REJECTIONS["class-balanced"].keep(found)
    assert (by_margin[:10].sum(), by_margin[10:].sum()) == (10, 4)
    assert (balanced[:10].sum(), balanced[10:].sum()) == (7, 7)
    assert balanced[3:10].all()
    assert not by_margin[-1]
    assert not balanced[-1]


@pytest.mark.parametrize("options", [{"assign": "likelihood"}, {"assign": "learned"}, {"reject": ("margin",)}])
def test_the_method_takes_them_by_name(options):
    task = make_hierarchy(300, 50, n_features=10, n_classes=4)
    model = CoSupervisedClassifier(random_state=0, rounds=1, **options).fit(task.X_train, task.labels)
    assert model.score(task.X_test, task.truth.y_test) > 0.3
