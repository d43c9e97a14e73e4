"""`TopK`: the most probable classes of soft annotations, wherever dense ones are taken."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosup import CosupError, TeacherLabels, TopK
from cosup.tasks import make_hierarchy
from fits import few_steps, method, methods_here


def probabilities(n, m, c, seed, spread=3.0):
    logits = spread * np.random.default_rng(seed).normal(size=(n, m, c))
    p = np.exp(logits)
    return p / p.sum(axis=2, keepdims=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 9), st.integers(1, 12), st.integers(0, 99))
def test_rows_are_distributions_that_keep_the_most_probable(c, k, seed):
    dense = probabilities(7, 2, c, seed)
    kept = TopK.of(dense, k=k, dtype=np.float64)
    for t in range(2):
        row = kept.dense(t)
        np.testing.assert_allclose(row.sum(axis=1), 1.0)
        best = np.argsort(-dense[:, t], axis=1, kind="stable")[:, : min(k, c)]
        np.testing.assert_allclose(np.take_along_axis(row, best, 1), np.take_along_axis(dense[:, t], best, 1))
    if k >= c:
        np.testing.assert_allclose(np.asarray(kept), dense)
    np.testing.assert_array_equal(TeacherLabels(kept).hard(), dense.argmax(axis=2))


def test_what_is_missing_goes_to_the_specialty():
    kept = TopK(np.array([[[2]], [[0]]]), np.array([[[0.6]], [[0.6]]]), 6)
    labels = TeacherLabels(kept, specialties=[[1, 2, 3]])
    np.testing.assert_allclose(labels.probabilities(0)[0], [0, 0.2, 0.6, 0.2, 0, 0])
    # The whole specialty is open where what is listed lies outside of it.
    np.testing.assert_allclose(labels.probabilities(0)[1], [0.6, 0.4 / 3, 0.4 / 3, 0.4 / 3, 0, 0])


def test_half_precision_that_sums_above_one_is_scaled():
    third = np.full((1, 1, 3), np.float16(0.3335))
    np.testing.assert_allclose(TopK(np.arange(3).reshape(1, 1, 3), third, 3).dense(0), [[1 / 3] * 3])


def test_abstentions_slices_and_conversion():
    dense = probabilities(6, 3, 5, 0)
    dense[2, 1] = np.nan
    labels = TeacherLabels(dense, levels=[0, 1, 1])
    sparse = labels.top_k(2)
    assert sparse.is_soft
    assert sparse.is_sparse
    assert sparse.shape == (6, 3, 5)
    assert "top 2" in repr(sparse)
    np.testing.assert_array_equal(sparse.speaks(), labels.speaks())
    np.testing.assert_array_equal(sparse.hard(), labels.hard())
    assert not sparse.probabilities(1)[2].any()
    part = sparse[[2, 4]]
    assert len(part) == 2
    np.testing.assert_allclose(part.probabilities(0), sparse.probabilities(0)[[2, 4]])
    np.testing.assert_allclose(sparse.probabilities(0, np.array([1, 3])), sparse.probabilities(0)[[1, 3]])
    np.testing.assert_allclose(sparse.vote(np.array([0, 1]), slice(1, 4)), sparse.vote(np.array([0, 1]))[1:4])
    assert np.isnan(np.asarray(sparse)[2, 1]).all()


def test_imagenet_takes_under_700_megabytes():
    few = TopK.of(probabilities(20, 15, 1000, 0).astype(np.float32), k=5)
    assert few.nbytes / 20 * 1_281_167 < 700e6


@pytest.mark.parametrize(
    ("classes", "values", "message"),
    [
        ([[[0, 0]]], [[[0.5, 0.5]]], "listed twice at sample 0"),
        ([[[0, 7]]], [[[0.5, 0.5]]], "not in 0 to 2"),
        ([[[0, 1]]], [[[0.9, 0.5]]], "more than one"),
        ([[[0, 1]]], [[[0.9, -0.1]]], "negative"),
        ([[[0, 1]]], [[[0.9, np.nan]]], "some NaN"),
        ([[[0, -1]]], [[[0.9, 0.1]]], "without a class"),
        ([[[-1, -1]]], [[[0.0, 0.0]]], "lists no class"),
        ([[[0, 1, 2]]], [[[0.2, 0.2, 0.2]]], "do not sum to one"),
        ([[0, 1]], [[0.5, 0.5]], "shape"),
        ([[[0.0, 1.0]]], [[[0.5, 0.5]]], "integers"),
        (np.zeros((0, 1, 2), int), np.zeros((0, 1, 2)), "empty"),
    ],
)
def test_what_is_not_annotations_is_refused(classes, values, message):
    with pytest.raises(CosupError, match=message):
        TopK(np.asarray(classes), np.asarray(values), 3)


def test_a_place_that_is_not_used():
    kept = TopK(np.array([[[1, -1]]]), np.array([[[0.7, 0.0]]]), 3)
    np.testing.assert_allclose(kept.dense(0), [[0.15, 0.7, 0.15]])


def test_class_counts_must_agree():
    with pytest.raises(CosupError, match="over 3 classes"):
        TeacherLabels(TopK(np.array([[[1]]]), np.array([[[0.7]]]), 3), n_classes=4)


@pytest.mark.parametrize(
    "name", sorted(set(methods_here()) - {"oracle", "dawid-skene", "glad", "mace", "confident-learning", "crowdlab"})
)
def test_all_classes_kept_is_the_same_as_dense(name):
    task = make_hierarchy(n_samples=160, n_test=50, n_classes=6, soft=True, random_state=0)
    sparse = task.labels._with(TopK.of(task.labels.annotations, k=6, dtype=np.float64))
    with few_steps():
        models = [method(name).fit(task.X_train, labels) for labels in (task.labels, sparse)]
    np.testing.assert_allclose(*(m.predict_proba(task.X_test) for m in models), atol=2e-4)
