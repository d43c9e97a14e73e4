"""Many heads in one call against the loop that everybody writes: torch's own layer, loss, optimiser and schedule."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cosup import CosupError
from cosup.students import AdamProbe, LogisticProbe, RidgeProbe, ridge_path, train_heads
from cosup.students.adam import steps
from cosup.utils import matmul

N, D, C = 230, 16, 5


def reference(X, targets, *, members=None, weights=None, seed=0, order_seed=None, rate=1e-3, decay=0.0, epochs=3,
              batch_size=32):  # fmt: skip
    """One head: nn.Linear, autograd, optim.Adam, CosineAnnealingLR stepped after every batch."""
    members = np.arange(len(X)) if members is None else members
    weights = np.ones(len(X)) if weights is None else weights
    x = torch.from_numpy(np.asarray(X[members], dtype=np.float32))
    t = torch.from_numpy(np.asarray(targets[members], dtype=np.float32 if targets.ndim == 2 else np.int64))
    w = torch.from_numpy(weights[members].astype(np.float32))
    n, d = x.shape
    n_classes = t.shape[1] if t.ndim == 2 else C
    layer = torch.nn.Linear(d, n_classes)
    order_generator = torch.Generator()
    for s in dict.fromkeys([seed if order_seed is None else order_seed, seed]):
        generator = torch.Generator().manual_seed(s)
        start = torch.empty(d, n_classes).uniform_(-(d**-0.5), d**-0.5, generator=generator)
        offset = torch.empty(n_classes).uniform_(-(d**-0.5), d**-0.5, generator=generator)
        if s == (seed if order_seed is None else order_seed):
            order_generator = generator
    with torch.no_grad():
        layer.weight.copy_(start.T)
        layer.bias.copy_(offset)
    optimizer = torch.optim.Adam(layer.parameters(), lr=rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * -(-n // batch_size))
    loss = torch.nn.CrossEntropyLoss(reduction="none")
    for _ in range(epochs):
        order = torch.randperm(n, generator=order_generator)
        for rows in order.split(batch_size):
            optimizer.zero_grad()
            (loss(layer(x[rows]), t[rows]) * w[rows]).mean().backward()
            optimizer.step()
            schedule.step()
    return layer.weight.detach().numpy().T, layer.bias.detach().numpy()


def assert_equal_weights(heads, h, expected):
    for found, wanted in zip((heads.weight[h], heads.bias[h]), expected, strict=True):
        assert np.linalg.norm(found - wanted) <= 1e-4 * np.linalg.norm(wanted)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, D)).astype(np.float32)
    soft = rng.dirichlet(np.full(C, 0.3), size=(3, N)).astype(np.float32)
    return X, rng.integers(0, C, size=(3, N)), soft


@pytest.fixture(params=["AVX512", "AVX2"], autouse=True)
def products(request, monkeypatch):
    """Processors without AVX-512 take another way through the products."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: request.param)
    monkeypatch.setattr(matmul, "ONEDNN_FROM", 0)


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_every_head_has_the_weights_of_the_plain_loop(data, kind):
    X, ids, soft = data
    targets = ids if kind == "hard" else soft
    heads = train_heads(X, targets, seeds=[3, 3, 4], epochs=3, batch_size=32, learning_rates=1e-2)
    for h, seed in enumerate([3, 3, 4]):
        assert_equal_weights(heads, h, reference(X, targets[h], seed=seed, rate=1e-2))


@pytest.mark.parametrize("n_heads", [1, 3, 4])
def test_more_classes_and_heads_than_features_or_fewer(data, n_heads):
    X, ids, _ = data  # 3 heads of 5 classes are fewer than 16 features, 4 are more: weights are stored the other way
    targets = np.concatenate([ids, ids[:1]])[:n_heads]
    heads = train_heads(X, targets, epochs=3, batch_size=32, learning_rates=1e-2, weight_decays=0.01)
    for h in range(n_heads):
        assert_equal_weights(heads, h, reference(X, targets[h], rate=1e-2, decay=0.01))


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_heads_that_share_targets_differ_by_rate_and_decay(data, kind):
    X, ids, soft = data
    targets = ids[0] if kind == "hard" else soft[0]
    rates, decays = [1e-3, 1e-2, 5e-2, 5e-2], [0.0, 0.01, 0.0, 0.1]
    heads = train_heads(X, targets, learning_rates=rates, weight_decays=decays, epochs=3, batch_size=32, n_classes=C)
    assert len(heads) == 4
    for h in range(4):
        assert_equal_weights(heads, h, reference(X, targets, rate=rates[h], decay=decays[h]))


def test_one_decay_for_all_and_several_decays_at_one_rate(data):
    X, ids, _ = data
    for decays in ([0.1, 0.1, 0.1], [0.0, 0.1, 0.2]):
        heads = train_heads(X, ids, weight_decays=decays, epochs=2, batch_size=50, learning_rates=1e-2)
        for h, decay in enumerate(decays):
            assert_equal_weights(heads, h, reference(X, ids[h], decay=decay, rate=1e-2, epochs=2, batch_size=50))


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_subsets_weights_and_epochs_of_their_own(data, kind):
    X, ids, soft = data
    targets = ids if kind == "hard" else soft
    rng = np.random.default_rng(1)
    train_mask = rng.random((3, N)) < 0.6
    train_mask[1] = train_mask[0]
    weights = rng.random((3, N))
    heads = train_heads(
        X, targets, train_mask=train_mask, weights=weights, epochs=[3, 3, 5], batch_size=32, learning_rates=1e-2
    )
    for h, epochs in enumerate([3, 3, 5]):
        wanted = reference(
            X, targets[h], members=np.flatnonzero(train_mask[h]), weights=weights[h], epochs=epochs, rate=1e-2
        )
        assert_equal_weights(heads, h, wanted)


def test_a_shared_order_is_that_of_the_first_seed(data):
    X, ids, _ = data
    heads = train_heads(X, ids, seeds=[5, 6, 7], shared_order=True, epochs=3, batch_size=32)
    for h, seed in enumerate([5, 6, 7]):
        assert_equal_weights(heads, h, reference(X, ids[h], seed=seed, order_seed=5))


def test_samples_left_out_need_no_class(data):
    X, ids, _ = data
    partly = ids[0].copy()
    partly[::2] = -1
    heads = train_heads(X, partly, train_mask=partly >= 0, epochs=2, batch_size=32, n_classes=C)
    members = np.flatnonzero(partly >= 0)
    assert_equal_weights(heads, 0, reference(X, ids[0], members=members, epochs=2))


def test_features_from_disk_and_in_half_precision_are_read_as_they_are(data, tmp_path):
    X, ids, _ = data
    half = X.astype(np.float16)
    np.save(tmp_path / "X.npy", half)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    heads = train_heads(mapped, ids[0], epochs=2, batch_size=32)
    again = train_heads(half.astype(np.float32), ids[0], epochs=2, batch_size=32)
    np.testing.assert_array_equal(heads.weight, again.weight)


def test_chunks_do_not_change_what_is_trained(data, monkeypatch):
    X, ids, soft = data
    whole = [train_heads(X, t, epochs=2, batch_size=32) for t in (ids, soft)]
    monkeypatch.setattr(steps, "CHUNK", 3 * 32 * D)
    for t, expected in zip((ids, soft), whole, strict=True):
        np.testing.assert_array_equal(train_heads(X, t, epochs=2, batch_size=32).weight, expected.weight)


def test_threads_are_given_back(data):
    before = torch.get_num_threads()
    train_heads(data[0], data[1], epochs=1)
    assert torch.get_num_threads() == before


def test_adam_probe_is_one_head_of_it(data):
    X, _, soft = data
    fit = AdamProbe(learning_rate=1e-2, epochs=3, batch_size=32).prepare(X).train(soft[0], random_state=9)
    weight, bias = reference(X, soft[0], seed=9, rate=1e-2)
    np.testing.assert_allclose(fit.head.weight, weight, rtol=0, atol=1e-4 * np.abs(weight).max())
    np.testing.assert_allclose(fit.head.bias, bias, rtol=0, atol=1e-4 * np.abs(weight).max())


def test_adam_probe_takes_one_hot_rows_for_what_they_are(data):
    X, ids, _ = data
    train_mask = np.arange(N) % 3 > 0
    targets = np.eye(C)[ids[0]] * train_mask[:, None]
    fit = (
        AdamProbe(learning_rate=1e-2, epochs=2, batch_size=32)
        .prepare(X.astype(np.float64))
        .train(targets, train_mask=train_mask)
    )
    weight, _ = reference(
        X, ids[0], members=np.flatnonzero(train_mask), rate=1e-2, epochs=int(2 * N / train_mask.sum())
    )
    np.testing.assert_allclose(fit.head.weight, weight, rtol=0, atol=1e-4 * np.abs(weight).max())


def test_a_kept_half_gets_twice_the_epochs(data):
    X, _, soft = data
    train_mask = np.arange(N) % 2 == 0
    fit = AdamProbe(learning_rate=1e-2, epochs=3, batch_size=32).prepare(X).train(soft[0], train_mask=train_mask)
    weight, _ = reference(X, soft[0], members=np.flatnonzero(train_mask), rate=1e-2, epochs=6)
    np.testing.assert_allclose(fit.head.weight, weight, rtol=0, atol=1e-4 * np.abs(weight).max())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_mask": np.zeros(N, dtype=bool)}, "without a sample"),
        ({"train_mask": np.ones(N)}, "boolean"),
        ({"weights": np.full(N, -1.0)}, "weights"),
        ({"seeds": [0, 1]}, "how many heads"),
        ({"learning_rates": 0.0}, "learning_rates"),
        ({"epochs": 1.5}, "epochs must be integers"),
        ({"n_classes": 2}, "class ids from 0 to 1"),
        ({"targets": np.zeros(N + 1, dtype=int)}, "targets must have shape"),
        ({"targets": np.zeros((2, N, 3), dtype=np.float32)[:, 1:]}, "targets must be integers"),
        ({"device": "tpu"}, "device"),
        ({"batch_size": 0}, "batch_size"),
        ({"X": np.zeros((N, D), dtype=int)}, "X must be floating"),
        ({"seeds": []}, "no head"),
    ],
)
def test_what_does_not_fit_together_is_said(data, change, message):
    arguments = {"X": data[0], "targets": data[1], "epochs": 1} | change
    X, targets = arguments.pop("X"), arguments.pop("targets")
    if change.keys() == {"seeds"} and change["seeds"] == []:
        targets = targets[0]
    with pytest.raises(CosupError, match=message):
        train_heads(X, targets, **arguments)


class Graph:
    """Stands for a CUDA graph where there is no GPU: what is captured does not run until it is replayed."""

    def __init__(self):
        self.captured = []

    def replay(self):
        for step in self.captured:
            step()


@contextmanager
def capturing(graph):
    run = steps._Stepper.step

    def capture(stepper, batch, rate):
        graph.captured.append(lambda: run(stepper, batch, rate))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps._Stepper, "step", capture)
        yield


@pytest.mark.parametrize("kind", ["hard", "weighted", "soft"])
def test_a_captured_step_replayed_trains_the_same(data, kind, monkeypatch):
    X, ids, soft = data
    stream = SimpleNamespace(wait_stream=lambda other: None)
    for name, fake in {
        "Stream": lambda: stream, "current_stream": lambda: stream, "stream": nullcontext,
        "CUDAGraph": Graph, "graph": capturing,
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, fake)
    # So that an epoch takes several fillings, and leaves a rest.
    monkeypatch.setattr(steps, "REPLAYED", 3)
    monkeypatch.setattr(steps, "LOOK_UP", 1)
    weights = np.random.default_rng(3).random(N) if kind == "weighted" else np.ones(N)
    target = soft[0] if kind == "soft" else ids[0]
    generator = torch.Generator().manual_seed(0)
    start = torch.empty(D, C).uniform_(-(D**-0.5), D**-0.5, generator=generator)
    offset = torch.empty(C).uniform_(-(D**-0.5), D**-0.5, generator=generator)
    batches = steps.Batches(
        X,
        None if kind == "soft" else torch.from_numpy(target)[:, None],
        torch.from_numpy(target)[:, None] if kind == "soft" else None,
        torch.from_numpy(weights).float()[:, None] if kind == "weighted" else None,
        np.arange(N),
    )
    recipe = steps.Recipe(np.array([1e-3]), np.array([0.0]), 3, 32)
    # Not "cpu": every device with another name is trained on by replaying.
    found = steps.run_adam(batches, start, offset, 1, recipe, generator, "cpu:0")
    for mine, wanted in zip(found, reference(X, target, weights=weights), strict=True):
        assert np.linalg.norm(mine.numpy() - wanted) <= 1e-4 * np.linalg.norm(wanted)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_the_graph_on_a_gpu_trains_the_same(data):
    X, ids, _ = data
    found = train_heads(X, ids, epochs=3, batch_size=32, device="cuda")
    for h in range(3):
        assert_equal_weights(found, h, reference(X, ids[h]))


def test_a_ridge_path_is_what_ridges_one_by_one_give(data):
    X, ids, soft = data
    targets = np.concatenate([np.eye(C)[ids], soft])
    alphas = np.array([1e-3, 1e-1, 10.0])
    path = ridge_path(X, targets, alphas)
    for t, target in enumerate(targets):
        for s, alpha in enumerate(alphas):
            scores = path.scores(t, alpha)
            error = ((scores - target) ** 2).sum(axis=1).mean()
            assert path.errors[t, s] == pytest.approx(error, rel=1e-4)
            # By hand, for a few samples: leave it out, solve, predict.
            rest = np.arange(N) != 7
            mean, centre = X.mean(axis=0), target.mean(axis=0)
            penalty = alpha * ((X - mean) ** 2).sum() / D
            Z = (X - mean)[rest].astype(np.float64)
            W = np.linalg.solve(Z.T @ Z + penalty * np.eye(D), Z.T @ (target[rest] - centre))
            np.testing.assert_allclose((X[7] - mean) @ W + centre, scores[7], atol=2e-2)
        assert path.best[t] == alphas[path.errors[t].argmin()]


def test_a_ridge_path_with_fewer_samples_than_features(data):
    X, ids, _ = data
    few = ridge_path(X[:10], np.eye(C)[ids[:, :10]], [0.1, 1.0])
    scores = RidgeProbe(alpha=1.0).prepare(X[:10])
    assert few.errors.shape == (3, 2)
    assert np.isfinite(scores.train(np.eye(C)[ids[0, :10]]).out_of_sample).all()


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("alpha", [1e-3, 1.0])
def test_the_logistic_probe_ends_where_the_gradient_is_small(data, kind, alpha):
    X, ids, soft = data
    target = np.eye(C)[ids[0]] if kind == "hard" else soft[0].astype(np.float64)
    fit = LogisticProbe(alpha=alpha).prepare(X).train(target)
    unit = (X - X.mean(axis=0)).std()
    Z = (X - X.mean(axis=0)) / unit
    weight = fit.head.weight * unit
    residual = (fit.head.predict_proba(X) - target) / N
    gradient = Z.T @ residual + alpha * weight
    assert np.abs(gradient).max() < 1.2e-4
    assert np.abs(residual.sum(axis=0)).max() < 1.2e-4
    assert fit.gradient_norm <= 1e-4
