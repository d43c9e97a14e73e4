"""The commands embed and teach: from a folder of photos to features, labels and a model."""

import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from cosup.cli import main
from cosup.embedding import FeatureStore

pytest.importorskip("PIL")
from PIL import Image

NETWORK = """
import torch

def make():
    return lambda batch: torch.nn.functional.adaptive_avg_pool2d(batch, 3).flatten(1), {
        "resize": 8, "crop": [8, 8], "version": 1}

def weak():
    return lambda batch: batch.mean((2, 3)), {"resize": 8, "crop": [8, 8], "version": 1}
"""


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NETWORK)
    rng = np.random.default_rng(0)
    for i in range(60):
        pixels = rng.integers(0, 140, (10, 12, 3))
        pixels[:, :, i % 3] += 80
        path = tmp_path / "photos" / "abc"[i % 3] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    return tmp_path / "photos"


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result


def test_from_photos_to_a_model(photos, tmp_path):
    said = run("embed", "--images", photos, "--backbone", "module:net.py:make", "--out", "features")
    assert "60 images, 27 features each" in said.stdout
    assert said.stderr == ""  # no bar where there is no terminal
    run("embed", "--images", photos, "--backbone", "module:net.py:weak", "--out", "weak")
    said = run("teach", "--images", photos, "--weak", "weak", "--features", "features", "--levels", "1,3", "--out", "t")
    assert "4 teachers in levels of 1/3" in said.stdout
    paths = (tmp_path / "t" / "paths.txt").read_text().split()
    X = np.load(tmp_path / "t" / "X.npy")
    store = FeatureStore.open("features")
    np.testing.assert_array_equal(X, store.take(store.rows(paths)))
    assert len(paths) == 42
    assert "level 1" in run("fit", "--features", "t/X.npy", "--labels", "t/labels.npz", "--out", "model").stdout
    assert "co-supervised" in (tmp_path / "model" / "report.html").read_text()


def test_embedded_features_are_features_of_fit(photos):
    run("embed", "--images", photos, "--backbone", "module:net.py:make", "--out", "features", "--dtype", "float32")
    np.save("labels.npy", np.arange(60)[:, None] % 3)
    run("fit", "--features", "features/features.npy", "--labels", "labels.npy", "--out", "model")


def test_a_table_of_paths_is_embedded_in_its_order(photos, tmp_path):
    names = ["b/1.png", "a/3.png", "c/5.png"]
    (photos / "list.csv").write_text("path,label\n" + "".join(f"{n},x\n" for n in names))
    run("embed", "--images", photos / "list.csv", "--backbone", "module:net.py:make", "--out", "features")
    assert FeatureStore.open("features").paths == tuple(names)


def test_unreadable_images_are_an_error_or_listed(photos):
    (photos / "a" / "0.png").write_bytes(b"")
    arguments = ["embed", "--images", photos, "--backbone", "module:net.py:make", "--out", "features"]
    said = run(*arguments, code=2)
    assert "1 images" in said.stderr
    assert "--skip-unreadable" in said.stderr
    said = run(*arguments, "--skip-unreadable")
    assert "59 images" in said.stdout
    assert "a/0.png is empty" in said.stderr


def test_another_model_is_one_line_of_error(photos):
    run("embed", "--images", photos, "--backbone", "module:net.py:make", "--out", "features")
    said = run("embed", "--images", photos, "--backbone", "module:net.py:weak", "--out", "features", code=2)
    assert len(said.stderr.splitlines()) == 1
    assert "features of two models are never mixed" in said.stderr


def test_teaching_needs_features_that_are_there(photos):
    said = run("teach", "--images", photos, "--weak", "w", "--features", "f", "--out", "t", code=2)
    assert "holds no features" in said.stderr


@pytest.mark.parametrize("form", ["{0}/{1}.png", "{0}/{1}", "{0}-{1}.png", "{0}-{1}"])
def test_labels_call_images_by_path_or_name_with_or_without_extension(photos, tmp_path, form):
    """Names of files are in both folders where they are the same, so that only paths tell them apart."""
    rows = []
    for folder in "ab":
        there = [path.rename(path.with_name(f"was-{path.name}")) for path in sorted((photos / folder).iterdir())]
        for place, path in enumerate(there):
            path.rename(path.with_name(f"{folder}-{place}.png" if "-" in form else f"{place}.png"))
            rows.append(f"{form.format(folder, place)},{'xy'[place % 2]}")
    (tmp_path / "l.csv").write_text("\n".join(["id,one", *rows]))
    for stray in photos.glob("[!ab]*"):
        shutil.rmtree(stray) if stray.is_dir() else stray.unlink()
    run("fit", "--images", photos, "--backbone", "module:net.py:make", "--labels", "l.csv", "--out", "model")
    assert {"fit.json", "report.html", "model.json"} <= {path.name for path in (tmp_path / "model").iterdir()}
    assert "Next" not in run("explain", "model", form.format("b", 3)).stdout
