"""The pieces of the method one by one, on cases whose answer is known by hand."""

import numpy as np
import pytest

from cosup import RidgeProbe, TeacherLabels
from cosup.cosupervision.assignment import ASSIGNERS, AssignmentContext, choose, uncovered
from cosup.cosupervision.class_priors import ClassPrior
from cosup.cosupervision.hierarchy import Hierarchy
from cosup.cosupervision.local_students import LocalStudents, train_local
from cosup.cosupervision.marginals import HELD
from cosup.cosupervision.pooling import LevelExpert, pool
from cosup.cosupervision.rejection import REJECTIONS, Evidence
from cosup.utils.row_store import RowStore

# -- assignment by hand ---------------------------------------------------------------------------------


def level_of(said, specialties, n_classes=3, generalist=None):
    """A level 1 whose teachers' hard annotations are the columns of `said`."""
    said = np.atleast_2d(said)
    first = np.arange(len(said)) % n_classes if generalist is None else np.asarray(generalist)
    labels = TeacherLabels(
        np.column_stack([first, said]),
        levels=[0] + [1] * said.shape[1],
        specialties=[None, *specialties],
        n_classes=n_classes,
    )
    level = Hierarchy.of(labels, all_classes=True).levels[1]
    assert level is not None
    # The level's own order, turned back into the caller's.
    return level, np.argsort(level.columns)


def gate(name, level, order, beliefs):
    trainer = RidgeProbe().prepare(np.random.default_rng(0).normal(size=(len(beliefs), 3)))
    return ASSIGNERS[name](level, AssignmentContext(RowStore.holding(np.asarray(beliefs)), trainer, 0))[:, order]


def test_overlapping_specialties_share_the_mass():
    level, order = level_of([[0, 1], [1, 2]], [[0, 1], [1, 2]])
    g = gate("mass", level, order, [[0.2, 0.5, 0.3], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(g, [[0.45, 0.55], [0.5, 0.5]])


def test_a_teacher_who_abstains_gets_nothing_and_its_neighbour_all_they_share():
    level, order = level_of([[0, -1], [1, 2]], [[0, 1], [1, 2]])
    g = gate("mass", level, order, [[0.2, 0.5, 0.3], [0.2, 0.5, 0.3]])
    np.testing.assert_allclose(g, [[0.7, 0.0], [0.45, 0.55]])


def test_a_class_that_nobody_covers_is_nobodys():
    level, order = level_of([[0, 1], [0, 1], [0, 1]], [[0], [1]])
    g = gate("mass", level, order, [[0.1, 0.1, 0.8], [0.5, 0.1, 0.4], [0.1, 0.7, 0.2]])
    np.testing.assert_allclose(g.sum(axis=1), [0.2, 0.6, 0.8])
    assert choose(g).tolist() == [-1, 0, 1]
    np.testing.assert_allclose(uncovered(level, np.array([0.2, 0.3, 0.5])), [[0, 0, 1]] * 3)


def test_argmax_goes_by_the_most_probable_class():
    level, order = level_of([[0, 2], [0, 2]], [[0, 1], [2]])
    g = gate("argmax", level, order, [[0.3, 0.3, 0.4], [0.1, 0.8, 0.1]])
    np.testing.assert_allclose(g, [[0, 1], [1, 0]])


def test_distance_prefers_the_teacher_whom_the_student_understands():
    level, order = level_of([[0, 2], [1, 0], [-1, 2]], [None, None])
    g = gate("distance", level, order, [[0.9, 0.05, 0.05], [0.9, 0.05, 0.05], [0.8, 0.1, 0.1]])
    assert g[0, 0] > 0.95
    assert g[1, 1] > 0.95
    np.testing.assert_allclose(g[2], [0, 1])
    np.testing.assert_allclose(g.sum(axis=1), 1)


def test_the_trained_gate_finds_unknown_domains():
    rng = np.random.default_rng(0)
    n = 400
    domain, y = np.arange(n) % 2, rng.integers(3, size=n)
    X = np.column_stack([3.0 * (2 * domain - 1), 4 * np.eye(3)[y]]) + rng.normal(size=(n, 4))
    anything = rng.integers(3, size=n)
    said = np.column_stack([np.where(domain == m, y, anything) for m in (0, 1)])
    level, order = level_of(said, [None, None], generalist=np.where(rng.random(n) < 0.6, y, anything))
    beliefs = 0.6 * np.eye(3)[y] + 0.4 / 3
    g = ASSIGNERS["student"](level, AssignmentContext(RowStore.holding(beliefs), RidgeProbe().prepare(X), 0))[:, order]
    assert (g.argmax(axis=1) == domain).mean() > 0.95
    by_distance = ASSIGNERS["distance"](
        level, AssignmentContext(RowStore.holding(beliefs), RidgeProbe().prepare(X), 0)
    )[:, order]
    assert (by_distance.argmax(axis=1) == domain).mean() < 0.9  # one sample alone tells less


@pytest.mark.parametrize("name", sorted(ASSIGNERS))
@pytest.mark.parametrize("known", [False, True])
def test_every_assignment_shares_out_at_most_everything_among_those_who_speak(name, known):
    rng = np.random.default_rng(1)
    said = rng.integers(-1, 4, size=(50, 3))
    level, order = level_of(said, [[0, 1], [1, 2], [3]] if known else [None] * 3, n_classes=4)
    g = gate(name, level, order, rng.dirichlet(np.ones(4), size=50))
    assert (g[said < 0] == 0).all()
    assert g.min() >= 0
    assert (g.sum(axis=1) <= 1 + 1e-6).all()
    assert g.sum() > 10


# -- rejection by hand ----------------------------------------------------------------------------------


def evidence(said, student, local=None, trained=None, n_classes=3):
    students = None
    if local is not None:
        students = LocalStudents(np.where(np.asarray(trained, dtype=bool), local, -1))
    student = np.asarray(student)
    probabilities = np.eye(n_classes)[student] if student.ndim == 1 else student
    return Evidence.of(np.asarray(said), [(slice(0, len(student)), probabilities)], local=students)


def test_teacher_student_drops_what_the_local_student_contradicts():
    e = evidence([0, 1, 2, 2], [1, 1, 1, 1], local=[0, 2, 2, 0], trained=[1, 1, 1, 0])
    assert REJECTIONS["teacher-student"].keep(e).tolist() == [True, False, True, True]


def test_local_global_drops_where_local_and_global_student_differ():
    e = evidence([0, 1, 2, 2], [0, 1, 1, 1], local=[0, 2, 2, 0], trained=[1, 1, 1, 0])
    assert REJECTIONS["local-global"].keep(e).tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("top", "kept"),
    [
        # ranks of the annotated class: 0, 2, 1, 1; losses: -log of .5, .1, .2, .4; nobody spoke for the last
        ("top1", [True, False, False, False, False]),
        ("top2", [True, False, True, True, False]),
        ("top3", [True, True, True, True, False]),
    ],
)
def test_small_loss_keeps_as_many_as_are_in_the_top_and_those_of_smallest_loss(top, kept):
    student = [[0.5, 0.3, 0.2], [0.1, 0.3, 0.6], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1], [1.0, 0.0, 0.0]]
    e = evidence([0, 0, 0, 1, -1], student)
    assert REJECTIONS[top].keep(e).tolist() == kept


def test_small_loss_keeps_the_smallest_losses_even_if_others_made_the_quota():
    # Annotated classes rank 0 and 1; the second has the larger probability: one is kept, and it is the second.
    student = [[0.36, 0.32, 0.32], [0.55, 0.45, 0.0]]
    assert REJECTIONS["top1"].keep(evidence([0, 1], student)).tolist() == [False, True]


def test_local_students_are_trained_on_their_own_share_out_of_sample():
    rng = np.random.default_rng(0)
    n = 120
    assigned = np.repeat([0, 1, -1], [60, 50, 10])
    y = rng.integers(2, size=n)
    # So many features and so weak a penalty that a student remembers whatever it was trained on.
    X = np.column_stack([2.0 * (2 * y[:, None] - 1) + rng.normal(size=(n, 60)), rng.normal(size=(n, 100))])
    flipped = np.where(assigned == 1, 1 - y, y)  # the second teacher means the opposite
    flipped[0] = 1 - y[0]
    annotations = np.eye(2)[flipped]
    local = train_local(
        RidgeProbe().prepare(X), assigned, annotations, n_classes=2, alpha=1e-4, out_of_sample=True, seed=0
    )
    assert local.trained.tolist() == (assigned >= 0).tolist()
    named = local.predicted
    assert (named[:60] == y[:60]).mean() > 0.95
    assert (named[60:110] == 1 - y[60:110]).mean() > 0.95
    assert named[0] == y[0]  # its own wrong annotation had no say
    inside = train_local(
        RidgeProbe().prepare(X), assigned, annotations, n_classes=2, alpha=1e-4, out_of_sample=False, seed=0
    )
    assert inside.predicted[0] == 1 - y[0]


def test_a_teacher_with_few_samples_gets_no_local_student():
    X = np.random.default_rng(0).normal(size=(40, 2))
    assigned = np.repeat([0, 1], [30, 10])
    local = train_local(
        RidgeProbe().prepare(X),
        assigned,
        np.eye(2)[np.arange(40) % 2],
        n_classes=2,
        alpha=None,
        out_of_sample=True,
        seed=0,
    )
    assert local.trained.tolist() == (assigned == 0).tolist()


# -- pool by hand ---------------------------------------------------------------------------------------


class Fixed:
    """An expert whose opinion is given."""

    def __init__(self, mixture):
        self.mixture = mixture

    def of(self, rows):
        return self.mixture[rows]


def test_the_pool_is_the_normalised_product():
    beliefs, one, two = np.array([[0.5, 0.3, 0.2]]), np.array([[0.2, 0.2, 0.6]]), np.array([[0.1, 0.8, 0.1]])
    product = beliefs * one * two
    posterior, free_energy = pool(RowStore.holding(beliefs), [Fixed(one), Fixed(two)], None)
    np.testing.assert_allclose(posterior.whole(), product / product.sum())
    assert free_energy == pytest.approx(-np.log(product.sum()))


def test_the_pool_holds_the_prior():
    rng = np.random.default_rng(0)
    beliefs, mix = rng.dirichlet(np.ones(4), size=(2, 400))
    prior = np.array([0.4, 0.3, 0.2, 0.1])
    free, held = (pool(RowStore.holding(beliefs), [Fixed(mix)], p)[0].whole() for p in (None, ClassPrior(prior)))
    beside, within = (np.abs(q.mean(axis=0) - prior).sum() / 2 for q in (free, held))
    assert within < HELD * np.sqrt(prior / 400).sum() / 2 < 0.1 < beside


def one_teacher(probabilities):
    """A level of one teacher, by its soft annotations."""
    n, c = probabilities.shape
    labels = TeacherLabels(
        np.stack([np.full((n, c), 1 / c), probabilities], axis=1), levels=[0, 1], specialties=[None, range(c)]
    )
    level = Hierarchy.of(labels, all_classes=True).levels[1]
    assert level is not None
    return level


def test_overconfident_teachers_are_read_through_their_confusions():
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=3000)
    wrong = (y + 1) % 3  # mistakes have a direction, which the confusions show
    said = np.where(rng.random(3000) < 0.45, y, wrong)
    beliefs = RowStore.holding(0.85 * np.eye(3)[y] + 0.05)
    opinion = LevelExpert(one_teacher(np.eye(3)[said]), np.ones((3000, 1)), beliefs, np.ones(3) / 3)
    assert opinion.corrected
    mixture = opinion.of(slice(0, 3000))
    np.testing.assert_allclose(mixture.sum(axis=1), 1)
    # "1" is said of class 1 (45 %) and of class 0 (55 %): class 0 is the better guess.
    assert (mixture.argmax(axis=1) == y).mean() > 0.5 > (said == y).mean()


def test_calibrated_teachers_are_taken_at_their_word():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(0.6 * np.ones(3), size=3000)
    y = (rng.random((3000, 1)) > p.cumsum(axis=1)).sum(axis=1)
    beliefs = RowStore.holding(0.97 * np.eye(3)[y] + 0.01)
    opinion = LevelExpert(one_teacher(p), np.ones((3000, 1)), beliefs, np.ones(3) / 3)
    assert not opinion.corrected
    mixture = opinion.of(slice(0, 3000))
    np.testing.assert_allclose(mixture, p, atol=0.01)


def test_nobodys_opinion_is_uniform():
    p = np.eye(3)[[0, 1, 2, 0, 1]]
    p[3:] = np.nan
    gates = np.array([[1.0], [1], [1], [0], [0]])
    beliefs = RowStore.holding(np.full((5, 3), 1 / 3))
    mixture = LevelExpert(one_teacher(p), gates, beliefs, np.array([0.5, 0.3, 0.2])).of(slice(0, 5))
    np.testing.assert_allclose(mixture[3:], 1 / 3)
    np.testing.assert_allclose(mixture.sum(axis=1), 1)


def test_a_rule_that_says_one_class_or_nothing_is_a_specialist_of_that_class():
    said = np.array([[0, -1], [-1, 2], [0, 2], [-1, 2], [-1, -1], [0, -1]])
    level, order = level_of(said, [None, None])
    assert level.known
    np.testing.assert_array_equal(level.covers[order], [[True, False, False], [False, False, True]])
    always, _ = level_of([[0], [0], [0], [0], [0], [0]], [None])
    assert not always.known  # one who says so of everything is not
