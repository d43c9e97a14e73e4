"""A fit that goes on: more samples, more teachers, and the same answer as a fit on everything."""

import csv
import json

import numpy as np
import pytest

from command import run
from cosup import CosupError, ImportedLabels, TopK, load
from cosup.datasets import make_hierarchy
from cosup.teachers import extend_labels

NAMES = ("ant", "bee", "cat")


def write_labels(path, names, said, ids):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", *names])
        writer.writerows([i, *(NAMES[v] if v >= 0 else "" for v in row)] for i, row in zip(ids, said, strict=True))


@pytest.fixture
def files(tmp_path):
    """120 samples of two teachers; 40 more of these and a third, who speaks of some old ones, too; and all in one."""
    task = make_hierarchy(160, 30, n_features=8, n_classes=3, teachers_per_level=(1, 2), accuracy=(0.6, 0.9))
    ids, hard = np.array([f"s{row:03}" for row in range(160)]), task.labels.hard()
    hard[:100, 2] = -1
    for name, rows in (("old", slice(120)), ("new", slice(120, 160)), ("all", slice(160))):
        np.savez(tmp_path / f"{name}.npz", X=task.X_train[rows], ids=ids[rows])
    write_labels(tmp_path / "old.csv", ["rule", "ann"], hard[:120, :2], ids[:120])
    new = hard[100:].copy()
    new[:20, :2] = -1
    write_labels(tmp_path / "new.csv", ["rule", "ann", "llm"], new, ids[100:])
    write_labels(tmp_path / "all.csv", ["rule", "ann", "llm"], hard, ids)
    return tmp_path


def test_an_update_gives_what_a_fit_on_everything_gives(files):
    def fit(name, *more):
        return run("fit", "--features", files / f"{name}.npz", "--labels", files / f"{name}.csv", *more)

    fit("old", "--levels", "ann=1", "--out", files / "one")
    before = (files / "one" / "model.safetensors").read_bytes()
    fit("new", "--update", files / "one", "--levels", "llm=1", "--specialty", "llm=ant,bee", "--out", files / "two")
    fit("all", "--levels", "ann=1,llm=1", "--specialty", "llm=ant,bee", "--out", files / "whole")
    assert (files / "one" / "model.safetensors").read_bytes() == before
    two, whole = load(files / "two"), load(files / "whole")
    np.testing.assert_array_equal(two.head_.weight, whole.head_.weight)
    accounts = [json.loads((files / name / "provenance.json").read_text()) for name in ("two", "whole")]
    assert accounts[0]["teachers"] == accounts[1]["teachers"]
    # The same samples once more are no news.
    run("fit", "--update", files / "two", "--features", files / "new.npz", "--out", files / "again")
    np.testing.assert_array_equal(load(files / "again").head_.weight, whole.head_.weight)
    # And on again, with nothing new but a method.
    run("fit", "--update", files / "two", "--method", "vanilla", "--out", files / "three")
    assert load(files / "three").n_features_in_ == 8
    assert "vanilla, seed 0" in (files / "three" / "provenance.json").read_text()


def test_what_cannot_be_added_is_named(files):
    arguments = ("fit", "--features", files / "old.npz", "--labels", files / "old.csv", "--out", files / "one")
    run(*arguments)
    more = ("fit", "--update", files / "one", "--out", files / "two")
    np.save(files / "bare.npy", np.zeros((5, 8)))
    np.savez(files / "other.npz", X=np.zeros((1, 8)), ids=np.array(["s003"]))
    np.savez(files / "wide.npz", X=np.zeros((5, 9)), ids=np.array(list("abcde")))
    for wrong, said in (
        (("--features", files / "new.npz"), "lacks 40 ids"),
        (("--features", files / "bare.npy"), "bare.npy has no ids"),
        (("--features", files / "wide.npz"), "9 features a sample, but"),
        (("--features", files / "other.npz"), "1 ids (s003) of"),
        (("--labels", files / "new.csv"), "lacks 40 ids"),
    ):
        assert said in " ".join(run(*more, *wrong, code=2).stderr.split())
    (files / "old.csv").write_text((files / "old.csv").read_text().replace("ant", "bee", 1))
    assert "old.csv has changed since the fit" in run(*more).stderr
    (files / "one" / "fit.json").unlink()
    assert "fit it again with this version" in run(*more, code=2).stderr


def test_what_is_added_may_name_one_class_and_new_ones_are_declared(files):
    run("fit", "--features", files / "old.npz", "--labels", files / "old.csv", "--out", files / "one")
    more = ("fit", "--update", files / "one", "--out", files / "two", "--labels", files / "c.csv")
    (files / "c.csv").write_text("id,late\ns001,ant\ns002,ant\n")
    assert "late" in run(*more).stdout
    (files / "c.csv").write_text("id,late\ns001,ant\ns002,cta\n")
    assert "names the class 'cta'. Did you mean 'cat'?" in run(*more, code=2).stderr
    assert "4 classes" in run(*more, "--classes", "ant,bee,cat,cta").stdout


def test_later_answers_count():
    ids = ["a", "b", "c"]
    monday = ImportedLabels(
        TopK(np.array([[[0]], [[1]], [[0]]]), np.full((3, 1, 1), 0.8), 2), ["x", "y"], names=["m"], ids=ids
    )
    tuesday = ImportedLabels([[1, 0], [-1, 1]], ["x", "y"], names=["m", "n"], ids=["a", "d"])
    both = extend_labels(monday, tuesday)
    assert both.names == ("m", "n")
    assert both.hard().tolist() == [[1, 0], [1, -1], [0, -1], [-1, 1]]
    np.testing.assert_allclose(both.probabilities(0), [[0, 1], [0.2, 0.8], [0.8, 0.2], [0, 0]], atol=1e-6)
    with pytest.raises(CosupError, match="has no ids, but another"):
        extend_labels(monday, ImportedLabels([[0]], ["x", "y"], names=["m"]))
