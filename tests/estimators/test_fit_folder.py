"""The folder of a fit while somebody writes to it: a reader sees one fit or the other, and looks again in between."""

import os

import numpy as np
import pytest

import cosup
from cosup import CosupError, CoSupervisedClassifier
from cosup.estimators.fit_folder import once_more
from cosup.tasks import make_hierarchy
from forked import forked


def write(folder, folders, begun):
    models = [cosup.load(folder) for folder in folders]
    os.write(begun, b"begun")
    for turn in range(10_000):
        models[turn % 2].save(folder)


@pytest.fixture(scope="module")
def fits(tmp_path_factory):
    """Folders of two fits, and what each predicts."""
    root = tmp_path_factory.mktemp("fits")
    task = make_hierarchy(60, 30, n_features=5, n_classes=3, teachers_per_level=(1, 1), accuracy=(0.7, 0.8))
    found = {}
    for seed, rows in enumerate((slice(0, 40), slice(20, 60))):
        model = CoSupervisedClassifier(random_state=seed).fit(task.X_train[rows], task.labels[rows])
        model.save(root / f"{seed}")
        found[root / f"{seed}"] = model.predict_proba(task.X_test)
    return task.X_test, found


def test_a_reader_during_refits_sees_one_fit_or_the_other(fits, tmp_path):
    X, found = fits
    folders = list(found)
    cosup.load(folders[0]).save(tmp_path)
    read, begun = os.pipe()
    writer = forked(write, tmp_path, folders, begun)
    try:
        assert os.read(read, 5) == b"begun"
        seen = [0, 0]
        for _ in range(300):
            given = cosup.load(tmp_path).predict_proba(X)
            equal = [np.array_equal(given, wanted) for wanted in found.values()]
            assert sum(equal) == 1
            seen[equal.index(True)] += 1
            if min(seen) >= 20:
                break
        assert min(seen) > 0
    finally:
        writer.kill()
        writer.join()
        os.close(read)
        os.close(begun)


def test_what_fails_without_a_change_is_not_tried_again(tmp_path):
    calls = []

    def read():
        calls.append(1)
        if len(calls) == 1:
            (tmp_path / "model.json").write_text("{}")  # somebody writes meanwhile
        raise CosupError("damaged")

    with pytest.raises(CosupError, match="damaged"):
        once_more(tmp_path, read)
    assert len(calls) == 2
