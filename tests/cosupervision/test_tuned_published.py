"""The released recipe with its length chosen without a label."""

import numpy as np

from cosup import TeacherLabels, make_method
from cosup.cosupervision import joint_posterior, tuned_published
from cosup.tasks import make_hierarchy


def test_the_recipe_is_the_published_one_at_the_chosen_steps(monkeypatch):
    monkeypatch.setattr(tuned_published, "CANDIDATES", np.array([[1e-3, 100.0], [1e-2, 100.0], [1e-2, 400.0]]))
    task = make_hierarchy(400, 300, n_features=16, n_classes=4, teachers_per_level=(1, 2), accuracy=(0.6, 0.8))
    model = make_method("csl-published-tuned", random_state=0).fit(task.X_train, task.labels)
    note = model.history_[0]["notes"][-1]
    steps, rate = note.removeprefix("chosen without a label: ").split(" steps at a learning rate of ")
    same = make_method("csl-published", learning_rate=float(rate), epochs=int(steps) * 100 // 400, random_state=0)
    same.fit(task.X_train, task.labels)
    np.testing.assert_array_equal(model.predict(task.X_test), same.predict(task.X_test))
    assert float(rate) == 1e-2  # a hundred steps of 1e-3 are far from done


def test_candidates_begin_with_the_shortest_path():
    paths = tuned_published.CANDIDATES.prod(axis=1)
    assert (np.diff(paths) >= 0).all()
    assert paths[0] == 0.05
    assert [1e-4, 8000] in tuned_published.CANDIDATES.tolist()


def test_the_joint_posterior_is_nearer_the_truth_than_the_generalist():
    task = make_hierarchy(400, 300, n_features=16, n_classes=4, teachers_per_level=(1, 2), accuracy=(0.6, 0.8))
    posterior = joint_posterior(task.X_train, task.labels, seed=0)
    np.testing.assert_allclose(posterior.sum(axis=1), 1, atol=1e-6)
    generalist = task.labels.hard()[:, 0]
    right = (posterior.argmax(axis=1) == task.truth.y_train).mean()
    assert right > (generalist == task.truth.y_train).mean() + 0.1


def test_the_joint_posterior_has_a_column_for_classes_that_nobody_names():
    task = make_hierarchy(200, 100, n_features=8, n_classes=4, teachers_per_level=(1, 2), accuracy=(0.6, 0.8))
    labels = TeacherLabels(task.labels.hard(), levels=task.labels.levels, n_classes=6)
    posterior = joint_posterior(task.X_train, labels, seed=0)
    assert posterior.shape == (200, 6)
    assert not posterior[:, 4:].any()
