"""Weak teachers trained on features: what they know, the published recipe, resumption after a kill."""

import random
import signal
import time

import numpy as np
import pytest

from blobs import corners
from cosup.tasks import HeadRecipe
from cosup.tasks.weak_heads import TaughtSamples, class_range_specialists, group_specialists, train_heads_of
from cosup.utils.validation import CosupError
from forked import forked


@pytest.mark.parametrize("recipe", [HeadRecipe("logistic"), HeadRecipe("adam", 300, 0.05, outputs="range")])
def test_teachers_know_their_range_and_nothing_else(tmp_path, recipe):
    X, y = corners()
    specialists = class_range_specialists(y, 6, [1, 2, 3])
    heads = train_heads_of(specialists, TaughtSamples(lambda rows: X[rows], y, 6), recipe, tmp_path)
    for specialist, head in zip(specialists, heads, strict=True):
        said = head.probabilities(X, 6).argmax(axis=1)
        inside = np.isin(y, specialist.classes or range(6))
        assert (said[inside] == y[inside]).mean() > 0.85
        assert np.isin(said, specialist.classes or range(6)).all()
        np.testing.assert_allclose(head.probabilities(X, 6).sum(axis=1), 1, atol=1e-5)


def test_the_published_recipe_is_what_torch_does(tmp_path):
    import torch

    X, y = corners()
    recipe = HeadRecipe("adam", iterations=7, learning_rate=0.01, batch_size=16)
    taught = TaughtSamples(lambda rows: X[rows], y, 6)
    head = train_heads_of(group_specialists(y * 0, ["all"]), taught, recipe, tmp_path, seed=3)[0]
    generator = torch.Generator().manual_seed(3)
    weight = torch.empty(6, 6).normal_(0, 0.01, generator=generator).requires_grad_()
    bias = torch.zeros(6, requires_grad=True)
    optimiser = torch.optim.Adam([weight, bias], lr=0.01)
    for step in range(7):
        optimiser.param_groups[0]["lr"] = 0.01 * (1 + np.cos(np.pi * step / 100_100)) / 2
        rows = torch.randint(240, (16,), generator=generator)
        scores = torch.from_numpy(X)[rows] @ weight.T + bias
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(scores, torch.from_numpy(y)[rows]).backward()
        optimiser.step()
    np.testing.assert_allclose(head.weight, weight.detach().numpy().T, atol=1e-5)
    np.testing.assert_allclose(head.bias, bias.detach().numpy(), atol=1e-5)


def test_a_range_of_one_class_is_named_always(tmp_path):
    X, y = corners()
    specialists = class_range_specialists(y, 6, [1, 6])
    heads = train_heads_of(specialists, TaughtSamples(lambda rows: X[rows], y, 6), HeadRecipe("logistic"), tmp_path)
    assert (heads[3].probabilities(X, 6)[:, 2] == 1).all()


def test_teachers_of_another_set_are_never_taken(tmp_path):
    X, y = corners()
    specialists = class_range_specialists(y, 6, [1, 2])
    train_heads_of(specialists, TaughtSamples(lambda rows: X[rows], y, 6), HeadRecipe("adam", 5), tmp_path)
    with pytest.raises(CosupError, match="holds other teachers"):
        train_heads_of(specialists, TaughtSamples(lambda rows: X[rows], y, 6), HeadRecipe("adam", 6), tmp_path)


def slow_teachers(folder, seconds=0.0):
    X, y = corners()

    def take(rows):
        time.sleep(seconds)
        return X[rows]

    specialists = class_range_specialists(y, 6, [1, 2, 3])
    return train_heads_of(specialists, TaughtSamples(take, y, 6), HeadRecipe("adam", 10), folder, progress=False)


def content(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def killed_while_training(tmp_path, times, seed):
    slow_teachers(tmp_path / "whole")
    rng = random.Random(seed)
    halfway = 0
    for i in range(times):
        out = tmp_path / f"out{i}"
        process = forked(slow_teachers, out, 0.01)
        deadline, behind = time.monotonic() + 120, rng.randrange(6)
        while process.is_alive() and not (
            (out / "teachers.json").exists() and len(list(out.glob("*.safetensors"))) >= behind
        ):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.15))  # six teachers of 0.11 s and more
        process.kill()
        process.join()
        assert process.exitcode in (-signal.SIGKILL, 0)
        halfway += 0 < len(list(out.glob("*.safetensors"))) < 6
        slow_teachers(out)
        assert content(out) == content(tmp_path / "whole")
    return halfway


def test_killed_while_training_teachers_it_resumes_identical(tmp_path):
    killed_while_training(tmp_path, 2, seed=0)


@pytest.mark.slow
def test_killed_thirty_times_while_training_teachers_it_resumes_identical(tmp_path):
    assert killed_while_training(tmp_path, 30, seed=1) > 5
