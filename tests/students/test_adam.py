"""The published recipe against the loop that anyone would write in torch."""

import numpy as np
import pytest
import torch

from blobs import blobs
from cosup import AdamProbe
from cosup.students import train_heads
from cosup.students.cross_fitting import folds_of


def plain_loop(X, T, *, epochs, batch_size, learning_rate, seed):
    """The recipe as anyone would write it in torch, with the probe's draws."""
    generator = torch.Generator().manual_seed(seed)
    n, d = X.shape
    layer = torch.nn.Linear(d, T.shape[1])
    bound = 1 / np.sqrt(d)
    with torch.no_grad():
        layer.weight.copy_(torch.empty(d, T.shape[1]).uniform_(-bound, bound, generator=generator).T)
        layer.bias.uniform_(-bound, bound, generator=generator)
    optimizer = torch.optim.Adam(layer.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * -(-n // batch_size))
    X, T = torch.tensor(X, dtype=torch.float32), torch.tensor(T, dtype=torch.float32)
    for _ in range(epochs):
        for rows in torch.randperm(n, generator=generator).split(batch_size):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(layer(X[rows]), T[rows]).backward()
            optimizer.step()
            schedule.step()
    return layer.weight.detach().numpy().T, layer.bias.detach().numpy()


@pytest.mark.parametrize("soft", [False, True])
def test_adam_probe_is_a_plain_torch_loop(soft):
    X, _, T = blobs(130, 6, 4)
    if soft:
        T = 0.6 * T + 0.1
    recipe = {"epochs": 6, "batch_size": 50, "learning_rate": 1e-2}
    head = AdamProbe(**recipe).prepare(X).train(T, random_state=3).head
    weight, bias = plain_loop(X, T, seed=3, **recipe)
    np.testing.assert_allclose(head.weight, weight, atol=1e-5)
    np.testing.assert_allclose(head.bias, bias, atol=1e-5)


def test_adam_probe_starts_as_torch_does():
    bound = 1 / np.sqrt(25)
    head = AdamProbe(learning_rate=1e-12, epochs=1).prepare(np.ones((50, 25))).train(np.eye(40)[np.zeros(50, int)]).head
    for values in (head.weight, head.bias):
        assert np.abs(values).max() <= bound * (1 + 1e-6)
        assert np.abs(values).max() > 0.9 * bound
        assert abs(values.mean()) < bound / 3


def test_adam_probe_takes_as_many_steps_however_few_samples_survive():
    X, _, T = blobs(130, 6, 4)
    train_mask = np.arange(130) % 3 > 0  # 86 of 130
    recipe = {"batch_size": 50, "learning_rate": 1e-2}
    head = AdamProbe(epochs=6, **recipe).prepare(X).train(T, train_mask=train_mask, random_state=1).head
    weight, _ = plain_loop(X[train_mask], T[train_mask], epochs=int(6 * 130 / train_mask.sum()), seed=1, **recipe)
    np.testing.assert_allclose(head.weight, weight, atol=1e-5)


def test_adam_probe_draws_from_its_seed_only():
    X, _, T = blobs(60, 4, 3)
    trainer = AdamProbe(epochs=2).prepare(X)
    torch.manual_seed(0)
    a = trainer.train(T, random_state=1).head.weight
    state = torch.random.get_rng_state()
    torch.manual_seed(5)
    b = trainer.train(T, random_state=1).head.weight
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, trainer.train(T, random_state=2).head.weight)
    torch.manual_seed(0)
    assert torch.equal(state, torch.random.get_rng_state())  # nor does it move the global stream


def test_adam_probe_cross_fits():
    X, _, T = blobs(60, 30, 3, noise=0.6)
    fit = AdamProbe(epochs=200, learning_rate=1e-2).prepare(X).train(T)
    named = T.argmax(axis=1)
    assert (fit.in_sample.argmax(axis=1) == named).mean() > (fit.out_of_sample.argmax(axis=1) == named).mean() + 0.2


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_a_fold_is_predicted_by_a_head_that_never_saw_it(kind):
    X, y, T = blobs(60, 5, 3, noise=0.6)
    probe = AdamProbe(epochs=4, batch_size=16, learning_rate=1e-2)
    trainer = probe.prepare(X)
    targets = y if kind == "hard" else T
    members = np.arange(50)
    mask = np.arange(60) < 50
    before = trainer.train(targets, train_mask=mask, random_state=3).out_of_sample
    for _, held in folds_of(members, probe.folds, 3):
        other = targets.copy()
        other[held] = np.roll(targets, 1, axis=-1)[held] if kind == "soft" else (y[held] + 1) % 3
        after = trainer.train(other, train_mask=mask, random_state=3).out_of_sample
        np.testing.assert_array_equal(after[held], before[held])
        rest = np.setdiff1d(members, held)
        assert (after[rest] != before[rest]).any(axis=1).all()


def test_a_folds_head_is_that_of_the_students_batches_without_the_fold():
    X, y, _ = blobs(60, 5, 3, noise=0.6)
    probe = AdamProbe(epochs=4, batch_size=16, learning_rate=1e-2)
    found = probe.prepare(X).train(y, random_state=3).out_of_sample
    for kept, held in folds_of(np.arange(60), probe.folds, 3):
        alone = train_heads(
            np.float32(X), y, n_classes=3, weights=np.isin(np.arange(60), kept), seeds=3, learning_rates=1e-2, epochs=4,
            batch_size=16,
        )[0]  # fmt: skip
        np.testing.assert_allclose(found[held], alone.predict_proba(X)[held], atol=1e-5)
