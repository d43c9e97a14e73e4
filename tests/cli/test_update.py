"""A fit that goes on: more samples, more teachers, and the same answer as a fit on everything."""

import csv
import errno
import json

import numpy as np
import pytest

from command import run
from cosup import CosupError, ImportedLabels, TopK, load
from cosup.io.tables import unsigned
from cosup.labels import extend_labels
from cosup.tasks import make_hierarchy

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


def test_an_update_trains_with_a_persons_answers_again_after_everything_else(files):
    answers = files / "answers.csv"
    answers.write_text("id,person,chosen\n" + "".join(f"s{i:03},{NAMES[i % 3]},look\n" for i in range(0, 60, 2))
                       + "s001,cat,uniform\n")  # fmt: skip
    levels = ("--levels", "ann=1")
    run("fit", "--features", files / "old.npz", "--labels", files / "old.csv", *levels, "--out", files / "one")
    run("check", files / "one", "--answers", answers, "--out", files / "looked")
    new = ("--features", files / "new.npz", "--labels", files / "new.csv", "--levels", "llm=1")
    said = run("fit", "--update", files / "looked", *new, "--out", files / "two").stdout
    assert "A person's 30 answers of the earlier fit were trained on last" in said
    run("fit", "--features", files / "all.npz", "--labels", files / "all.csv", "--levels", "ann=1,llm=1", "--out",
        files / "whole")  # fmt: skip
    run("check", files / "whole", "--answers", answers, "--out", files / "wanted")
    found, wanted = load(files / "two"), load(files / "wanted")
    np.testing.assert_array_equal(found.head_.weight, wanted.head_.weight)
    assert (found.head_.weight != load(files / "whole").head_.weight).any()
    run("fit", "--update", files / "two", "--out", files / "three")  # and again
    np.testing.assert_array_equal(load(files / "three").head_.weight, wanted.head_.weight)
    compared = run("explore", "--compare", files / "whole", files / "two").stdout
    moved = int(compared.splitlines()[-1].split()[0])
    weights = [load(files / name) for name in ("whole", "two")]
    with np.load(files / "all.npz") as arrays:
        assert moved == (weights[0].predict(arrays["X"]) != weights[1].predict(arrays["X"])).sum() > 0
    answers.unlink()
    assert "is gone; put it back" in run("fit", "--update", files / "two", "--out", files / "four", code=2).stderr


def test_an_update_calibrates_by_uniformly_drawn_answers_again(files):
    # Every second answer is wrong, so that the model turns out less sure than it is.
    drawn = files / "drawn.csv"
    drawn.write_text("id,person\n" + "".join(f"s{i:03},{NAMES[(i + i % 2) % 3]}\n" for i in range(60)))
    run("fit", "--features", files / "old.npz", "--labels", files / "old.csv", "--out", files / "one")
    run("check", files / "one", "--uniform", drawn, "--out", files / "checked")
    new = ("--features", files / "new.npz", "--labels", files / "new.csv")
    said = run("fit", "--update", files / "checked", *new, "--out", files / "two").stdout
    assert "calibrated by 60 answers that were drawn uniformly" in said
    run("fit", "--features", files / "all.npz", "--labels", files / "all.csv", "--out", files / "whole")
    run("check", files / "whole", "--uniform", drawn, "--out", files / "wanted")
    found, wanted, raw = (load(files / name).head_.weight for name in ("two", "wanted", "whole"))
    np.testing.assert_array_equal(found, wanted)
    assert np.abs(found).sum() < 0.9 * np.abs(raw).sum()
    # What is trained on later measures nothing any more.
    run("check", files / "two", "--answers", drawn, "--out", files / "three")
    assert "calibrated by 0 answers" in run("fit", "--update", files / "three", "--out", files / "four").stdout


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


def test_signed_urls_are_kept_without_what_signs_them(files):
    """An in-memory file system stands in for an object store: to it, the query string is a part of the name."""
    fsspec = pytest.importorskip("fsspec")
    urls = {}
    for name in ("old.npz", "old.csv"):
        urls[name] = f"memory://{files.name}/{name}?sig=SECRET"
        with fsspec.open(urls[name], "wb") as file:
            file.write((files / name).read_bytes())
    said = run("fit", "--features", urls["old.npz"], "--labels", urls["old.csv"], "--out", files / "one").output
    whole = load(files / "one").head_.weight
    (files / "a.csv").write_text("id,person\ns003,ant\n")
    update = ("fit", "--update", files / "one", "--out", files / "two")
    check = ("check", files / "one", "--answers", files / "a.csv", "--out", files / "three")
    bare = urls["old.npz"].partition("?")[0]
    for command in (update, check):
        message = " ".join(run(*command, code=2).stderr.split())
        assert "not kept in fit.json; give these again, whole" in message
        assert f"--again {bare}" in message
        again = [word for url in urls.values() for word in ("--again", url)]
        assert f"{urls['old.csv'].partition('?')[0]}, of which nothing" not in run(*command, *again).output
    np.testing.assert_array_equal(load(files / "two").head_.weight, whole)
    assert "give these again" in run("check", files / "two", *check[2:-1], files / "four", code=2).stderr
    wrong = run(*update, "--again", "https://elsewhere/x.npy?sig=SECRET", code=2).stderr
    assert "https://elsewhere/x.npy, of which nothing is missing" in " ".join(wrong.split())
    assert "with --update; leave it out" in run("fit", *update[3:], "--again", urls["old.csv"], code=2).stderr
    missing = run(
        "fit",
        "--features",
        f"memory://{files.name}/no.npy?sig=SECRET",
        "--labels",
        urls["old.csv"],
        *update[3:],
        code=2,
    ).stderr
    assert "no.npy does not exist" in missing
    written = "".join(path.read_text(errors="ignore") for path in files.glob("*/*") if path.is_file())
    assert "SECRET" not in written + said + wrong + missing


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://me:SECRET@h:80/y.npy; check", "https://h:80/y.npy; check"),
        ("https://SECRET@h/x.csv?a=b,c, ftp://u:SECRET@h/x.csv?d", "https://h/x.csv, ftp://h/x.csv"),
        ("zip://a.csv::https://h/x.zip?SECRET", "zip://a.csv::https://h/x.zip"),
        ("abfs://container@account/x.csv?SECRET: broken", "abfs://container@account/x.csv: broken"),
        ("s3://b/k.npy, me@h?", "s3://b/k.npy, me@h?"),
    ],
)
def test_what_of_a_url_is_written_down(url, kept):
    assert unsigned(url) == kept


def test_a_disk_that_is_full_or_a_folder_that_cannot_be_is_named(files, monkeypatch):
    asked = ("fit", "--features", files / "old.npz", "--labels", files / "old.csv", "--out")
    wrong = run(*asked, files / "old.csv" / "model", code=2).stderr
    assert "old.csv" in wrong
    assert "Not a directory" in wrong

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cosup.utils.atomic_files.os.fsync", full)
    said = " ".join(run(*asked, files / "one", code=2).stderr.split())
    assert "estimates.json: No space" in said or "provenance" in said
    assert "No space left on device" in said
    assert list((files / "one").iterdir()) == []


def test_a_fit_is_no_bench(files):
    run("fit", "--features", files / "old.npz", "--labels", files / "old.csv", "--out", files / "one")
    assert "cosup explore" in run("report", files / "one", code=2).stderr
