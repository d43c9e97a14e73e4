"""The command line, end to end on tiny arrays, and what it says of wrong input."""

import csv
import html
import json
import subprocess
import sys

import numpy as np
import pytest

import cosup
from command import run
from cosup.embedding import list_backbones
from cosup.methods import list_methods
from cosup.provenance import read_account
from cosup.tasks import list_tasks, make_hierarchy
from cosup.tasks.registry import TASKS


def error(*arguments):
    """Run what must fail: one line, exit code 2."""
    result = run(*arguments, code=2)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert "Traceback" not in result.output
    assert result.stderr.strip().endswith(line)
    return line


@pytest.fixture(scope="module")
def task():
    return make_hierarchy(150, 60, n_features=8, n_classes=3, teachers_per_level=(1, 2), accuracy=(0.6, 0.9))


NAMES = ("ant", "bee", "cat")


@pytest.fixture
def files(tmp_path, task):
    """The same task in every format, ids in the CSV files, the labels' rows in another order."""
    X, hard = task.X_train, task.labels.hard()
    np.save(tmp_path / "X.npy", X)
    np.savez(tmp_path / "X.npz", X=X)
    np.save(tmp_path / "L.npy", hard)
    np.savez(
        tmp_path / "L.npz",
        annotations=hard,
        levels=task.labels.levels,
        names=np.array(["g", "a", "b"]),
        class_names=np.array(NAMES),
    )
    ids = [f"s{row:03d}" for row in range(len(X))]
    with (tmp_path / "X.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", *(f"f{c}" for c in range(X.shape[1]))])
        writer.writerows([i, *map(repr, map(float, row))] for i, row in zip(ids, X, strict=True))
    with (tmp_path / "L.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["g", "id", "a", "b"])
        for row in np.random.default_rng(0).permutation(len(X)):
            g, a, b = (NAMES[v] if v >= 0 else "" for v in hard[row])
            writer.writerow([g, ids[row], a, b])
    return tmp_path


def predicted(folder, features, out):
    run("predict", "--model", folder, "--features", features, "--out", out)
    with out.open(newline="") as file:
        return list(csv.DictReader(file))


def test_fit_and_predict_whatever_the_format(files, task):
    answers = {}
    for features, labels in (("X.npy", "L.npz"), ("X.npz", "L.npz"), ("X.csv", "L.csv"), ("X.npy", "L.npy")):
        out = files / f"{features}-{labels}"
        result = run("fit", "--features", files / features, "--labels", files / labels, "--out", out,
                     "--levels", "0,1,1")  # fmt: skip
        assert "level 1: 2 teachers" in result.stdout
        rows = predicted(out, files / features, out / "p.csv")
        answers[features, labels] = [row["prediction"] for row in rows]
    named = answers["X.npy", "L.npz"]
    assert set(named) <= set(NAMES)
    assert answers["X.npz", "L.npz"] == named
    assert answers["X.csv", "L.csv"] == named
    assert [NAMES[int(answer)] for answer in answers["X.npy", "L.npy"]] == named
    model = cosup.CoSupervisedClassifier(random_state=0)
    labels = cosup.TeacherLabels(task.labels.hard(), levels=[0, 1, 1], n_classes=3)
    expected = model.fit(task.X_train, labels).predict(task.X_train)
    assert named == [NAMES[c] for c in expected]


def test_what_fit_leaves_behind(files, task):
    out = files / "model"
    run("fit", "--features", files / "X.csv", "--labels", files / "L.csv", "--levels", "0,1,1",
        "--specialty", "a=ant,bee", "--out", out)  # fmt: skip
    assert sorted(p.name for p in out.iterdir()) == [
        "estimates.json", "fit.json", "history.json", "model.json", "model.safetensors", "provenance.json",
        "provenance.parquet", "report.html", "timings.json",
    ]  # fmt: skip
    meta = json.loads((out / "model.json").read_text())
    assert meta["schema"] == 1
    assert meta["class_names"] == list(NAMES)
    history = json.loads((out / "history.json").read_text())
    assert [entry["level"] for entry in history] == [0, 1]
    assert history[0]["assigned"] == {"g": 150}
    account, facts = read_account(out)
    assert len(account) == 150
    assert account.ids[0] == "s000"
    assert facts["Method"] == "co-supervised, seed 0"
    np.testing.assert_array_equal(account.annotated, task.labels.hard())
    answers = run("explain", out, "s000").stdout
    assert f"assigned 'g' (says {NAMES[task.labels.hard()[0, 0]]};" in answers
    assert "default-src 'none'" in html.unescape((out / "report.html").read_text())


def test_predictions_in_three_formats(files, task):
    out = files / "model"
    run("fit", "--features", files / "X.npy", "--labels", files / "L.npz", "--out", out)
    rows = predicted(out, files / "X.csv", files / "p.csv")
    assert rows[0]["id"] == "s000"
    run("predict", "--model", out, "--features", files / "X.npy", "--out", files / "p.npy")
    run("predict", "--model", out, "--features", files / "X.npy", "--out", files / "p.npz")
    best = np.load(files / "p.npy")
    with np.load(files / "p.npz") as archive:
        np.testing.assert_array_equal(archive["prediction"], best)
        np.testing.assert_allclose(archive["probabilities"].sum(axis=1), 1)
    assert [row["prediction"] for row in rows] == [NAMES[c] for c in best]


def test_soft_labels_and_specialties_from_npz(files, task):
    hard = task.labels.hard()
    soft = np.where(hard[:, :, None] == np.arange(3), 0.8, 0.1)
    soft[hard < 0] = np.nan
    masks = np.array([[True] * 3, [True, True, False], [False, True, True]])
    np.savez(files / "S.npz", annotations=soft, levels=[0, 1, 1], specialties=masks)
    out = files / "model"
    result = run("fit", "--features", files / "X.npy", "--labels", files / "S.npz", "--out", out)
    assert "soft" in result.stdout
    assert "0, 1" in (out / "report.html").read_text()


def test_parquet(files, task):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {f"f{c}": task.X_train[:, c].astype(float) for c in range(8)}
    parquet.write_table(arrow.table(columns), files / "X.parquet")
    hard = task.labels.hard()
    said = {n: [NAMES[v] if v >= 0 else None for v in hard[:, c]] for c, n in enumerate("gab")}
    parquet.write_table(arrow.table(said), files / "L.parquet")
    for features, labels in (("X.parquet", "L.parquet"), ("X.npy", "L.npz")):
        run("fit", "--features", files / features, "--labels", files / labels, "--levels", "0,1,1",
            "--out", files / features[2:])  # fmt: skip
    first = predicted(files / "parquet", files / "X.parquet", files / "a.csv")
    assert first == predicted(files / "npy", files / "X.npy", files / "b.csv")


def test_one_sided_ids_are_said(files):
    result = run("fit", "--features", files / "X.csv", "--labels", files / "L.npz", "--out", files / "m")
    assert "joined by their order" in result.stderr


def test_bench_then_report(tmp_path):
    result = run("bench", "--tasks", "hierarchy", "--methods", "vanilla,co-supervised", "--seeds", 1,
                 "--out", tmp_path / "runs", "--jobs", 1)  # fmt: skip
    assert "weak teacher" in result.stdout
    assert "co-supervised" in result.stdout
    assert len((tmp_path / "runs" / "records.jsonl").read_text().splitlines()) == 2
    shown = run("report", tmp_path / "runs").stdout.strip()
    assert shown.endswith("report.html")
    assert "cosup bench --tasks hierarchy" in (tmp_path / "runs" / "report.html").read_text()


WITHOUT = """
import sys
import numpy as np
from cosup.cli import main
from cosup.cosupervision import tuned_published

class Missing:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {"ray", "transformers", "crowdkit", "cleanlab", "pyarrow", "peft", "onnx"}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Missing())
tuned_published.CANDIDATES = np.array([[1e-2, 30.0], [1e-2, 60.0]])
main(sys.argv[1:], standalone_mode=False)
"""
"""The command line where the extras that `make demo` leaves out are not installed, and with short trainings."""


def test_demo_on_a_small_task_with_no_more_than_make_demo_installs(tmp_path):
    command = ["demo", "--tasks", "hierarchy", "--seeds", "1", "--out", str(tmp_path / "d"), "--jobs", "1"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT, *command],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "oracle assignment" in done.stdout
    assert "Failed runs" not in (tmp_path / "d" / "report.html").read_text()


@pytest.mark.parametrize(
    ("command", "lines"), [("methods", list_methods), ("tasks", list_tasks), ("backbones", list_backbones)]
)
def test_listings_are_one_line_each(command, lines):
    result = run(command, *([] if command == "backbones" else ["--all"]))
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(lines())


@pytest.mark.parametrize("command", ["methods", "tasks"])
def test_listings_fit_a_terminal_and_families_are_one_line(command):
    lines = run(command).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1].endswith(f"cosup {command} --all")
    if command == "tasks":
        (family,) = (line for line in lines if line.startswith("hierarchy-teachers-N "))
        assert family.endswith("N from 1 to 64")
        assert len(lines) < 30 + len(TASKS.added)


def test_help_says_what_commands_are_for():
    said = run("--help").stdout
    places = [said.index(f"{title}:\n") for title in ("Your data", "Research", "Scale")]
    assert places == sorted(places)
    assert said.index("  fit ") < places[1] < said.index("  bench ") < places[2] < said.index("  embed ")


def test_version():
    assert cosup.__version__ in run("--version").stdout


@pytest.mark.parametrize("command", ["demo", "bench", "report", "fit", "predict", "export"])
def test_every_command_has_help_with_an_example(command):
    assert "Example: cosup " + command in run(command, "--help").stdout


def write(path, text):
    path.write_text(text)
    return path


def test_wrong_features(files):
    def fit(features):
        return error("fit", "--features", features, "--labels", files / "L.npz", "--out", files / "m")

    assert "empty" in fit(write(files / "e.csv", ""))
    assert "empty" in fit(write(files / "e.npy", ""))
    assert "empty" in fit(write(files / "e.npz", ""))
    assert "no rows" in fit(write(files / "h.csv", "a,b\n"))
    line = fit(write(files / "r.csv", "a,b\n1,2\n3\n"))
    assert "r.csv, row 3 has 1 cells" in line
    line = fit(write(files / "t.csv", "a,b\n1,2\n3,x\n"))
    assert "t.csv, row 3, column 2 ('b') is 'x'" in line
    assert "row 2, column 1 ('a') is nan" in fit(write(files / "n.csv", "a,b\nnan,2\n"))
    assert "blank" in fit(write(files / "b.csv", "a,b\n1,\n"))
    assert "two columns" in fit(write(files / "d.csv", "a,a\n1,2\n"))
    assert "no name" in fit(write(files / "u.csv", "a,\n1,2\n"))
    assert "stands in row 2 too" in fit(write(files / "i.csv", "id,a\nx,1\nx,2\n"))
    assert "id is blank" in fit(write(files / "j.csv", "id,a\n,1\nx,2\n"))
    assert "beside 'id'" in fit(write(files / "k.csv", "id\nx\n"))
    assert "quotes" in fit(write(files / "q.csv", 'a\n"1\n'))
    (files / "latin.csv").write_bytes(b"a\n\xff\xfe1\n")
    assert "UTF-8" in fit(files / "latin.csv")
    assert "unknown extension '.txt'" in fit(write(files / "x.txt", "1"))
    assert "not a readable .npy" in fit(write(files / "bad.npy", "hello"))
    assert "not a readable .npz" in fit(write(files / "bad.npz", "hello"))
    np.save(files / "o.npy", np.array([{}]), allow_pickle=True)
    assert "without objects" in fit(files / "o.npy")
    np.save(files / "v.npy", np.zeros(150))
    assert "shape (150,)" in fit(files / "v.npy")
    X = np.zeros((150, 3))
    X[4, 2] = np.nan
    np.save(files / "nan.npy", X)
    assert "row 4, column 2" in fit(files / "nan.npy")
    np.savez(files / "two.npz", a=X, b=X)
    assert "name the one to use 'X'" in fit(files / "two.npz")
    np.save(files / "short.npy", np.zeros((9, 3)))
    line = fit(files / "short.npy")
    assert "9 samples" in line
    assert "150" in line
    assert not (files / "m").exists()


def test_wrong_labels(files, task):
    def fit(labels, *more):
        return error("fit", "--features", files / "X.csv", "--labels", labels, "--out", files / "m", *more)

    text = (files / "L.csv").read_text()
    assert "L.csv lacks 1 ids (s007)" in fit(write(files / "l1.csv", text.replace("s007", "zz9"))).replace(
        "l1.csv", "L.csv"
    )
    assert "X.csv lacks 1 ids (zz9)" in fit(files / "l1.csv")
    assert "names 1 classes" in fit(write(files / "one.csv", "a\nx\nx\n"))
    assert "all cells are blank" in fit(write(files / "none.csv", "a,b\n,\n,\n"))
    many = "a\n" + "".join(f"c{row}\n" for row in range(150))
    assert "150 different classes" in fit(write(files / "many.csv", many))
    silent = "a,b\n" + "x,\ny,\n" * 75
    assert "abstains on every sample" in fit(write(files / "silent.csv", silent))
    hard = task.labels.hard()
    np.savez(files / "unknown.npz", annotations=hard, level=[0, 1, 1])
    assert "Did you mean 'levels'" in fit(files / "unknown.npz")
    np.savez(files / "names.npz", annotations=hard, names=np.array(["a"]))
    assert "names must be 3 texts" in fit(files / "names.npz")
    np.savez(files / "mask.npz", annotations=hard, specialties=np.ones((2, 3)))
    assert "boolean array of shape (3, 3)" in fit(files / "mask.npz")
    np.save(files / "range.npy", np.where(hard < 0, -7, hard))
    np.save(files / "bool.npy", hard > 0)
    assert "type bool" in fit(files / "bool.npy")
    assert "2 numbers" in fit(files / "L.npz", "--levels", "0,1")
    assert "nobody is at level" in fit(files / "L.npz", "--levels", "0,2,2")
    assert "Did you mean 'ant'" in fit(files / "L.csv", "--specialty", "a=antt")
    assert "no teacher 'q'" in fit(files / "L.csv", "--specialty", "q=ant")
    assert "Did you mean 'vanilla'" in fit(files / "L.csv", "--method", "vanila")
    assert "oracle needs the truth" in fit(files / "L.csv", "--method", "oracle")
    assert "whole numbers" in fit(files / "L.csv", "--levels", "0,x")
    assert "TEACHER=CLASS" in fit(files / "L.csv", "--specialty", "a")
    assert not (files / "m").exists()


def test_wrong_models(files):
    out = files / "model"
    run("fit", "--features", files / "X.npy", "--labels", files / "L.npz", "--out", out)

    def predict(features=files / "X.npy", target=files / "p.csv"):
        return error("predict", "--model", out, "--features", features, "--out", target)

    np.save(files / "wide.npy", np.zeros((2, 9)))
    line = predict(files / "wide.npy")
    assert "9 features" in line
    assert "fitted on 8" in line
    assert "unknown extension '.xls'" in predict(target=files / "p.xls")
    meta = (out / "model.json").read_text()
    for broken, message in (
        ("{", "not JSON"),
        ("[]", "schema None"),
        (meta.replace('"schema": 1', '"schema": 9'), "schema 9"),
        (meta.replace('"n_features": 8', '"n_features": 7'), "don't belong together"),
        (meta.replace('"n_features": 8', '"n_features": "x"'), "lacks"),
    ):
        (out / "model.json").write_text(broken)
        assert message in predict()
    (out / "model.json").write_text(meta)
    (out / "model.safetensors").write_bytes(b"12345678 nonsense")
    assert "damaged" in predict()
    (out / "model.safetensors").unlink()
    assert "model.safetensors is missing" in predict()


def test_wrong_commands(tmp_path):
    assert "Did you mean 'hierarchy'" in error("bench", "--tasks", "hierarchi", "--out", tmp_path / "r")
    assert "Did you mean 'csl'" in error("bench", "--methods", "vanilla,cls", "--out", tmp_path / "r")
    assert "Did you mean 'clean'" in error("bench", "--protocol", "claen", "--out", tmp_path / "r")
    assert "names nothing" in error("bench", "--tasks", ",", "--out", tmp_path / "r")
    assert "does not exist" in error("report", tmp_path)
    blocked = write(tmp_path / "file", "")
    assert "cannot be made or written" in error("bench", "--out", blocked / "r")
    assert run("bench", code=2).exit_code == 2


def test_a_fit_again_is_the_same_bytes_but_for_the_clock(files):
    found = []
    for _ in range(2):
        run("fit", "--features", files / "X.csv", "--labels", files / "L.csv", "--out", files / "model")
        found.append({path.name: path.read_bytes() for path in (files / "model").iterdir()})
    assert {name for name in found[0] if found[0][name] != found[1][name]} <= {"timings.json"}
    assert "seconds" not in found[0]["history.json"].decode()


def test_a_mixture_of_two_fits_is_told(files):
    for name, more in (("one", ()), ("two", ("--seed", "1", "--levels", "0,1,1"))):
        run("fit", "--features", files / "X.csv", "--labels", files / "L.csv", *more, "--out", files / name)
    for mixed in ("model.json", "provenance.json", "history.json", "estimates.json"):
        (files / "two" / mixed).replace(files / "kept")
        (files / "two" / mixed).write_bytes((files / "one" / mixed).read_bytes())
        for command in (("look", files / "two"), ("explore", files / "two")):
            assert "is a mixture: " in error(*command)
        (files / "kept").replace(files / "two" / mixed)
    run("look", files / "two")
