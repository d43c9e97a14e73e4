"""Nets as students: what the trainer's steps, its losses and its heads are, and what all students promise."""

import numpy as np
import pytest
import torch

from blobs import blobs
from cosup import CosupError, make_method
from cosup.students import GradientProbe, LinearHead, MixtureProbe, MlpProbe, as_student
from cosup.students.mlp.probe import GRID, MixtureHead, MlpHead
from cosup.students.mlp.training import Shape, _Loss, _Nets
from cosup.tasks import make_hierarchy
from fits import few_steps

PROBES = {
    "gradient": GradientProbe(alpha=0.1, epochs=2),
    "mixture": MixtureProbe(alpha=0.1, epochs=2, heads=3),
    "convex": MixtureProbe(alpha=0.1, epochs=2, heads=2, gated=False),
    "mlp": MlpProbe(alpha=0.1, epochs=2, hidden=5),
}
"""Trained for so short that what they learn does not matter: see `short`."""
every_probe = pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES.keys())


@pytest.fixture
def short():
    """Trainings in a fraction of their steps."""
    with few_steps():
        yield


def xor(n=200, seed=0):
    """Two classes that no linear layer tells apart."""
    X = np.random.default_rng(seed).uniform(-1, 1, size=(n, 2))
    return X, (X[:, 0] * X[:, 1] > 0).astype(int)


def accuracy(probe, X, y):
    return (probe.prepare(X).train(y).out_of_sample.argmax(axis=1) == y).mean()


@pytest.mark.parametrize(("name", "made"), [("gradient", GradientProbe), ("mixture", MixtureProbe), ("mlp", MlpProbe)])
def test_nets_by_name(name, made):
    assert as_student(name) == made()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MlpProbe(hidden=0), "hidden of MlpProbe"),
        (lambda: MlpProbe(loss="hinge"), "unknown loss"),
        (lambda: MixtureProbe(heads=1), "heads of MixtureProbe must be at least 2"),
        (lambda: GradientProbe(folds=1), "folds of GradientProbe must be at least 2"),
        (lambda: GradientProbe(alpha=0), "alpha of GradientProbe"),
        (lambda: MlpProbe(epochs=1.5), "epochs of MlpProbe"),
    ],
)
def test_impossible_nets_are_refused_when_made(make, message):
    with pytest.raises(CosupError, match=message):
        make()


# -- what they can and cannot learn ----------------------------------------------------------------------------


def test_hidden_units_and_gates_learn_what_a_linear_layer_cannot():
    X, y = xor()
    recipe = {"alpha": 1e-4, "epochs": 150, "learning_rate": 0.1, "folds": 2}
    assert accuracy(GradientProbe(**recipe), X, y) < 0.65
    assert accuracy(MixtureProbe(**recipe, gated=True), X, y) > 0.9
    assert accuracy(MlpProbe(**recipe), X, y) > 0.9


@pytest.mark.parametrize("loss", ["cross-entropy", "squared", "confidence", "reverse-kl"])
def test_every_loss_learns_blobs(loss):
    X, y, T = blobs(200, 5, 3)
    p = GradientProbe(loss=loss).prepare(X).train(T).out_of_sample
    assert (p.argmax(axis=1) == y).mean() > 0.7  # chance is 1/3, 0.8 the best


def test_the_linear_layer_ends_where_the_gradient_is_nothing():
    X, _, T = blobs(200, 5, 3)
    alpha = 0.1
    head = GradientProbe(alpha=alpha, epochs=200).prepare(X).train(T).head
    assert isinstance(head, LinearHead)
    Z = X - X.mean(axis=0)
    residual = (head.predict_proba(X) - T) / len(X)
    of_weight = Z.T @ residual + alpha * np.mean(Z**2) * head.weight
    assert np.abs(of_weight).max() < 3e-3
    assert np.abs(head.weight).max() > 0.05


def test_a_strong_penalty_shrinks_every_layer():
    X, _, T = blobs(200, 5, 3)
    for probe in (MlpProbe, MixtureProbe):
        uniform = probe(alpha=30.0, epochs=50).prepare(X).train(T).in_sample
        np.testing.assert_allclose(uniform, 1 / 3, atol=0.05)


# -- heads -----------------------------------------------------------------------------------------------------


def test_heads_by_hand():
    X = np.array([[2.0], [-2.0]])
    flat = LinearHead(np.zeros((1, 2)), np.zeros(2))
    # The only unit fires on the first sample: a logit of log 3.
    mlp = MlpHead(LinearHead(np.array([[1.0]]), np.zeros(1)), LinearHead(np.array([[np.log(3) / 2, 0.0]]), np.zeros(2)))
    np.testing.assert_allclose(mlp.predict_proba(X), [[0.75, 0.25], [0.5, 0.5]])
    sure = LinearHead(np.zeros((1, 2)), np.array([np.log(3), 0.0]))
    gate = LinearHead(np.array([[np.log(4) / 2, 0.0]]), np.zeros(2))  # 4 to 1 for the first head, then 1 to 4
    mixed = MixtureHead((sure, flat), gate).predict_proba(X)
    np.testing.assert_allclose(mixed[:, 0], [0.8 * 0.75 + 0.2 * 0.5, 0.2 * 0.75 + 0.8 * 0.5])


@pytest.mark.parametrize(
    "shape", [Shape(), Shape(hidden=4), Shape(heads=3), Shape(heads=3, gated=True)], ids=lambda s: repr(s)
)
def test_heads_predict_what_was_trained(shape):
    """The log probabilities that the loss sees are those of the head that comes out."""
    nets = _Nets(shape, 2, 3, 4, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in nets.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(parameter.numel()))
    Z = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    expected = nets.log_p(torch.from_numpy(Z)).exp().detach().numpy()
    np.testing.assert_allclose(expected.sum(axis=2), 1, atol=1e-5)
    trainer = GradientProbe().prepare(np.array([[-1.0] * 3, [1.0] * 3]))  # mean 0, scale 1
    for h in range(2):
        np.testing.assert_allclose(trainer._head(nets.net(h)).predict_proba(Z), expected[:, h], atol=1e-5)


def test_losses_by_hand():
    log_p = torch.log(torch.tensor([[[0.8, 0.2]], [[0.4, 0.6]]]))
    q = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    found = {}
    for kind in ("cross-entropy", "squared", "reverse-kl", "confidence"):
        loss = _Loss(kind, torch.tensor([0.5, 0.5]))
        loss.look(log_p)
        found[kind] = loss(log_p, q, 1.0).squeeze(1).tolist()
    assert found["cross-entropy"] == pytest.approx([-np.log(0.8), -np.log(0.4)])
    assert found["squared"] == pytest.approx([0.08, 0.72])
    kl = 0.8 * np.log(0.8 / 0.995) + 0.2 * np.log(0.2 / 0.005)
    assert found["reverse-kl"][0] == pytest.approx(kl, rel=1e-4)
    # At the end the student's own word counts three quarters; the second sample is hardened to class 1.
    assert found["confidence"] == pytest.approx([-np.log(0.8), -0.25 * np.log(0.4) - 0.75 * np.log(0.6)])


# -- what all students promise ---------------------------------------------------------------------------------


def test_the_regularisation_is_the_strongest_within_95_percent_of_the_best_agreement():
    X, _, T = blobs(200, 10, 5, distance=1.5, seed=4)
    named = T.argmax(axis=1)
    fit = GradientProbe().prepare(X).train(T, random_state=4)
    held = np.random.default_rng(4).permutation(200)[:40]
    seen = np.setdiff1d(np.arange(200), held)
    agreement = []
    for alpha in GRID:
        (head,) = fit._trainer.run_side_by_side(fit._targets, seen, np.full(160, -1), np.array([alpha]), 4)
        agreement.append((head.predict_proba(X[held]).argmax(axis=1) == named[held]).mean())
    assert fit.alpha == GRID[np.flatnonzero(np.array(agreement) >= 0.95 * max(agreement))[0]]
    assert fit.alpha != GRID[np.argmax(agreement)]
    assert GradientProbe().prepare(X).train(T, alpha=0.5).alpha == 0.5


@every_probe
def test_samples_are_predicted_by_nets_that_did_not_see_them(short, probe):
    """Changing one sample's target changes its prediction by the final net, not its out-of-sample prediction."""
    X, _, T = blobs(60, 4, 3)
    changed = T.copy()
    changed[7] = np.roll(T[7], 1)
    a, b = (probe.prepare(X).train(targets, random_state=2) for targets in (T, changed))
    np.testing.assert_array_equal(a.out_of_sample[7], b.out_of_sample[7])
    assert not np.array_equal(a.in_sample[7], b.in_sample[7])


@every_probe
def test_targets_of_samples_left_out_are_not_looked_at(short, probe):
    X, _, T = blobs(90, 6, 4)
    train_mask = np.arange(90) % 3 > 0
    changed = T.copy()
    changed[~train_mask] = np.nan
    ids = np.where(train_mask, T.argmax(axis=1), -1)
    fits = [probe.prepare(X).train(T, train_mask=train_mask), probe.prepare(X).train(changed, train_mask=train_mask)]
    fits.append(probe.prepare(X).train(ids, n_classes=4))
    for fit in fits[1:]:
        np.testing.assert_array_equal(fits[0].in_sample, fit.in_sample)
        np.testing.assert_array_equal(fits[0].out_of_sample, fit.out_of_sample)


@every_probe
def test_blocks_files_and_halves(short, probe, tmp_path):
    X, y, _ = blobs(90, 6, 4)
    half = X.astype(np.float16)
    np.save(tmp_path / "X.npy", half)
    a = probe.prepare(half.astype(np.float32)).train(y, n_classes=5)
    b = probe.prepare(np.load(tmp_path / "X.npy", mmap_mode="r")).train(y, n_classes=5)
    assert a.in_sample.shape == (90, 5)
    for out_of_sample, whole in ((False, a.in_sample), (True, a.out_of_sample)):
        np.testing.assert_allclose(whole.sum(axis=1), 1, atol=1e-5)
        end = 0
        for rows, block in b.blocks(out_of_sample, rows_per_block=25):
            assert rows.start == end
            end = rows.stop
            np.testing.assert_allclose(block, whole[rows], atol=1e-3)
        assert end == 90


@every_probe
def test_a_net_draws_from_its_seed_only(short, probe):
    X, _, T = blobs(60, 4, 3)
    state = torch.random.get_rng_state()
    a, b, c = (probe.prepare(X).train(T, random_state=seed).out_of_sample for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)
    assert torch.equal(state, torch.random.get_rng_state())


def test_too_few_samples_for_the_folds():
    X, _, T = blobs(20, 3, 2)
    with pytest.raises(CosupError, match="5-fold cross-fitting needs at least 5 samples, got 4"):
        _ = MlpProbe().prepare(X).train(T, train_mask=np.arange(20) < 4).out_of_sample


def test_co_supervision_takes_a_net():
    task = make_hierarchy(600, 300, n_features=12, n_classes=4, random_state=0)
    model = make_method("csl", student="mlp", reject=(), random_state=0).fit(task.X_train, task.labels)
    assert model.score(task.X_test, task.truth.y_test) > (task.weak_test == task.truth.y_test).mean() + 0.2
