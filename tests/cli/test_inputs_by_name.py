"""What is joined by name at the command line, what is checked before any work, and options that hold any name."""

import csv
import json
import shlex
import time

import numpy as np
import pytest

from command import run
from cosup import load
from cosup.cli.options import COLUMNS
from cosup.labels.matching import FORMS
from cosup.utils.texts import join_pair, join_row, split_pair, split_row

CLASSES = ("ash", "elm", "oak")


@pytest.fixture
def files(tmp_path):
    """A CSV of features f0 to f3, labels that join by id, and the truth."""
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=90)
    X = rng.normal(size=(90, 4)) + 3 * np.eye(4)[y] + np.arange(4) * 10
    rows = [f"s{i}," + ",".join(f"{v:.3f}" for v in x) + "\n" for i, x in enumerate(X)]
    (tmp_path / "X.csv").write_text("id,f0,f1,f2,f3\n" + "".join(rows))
    order = rng.permutation(90)
    wrong = np.where(rng.random((90, 2)) < 0.15, (y[:, None] + 1) % 3, y[:, None])
    lines = [f"s{i},{CLASSES[wrong[i, 0]]},{CLASSES[wrong[i, 1]]}\n" for i in order]
    (tmp_path / "L.csv").write_text("id,rule,model\n" + "".join(lines))
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    return tmp_path


def right(files, predictions):
    rows = (files / predictions).read_text().splitlines()[1:]
    return np.mean([row.split(",")[1] == CLASSES[c] for row, c in zip(rows, np.load(files / "y.npy"), strict=True)])


def test_columns_are_taken_by_name(files):
    run("fit", "--features", files / "X.csv", "--labels", files / "L.csv", "--out", files / "m")
    assert json.loads((files / "m" / "model.json").read_text())["feature_names"] == ["f0", "f1", "f2", "f3"]
    assert load(files / "m").feature_names_in_.tolist() == ["f0", "f1", "f2", "f3"]
    rows = [row.split(",") for row in (files / "X.csv").read_text().splitlines()]
    turned = [[row[0], row[3], "note" if k == 0 else "x", row[1], row[4], row[2]] for k, row in enumerate(rows)]
    (files / "turned.csv").write_text("\n".join(",".join(row) for row in turned))
    result = run("predict", "--model", files / "m", "--features", files / "turned.csv", "--out", files / "p.csv")
    assert right(files, "p.csv") > 0.9
    assert "taken by name" in result.stderr
    short = [[row[0], row[1], row[2], row[3]] for row in rows]
    short[0][3] = "F_2"
    (files / "short.csv").write_text("\n".join(",".join(row) for row in short))
    result = run("predict", "--model", files / "m", "--features", files / "short.csv", "--out", files / "q.csv", code=2)
    assert "lacks 2 columns (f2, f3)" in result.stderr
    assert "1 columns (F_2) that it was not" in result.stderr
    result = run("predict", "--model", files / "m", "--features", files / "X.npy", "--out", files / "p.csv")
    assert result.stderr.startswith("Note: the model knows its features by name, but")
    assert right(files, "p.csv") > 0.9


def test_a_join_by_order_is_told_before_the_work(files):
    result = run("fit", "--features", files / "X.npy", "--labels", files / "L.csv", "--out", files / "m")
    assert result.output.startswith("Note: ")
    assert "L.csv has ids, but" in result.output.splitlines()[0]
    assert "joined by their order" in result.output.splitlines()[0]


def test_ids_that_are_numbers_of_rows_are_taken_for_them(files):
    y = np.load(files / "y.npy")
    order = np.random.default_rng(1).permutation(90)
    (files / "n.csv").write_text("id,rule\n" + "".join(f"{i},{CLASSES[y[i]]}\n" for i in order))
    np.savez(files / "X.npz", X=np.load(files / "X.npy")[order], ids=order.astype(np.uint16))
    for features in ("X.npy", "X.npz"):
        run("fit", "--features", files / features, "--labels", files / "n.csv", "--out", files / "m")
        run("predict", "--model", files / "m", "--features", files / "X.npy", "--out", files / "p.csv")
        assert right(files, "p.csv") > 0.95


@pytest.mark.parametrize(
    ("change", "form"),
    [
        (str.upper, "case"), (lambda i: f"s0{i[1:]}", "zeros"), (lambda i: f"{i}.png", "stem"),
        (lambda i: f"run 7/{i}", "name"),
    ],
)  # fmt: skip
def test_the_form_in_which_ids_join_is_suggested_to_be_pasted(files, change, form):
    rows = [row.split(",") for row in (files / "L.csv").read_text().splitlines()]
    (files / "other.csv").write_text("\n".join(",".join([row[0] if k == 0 else change(row[0]), *row[1:]])
                                               for k, row in enumerate(rows)))  # fmt: skip
    arguments = ["fit", "--features", files / "X.csv", "--labels", files / "other.csv", "--out", files / "m"]
    message = " ".join(run(*arguments, code=2).stderr.split())
    assert f"--match {form}" in message
    run(*arguments, "--match", form)
    run("predict", "--model", files / "m", "--features", files / "X.csv", "--out", files / "p.csv")
    assert right(files, "p.csv") > 0.9


def test_the_command_knows_every_form_of_ids():
    options = {option.opts[-1]: option for option in COLUMNS(lambda: None).__click_params__}
    assert set(options["--match"].type.choices) == set(FORMS)


def test_long_tables_at_the_command_line(files):
    rows = [row.split(",") for row in (files / "L.csv").read_text().splitlines()[1:]]
    long = [
        f"{row[0]},{who},2024-01-01,{vote}\n" for row in rows for who, vote in zip(("a", "b"), row[1:], strict=True)
    ]
    (files / "long.csv").write_text("doc,by whom,when,verdict\n" + "".join(long))
    arguments = ["fit", "--features", files / "X.csv", "--labels", files / "long.csv", "--out", files / "m"]
    run(*arguments, "--task", "doc", "--worker", "by whom", "--label", "verdict")
    run("predict", "--model", files / "m", "--features", files / "X.csv", "--out", files / "p.csv")
    assert right(files, "p.csv") > 0.9


def test_nothing_is_written_and_nothing_embedded_where_labels_are_wrong(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    (tmp_path / "photos").mkdir()
    for i in range(4):
        Image.new("RGB", (8, 8), (60 * i, 0, 0)).save(tmp_path / "photos" / f"{i}.png")
    good = "id,rule,model\n0.png,a,b\n1.png,b,b\n2.png,a,a\n3.png,a,b\n"
    wrong = {
        "lacks 1 ids (3.png)": good.replace("3.png,a,b\n", ""),
        "lacks 1 ids (4.png)": good.replace("3.png", "4.png"),
        "no id of": good.replace(".png", ".tar"),
        "has 4 cells": good + "4.png,a,b,c\n",
        "is 'nan'": good.replace("2.png,a,a", "2.png,nan,a"),
    }
    for words, text in wrong.items():
        (tmp_path / "L.csv").write_text(text)
        start = time.perf_counter()
        result = run(
            "fit", "--images", tmp_path / "photos", "--labels", tmp_path / "L.csv", "--out", tmp_path / "m", code=2
        )
        assert time.perf_counter() - start < 10
        assert words in " ".join(result.stderr.split())
        assert not (tmp_path / "m").exists()
    (tmp_path / "L.csv").write_text(good)
    for option, words in (("--levels=0", "levels have 1 numbers"), ("--specialty=rule=c", "no class 'c'"),
                          ("--classes=a,c", "names the class 'b'"), ("--abstain=b", "names 1 classes")):  # fmt: skip
        result = run("fit", "--images", tmp_path / "photos", "--labels", tmp_path / "L.csv", option, "--out",
                     tmp_path / "m", code=2)  # fmt: skip
        assert words in " ".join(result.stderr.split())
        assert not (tmp_path / "m").exists()


def test_files_that_are_no_images_are_named_with_their_ending(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    (tmp_path / "photos").mkdir()
    for i in range(3):
        Image.new("RGB", (8, 8)).save(tmp_path / "photos" / f"{i}.png")
    (tmp_path / "photos" / "3.heic").write_bytes(b"heic")
    (tmp_path / "L.csv").write_text("id,rule,model\n0.png,a,b\n1.png,b,b\n2.png,a,a\n3.heic,a,b\n")
    result = run(
        "fit", "--images", tmp_path / "photos", "--labels", tmp_path / "L.csv", "--out", tmp_path / "m", code=2
    )
    assert "1 files (3.heic) of" in " ".join(result.stderr.split())
    assert "that end in .heic, which are not read" in " ".join(result.stderr.split())


NAMES = ["tench, Tinca tinca", 'a "quoted" one', "plain", "a=b", " it's ".strip(), "über; x"]


def test_names_are_split_as_they_were_joined():
    assert split_row(join_row(NAMES)) == NAMES
    for name in NAMES:
        assert split_pair(join_pair(name, join_row(NAMES))) == (name, join_row(NAMES))
    assert split_pair("no sign") is None


def test_a_suggestion_with_any_name_can_be_pasted(files):
    names = dict(zip(CLASSES, ("tench, T. tinca", 'it\'s "=" here', "oak"), strict=True))
    with (files / "L.csv").open() as file:
        rows = [(row["id"], names[row["rule"]], names[row["model"]]) for row in csv.DictReader(file)]
    with (files / "names.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "rule", "model", "a=b, few"))
        writer.writerows((*row, row[1] if row[1] != "oak" else names["ash"]) for row in rows)
    arguments = ["fit", "--features", files / "X.csv", "--labels", files / "names.csv", "--out", files / "m"]
    output = run(*arguments).output
    suggestion = next(line for line in output.splitlines() if line.startswith("Suggestion"))
    run(*arguments, *shlex.split(suggestion[suggestion.index("--specialty") :]))
    recipe = json.loads((files / "m" / "fit.json").read_text())
    assert recipe["inputs"][0]["specialties"] == {"a=b, few": sorted([names["ash"], names["elm"]])}
    run(*arguments, "--classes", join_row(names.values()))
    assert load(files / "m").classes_.tolist() == list(names.values())
