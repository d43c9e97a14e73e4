"""Liger: annotations carried to neighbours, and accuracies from triplets, on cases known by hand."""

import numpy as np

from cosup import TeacherLabels, make_method
from cosup.baselines.neighbourhoods import extended, nearest, triplet_accuracies, weighted_vote


def test_the_nearest_other_sample_is_found():
    Z = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]], dtype=np.float32)
    cosines, place = nearest(Z, np.array([0, 2]))
    np.testing.assert_allclose(cosines, [0.0, 0.8, 0.0], atol=1e-6)
    np.testing.assert_array_equal(place, [2, 0, 0])


def test_an_annotation_reaches_neighbours_only():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 40)
    X = np.array([[5.0, 0.0], [0.0, 5.0]])[y] + 0.1 * rng.standard_normal((80, 2))
    said = np.stack([np.where(np.arange(80) % 4 == 0, y, -1), y, y], axis=1)
    found, note = extended(X, said, 2)
    np.testing.assert_array_equal(found[:, 0], y)
    assert "60 annotations" in note
    # Where neighbours do not agree with the other teachers, nothing is carried.
    noise = rng.standard_normal((80, 30))
    kept, note = extended(noise, said, 2)
    np.testing.assert_array_equal(kept, said)
    assert note.startswith("no annotation")


def test_triplets_find_planted_accuracies():
    rng = np.random.default_rng(0)
    y = rng.choice([-1, 1], 20000)
    planted = np.array([0.8, 0.6, 0.4, 0.2])
    signs = np.where(rng.random((20000, 4)) < (1 + planted) / 2, y[:, None], -y[:, None]).astype(float)
    signs[rng.random(signs.shape) < 0.3] = 0
    np.testing.assert_allclose(triplet_accuracies(signs), planted, atol=0.05)
    assert np.isnan(triplet_accuracies(signs[:, :2])).all()


def test_a_vote_weighs_teachers_by_their_log_odds():
    accuracies = np.array([[0.8, 0.2], [0.6, 0.0]])
    found = weighted_vote(np.array([[0, 1], [-1, -1]]), accuracies, 2)
    scores = np.exp([np.log(9) - np.log(1.5), -np.log(4)])
    np.testing.assert_allclose(found, [scores / scores.sum(), [0, 0]])


def test_liger_helps_where_teachers_abstain():
    rng = np.random.default_rng(1)
    y = np.arange(300) % 3
    X = 4 * np.eye(3, 6)[y] + rng.standard_normal((300, 6))
    said = np.where(rng.random((300, 5)) < 0.75, y[:, None], rng.integers(3, size=(300, 5)))
    said[rng.random(said.shape) < 0.5] = -1
    model = make_method("liger", random_state=0).fit(X, TeacherLabels(said))
    assert model.score(X, y) > 0.95
    assert "carried" in model.history_[0]["notes"][0]
