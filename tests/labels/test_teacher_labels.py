"""TeacherLabels: what it holds, and that it slices as scikit-learn slices y."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.model_selection import KFold, cross_validate, train_test_split
from sklearn.utils import _safe_indexing

from cosup import CosupError, TeacherLabels, TopK, make_method

HARD = np.array([[0, 0, -1], [1, -1, 2], [2, 2, 2], [1, 0, -1]])


def soft_of(hard, n_classes, top=0.7):
    out = np.full((*hard.shape, n_classes), (1 - top) / (n_classes - 1))
    np.put_along_axis(out, np.maximum(hard, 0)[:, :, None], top, axis=2)
    out[hard < 0] = np.nan
    return out


def test_it_holds_what_it_was_given():
    labels = TeacherLabels(
        HARD, levels=[0, 1, 1], specialties=[None, (2, 0, 2), [2]], names=["old", "rule", "man"], n_classes=4
    )
    assert len(labels) == labels.n_samples == 4
    assert (labels.n_teachers, labels.n_levels, labels.n_classes) == (3, 2, 4)
    assert labels.names == ("old", "rule", "man")
    assert labels.levels.dtype == np.int64
    assert labels.levels.tolist() == [0, 1, 1]
    assert labels.specialties[0] is None
    assert [s.tolist() for s in labels.specialties[1:]] == [[0, 2], [2]]
    assert labels.at_level(0).tolist() == [0]
    assert labels.at_level(1).tolist() == [1, 2]
    assert labels.annotations.dtype == np.int32
    assert (labels.shape, labels.ndim) == ((4, 3), 2)
    assert not labels.is_soft
    np.testing.assert_array_equal(np.asarray(labels), HARD)


def test_defaults():
    labels = TeacherLabels(HARD)
    assert labels.levels.tolist() == [0, 0, 0]
    assert labels.n_levels == 1
    assert labels.specialties == (None, None, None)
    assert labels.names == ("teacher 0", "teacher 1", "teacher 2")
    assert labels.n_classes == 3


def test_the_callers_array_stays_the_callers():
    given_array = HARD.astype(np.int32)
    before = given_array.copy()
    TeacherLabels(given_array).hard()
    np.testing.assert_array_equal(given_array, before)


def test_whole_floats_are_class_ids():
    labels = TeacherLabels(HARD.astype(float))
    np.testing.assert_array_equal(labels.hard(), HARD)
    assert labels.hard().dtype == np.int32


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_soft_annotations_and_abstentions(dtype):
    labels = TeacherLabels(soft_of(HARD, 3).astype(dtype), levels=[0, 1, 1])
    assert labels.is_soft
    assert labels.n_classes == 3
    assert labels.shape == (4, 3, 3)
    np.testing.assert_array_equal(labels.hard(), HARD)
    assert labels.hard().dtype == np.int32
    np.testing.assert_array_equal(labels.speaks(), HARD >= 0)
    p = labels.probabilities(2)
    assert p.dtype == np.float64
    np.testing.assert_array_equal(p[0], 0)
    np.testing.assert_allclose(p[1], [0.15, 0.15, 0.7], atol=1e-3)


def test_hard_probabilities_are_one_hot_and_zero_for_an_abstention():
    np.testing.assert_array_equal(TeacherLabels(HARD).probabilities(1), [[1, 0, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]])


def test_vote_is_the_mean_of_those_who_speak():
    annotations = np.array([[0, 0, 1], [1, -1, 2], [-1, -1, 0]])
    vote = TeacherLabels(annotations).vote(np.array([0, 1]))
    np.testing.assert_allclose(vote, [[1, 0, 0], [0, 1, 0], [0, 0, 0]])
    vote = TeacherLabels(annotations).vote(np.array([0, 1, 2]))
    np.testing.assert_allclose(vote, [[2 / 3, 1 / 3, 0], [0, 0.5, 0.5], [1, 0, 0]])


def test_repr_says_what_there_is():
    text = repr(TeacherLabels(HARD, levels=[0, 1, 1]))
    assert text == "TeacherLabels(4 samples, 3 teachers in levels of 1/2, 3 classes, hard)"
    assert "soft" in repr(TeacherLabels(soft_of(HARD, 3)))


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(
    "index",
    [slice(1, 3), np.array([3, 0, 0]), [2, 1], np.array([True, False, True, True]), slice(None, None, -1)],
    ids=["slice", "positions", "list", "mask", "reversed"],
)
def test_a_slice_keeps_everything_but_the_other_samples(soft, index):
    labels = TeacherLabels(
        soft_of(HARD, 3) if soft else HARD,
        levels=[0, 1, 1],
        specialties=[None, [0, 1], [2]],
        names=list("abc"),
    )
    part = labels[index]
    np.testing.assert_array_equal(part.hard(), HARD[index])
    assert len(part) == len(HARD[index])
    assert part.names == labels.names
    assert part.n_classes == 3
    assert part.levels.tolist() == [0, 1, 1]
    assert part.specialties == labels.specialties


def test_a_teacher_may_fall_silent_in_a_slice():
    part = TeacherLabels(HARD)[[0, 3]]
    assert not part.speaks()[:, 2].any()
    assert part.n_classes == 3


@pytest.mark.parametrize("index", [0, np.int64(2), (slice(None), slice(0, 1)), (slice(None), 0), None], ids=repr)
def test_only_samples_can_be_indexed(index):
    with pytest.raises(CosupError, match="index TeacherLabels with"):
        TeacherLabels(HARD)[index]


@st.composite
def labels_and_index(draw):
    n, m = draw(st.integers(2, 12)), draw(st.integers(1, 4))
    hard = draw(hnp.arrays(np.int64, (n, m), elements=st.integers(-1, 3)))
    hard[0], hard[1] = 0, 1  # everyone speaks, and of two classes
    annotations = soft_of(hard, 4, top=draw(st.sampled_from([0.4, 0.7, 1.0]))) if draw(st.booleans()) else hard
    positions = st.lists(st.integers(-n, n - 1), max_size=15).map(lambda i: np.array(i, dtype=np.int64))
    masks = hnp.arrays(np.bool_, n)
    slices = st.slices(n)
    return TeacherLabels(annotations, n_classes=4), draw(st.one_of(positions, masks, slices))


@given(labels_and_index())
def test_slicing_and_reading_commute(drawn):
    labels, index = drawn
    part = labels[index]
    np.testing.assert_array_equal(part.hard(), labels.hard()[index])
    np.testing.assert_array_equal(part.speaks(), labels.speaks()[index])
    teachers = np.arange(labels.n_teachers)
    np.testing.assert_allclose(part.vote(teachers), labels.vote(teachers)[index])
    assert len(part) == part.n_samples == len(labels.hard()[index])


@pytest.mark.parametrize("soft", [False, True])
def test_scikit_learn_slices_it(soft):
    hard = np.tile(HARD, (5, 1))
    labels = TeacherLabels(soft_of(hard, 3) if soft else hard, levels=[0, 1, 1])
    X = np.arange(40.0).reshape(20, 2)
    X_a, X_b, a, b = train_test_split(X, labels, test_size=0.25, random_state=0)
    assert isinstance(a, TeacherLabels)
    assert (len(a), len(b)) == (15, 5)
    for part, rows in ((a, X_a), (b, X_b)):
        np.testing.assert_array_equal(part.hard(), hard[(rows[:, 0] / 2).astype(int)])
        assert part.levels.tolist() == [0, 1, 1]
    np.testing.assert_array_equal(_safe_indexing(labels, [3, 1]).hard(), hard[[3, 1]])
    np.testing.assert_array_equal(labels[[3, 1], ...].hard(), hard[[3, 1]])  # how scikit-learn writes it


def test_cross_validation_takes_it_for_y():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 30)
    X = rng.normal(size=(90, 4)) + 4 * np.eye(4)[y]
    noisy = np.where(rng.random((90, 2)) < 0.2, (y[:, None] + 1) % 3, y[:, None])
    seen = []

    def against_the_teachers(model, X, labels):
        seen.append(labels)
        return float((model.predict(X) == labels.hard()[:, 0]).mean())

    result = cross_validate(
        make_method("co-supervised", random_state=0),
        X,
        TeacherLabels(noisy, levels=[0, 1]),
        cv=KFold(3, shuffle=True, random_state=0),
        scoring=against_the_teachers,
        error_score="raise",
    )
    assert all(isinstance(labels, TeacherLabels) and len(labels) == 30 for labels in seen)
    assert len(result["test_score"]) == 3
    assert result["test_score"].min() > 0.6


def test_several_most_probable_classes_are_no_class():
    soft = np.array([[[0.5, 0.5, 0.0]], [[0.2, 0.7, 0.1]], [[np.nan] * 3]])
    for annotations in (soft, TopK.of(soft, k=2)):
        labels = TeacherLabels(annotations)
        np.testing.assert_array_equal(labels.hard()[:, 0], [-1, 1, -1])
        np.testing.assert_array_equal(labels.speaks()[:, 0], [True, True, False])
