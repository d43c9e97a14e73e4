"""Features and labels from folders of shards behind URLs give what arrays in memory give, bit for bit."""

import json
import tempfile

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from safetensors.numpy import save

from cosup import CosupError, TeacherLabels, TopK, make_method, read_labels
from cosup.cli import main as cosup
from cosup.cli import prediction_files
from cosup.io.features import check_shards, read_features
from cosup.io.tables import urls
from cosup.tasks import make_hierarchy
from cosup.utils.row_blocks import BFLOAT16

CUTS = [90, 130]


@pytest.fixture(scope="module")
def task():
    return make_hierarchy(n_samples=240, n_test=60, n_classes=6, soft=True, random_state=5)


@pytest.fixture
def root():
    """A folder of its own in memory."""
    name = f"memory://{tempfile.mktemp(dir='', prefix='shards-')}"
    yield name
    if fsspec.filesystem("memory").exists(name):
        fsspec.filesystem("memory").rm(name, recursive=True)


def put(url, write):
    with fsspec.open(url, "wb") as file:
        write(file)


def put_shards(root, kind, array, cuts=CUTS, ids=None, names=None):
    """Parts of an array, the number in a file's name not padded."""
    start = 0
    for at, part in enumerate(np.split(array, cuts)):
        where = f"{root}/part-{5 * at}.{kind}"
        rows = slice(start, start + len(part))
        start += len(part)
        columns = {} if ids is None else {"id": list(ids[rows])}
        if kind == "npy":
            put(where, lambda file, part=part: np.save(file, part))
        elif kind == "npz":
            more = {} if ids is None else {"ids": np.array(ids[rows])}
            top = TopK.of(part, k=3)
            arrays = {"classes": top.classes, "probabilities": top.probabilities, "n_classes": part.shape[2]}
            put(where, lambda file, arrays=arrays, more=more: np.savez(file, **arrays, **more))
        elif kind == "safetensors":
            put(where, lambda file, part=part: file.write(save({"X": np.ascontiguousarray(part)})))
        else:
            columns |= {names[c] if names else f"f{c}": part[:, c] for c in range(part.shape[1])}
            put(where, lambda file, columns=columns: pq.write_table(pa.table(columns), file))


@pytest.mark.parametrize(
    ("name", "options"), [("co-supervised", {}), ("csl", {}), ("csl-published", {"epochs": 2}), ("vanilla", {})]
)
@pytest.mark.parametrize("soft", [False, True])
def test_shards_give_what_memory_gives(root, task, name, options, soft):
    half = task.X_train.astype(np.float16)
    given = (
        task.labels
        if soft
        else TeacherLabels(
            task.labels.hard(), task.labels.levels, task.labels.specialties, n_classes=task.labels.n_classes
        )
    )
    put_shards(f"{root}/features", "npy", half)
    put_shards(f"{root}/labels", "npy", given.annotations)
    features = read_features(f"{root}/features")
    labels = read_labels(f"{root}/labels", class_names=[str(c) for c in range(6)], top_k=4)
    check_shards(features, labels)
    classes = {given.names[t]: [str(c) for c in s] for t, s in enumerate(given.specialties) if s is not None}
    labels = labels.arrange(given.levels, {f"teacher {given.names.index(t)}": s for t, s in classes.items()})
    one = make_method(name, random_state=0, **options).fit(features.X, labels)
    other = make_method(name, random_state=0, **options).fit(half, given.top_k(4))
    np.testing.assert_array_equal(one.predict_proba(task.X_test), other.predict_proba(task.X_test))
    assert one.provenance_.tobytes() == other.provenance_.tobytes()


@pytest.mark.parametrize("kind", ["npy", "parquet", "safetensors"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_features_of_every_kind(root, task, kind, dtype):
    X = task.X_train.astype(dtype)
    put_shards(root, kind, X)
    features = read_features(root)
    held = np.float32 if kind == "parquet" and dtype == np.float16 else dtype
    np.testing.assert_array_equal(features.X, X)
    assert features.X.dtype == held
    assert [(s.name, s.rows) for s in features.shards] == [
        (f"part-0.{kind}", 90),
        (f"part-5.{kind}", 40),
        (f"part-10.{kind}", 110),
    ]


def test_bfloat16_in_safetensors(root):
    import torch
    from safetensors.torch import save as save_torch

    X = torch.arange(12, dtype=torch.float32).reshape(4, 3).to(torch.bfloat16)
    put(f"{root}/x.safetensors", lambda file: file.write(save_torch({"features": X})))
    found = read_features(f"{root}/x.safetensors").X
    assert found.dtype == BFLOAT16
    np.testing.assert_array_equal(found.view(np.int16), X.view(torch.int16).numpy())


@pytest.mark.parametrize("kind", ["parquet", "npz"])
def test_labels_join_by_ids_too(root, task, kind):
    ids = np.array([f"s{row}" for row in range(240)])
    put_shards(f"{root}/features", "parquet", task.X_train, ids=ids)
    if kind == "npz":
        put_shards(f"{root}/labels", kind, task.labels.annotations, ids=ids)
    else:
        words = np.array(["a", "b", "c", "d", "e", "f", ""])[task.labels.hard()]
        put_shards(f"{root}/labels", kind, words, ids=ids, names=[n.replace(" ", "-") for n in task.labels.names])
    features, labels = read_features(f"{root}/features"), read_labels(f"{root}/labels")
    check_shards(features, labels)
    aligned = labels.align(features.ids)
    np.testing.assert_array_equal(aligned.hard(), task.labels.hard())
    assert aligned.is_sparse == (kind == "npz")


def test_a_store_of_embeddings_behind_a_url(root, tmp_path):
    from cosup.embedding.feature_store import FileEntry, header_of

    X = np.random.default_rng(0).random((5, 3)).astype(np.float16)
    entries = [FileEntry(f"{row}.png", 1, 1) for row in range(5)] + [FileEntry("bad.png", 1, 1, error="torn")]
    manifest = {
        "kind": "cosup features", "schema": 1, "complete": True, "dtype": "float16", "n_images": 5, "n_files": 6,
        "batch_size": 5, "shard_size": 5, "runs": [{"versions": {}}], "unreadable": ["bad.png"],
        "sha256": {"features.npy": "", "files.jsonl": ""},
        "backbone": {"name": "lite:b0", "fingerprint": "f", "n_features": 3, "preprocessing": {}},
    }  # fmt: skip
    put(f"{root}/manifest.json", lambda file: file.write(json.dumps(manifest).encode()))
    put(f"{root}/files.jsonl", lambda file: file.write("".join(e.line() for e in entries).encode()))
    put(f"{root}/features.npy", lambda file: file.write(header_of((5, 3), "float16") + X.tobytes()))
    features = read_features(root)
    np.testing.assert_array_equal(features.X, X)
    assert features.ids == tuple(f"{row}.png" for row in range(5))
    assert features.inputs == {"backbone": "lite:b0"}
    put(f"{root}/features.npy", lambda file: np.save(file, X[:4]))
    with pytest.raises(CosupError, match="is not what its manifest describes"):
        read_features(root)
    put(f"{root}/manifest.json", lambda file: file.write(json.dumps({**manifest, "complete": False}).encode()))
    with pytest.raises(CosupError, match=rf"the features in {root} are not finished"):
        read_features(root)


def test_fit_and_predict_at_the_command_line(root, task, tmp_path):
    put_shards(f"{root}/features", "npy", task.X_train.astype(np.float32))
    put_shards(f"{root}/labels", "npy", task.labels.annotations)
    np.save(tmp_path / "X.npy", task.X_train.astype(np.float32))
    np.save(tmp_path / "labels.npy", task.labels.annotations)
    levels = ",".join(map(str, task.labels.levels))
    outputs = []
    for name, features, labels in (
        ("far", f"{root}/features", f"{root}/labels"),
        ("near", tmp_path / "X.npy", tmp_path / "labels.npy"),
        ("mixed", f"file://{tmp_path}/X.npy", f"{root}/labels"),
    ):
        out = tmp_path / name
        for command in (
            ["fit", "--features", features, "--labels", labels, "--levels", levels, "--top-k", "3", "--out", out],
            ["predict", "--model", out, "--features", features, "--out", out / "p.npz"],
        ):
            result = CliRunner().invoke(cosup, [str(part) for part in command])
            assert result.exit_code == 0, result.output
        outputs.append(((out / "model.safetensors").read_bytes(), np.load(out / "p.npz")["probabilities"]))
    for model, probabilities in outputs[1:]:
        assert model == outputs[0][0]
        np.testing.assert_array_equal(probabilities, outputs[0][1])


def test_predictions_in_blocks_are_those_of_all_at_once(monkeypatch, tmp_path, task):
    make_method("vanilla", random_state=0).fit(task.X_train, task.labels).save(tmp_path / "model")
    np.save(tmp_path / "X.npy", task.X_test)
    written = []
    for entries in (1 << 24, 7 * task.X_test.shape[1]):
        monkeypatch.setattr(prediction_files, "ENTRIES", entries)
        for kind in ("csv", "npy", "npz"):
            out = tmp_path / f"p-{entries}.{kind}"
            command = ["predict", "--model", tmp_path / "model", "--features", tmp_path / "X.npy", "--out", out]
            result = CliRunner().invoke(cosup, [str(part) for part in command])
            assert result.exit_code == 0, result.output
            written.append(np.load(out)["probabilities"] if kind == "npz" else out.read_bytes())
    assert written[:2] == written[3:5]
    np.testing.assert_allclose(written[2], written[5], atol=1e-12)


# -- what goes wrong, and what is said of it ----------------------------------------------------------------


def fails(match, read, *arguments, **options):
    with pytest.raises(CosupError, match=match):
        read(*arguments, **options)


def test_shards_that_do_not_go_together(root, task):
    put_shards(f"{root}/X", "npy", task.X_train)
    said = task.labels.hard()
    features = read_features(f"{root}/X")
    for cuts, match in (
        ([90], r"3 shards, but .*short has 2: part-10\.npy of .*/X goes with none; write one shard of labels"),
        ([90, 131], r"part-5\.npy of .*/X has 40 rows, but part-5\.npy of .*short has 41; write this shard of labels"),
    ):
        put_shards(f"{root}/short", "npy", said, cuts)
        fails(match, check_shards, features, read_labels(f"{root}/short"))
        fsspec.filesystem("memory").rm(f"{root}/short", recursive=True)
    ids = np.array([f"s{row}" for row in range(240)])
    put_shards(f"{root}/named", "parquet", task.X_train, ids=ids)
    swapped = ids.copy()
    swapped[[0, 100]] = ids[[100, 0]]
    put_shards(f"{root}/swapped", "parquet", said, ids=swapped)
    match = r"part-0\.parquet of .*swapped lacks 1 ids \(s0\) of part-0\.parquet.*write both with the same samples"
    fails(match, check_shards, read_features(f"{root}/named"), read_labels(f"{root}/swapped"))


def test_shards_of_features_that_differ(root, task):
    X = task.X_train
    put_shards(root, "npy", X)
    last = f"{root}/part-10.npy"
    for bad, match in (
        (X[:9, :3], r"part-10\.npy has 3 features of float32, but .*part-0\.npy has"),
        (X[:9].astype(np.float64), r"part-10\.npy has \d+ features of float64"),
        (X[0], r"part-10\.npy has shape"),
        (np.asfortranarray(X), "lies column by column; save numpy.ascontiguousarray"),
        (np.array([["a"]]), "holds values of type <U1; features must be numbers"),
        (np.array([[1, None]], dtype=object), "holds values of type object; features must be numbers"),
        (np.where(np.arange(len(X))[:, None] == 7, np.nan, X), r"part-10\.npy: the value at row 7, column 0 .* is nan"),
    ):
        put(last, lambda file, bad=bad: np.save(file, bad))
        fails(match, read_features, root)
    whole = fsspec.filesystem("memory").cat(f"{root}/part-0.npy")
    put(last, lambda file: file.write(whole[:-8]))
    fails(r"part-10\.npy was cut short: 8 bytes", read_features, root)
    put(last, lambda file: file.write(b"nothing"))
    fails(r"part-10\.npy is not a readable \.npy file", read_features, root)
    put(f"{root}/x.parquet", lambda file: file.write(b"x"))
    fails(r"holds \.npy and \.parquet files; .* shards of one kind only", read_features, root)


def test_ids_are_in_all_shards_once(root, task):
    ids = np.array([f"s{row}" for row in range(240)])
    ids[200] = "s3"
    put_shards(root, "parquet", task.X_train, ids=ids)
    fails(r"the id 's3' stands in the shards part-0\.parquet and part-10\.parquet", read_features, root)
    put(
        f"{root}/part-10.parquet",
        lambda file: pq.write_table(
            pa.table({f"f{c}": task.X_train[:, c] for c in range(task.X_train.shape[1])}), file
        ),
    )
    fails(r"part-10\.parquet has no ids, unlike .*part-0\.parquet", read_features, root)


def test_shards_of_labels_that_differ(root, task):
    put_shards(f"{root}/a", "npy", task.labels.annotations)
    put(f"{root}/a/part-10.npy", lambda file: np.save(file, task.labels.annotations[:, :2]))
    fails(r"part-10\.npy: 'annotations' has shape", read_labels, f"{root}/a", top_k=2)
    words = np.array(["x", "y", "z"] * 80)[:, None]
    put_shards(f"{root}/b", "parquet", words, names=["rule"])
    put(f"{root}/b/part-10.parquet", lambda file: pq.write_table(pa.table({"other": ["x"]}), file))
    fails(r"part-10\.parquet has the column 'other', which .*part-0\.parquet lacks", read_labels, f"{root}/b")
    put(f"{root}/b/part-10.parquet", lambda file: pq.write_table(pa.table({"rule": ["x", "w"]}), file))
    match = r"part-10\.parquet, row 2, column 1 \('rule'\) names the class 'w'"
    fails(match, read_labels, f"{root}/b", class_names=["x", "y", "z"])
    put(f"{root}/c/x.txt", lambda file: file.write(b"x"))
    fails("holds txt files; a folder of labels holds shards", read_labels, f"{root}/c")
    put(f"{root}/d/x.npy", lambda file: np.save(file, np.array([[None]]), allow_pickle=True))
    fails(r"d/x\.npy is not a readable \.npy file", read_labels, f"{root}/d")


@pytest.mark.parametrize("read", [read_features, read_labels])
def test_urls_that_lead_nowhere(root, read):
    fails(r"memory://none/there\.npy does not exist", read, "memory://none/there.npy")
    fails("Protocol not known: nosuch", read, "nosuch://bucket/x.npy")


@pytest.mark.parametrize(("url", "package"), [("s3://bucket/x.npy", "s3fs"), ("gs://bucket/x.npy", "gcsfs")])
def test_a_missing_package_is_named(monkeypatch, url, package):
    def missing(*_, **__):
        raise ImportError(f"Install {package} to access it")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    fails(rf"{url} needs a package that is not installed: Install {package}", read_features, url)


def test_a_disk_that_is_too_small_is_noticed_before_work(monkeypatch, root, task):
    put_shards(root, "npy", task.X_train)
    monkeypatch.setattr(urls.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    fails(r"needs 0\.00 GB in .* left; free some space, or set TMPDIR", read_features, root)
    fails("needs", read_labels, f"{root}/part-0.npy")


def test_a_listing_that_leaves_its_folder_is_not_followed(monkeypatch, root, task):
    put_shards(f"{root}/in", "npy", task.X_train)
    put_shards(f"{root}/out", "npy", task.X_train[:, :1], [])
    system = fsspec.filesystem("memory")
    found = system.ls(f"{root}/in", detail=False)
    outside = [name.replace("/in/", "/out/") for name in found[:1]]
    more = [*found, *outside, found[0].replace("/in/", "/in/../out/")]
    with monkeypatch.context() as patch:
        patch.setattr(type(system), "ls", lambda *_, **__: more)
        assert len(read_features(f"{root}/in").shards) == 3


def test_errors_in_a_file_behind_a_url_name_the_url(root):
    put(f"{root}/labels.csv", lambda file: file.write(b"id,rule\na,x\na,y\n"))
    fails(
        rf"{root}/labels\.csv, row 3, column 1 \('id'\): the id 'a' stands in row 2", read_labels, f"{root}/labels.csv"
    )
    put(f"{root}/X.csv", lambda file: file.write(b"f,g\n1,2\n3,x\n"))
    fails(rf"{root}/X\.csv, row 3, column 2 .* is 'x', not a number", read_features, f"{root}/X.csv")
