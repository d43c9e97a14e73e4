"""cosup fit and predict on a user's own files: several sources of labels, stores, and what does not fit together."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from command import run
from cosup.tasks import make_hierarchy

NAMES = ("ant", "bee", "cat")


def error(*arguments):
    return " ".join(run(*arguments, code=2).stderr.split())


@pytest.fixture(scope="module")
def task():
    return make_hierarchy(120, 30, n_features=8, n_classes=3, teachers_per_level=(1, 2), accuracy=(0.6, 0.9))


@pytest.fixture
def files(tmp_path, task):
    """Features with ids; a wide CSV, JSON lines, and one teacher's probabilities, each of a part of the samples."""
    hard, ids = task.labels.hard(), [f"s{row:03}" for row in range(120)]
    np.savez(tmp_path / "X.npz", X=task.X_train, ids=np.array(ids))
    np.savez(tmp_path / "new.npz", X=task.X_test)
    with (tmp_path / "rules.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "rule"])
        writer.writerows([i, NAMES[v]] for i, v in zip(ids, hard[:, 0], strict=True))
    lines = [{"id": i, "label": NAMES[v]} for i, v in zip(ids[:80], hard[:80, 1], strict=True) if v >= 0]
    (tmp_path / "llm.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with (tmp_path / "p.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", *NAMES])
        writer.writerows([i, *(0.8 if c == v else 0.1 for c in range(3))] for i, v in zip(ids, hard[:, 2], strict=True)
                         if v >= 0)  # fmt: skip
    return tmp_path


def test_several_sources_side_by_side(files):
    result = run(
        "fit", "--features", files / "X.npz", "--labels", files / "rules.csv", "--labels", files / "llm.jsonl",
        "--probabilities", f"old={files / 'p.csv'}", "--levels", "old=1,llm=1", "--specialty", "llm=ant,bee",
        "--out", files / "model",
    )  # fmt: skip
    first = [line.split()[0] for line in result.stdout.splitlines()[1:4]]
    assert first == ["rule", "llm", "old"]
    assert "levels of 1/2, 3 classes, soft" in result.stdout
    assert "level 1: 2 teachers" in result.stdout
    assert f"cosup predict --model {files / 'model'} --features" in result.stdout
    run("predict", "--model", files / "model", "--features", files / "new.npz", "--out", files / "p.npz")
    with np.load(files / "p.npz") as archive:
        assert archive["class_names"].tolist() == list(NAMES)
        assert archive["probabilities"].shape == (30, 3)


def test_ids_of_one_side_only(files):
    arguments = ("fit", "--features", files / "X.npz", "--labels", files / "llm.jsonl", "--out", files / "model")
    message = error(*arguments)
    assert "llm.jsonl lacks" in message
    assert "--partial" in message
    assert not (files / "model" / "model.json").exists()
    result = run(*arguments, "--partial")
    assert "have no label: every teacher abstains on them" in result.stdout


def test_a_store_is_features_and_remembers_its_backbone(files, task):
    images = pytest.importorskip("PIL.Image")
    pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    (files / "photos").mkdir()
    (files / "net.py").write_text(
        "import torch\ndef net():\n    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten())\n"
    )
    for row in range(24):
        pixels = np.full((8, 8, 3), 40 + 160 * (row % 2), np.uint8) + rng.integers(0, 40, (8, 8, 3), np.uint8)
        images.fromarray(pixels).save(files / "photos" / f"{row:02}.png")
    (files / "l.csv").write_text("file,r\n" + "".join(f"{row:02},{NAMES[row % 2]}\n" for row in range(24)))
    backbone = f"module:{files / 'net.py'}:net"
    run("embed", "--images", files / "photos", "--backbone", backbone, "--image-size", 8, "--out", files / "store")
    result = run("fit", "--features", files / "store", "--labels", files / "l.csv", "--out", files / "model")
    assert "names without folder and extension" in result.stderr
    assert json.loads((files / "model" / "model.json").read_text())["inputs"] == {"backbone": backbone}
    run("predict", "--model", files / "model", "--features", files / "store", "--out", files / "p.csv")
    with (files / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["prediction"] for row in rows] == [NAMES[row % 2] for row in range(24)]
    for wrong, said in (
        (("--images", files / "photos", "--backbone", "lite:efficientnet-lite0"), "leave --backbone out"),
        (("--text", files / "l.csv"), "not --text"),
        ((), "no source of features"),
        (("--images", files / "photos", "--features", files / "X.npz"), "more than one source"),
        (("--features", files / "X.npz", "--backbone", backbone), "--backbone is for --images"),
    ):
        assert said in error("predict", "--model", files / "model", *wrong, "--out", files / "q.csv")


def test_all_that_is_missing_or_wrong_is_said_at_once(files):
    lines = error("fit", "--labels", files / "none.csv", "--backbone", "lite:x", "--levels", "a", "--method", "csll",
                  "--set", "rounds=3")  # fmt: skip
    for part in (
        "6 things are missing or wrong",
        "none.csv' does not exist",
        "whole numbers separated by commas are expected",
        "no source of features is named",
        "--backbone is for --images",
        "no folder for the model is named",
        "Did you mean 'csl'",
    ):
        assert part in " ".join(lines.split())
    assert "no labels are named" not in lines  # they are, only wrongly
    bare = error("fit")
    assert "3 things are missing or wrong" in bare
    assert "no labels are named" in bare
    assert "no source" not in error("fit", "--update", files)


def test_options_that_name_what_is_not_there(files):
    def fit(*more):
        return error("fit", "--features", files / "X.npz", "--labels", files / "rules.csv", "--out", files / "m", *more)

    assert "rules.csv, row" in fit("--classes", "ant,bee")
    assert "names the class 'cat'" in fit("--classes", "ant,bee")
    assert "there is no teacher 'rul'. Did you mean 'rule'" in fit("--levels", "rul=1")
    assert "TEACHER=FILE" in fit("--probabilities", "p.csv")
    assert "no labels are named" in error("fit", "--features", files / "X.npz", "--out", files / "m")
    assert not (files / "m").exists()


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="no folder that not even root writes to")
def test_a_folder_that_cannot_be_written_is_said_before_the_work(files, monkeypatch):
    given = ("--features", files / "X.npz", "--labels", files / "rules.csv")
    run("fit", *given, "--out", files / "model")

    def work(*_, **__):
        raise AssertionError("worked before it was known that nothing can be kept")

    monkeypatch.setattr("cosup.estimators.base.TeacherSupervised.fit", work)
    monkeypatch.setattr("cosup.estimators.base.TeacherSupervised.predict_proba", work)
    assert "/sys/kernel cannot be made or written" in error("fit", *given, "--out", "/sys/kernel")
    out = "/sys/kernel/predictions.csv"
    assert "/sys/kernel cannot" in error("predict", "--model", files / "model", "--features", files / "new.npz",
                                         "--out", out)  # fmt: skip
    (files / "look.csv").write_text("id,person\ns000,ant\n")
    assert "/sys/kernel/x cannot" in error("check", files / "model", "--answers", files / "look.csv",
                                           "--out", "/sys/kernel/x")  # fmt: skip


def test_export(files):
    pytest.importorskip("onnx")
    run("fit", "--features", files / "X.npz", "--labels", files / "rules.csv", "--out", files / "model")
    assert "3 classes, 8 features" in run("export", "--model", files / "model", "--out", files / "m.onnx").stdout
    assert "unknown extension '.pb'" in error("export", "--model", files / "model", "--out", files / "m.pb")
