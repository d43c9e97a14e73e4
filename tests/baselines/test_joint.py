"""Models of student and teachers together: their formulas on cases known by hand."""

import importlib.util

import numpy as np
import pytest
import torch

from cosup import CosupError, TeacherLabels, make_method
from cosup.baselines import objectives
from cosup.baselines.gaussian_process import fable_posterior, logistic_softmax_step, nystrom_features
from cosup.baselines.joint import answered, confusions, posterior


def test_confusions_by_hand():
    annotated = np.array([[0, 1], [0, -1], [1, 1]])
    q = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    # The first teacher names 0 with weights 1.5 and 0.5, and 1 with weights 0 and 1; the second speaks twice.
    found = confusions(annotated, q, 0.5)
    np.testing.assert_allclose(found[0], [[2.0 / 2.5, 0.5 / 2.5], [1.0 / 2.5, 1.5 / 2.5]])
    np.testing.assert_allclose(found[1], [[0.5 / 2.0, 1.5 / 2.0], [0.5 / 2.0, 1.5 / 2.0]])


def test_the_joint_posterior_is_bayes_rule():
    matrices = np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.7, 0.3], [0.4, 0.6]]])
    prior = np.array([[0.5, 0.5], [0.1, 0.9], [0.3, 0.7]])
    found = posterior(np.array([[0, 1], [0, -1], [-1, -1]]), matrices, prior)
    by_hand = np.array([[0.5 * 0.9 * 0.3, 0.5 * 0.2 * 0.6], [0.1 * 0.9, 0.9 * 0.2], [0.3, 0.7]])
    np.testing.assert_allclose(found, by_hand / by_hand.sum(axis=1, keepdims=True))


def test_an_abstention_is_an_answer_where_teachers_only_ever_name_one_class():
    rules = np.array([[0, -1], [-1, 1], [0, 1]])
    found, n_answers = answered(rules, 2, "auto")
    assert n_answers == 3
    np.testing.assert_array_equal(found, [[0, 2], [2, 1], [0, 1]])
    crowd = np.array([[0, -1], [1, 1], [-1, 0]])
    np.testing.assert_array_equal(answered(crowd, 2, "auto")[0], crowd)
    np.testing.assert_array_equal(answered(rules, 2, "missing")[0], rules)


@pytest.fixture(scope="module")
def crowd():
    """Two classes; one good teacher, one that flips, each on a random half; a silent row."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 100)
    X = rng.standard_normal((200, 5)) + 2 * np.eye(2, 5)[y]
    said = np.stack([np.where(rng.random(200) < share, y, 1 - y) for share in (0.9, 0.85, 0.2, 0.8)], axis=1)
    said[rng.random(said.shape) < 0.3] = -1
    said[0] = -1
    return X, said, y


def test_raykar_reads_a_teacher_that_flips(crowd):
    X, said, y = crowd
    model = make_method("raykar", random_state=0).fit(X, TeacherLabels(said))
    assert model.score(X, y) > make_method("majority").fit(X, TeacherLabels(said)).score(X, y) - 0.01
    assert model.score(X, y) > 0.93
    assert not model.history_[0]["kept"][0]
    assert model.provenance_["reason"][0, 0] == "abstained"


def test_the_crowd_layer_by_hand():
    objective = objectives.CrowdLayer()
    targets = torch.zeros(2, 2, 2)
    targets[0, 0, 1] = targets[0, 1, 0] = targets[1, 0, 0] = 1.0  # the second teacher is silent on the second sample
    (matrices,) = objective.begin(1, 1, targets)
    assert matrices.shape == (1, 2, 2, 2)
    with torch.no_grad():
        matrices[0, 1] = torch.tensor([[0.0, 2.0], [1.0, 0.0]])
    p = torch.tensor([[0.75, 0.25], [0.5, 0.5]])
    found = objective.loss(torch.log(p)[:, None, None], targets, torch.ones(2, 1), 1.0)[:, 0]
    # softmax of p itself for the first teacher, of (0.25, 1.5) for the second.
    first = -torch.log_softmax(torch.tensor([0.75, 0.25]), 0)[1]
    second = -torch.log_softmax(torch.tensor([0.25, 1.5]), 0)[0]
    torch.testing.assert_close(found, torch.stack([(first + second) / 2, torch.tensor(np.log(2.0)).float()]))


def test_losses_over_labels_by_hand():
    targets = torch.zeros(2, 3, 2)
    targets[0, 0, 1] = targets[0, 1, 0] = targets[1, 2, 0] = 1.0
    p = torch.tensor([[0.75, 0.25], [0.4, 0.6]])
    found = objectives.LossesOverLabels().loss(torch.log(p)[:, None, None], targets, torch.ones(2, 1), 1.0)[:, 0]
    np.testing.assert_allclose(found, [-(np.log(0.25) + np.log(0.75)) / 2, -np.log(0.4)], rtol=1e-6)


def test_crowdlab_is_cleanlabs_consensus(crowd):
    pytest.importorskip("cleanlab")
    from cleanlab.multiannotator import get_label_quality_multiannotator

    X, said, _ = crowd
    model = make_method("crowdlab", random_state=0).fit(X, TeacherLabels(said))
    from cosup.students import RidgeProbe

    votes = TeacherLabels(said).vote(np.arange(4))
    hard = np.eye(2)[votes.argmax(axis=1)]
    fit = RidgeProbe().prepare(X).train(hard, train_mask=votes.sum(axis=1) > 0)
    theirs = get_label_quality_multiannotator(
        np.where(said[1:] >= 0, said[1:], np.nan), fit.out_of_sample[1:], verbose=False
    )["label_quality"]["consensus_label"].to_numpy()
    np.testing.assert_array_equal(model.provenance_["annotation"][1:, 0], theirs)


# -- FABLE -----------------------------------------------------------------------------------------------


def test_low_rank_features_reproduce_the_kernel():
    X = np.random.default_rng(0).standard_normal((40, 3))
    features = nystrom_features(X, 40, seed=0)
    squares = ((X[:, None] - X) ** 2).sum(axis=2)
    width = np.median(squares[~np.eye(40, dtype=bool)])
    np.testing.assert_allclose(features @ features.T, np.exp(-squares / width), atol=1e-6)


def test_one_update_of_the_processes_is_that_of_the_full_kernel():
    rng = np.random.default_rng(0)
    features = nystrom_features(rng.standard_normal((12, 2)), 12, seed=0)
    kernel = features @ features.T
    counts, mean = rng.dirichlet(np.ones(3), 12), rng.standard_normal((12, 3))
    variance, shape = np.full((12, 3), 0.5), np.full(12, 2.0)
    found, spread, sizes = logistic_softmax_step(features, counts, mean, variance, shape)
    # Galy-Fajou et al. 2020: tilts, Poisson means, then a Gaussian of that precision; digamma(2) = 0.42278...
    tilt = np.sqrt(mean**2 + variance)
    wrong = np.exp(0.4227843350984671) / 3 * np.exp(-mean / 2) / (2 * np.cosh(tilt / 2))
    np.testing.assert_allclose(sizes, 1 + wrong.sum(axis=1))
    for r in range(3):
        omega = (counts + wrong)[:, r] / (2 * tilt[:, r]) * np.tanh(tilt[:, r] / 2)
        covariance = kernel - kernel @ np.linalg.solve(kernel + np.diag(1 / omega), kernel)
        np.testing.assert_allclose(spread[:, r], np.diag(covariance), atol=1e-6)
        np.testing.assert_allclose(found[:, r], covariance @ (counts - wrong)[:, r] / 2, atol=1e-6)


def test_the_processes_carry_a_class_to_neighbours_that_nobody_speaks_about():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 60)
    X = rng.standard_normal((120, 2)) + 4 * y[:, None]
    said = np.where(rng.random((120, 3)) < 0.8, y[:, None], 1 - y[:, None])
    said[::3] = -1
    found = fable_posterior(X, said, 2, n_subtypes=2, n_iter=20, landmarks=30, seed=0)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found.argmax(axis=1) == y)[::3].mean() > 0.9


# -- Snorkel ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(importlib.util.find_spec("snorkel") is None, reason="snorkel is not installed")
def test_snorkel_is_its_own_label_model(crowd):
    from snorkel.labeling.model import LabelModel

    X, said, y = crowd
    model = make_method("snorkel", n_epochs=100, random_state=0).fit(X, TeacherLabels(said))
    theirs = LabelModel(cardinality=2, verbose=False)
    theirs.fit(said, n_epochs=100, seed=0, progress_bar=False)
    agree = theirs.predict_proba(said).argmax(axis=1)[1:] == model.provenance_["annotation"][1:, 0]
    assert agree.mean() > 0.95
    assert model.score(X, y) > 0.9


def test_snorkel_without_its_package_names_the_extra(crowd):
    if importlib.util.find_spec("snorkel") is not None:
        pytest.skip("snorkel is installed")
    X, said, _ = crowd
    with pytest.raises(CosupError, match=r"pip install 'cosup\[snorkel\]'"):
        make_method("snorkel").fit(X, TeacherLabels(said))
