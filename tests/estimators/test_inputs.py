"""Data as people hand it to an estimator: sparse, by name, unlabelled in part, labels in place of the truth."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.model_selection import cross_val_score

from cosup import CosupError, CoSupervisedClassifier, ImportedLabels, TeacherLabels


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=80)
    return rng.normal(size=(80, 3)) + 3 * np.eye(3)[y], y


def test_sparse_features_are_taken_as_dense_ones(data):
    X, y = data
    X = np.where(np.abs(X) < 1, 0, X)
    labels = TeacherLabels(np.column_stack([y, 1 - y]))
    dense = CoSupervisedClassifier(random_state=0).fit(X, labels)
    for kind in (sparse.csr_matrix, sparse.coo_array, sparse.dok_matrix):
        model = CoSupervisedClassifier(random_state=0).fit(kind(X), labels)
        np.testing.assert_allclose(model.predict_proba(kind(X)), dense.predict_proba(X))
    with pytest.raises(CosupError, match="as a dense one needs about"):
        model.predict(sparse.csr_matrix((10**6, 10**7)))


def test_columns_of_a_frame_are_remembered(data, tmp_path):
    pandas = pytest.importorskip("pandas")
    from cosup import load

    X, y = data
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    CoSupervisedClassifier(random_state=0).fit(frame, y).save(tmp_path)
    model = load(tmp_path)
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    model.predict(frame)
    with pytest.raises(CosupError, match="same order"):
        model.predict(frame[["c", "b", "a"]])
    with pytest.raises(CosupError, match=r"(?s)unseen.*d"):
        model.predict(frame.rename(columns={"c": "d"}))


def test_an_index_and_ids_in_another_order_are_not_joined_by_position(data):
    pandas = pytest.importorskip("pandas")
    X, y = data
    ids = [f"s{i}" for i in range(80)]
    labels = ImportedLabels(y[:, None], ["no", "yes"], names=["rule"], ids=ids)
    frame = pandas.DataFrame(X, index=ids[::-1])
    with pytest.raises(CosupError, match=r"labels.align"):
        CoSupervisedClassifier().fit(frame, labels)
    CoSupervisedClassifier().fit(frame, labels.align(frame.index))


@pytest.mark.parametrize("missing", [-1, None, "", float("nan")])
def test_a_vector_may_leave_samples_without_a_label(data, missing):
    X, y = data
    y = y.astype(object) if missing != -1 else y.copy()
    if missing == "":
        y = np.where(y == 1, "one", "nil").astype(object)
    known = y.copy()
    y[::4] = missing
    model = CoSupervisedClassifier(random_state=0).fit(X, y)
    assert len(model.classes_) == 2
    assert (model.predict(X) == known).mean() > 0.9


def test_minus_one_and_one_are_two_classes(data):
    X, y = data
    assert CoSupervisedClassifier(random_state=0).fit(X, 2 * y - 1).classes_.tolist() == [-1, 1]


@pytest.mark.parametrize(
    "y", [[None] * 80, [""] * 80, [{}, []] * 40, [2**62, 0.5] * 40, ["a", 1] * 40, [1e300, 0] * 40]
)
def test_other_vectors_are_refused(data, y):
    with pytest.raises(CosupError):
        CoSupervisedClassifier().fit(data[0], np.array(y * 40, dtype=object))


def test_teachers_labels_are_no_truth_to_score_by(data):
    X, y = data
    labels = TeacherLabels(np.column_stack([y, 1 - y]))
    model = CoSupervisedClassifier(random_state=0).fit(X, labels)
    with pytest.raises(CosupError, match="score needs the true classes"):
        model.score(X, labels)
    with pytest.raises(CosupError, match="score needs the true classes"):
        cross_val_score(model, X, labels, cv=2, error_score="raise")
    truth = {tuple(row): c for row, c in zip(X.tolist(), y.tolist(), strict=True)}

    def accuracy(model, X, labels):
        return np.mean(model.predict(X) == [truth[tuple(row)] for row in X.tolist()])

    assert cross_val_score(model, X, labels, cv=2, scoring=accuracy).shape == (2,)


@pytest.mark.parametrize(
    "annotations", [[[2**62], [0]], np.array([[255], [0], [1]], np.uint8), [[1e200], [0]], [["a"]]]
)
def test_class_ids_that_are_none_are_refused(annotations):
    with pytest.raises(CosupError):
        TeacherLabels(annotations)
