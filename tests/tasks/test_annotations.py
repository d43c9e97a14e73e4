"""Teachers of one's own annotate: networks, scikit-learn's estimators, pipelines, callables; saved and read again."""

import numpy as np
import pytest

from blobs import corners
from cosup import TeacherLabels
from cosup.io.labels import read_labels
from cosup.tasks import annotate, save_annotations
from cosup.utils.validation import CosupError


def test_teachers_of_every_kind_annotate():
    import torch
    from sklearn.linear_model import LogisticRegression

    X, y = corners()
    names = list("abcdef")
    model = LogisticRegression().fit(X, np.array(names)[y])
    network = torch.nn.Linear(6, 6)
    rule = lambda batch: [names[int(x.argmax())] if x.max() > 0.9 else None for x in batch]  # noqa: E731
    labels = annotate({"model": model, "network": network, "rule": rule}, X, names, levels=[0, 1, 1])
    assert isinstance(labels, TeacherLabels)
    np.testing.assert_allclose(labels.probabilities(0), model.predict_proba(X), atol=1e-12)
    with torch.no_grad():
        np.testing.assert_allclose(labels.probabilities(1), network(torch.from_numpy(X)).softmax(1), atol=1e-6)
    np.testing.assert_array_equal(labels.speaks()[:, 2], X.max(axis=1) > 0.9)
    assert network.training
    assert annotate([model], X, names, top_k=2).annotations.k == 2


def test_a_pipeline_of_transformers_annotates_by_its_labels():
    transformers = pytest.importorskip("transformers")

    class Pictures(transformers.Pipeline):
        def __init__(self):
            pass

        def __call__(self, inputs, top_k):
            return [[{"label": "b", "score": 0.75}, {"label": "a", "score": 0.25}] for _ in inputs]

        _sanitize_parameters = preprocess = _forward = postprocess = None

    labels = annotate({"pipeline": Pictures()}, ["one.jpg", "two.jpg"], ["a", "b"])
    np.testing.assert_allclose(labels.probabilities(0), [[0.25, 0.75]] * 2)


@pytest.mark.parametrize("top_k", [None, 2])
def test_saved_annotations_are_read_as_labels(tmp_path, top_k):
    names = list("abcdef")
    rng = np.random.default_rng(0)
    teachers = {name: lambda batch: rng.dirichlet(np.ones(6), len(batch)) for name in ("one", "two")}
    labels = annotate(teachers, np.zeros(9), names, levels=[0, 1], specialties=[None, [0, 1]], top_k=top_k)
    save_annotations(tmp_path / "labels.npz", labels, names)
    back = read_labels(tmp_path / "labels.npz")
    np.testing.assert_allclose(back.probabilities(1), labels.probabilities(1), atol=1e-3)
    assert (back.names, back.is_sparse, back.specialties[1].tolist()) == (("one", "two"), top_k is not None, [0, 1])


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        (3, "must be a classifier"),
        (lambda batch: ["horse"] * len(batch), "names the class 'horse'"),
        (lambda batch: [0], "about 5 samples"),
        (lambda batch: [7] * len(batch), "outside 0 to 1"),
    ],
)
def test_what_a_teacher_may_not_say(teacher, message):
    with pytest.raises(CosupError, match=message):
        annotate({"t": teacher}, np.zeros((5, 2)), ["a", "b"])
