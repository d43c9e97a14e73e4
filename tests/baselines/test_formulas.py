"""The core formula of every rival on a case whose answer is known by hand; aggregation: test_rivals_aggregation.py."""

import math

import numpy as np
import pytest
import torch

from cosup import TeacherLabels, make_method
from cosup.baselines import objectives
from cosup.baselines.consensus import floored
from cosup.baselines.ensembles import easy_samples, samme_weights
from cosup.baselines.noisy import neighbours_mean, reliability, small_loss
from cosup.students import thresholds


def logits(probabilities):
    """(B, 1, 1, C) logits of rows of probabilities."""
    return torch.log(torch.tensor(probabilities, dtype=torch.float64))[:, None, None, :]


def rows(values):
    return torch.tensor(values, dtype=torch.float64)


def loss(objective, probabilities, targets, progress=1.0):
    present = torch.ones(len(probabilities), 1, dtype=torch.float64)
    return objective.loss(logits(probabilities), rows(targets), present, progress)[:, 0].numpy()


# -- confidence losses -----------------------------------------------------------------------------------


def shares_at(log_p, offsets):
    return thresholds.hardened(log_p, offsets).mean(0).numpy()


def test_the_threshold_of_two_classes_is_the_quantile():
    # The weak labels name class 0 three times in five: the three samples most like class 0 get it, though the
    # student puts all of them below one half.
    log_p = torch.log(torch.tensor([[0.1, 0.9], [0.4, 0.6], [0.2, 0.8], [0.45, 0.55], [0.3, 0.7]]))[:, None]
    offsets = thresholds.matching_offsets(log_p, torch.tensor([0.6, 0.4]))
    assert thresholds.hardened(log_p, offsets)[:, 0, 0].tolist() == [0, 1, 0, 1, 1]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_threshold_reaches_both_ends(share):
    log_p = torch.log(torch.tensor([[0.1, 0.9], [0.6, 0.4]]))[:, None]
    offsets = thresholds.matching_offsets(log_p, torch.tensor([share, 1 - share]))
    np.testing.assert_allclose(shares_at(log_p, offsets)[0], [share, 1 - share])


@pytest.mark.parametrize("inverse_temperature", [1.0, 10.0])  # a confident student's scores lie far apart
@pytest.mark.parametrize("n_classes", [3, 10, 60])
def test_thresholds_give_every_class_its_share(n_classes, inverse_temperature):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(1000, 2, n_classes, generator=generator) + torch.linspace(0, 1, n_classes)
    log_p = torch.log_softmax(inverse_temperature * scores, dim=2)
    wanted = torch.softmax(torch.linspace(-1, 0, n_classes), dim=0)
    before = np.abs(shares_at(log_p, torch.zeros(2, n_classes)) - wanted.numpy()).max()
    after = np.abs(shares_at(log_p, thresholds.matching_offsets(log_p, wanted)) - wanted.numpy()).max()
    assert after < 0.012
    assert after < 0.2 * before


def test_the_confidence_loss_by_hand():
    objective = objectives.Confidence(np.array([0.5, 0.5]), variant="logconf", weight=0.75, warmup=0.2)
    p = [[0.9, 0.1], [0.6, 0.4]]
    objective.look(logits(p).float(), torch.zeros(2, 2))
    weak = [[0.0, 1.0], [1.0, 0.0]]
    # Class shares of one half: the first sample is hardened to 0, the second, though above one half, to 1.
    end = [-0.25 * math.log(0.1) - 0.75 * math.log(0.9), -0.25 * math.log(0.6) - 0.75 * math.log(0.4)]
    np.testing.assert_allclose(loss(objective, p, weak), end, rtol=1e-6)
    np.testing.assert_allclose(loss(objective, p, weak, progress=0.0), [-math.log(0.1), -math.log(0.6)], rtol=1e-6)
    assert objective.weight(0.1) == pytest.approx(0.375)
    assert objective.weight(0.2) == objective.weight(1.0) == 0.75


def test_the_product_loss_by_hand():
    objective = objectives.Confidence(np.ones(2) / 2, variant="product", weight=0.75, warmup=0.2)
    # The product of (0.2, 0.8) and (0.5, 0.5) is (0.2, 0.8) again; of (0.2, 0.8) and (0.8, 0.2) it is even.
    found = loss(objective, [[0.2, 0.8], [0.2, 0.8]], [[0.5, 0.5], [0.8, 0.2]])
    entropy = -0.2 * math.log(0.2) - 0.8 * math.log(0.8)
    np.testing.assert_allclose(found, [entropy, -0.5 * math.log(0.2) - 0.5 * math.log(0.8)])


def test_no_gradient_flows_through_the_product():
    objective = objectives.Confidence(np.ones(2) / 2, variant="product", weight=0.75, warmup=0.2)
    z = logits([[0.2, 0.8]]).requires_grad_()
    objective.loss(z, rows([[0.8, 0.2]]), torch.ones(1, 1), 1.0).sum().backward()
    np.testing.assert_allclose(z.grad.flatten(), [0.2 - 0.5, 0.8 - 0.5])  # softmax minus target


def test_the_adaptive_weight_by_hand():
    objective = objectives.AdaptiveConfidence(temperature=0.5)
    p, weak = [[0.8, 0.2], [0.8, 0.2]], [[1.0, 0.0], [0.0, 1.0]]
    # Agreement: one half. Otherwise exp(2 * -log 0.8) / (exp(2 * -log 0.8) + exp(2 * -log 0.2)) = 1 / 17.
    share = objective.share(logits(p)[:, :, 0], rows(weak))[:, 0]
    np.testing.assert_allclose(share, [0.5, 1 / 17])
    by_hand = [-math.log(0.8), -(16 / 17) * math.log(0.2) - (1 / 17) * math.log(0.8)]
    np.testing.assert_allclose(loss(objective, p, weak), by_hand)


# -- reverse divergences and mixtures --------------------------------------------------------------------


def test_reverse_divergences_of_two_by_two():
    p, q = [[0.5, 0.5], [0.9, 0.1]], [[0.25, 0.75], [0.9, 0.1]]
    kl = [0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75), 0.0]
    np.testing.assert_allclose(loss(objectives.ReverseKL(), p, q), kl, atol=1e-12)
    ce = [-0.5 * math.log(0.25) - 0.5 * math.log(0.75), -0.9 * math.log(0.9) - 0.1 * math.log(0.1)]
    np.testing.assert_allclose(loss(objectives.ReverseCrossEntropy(), p, q), ce)


def test_a_floor_mixes_with_the_uniform():
    np.testing.assert_allclose(floored(np.array([[1.0, 0.0], [0.0, 0.0]]), 0.1), [[0.95, 0.05], [0.5, 0.5]])


@pytest.mark.parametrize("reverse", [True, False])
def test_a_mixture_is_judged_as_one_distribution(reverse):
    objective = objectives.ConvexMixture(reverse=reverse)
    (scores,) = objective.begin(1, 2, torch.tensor([[0.5, 0.5]]))
    with torch.no_grad():
        scores.copy_(torch.log(torch.tensor([[3.0, 1.0]])))
    np.testing.assert_allclose(objective.mixture(2), [[0.75, 0.25]], rtol=1e-6)
    components = torch.log(torch.tensor([[[[0.8, 0.2], [0.4, 0.6]]]]))  # 3/4 and 1/4 of these are (0.7, 0.3)
    p, q = np.array([0.7, 0.3]), np.array([0.5, 0.5])
    by_hand = (p * np.log(p / q)).sum() if reverse else (q * np.log(q / p)).sum()
    found = objective.loss(components, torch.tensor([[0.5, 0.5]]), torch.ones(1, 1), 1.0)
    assert float(found.detach()) == pytest.approx(by_hand, rel=1e-5)


def test_a_mixture_predicts_the_mean_of_its_heads():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    model = make_method("convex-mixture", heads=5, random_state=0).fit(X, (X[:, 0] > 0).astype(int))
    assert len(model.head_.heads) == 5
    assert model.head_.weights.sum() == pytest.approx(1)
    by_hand = sum(w * h.predict_proba(X) for w, h in zip(model.head_.weights, model.head_.heads, strict=True))
    np.testing.assert_allclose(model.predict_proba(X), by_hand)


# -- ensembles -------------------------------------------------------------------------------------------


def test_simplex_weights_take_a_step_and_return_to_the_simplex():
    objective = objectives.SimplexWeights(0.1, warmup=0.1)
    said = rows([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]])  # two teachers; the last row says: easy
    z = logits([[0.8, 0.2]]).requires_grad_()
    found = objective.loss(z.float(), said.float(), torch.ones(1, 1), 0.5)
    assert float(found.detach()) == pytest.approx(-0.5 * math.log(0.8) - 0.5 * math.log(0.2), rel=1e-5)
    found.sum().backward()
    objective.after_step()
    # With votes normalised by the sum of weights, the gradient is half the difference of the teachers' losses.
    step = 0.1 * 0.5 * (math.log(0.8) - math.log(0.2)) / 1.0
    np.testing.assert_allclose(objective.learned(), [[0.5 + step, 0.5 - step]], rtol=1e-4)


def test_simplex_weights_wait_while_easy_samples_are_learned():
    objective = objectives.SimplexWeights(0.1, warmup=0.5)
    said = rows([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]]).float()
    z = logits([[0.8, 0.2], [0.8, 0.2]]).float().requires_grad_()
    found = objective.loss(z, said, torch.ones(2, 1), 0.1)
    assert float(found[1].detach()) == 0  # not easy
    found.sum().backward()
    objective.after_step()
    np.testing.assert_allclose(objective.learned(), [[0.5, 0.5]])
    # Later it counts, and the teacher that abstains on it is left out.
    later = objective.loss(z, said, torch.ones(2, 1), 0.9)[1]
    assert float(later.detach()) == pytest.approx(-math.log(0.8), rel=1e-5)


def test_easy_samples_are_unanimous_or_most_agreed():
    said = np.array([[0, 0, 0], [1, 1, -1], [0, 1, 1], [1, -1, -1]])
    mask, note = easy_samples(TeacherLabels(said), np.arange(3))
    assert mask.tolist() == [True, True, False, False]
    assert "2 unanimous" in note
    never = np.tile([[0, 1, 2], [0, 0, 1]], (20, 1))  # nobody is unanimous, odd ones agree more
    mask, note = easy_samples(TeacherLabels(never), np.arange(3))
    assert np.flatnonzero(mask).tolist() == [1, 3, 5, 7]
    assert "only 0 samples" in note


def test_evidence_by_hand():
    objective = objectives.Evidential(coefficient=1.0, warmup=0.5)
    z = torch.log(torch.tensor([[[[2.0, 0.0]]]]) + 1e-12)  # evidence (2, 0): alpha (3, 1)
    target = torch.tensor([[1.0, 0.0]])
    start = objective.loss(z, target, torch.ones(1, 1), 0.0)
    assert float(start) == pytest.approx(math.log(4) - math.log(3))
    # The evidence for the label is taken out before the divergence: Dirichlet(1, 1), which is uniform.
    assert float(objective.loss(z, target, torch.ones(1, 1), 1.0)) == pytest.approx(math.log(4 / 3), rel=1e-5)
    other = objective.loss(z, torch.tensor([[0.0, 1.0]]), torch.ones(1, 1), 1.0)
    # KL(Dirichlet(3, 1) | uniform) = log 3 + 2 (psi(3) - psi(4)) = log 3 - 2 / 3.
    assert float(other) == pytest.approx(math.log(4) + math.log(3) - 2 / 3, rel=1e-5)
    np.testing.assert_allclose(objectives.expected(z.numpy()).ravel(), [0.75, 0.25], rtol=1e-6)


def test_samme_weights_by_hand():
    reference = np.array([0, 1, 2, 0])
    one_wrong, all_right = np.array([0, 1, 2, 1]), reference
    alone = samme_weights(one_wrong[:, None], reference, 3)
    assert alone == pytest.approx([math.log(3) + math.log(2)])  # error 1/4, three classes
    # A second teacher, wrong on samples 0 and 1. After the first, sample 3 weighs 1/4 * 6, in all 9/4:
    # its error is (1/4 + 1/4) / (9/4) = 2/9.
    second = np.array([1, 2, 2, 0])
    both = samme_weights(np.stack([second, one_wrong], axis=1), reference, 3)
    assert both == pytest.approx([math.log(7 / 2) + math.log(2), math.log(3) + math.log(2)])
    # Worse than chance (error above 2/3): nothing. Silent or never compared: nothing.
    wrong = np.array([1, 2, 0, 0])
    assert samme_weights(np.stack([wrong, np.full(4, -1)], axis=1), reference, 3).tolist() == [0, 0]
    assert samme_weights(all_right[:, None], np.full(4, -1), 3).tolist() == [0]
    # Where it abstains, a teacher is not wrong.
    assert samme_weights(np.array([[0], [1], [-1], [1]]), reference, 3) == pytest.approx([math.log(2) + math.log(2)])


# -- noisy labels ----------------------------------------------------------------------------------------


def test_neighbours_by_hand():
    X = np.array([[1.0, 0.0], [1.0, 0.1], [0.9, 0.0], [-1.0, 0.0], [-1.0, -0.1], [-0.9, 0.0]])
    said = np.eye(2)[[0, 0, 1, 1, 1, 0]]
    said[5] = 0  # abstains: nobody's neighbour, but it gets its neighbours' word
    found = neighbours_mean(X, said, 2)
    np.testing.assert_allclose(found[3], [0, 1])
    np.testing.assert_allclose(found[5], [0, 1])
    np.testing.assert_allclose(neighbours_mean(X, said, 5), np.tile([0.4, 0.6], (6, 1)))


def test_smoothing_is_the_student_on_the_neighbours_word():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 50)
    X = rng.standard_normal((100, 4)) + 6 * np.eye(2, 4)[y]
    noisy = np.where(rng.random(100) < 0.3, 1 - y, y)
    model = make_method("knn-smooth").fit(X, TeacherLabels(noisy[:, None]))
    np.testing.assert_array_equal(model.provenance_["annotation"][:, 0], y)


def test_the_small_loss_quota():
    losses = np.array([3.0, 1.0, 2.0, 0.5, 9.0])
    candidates = np.array([True, True, True, False, True])
    assert np.flatnonzero(small_loss(losses, candidates, 0.5)).tolist() == [1, 2]
    assert np.flatnonzero(small_loss(losses, candidates, 0.51)).tolist() == [0, 1, 2]
    assert small_loss(losses, candidates, 1.0).tolist() == candidates.tolist()


def test_small_loss_keeps_the_share_that_it_is_told():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 50)
    X = rng.standard_normal((100, 4)) + 5 * np.eye(2, 4)[y]
    noisy = np.where(np.arange(100) % 5 == 0, 1 - y, y)
    model = make_method("small-loss", keep_rate=0.8).fit(X, TeacherLabels(noisy[:, None]))
    kept = model.history_[0]["kept"]
    assert kept.sum() == 80
    assert (noisy == y)[kept].all()
    assert set(model.provenance_["reason"][~kept, 0]) == {"large loss"}
    # Left to itself it keeps the share on which student and teacher agree, which is the same here.
    assert make_method("small-loss").fit(X, TeacherLabels(noisy[:, None])).history_[0]["keep_rate"] == 0.8


def test_confident_learning_finds_planted_errors():
    pytest.importorskip("cleanlab")
    rng = np.random.default_rng(0)
    y = np.repeat([0, 2], 60)  # nobody ever names class 1
    X = rng.standard_normal((120, 4)) + 6 * np.eye(3, 4)[y]
    noisy = np.where(np.arange(120) % 6 == 0, 2 - y, y)
    model = make_method("confident-learning").fit(X, TeacherLabels(noisy[:, None], n_classes=3))
    np.testing.assert_array_equal(model.history_[0]["kept"], noisy == y)


def test_co_teaching_nets_exchange_their_small_losses():
    objective = objectives.CoTeaching(noise=0.5, warmup=0.1)
    losses = torch.tensor([[[1.0, 4.0]], [[2.0, 3.0]], [[3.0, 2.0]], [[4.0, 1.0]]])
    present = torch.ones(4, 1)
    mask = objective.selected(losses, present, 1.0)
    assert mask[:, 0, 0].tolist() == [True, True, False, False]
    assert mask[:, 0, 1].tolist() == [False, False, True, True]
    assert objective.quota(0.0) == 1
    assert objective.quota(0.05) == pytest.approx(0.75)
    # A sample that is not present is not selected, and the quota is of those that are.
    present[0] = 0
    assert objective.selected(losses, present, 1.0)[:, 0, 0].tolist() == [False, True, True, False]
    # The loss: each net on what the other selected, a mean over the selected.
    z = torch.log(torch.tensor([[[[0.9, 0.1], [0.4, 0.6]]], [[[0.2, 0.8], [0.7, 0.3]]]]))
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    found = objective.loss(z, targets, torch.ones(2, 1), 1.0).mean()
    # The first net selects sample 0 (0.9), the second sample 1 (0.7): trained on are 0.4 and 0.2.
    assert float(found.detach()) == pytest.approx(-0.5 * math.log(0.4) - 0.5 * math.log(0.2), rel=1e-5)


def test_self_distillation_is_the_student_on_its_own_answers():
    from cosup.students import RidgeProbe

    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 5))
    noisy = np.where(rng.random(80) < 0.2, rng.integers(0, 2, 80), X[:, 0] > 0).astype(int)
    trainer = RidgeProbe(calibration="scores").prepare(X)
    first = trainer.train(np.eye(2)[noisy])
    second = trainer.train(np.eye(2)[first.out_of_sample.argmax(axis=1)])
    model = make_method("self-distillation", student=RidgeProbe(calibration="scores"), rounds=1)
    model.fit(X, TeacherLabels(noisy[:, None]))
    np.testing.assert_allclose(model.predict_proba(X), second.head.predict_proba(X))


def test_reliability_by_hand():
    said = np.array([[0, 0, -1], [0, 1, 2], [1, 0, 2], [-1, 0, 2]])
    labels = TeacherLabels(said, levels=[0, 1, 1], specialties=[None, [0, 1], [2]], n_classes=3)
    student = np.array([[0.6, 0.4, 0.0], [0.6, 0.4, 0.0], [0.6, 0.4, 0.0], [1.0, 0.0, 0.0]])
    # The second specialist covers class 2 only, so it is not asked about 0 and 1.
    np.testing.assert_allclose(reliability(labels, said[:, 0], student), [0.8, 0.3, 0.2, 0.0])


def test_weights_of_samples_reach_the_training():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 40)
    X = rng.standard_normal((80, 3)) + 2 * np.eye(2, 3)[y]
    generalist = np.where(np.arange(80) % 3 == 0, 1 - y, y)
    labels = TeacherLabels(np.stack([generalist, y, y, y], axis=1), levels=[0, 1, 1, 1])
    weighted = make_method("reliability-weighting", alpha=0.01, random_state=0).fit(X, labels)
    confidence = weighted.predict_proba(X)[np.arange(80), y].mean()
    alone = TeacherLabels(generalist[:, None])
    unweighted = make_method("reliability-weighting", alpha=0.01, random_state=0).fit(X, alone)
    assert confidence > unweighted.predict_proba(X)[np.arange(80), y].mean() + 0.05
