"""``cosup finetune``: what it leaves, that it goes on, and that labels that come back are used."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from command import run
from cosup import load
from cosup.provenance import read_account

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
networks = pytest.importorskip("networks")
finetuning = pytest.importorskip("cosup.finetuning")
from cosup.cli import main  # noqa: E402


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return networks.save_both(tmp_path_factory.mktemp("networks"))


def data(kind, folder, n=60):
    """Samples in a file or folder, the option that names it, and a file of labels."""
    X, y = (networks.sentences if kind == "text" else networks.pictures)(n)
    ids = [f"s{i:03}" if kind == "text" else f"s{i:03}.png" for i in range(n)]
    rng = np.random.default_rng(0)
    names = np.array(["no", "yes"])
    said = [np.where(rng.random(n) < wrong, 1 - y, y) for wrong in (0.2, 0.3)]
    rows = [f"{ids[i]},{names[said[0][i]]},{names[said[1][i]]}" for i in range(n)]
    (folder / "labels.csv").write_text("\n".join(["id,one,two", *rows]) + "\n")
    if kind == "text":
        (folder / "texts.csv").write_text("\n".join(["id,text", *(f"{i},{t}" for i, t in zip(ids, X, strict=True))]))
        return X, y, ["--text", str(folder / "texts.csv")]
    image = pytest.importorskip("PIL.Image")
    (folder / "images").mkdir()
    for name, pixels in zip(ids, X, strict=True):
        image.fromarray(pixels).save(folder / "images" / name)
    return X, y, ["--images", str(folder / "images")]


def command(kind, folder, source, **options):
    given = {"labels": folder / "labels.csv", "out": folder / "model", "epochs": 2, "learning-rate": 3e-3, **options}
    return ["finetune", *source, *(str(word) for key, value in given.items() for word in (f"--{key}", value))]


@pytest.mark.parametrize("kind", ["text", "images"])
def test_the_command_leaves_a_model_that_predict_takes(kind, folders, tmp_path):
    X, _, source = data(kind, tmp_path)
    said = run(*command(kind, tmp_path, source, network=f"hf:{folders[kind]}", tune="last:1")).output
    assert "epoch 2: loss" in said
    assert "it/s" not in said
    assert "agreement with held-out targets" in said
    model = finetuning.FineTunedClassifier.load(tmp_path / "model")
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert {"report.html", "history.json", "epochs.json", "model.json"} <= names
    assert "training" not in names
    assert "s000" in run("explain", tmp_path / "model", "s000" + (".png" if kind == "images" else "")).stdout
    out = tmp_path / "predictions.npz"
    run("predict", "--model", tmp_path / "model", *source, "--out", out)
    # Features of images are kept in float16.
    tolerance = 1e-5 if kind == "text" else 1e-2
    np.testing.assert_allclose(np.load(out)["probabilities"], model.predict_proba(X), atol=tolerance)


def test_the_command_goes_on_where_it_was_stopped(folders, tmp_path, monkeypatch):
    from cosup.finetuning import training

    _, _, source = data("text", tmp_path)
    options = {"network": f"hf:{folders['text']}", "tune": "last:1", "folds": 1, "batch-size": 8}
    run(*command("text", tmp_path, source, **options))
    whole = (tmp_path / "model" / "model.safetensors").read_bytes()
    step, calls = training._Training._step, []

    def stopping(self, *arguments):
        calls.append(1)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(training._Training, "_step", stopping)
    again = command("text", tmp_path, source, **options, out=tmp_path / "again")
    result = CliRunner().invoke(main, again)
    assert (result.exit_code, "the same command goes on" in result.output) == (130, True)
    run(*again)
    assert len(calls) == 9 + 14 - 7  # two epochs of seven steps, of which the first was kept
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == whole


def test_the_command_names_what_is_wrong(folders, tmp_path):
    _, _, source = data("text", tmp_path)
    for changed, message in (
        ({"tune": "lora:x"}, "tune must be"),
        ({"method": "vanila"}, "no method 'vanila'"),
        ({"network": "hf:./nowhere"}, "nowhere"),
    ):
        arguments = command("text", tmp_path, source, **{"network": f"hf:{folders['text']}", **changed})
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2, result.output
        assert message in result.output
    result = CliRunner().invoke(main, command("text", tmp_path, [], network="hf:x"))
    assert "give one of --images FOLDER, --text FILE" in result.output


@pytest.mark.slow
def test_the_example_compares_strong_networks_under_weak_ones(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2] / "examples")
    example = pytest.importorskip("weak_to_strong")
    texts, fine = networks.sentences(120)
    rows = [f"{t} w{18 + i % 2},{'ab'[i % 2]}{v}" for i, (t, v) in enumerate(zip(texts, fine, strict=True))]
    (tmp_path / "data.csv").write_text("\n".join(["text,label", *rows]))
    words = ["--strong", f"hf:{folders['text']}", "--weak", f"hf:{folders['text']}", "--epochs", "1"]
    monkeypatch.setattr(sys, "argv", ["weak_to_strong.py", *words, "--text", str(tmp_path / "data.csv")])
    example.main()
    found = json.loads(capsys.readouterr().out)
    assert {"weak", "vanilla", "hierarchy", "ceiling"} <= set(found)
    assert all(0 <= found[name] <= 1 for name in ("weak", "vanilla", "hierarchy", "ceiling"))
    sys.modules.pop("weak_to_strong")


@pytest.mark.parametrize("kind", ["text", "images"])
def test_labels_that_come_back_train_a_new_head_on_the_tuned_network(kind, folders, tmp_path):
    _, y, source = data(kind, tmp_path)
    one, two, three = (tmp_path / name for name in ("model", "two", "three"))
    run(*command(kind, tmp_path, source, network=f"hf:{folders[kind]}", tune="last:1", folds=1))
    before = {path.name: path.read_bytes() for path in one.iterdir() if path.is_file()}
    old, _ = read_account(one)
    (tmp_path / "look.csv").write_text(
        "id,person\n" + "".join(f"{old.ids[i]},{['no', 'yes'][y[i]]}\n" for i in range(9))
    )
    (tmp_path / "more.csv").write_text(f"id,person\n{old.ids[20]},no\n")
    run("look", one, "--uniform", 30, "--out", tmp_path / "drawn.csv")
    with (tmp_path / "drawn.csv").open(newline="") as file:
        drawn = [row["id"] for row in csv.DictReader(file)]
    answers = [f"{name},{['no', 'yes'][y[old.ids.index(name)]]}" for name in drawn]
    (tmp_path / "drawn.csv").write_text("\n".join(["id,person", *answers]))
    words = ("check", one, "--answers", tmp_path / "look.csv", "--uniform", tmp_path / "drawn.csv", "--out", two)
    trust = ("--trust", f"hf:{folders[kind]}")  # the network that it began with lies elsewhere
    assert f"add {trust[0]} '{trust[1]}'" in " ".join(run(*words, code=2).stderr.split())
    said = run(*words, *trust).stdout
    assert "Trained with 9 labels" in said
    assert "log loss" in said
    assert {path.name: path.read_bytes() for path in one.iterdir() if path.is_file()} == before
    new, facts = read_account(two)
    assert new.teachers == (*old.teachers, "person")
    np.testing.assert_array_equal(new.annotated[:9, -1], y[:9])
    np.testing.assert_array_equal(new.assigned, old.assigned)
    np.testing.assert_array_equal(new.provenance(), old.provenance())
    assert "fine-tuned (last:1)" in facts["Network"]
    # The network is the same one, moved or not, and the answers are the model's own.
    networks_of = [next(folder.glob("network-*")).name for folder in (one, two)]
    assert networks_of[0] == networks_of[1]
    assert not np.array_equal(load(two).head_.weight, load(one).head_.weight)
    run("predict", "--model", two.rename(tmp_path / "moved"), *source, "--out", tmp_path / "p.npz")
    found = np.load(tmp_path / "p.npz")["prediction"]
    assert (found == new.answer).mean() > 0.95  # features of images are kept in float16
    assert "Trained with 10 labels" in run(
        "check", tmp_path / "moved", "--answers", tmp_path / "more.csv", "--out", three, *trust
    ).stdout  # fmt: skip
    assert read_account(three)[0].teachers == new.teachers
    assert "name everything, old and new, to cosup finetune" in " ".join(
        run("fit", "--update", one, *source, "--out", tmp_path / "four", code=2).stderr.split()
    )
