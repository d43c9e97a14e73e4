"""A planted task for fine-tuned students, trained fast, and their weights."""

import numpy as np
import torch

import networks
from cosup import TeacherLabels
from cosup.finetuning import FineTuned

FAST = {"epochs": 3, "learning_rate": 3e-3, "head_learning_rate": 3e-3, "progress": False, "device": "cpu"}


def assert_as_before(found, wanted):
    """A model that is read computes on a GPU where there is one, what it was trained on the processor for."""
    if torch.cuda.is_available():
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
    else:
        np.testing.assert_array_equal(found, wanted)


def planted(n=240, seed=0):
    """Rows whose class is the sign of one column and of a product, and the word of three teachers."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 6)).astype(np.float32)
    y = 2 * (X[:, 0] > 0) + (X[:, 1] * X[:, 2] > 0)
    columns = [np.where(rng.random(n) < 0.4, rng.integers(0, 4, n), y)]
    for own in ([0, 1], [2, 3]):
        columns.append(np.where(np.isin(y, own) & (rng.random(n) < 0.9), y, rng.choice(own, n)))
    labels = TeacherLabels(np.stack(columns, axis=1), levels=[0, 1, 1], specialties=[None, [0, 1], [2, 3]], n_classes=4)
    return X, y, labels


def weights(head):
    return {name: p.detach().numpy() for name, p in head.network.module().named_parameters()}


def same(one, other, **tolerance):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], err_msg=name, **(tolerance or {"rtol": 0, "atol": 0}))


def trained(targets, X=None, train_mask=None, seed=0, **options):
    X = planted()[0] if X is None else X
    student = FineTuned(networks.tiny_net(), **{**FAST, **options})
    head = student.prepare(X).train(targets, train_mask=train_mask, random_state=seed).head
    head.materialise()
    return head
