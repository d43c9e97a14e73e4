"""Where to look first: influence is by its definition, whether samples or features are more."""

import numpy as np
import pytest

from cosup import CoSupervisedClassifier, TeacherLabels
from cosup.provenance import look_first
from cosup.students import RidgeProbe


@pytest.mark.parametrize("d", [5, 150])
def test_influence_is_how_far_a_label_moves_the_answers_elsewhere(d):
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    X = 3 * np.eye(3, d)[y] + rng.normal(size=(60, d)) * np.geomspace(1, 0.1, d)
    labels = TeacherLabels(np.where(rng.random((60, 2)) < 0.8, y[:, None], rng.integers(3, size=(60, 2))))
    model = CoSupervisedClassifier(random_state=0).fit(X, labels)
    _, parts = look_first(X, labels, model)
    Z = X - X.mean(axis=0)
    alpha = RidgeProbe().prepare(X).train(model.predict(X), n_classes=3).alpha
    hat = Z @ np.linalg.solve(Z.T @ Z + alpha * np.square(Z).sum() / d * np.eye(d), Z.T)
    moved = np.linalg.norm(hat - np.diag(np.diagonal(hat)), axis=0)
    np.testing.assert_allclose(parts["influence"], moved / moved.mean(), rtol=1e-5)
