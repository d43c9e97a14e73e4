"""Features larger than memory and class ids for targets: the same students, a block at a time."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from blobs import blobs
from cosup import AdamProbe, CosupError, LogisticProbe, RidgeProbe, SklearnStudent
from cosup.students import LinearHead, train_heads
from cosup.students.ridge import calibration as calibration
from cosup.students.ridge import gram as factor
from cosup.utils import row_blocks as rows_module
from cosup.utils.row_blocks import BFLOAT16

STUDENTS = {
    "ridge": RidgeProbe(),
    "ridge, one strength": RidgeProbe(alpha=0.1),
    "logistic": LogisticProbe(alpha=0.1),
    "adam": AdamProbe(epochs=2, learning_rate=1e-2),
    "sklearn": SklearnStudent(GaussianNB()),
}

every_student = pytest.mark.parametrize("student", STUDENTS.values(), ids=STUDENTS.keys())


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a few rows, and nothing kept: what large features meet."""
    monkeypatch.setattr(rows_module, "BLOCK_BYTES", 8 * 40 * 7)
    monkeypatch.setattr(rows_module, "CACHE_BYTES", 8 * 30 * 7)
    monkeypatch.setattr(factor, "KEPT", 0)
    monkeypatch.setattr(calibration, "HELD", 0)


def on_disk(X, folder):
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode="r")


@every_student
@pytest.mark.parametrize("masked", [False, True])
def test_class_ids_are_as_good_as_one_hot_rows(student, masked):
    X, _, T = blobs(90, 6, 4)
    ids = T.argmax(axis=1)
    train_mask = np.random.default_rng(1).random(90) < 0.8
    partly = np.where(train_mask, ids, -1)
    a = student.prepare(X).train(T, train_mask=train_mask if masked else None, random_state=1)
    trainer = student.prepare(X)
    found = [trainer.train(partly if masked else ids, random_state=1, n_classes=4)]
    if masked:
        found.append(trainer.train(ids, train_mask=train_mask, random_state=1, n_classes=4))
    for b in found:
        assert a.alpha == b.alpha
        np.testing.assert_array_equal(a.in_sample, b.in_sample)
        np.testing.assert_array_equal(a.out_of_sample, b.out_of_sample)


@every_student
def test_class_ids_may_leave_out_the_last_classes(student):
    X, y, _ = blobs(60, 4, 3)
    fit = student.prepare(X).train(y, n_classes=5)
    assert fit.in_sample.shape == fit.out_of_sample.shape == (60, 5)
    assert student.prepare(X).train(y).in_sample.shape == (60, 3)


@every_student
@pytest.mark.parametrize("masked", [False, True])
def test_blocks_make_up_the_whole(student, masked):
    X, _, T = blobs(90, 6, 4)
    train_mask = np.random.default_rng(1).random(90) < 0.7 if masked else None
    fit = student.prepare(X).train(T, train_mask=train_mask)
    for out_of_sample, whole in ((False, fit.in_sample), (True, fit.out_of_sample)):
        end = 0
        for rows, block in fit.blocks(out_of_sample, rows_per_block=25):
            assert rows.start == end
            end = rows.stop
            np.testing.assert_allclose(block, whole[rows], rtol=1e-6, atol=1e-12)
        assert end == 90


@every_student
@pytest.mark.parametrize("masked", [False, True])
def test_many_small_blocks_train_the_same(student, masked, request, tmp_path):
    X, _, T = blobs(90, 6, 4)
    X = X.astype(np.float32)
    train_mask = np.random.default_rng(1).random(90) < 0.7 if masked else None
    a = student.prepare(X).train(T, train_mask=train_mask, random_state=2)
    expected = a.in_sample, a.out_of_sample
    request.getfixturevalue("small_blocks")
    b = student.prepare(on_disk(X, tmp_path)).train(T, train_mask=train_mask, random_state=2)
    assert a.alpha == b.alpha
    np.testing.assert_allclose(b.in_sample, expected[0], atol=1e-5)
    np.testing.assert_allclose(b.out_of_sample, expected[1], atol=1e-5)


@every_student
@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_halves_are_what_they_stand_for(student, kind, tmp_path, small_blocks):
    X, _, T = blobs(90, 6, 4)
    if kind == "float16":
        half = X.astype(np.float16)
        wide = half.astype(np.float32)
    else:
        words = (X.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
        half = words.view(BFLOAT16)
        wide = (words.astype(np.uint32) << 16).view(np.float32)
        assert abs(wide / X - 1).max() < 0.01
    a = student.prepare(wide).train(T)
    b = student.prepare(on_disk(half, tmp_path)).train(T)
    # Products of halves are in float32; a discriminant's weights are large and cancel.
    np.testing.assert_allclose(b.in_sample, a.in_sample, atol=5e-4)
    np.testing.assert_allclose(b.out_of_sample, a.out_of_sample, atol=5e-4)
    np.testing.assert_allclose(b.head.predict_proba(half[:5]), a.head.predict_proba(wide[:5]), atol=5e-4)


def test_a_view_of_a_file_is_known_for_one(tmp_path):
    mapped = on_disk(np.zeros((10, 3), dtype=np.float32), tmp_path)
    assert rows_module.on_disk(np.asarray(mapped)[2:])
    assert not rows_module.on_disk(np.zeros((10, 3))[2:])


def test_heads_are_trained_from_a_view_of_a_file_as_from_memory(tmp_path):
    X, y, _ = blobs(200, 6, 4)
    X = X.astype(np.float32)
    a = train_heads(X, y, epochs=2, batch_size=32)
    b = train_heads(np.asarray(on_disk(X, tmp_path)), y, epochs=2, batch_size=32)
    np.testing.assert_array_equal(a.weight, b.weight)


def test_halves_are_predicted_in_single_precision():
    rng = np.random.default_rng(0)
    head = LinearHead(rng.normal(size=(4, 3)), rng.normal(size=3))
    X = rng.normal(size=(10, 4)).astype(np.float16)
    found = head.predict_proba(X)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, head.predict_proba(X.astype(np.float64)), atol=1e-6)


@pytest.mark.parametrize(
    ("targets", "n_classes", "message"),
    [
        (np.zeros(7, dtype=int), None, "targets must be class ids"),
        (np.zeros(8), None, "targets must be class ids"),
        (np.zeros((8, 2, 2)), None, "targets must be class ids"),
        (np.eye(2)[np.arange(8) % 2], 3, "targets have 2 classes"),
        (np.arange(8), 7, "under 7"),
    ],
)
def test_targets_that_do_not_fit_are_refused(targets, n_classes, message):
    with pytest.raises(CosupError, match=message):
        RidgeProbe().prepare(np.eye(8)).train(targets, n_classes=n_classes)


MEMORY = """
import sys, threading, time
import numpy as np
from cosup import AdamProbe, RidgeProbe
from cosup.students import train_heads

def anonymous():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024

X = np.asarray(np.load(sys.argv[1], mmap_mode="r"))
y = np.arange(len(X)) % 200
students = {"adam": AdamProbe(epochs=1, batch_size=500), "ridge": RidgeProbe(alpha=0.1, calibration="scores")}
student = students[sys.argv[2]]
student.prepare(X[:1000]).train(y[:1000]).head  # imports, and what libraries keep
before, peak, done = anonymous(), 0.0, False

def watch():
    global peak
    while not done:
        peak = max(peak, anonymous())
        time.sleep(0.002)

thread = threading.Thread(target=watch)
thread.start()
fit = student.prepare(X).train(y, train_mask=y > 3, n_classes=200)
for rows, block in fit.blocks(student.__class__ is RidgeProbe):
    pass
done = True
thread.join()
print(peak - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc for the memory")
@pytest.mark.parametrize(("student", "blocks"), [("adam", 4), ("ridge", 10)])
def test_neither_features_nor_predictions_are_ever_held(student, blocks, tmp_path):
    n, d = 300_000, 128
    X = np.lib.format.open_memmap(tmp_path / "X.npy", mode="w+", dtype=np.float16, shape=(n, d))
    for start in range(0, n, 50_000):
        X[start : start + 50_000] = np.random.default_rng(start).standard_normal((50_000, d), dtype=np.float32)
    X.flush()
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "X.npy"), student], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # Blocks of 32 MB, as many as reference/memory.md says; features in float64 would take 307 MB more, predictions 480.
    assert float(done.stdout) < 34 * blocks
