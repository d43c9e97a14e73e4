"""Samples by classes in blocks and on disk, features in half precision on disk: the answers stay the same."""

import errno

import numpy as np
import pytest

from cosup import CosupError, TeacherLabels, make_method
from cosup.baselines import vanilla
from cosup.baselines.consensus import generalists, train_once
from cosup.cosupervision.teacher_predictions import FLOOR, level_proba
from cosup.tasks import make_hierarchy
from cosup.utils import row_store
from cosup.utils.row_store import RowStore

CASES = [
    ("co-supervised", {}),
    ("co-supervised", {"student": "logistic", "rounds": 1}),
    ("csl", {}),
    ("csl", {"hard": False}),
    ("csl-published", {"epochs": 2}),
    ("csl-published", {"epochs": 2, "soft": True}),
]


@pytest.fixture(scope="module")
def task():
    return make_hierarchy(n_samples=300, n_test=80, n_classes=8, n_features=16, soft=True, random_state=3)


def fitted(name, options, X, labels):
    return make_method(name, random_state=0, **options).fit(X, labels)


@pytest.fixture(scope="module")
def at_once(task):
    """Fits in one block and in memory: once a case, for all that is compared with it."""
    found = {}

    def fit(name, options):
        key = (name, *sorted(options.items()))
        if key not in found:
            found[key] = fitted(name, options, task.X_train, task.labels)
        return found[key]

    return fit


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize("where", ["memory", "disk"])
def test_small_blocks_give_the_same(monkeypatch, task, at_once, name, options, where):
    whole = at_once(name, options)
    monkeypatch.setattr(row_store, "BLOCK", 8 * 37)
    if where == "disk":
        monkeypatch.setattr(row_store, "IN_MEMORY", 0)
    parts = fitted(name, options, task.X_train, task.labels)
    np.testing.assert_allclose(parts.predict_proba(task.X_test), whole.predict_proba(task.X_test), atol=2e-4)
    for one, other in zip(whole.history_, parts.history_, strict=True):
        assert (one["kept"] == other["kept"]).mean() > 0.99
        assert (one["assigned"] == other["assigned"]).mean() > 0.99
        assert one["objective"] == pytest.approx(other["objective"], abs=1e-3)
        assert one["agreement"] == pytest.approx(other["agreement"], abs=0.01)
    same = np.isclose(whole.provenance_["probability"], parts.provenance_["probability"], atol=1e-3, equal_nan=True)
    assert same.mean() > 0.99


@pytest.mark.parametrize("top", [None, 3])
@pytest.mark.parametrize("where", ["memory", "disk"])
def test_blocks_shorter_than_there_are_classes_give_the_same(monkeypatch, task, at_once, where, top):
    labels = task.labels if top is None else task.labels.top_k(top)
    whole = at_once("co-supervised", {}) if top is None else fitted("co-supervised", {}, task.X_train, labels)
    monkeypatch.setattr(row_store, "BLOCK", 8 * 5)
    if where == "disk":
        monkeypatch.setattr(row_store, "IN_MEMORY", 0)
    parts = fitted("co-supervised", {}, task.X_train, labels)
    np.testing.assert_allclose(parts.predict_proba(task.X_test), whole.predict_proba(task.X_test), atol=2e-4)
    assert (parts.provenance_["teacher"] == whole.provenance_["teacher"]).mean() > 0.99


@pytest.mark.parametrize("in_memory", [0, 1 << 20])
def test_blocks_of_a_least_length_hold_every_row_once(monkeypatch, in_memory):
    monkeypatch.setattr(row_store, "IN_MEMORY", in_memory)
    monkeypatch.setattr(row_store, "BLOCK", 5 * 2)
    given = np.arange(46.0).reshape(23, 2)
    store = row_store.RowStore.holding(given)
    for least in (1, 5, 12, 100):
        blocks = list(store.blocks(least))
        assert all(len(block) >= least for _, block in blocks[:-1])
        assert [rows.start for rows, _ in blocks[1:]] == [rows.stop for rows, _ in blocks[:-1]]
        np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), given)


@pytest.mark.parametrize(("name", "options"), [*CASES, ("vanilla", {})])
def test_half_precision_on_disk_is_what_it_is_in_memory(tmp_path, task, name, options):
    half = task.X_train.astype(np.float16)
    mapped = np.memmap(tmp_path / "X", dtype=np.float16, mode="w+", shape=half.shape)
    mapped[:] = half
    mapped.flush()
    on_disk = np.memmap(tmp_path / "X", dtype=np.float16, mode="r", shape=half.shape)
    given = fitted(name, options, half, task.labels), fitted(name, options, on_disk, task.labels)
    np.testing.assert_allclose(*(m.predict_proba(task.X_test) for m in given), atol=1e-5)
    wide = fitted(name, options, half.astype(np.float32), task.labels)
    assert (given[0].predict(task.X_test) == wide.predict(task.X_test)).mean() > 0.95


def as_bfloat16(X):
    from cosup.utils.row_blocks import BFLOAT16

    return np.ascontiguousarray((X.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)).view(BFLOAT16)


@pytest.mark.parametrize(("name", "options"), [CASES[0], CASES[2], CASES[4]])
def test_bfloat16(task, name, options):
    words = as_bfloat16(task.X_train)
    model = fitted(name, options, words, task.labels)
    wide = fitted(name, options, (words.view(np.uint16).astype(np.uint32) << 16).view(np.float32), task.labels)
    assert (model.predict(task.X_test) == wide.predict(task.X_test)).mean() > 0.95


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_what_is_not_finite_is_found_in_halves(task, kind):
    X = task.X_train.astype(np.float16)
    X[7, 3] = np.inf
    X[9, 1] = np.nan
    if kind == "bfloat16":
        X = as_bfloat16(X)
    with pytest.raises(CosupError, match=r"row 7, column 3 \(2 in all\)"):
        fitted("vanilla", {}, X, task.labels)


def test_a_store_on_disk_gives_back_what_was_put(monkeypatch):
    monkeypatch.setattr(row_store, "IN_MEMORY", 0)
    monkeypatch.setattr(row_store, "BLOCK", 20)
    given = np.random.default_rng(0).random((23, 4)).astype(np.float32)
    store = RowStore.holding(given)
    assert len(store.slices) == 2
    for rows, block in store.blocks():
        np.testing.assert_array_equal(block, given[rows])
    np.testing.assert_array_equal(store.whole(), given)


def test_a_full_disk_is_said_in_words(monkeypatch, task):
    monkeypatch.setattr(row_store, "IN_MEMORY", 0)

    class Full:
        def __init__(self, **_):
            pass

        def close(self):
            pass

        def truncate(self, _size):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(row_store.tempfile, "TemporaryFile", Full)
    with pytest.raises(CosupError, match=r"No space left on device.*TMPDIR"):
        fitted("co-supervised", {}, task.X_train, task.labels)


def several_generalists(n=300, n_classes=8):
    """Some silent here, some there, and one throughout a few samples."""
    rng = np.random.default_rng(2)
    soft = rng.random((n, 3, n_classes)) ** 4
    soft /= soft.sum(axis=2, keepdims=True)
    soft[rng.random((n, 3)) < 0.2] = np.nan
    soft[:5] = np.nan
    return TeacherLabels(soft, levels=[0, 0, 1])


@pytest.mark.parametrize("top", [None, 3, "hard"])
@pytest.mark.parametrize("student", ["ridge", "logistic"])
def test_vanilla_in_blocks_is_one_training_on_the_mean_votes_most_probable_class(monkeypatch, task, top, student):
    labels = several_generalists()
    if top == "hard":
        labels = TeacherLabels(labels.hard(), levels=[0, 0, 1], n_classes=8)
    elif top:
        labels = labels.top_k(top)
    seed = int(np.random.RandomState(0).randint(2**31 - 1))  # what `fit` makes of random_state=0
    whole = train_once(student, task.X_train, labels, generalists(labels), seed)
    monkeypatch.setattr(vanilla, "row_blocks", lambda n, _: (slice(s, min(s + 41, n)) for s in range(0, n, 41)))
    model = fitted("vanilla", {"student": student}, task.X_train, labels)
    np.testing.assert_allclose(model.head_.predict_proba(task.X_test), whole.head.predict_proba(task.X_test), atol=1e-6)
    assert model.history_[0]["kept"].tolist() == whole.history[0]["kept"].tolist()
    for key in ("agreement", "objective"):
        assert model.history_[0][key] == pytest.approx(whole.history[0][key], abs=1e-6)
    for name in ("teacher", "annotation", "kept", "reason"):
        assert (model.provenance_[name] == whole.provenance[name]).all()
    np.testing.assert_allclose(model.provenance_["probability"], whole.provenance["probability"], atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("top", [None, 3, "hard", "outside"])
def test_what_teachers_say_is_added_up_as_if_it_were_dense(dtype, top):
    labels, active, rows = several_generalists(), np.arange(8), slice(10, 90)
    if top == "hard":
        labels = TeacherLabels(labels.hard(), levels=[0, 0, 1], n_classes=8)
    elif top is not None:
        # Where a specialist lists all of its classes, the rest lies outside of them.
        specialties = None if top == 3 else [None, [0, 1], None]
        labels = TeacherLabels(labels.top_k(3).annotations, levels=[0, 0, 1], specialties=specialties)
    dense = np.stack([labels.probabilities(t, rows) for t in range(3)])
    dense[np.isnan(dense)] = 0.0
    annotations = level_proba(labels, np.arange(3), rows, active).astype(dtype)
    for m in range(3):
        np.testing.assert_allclose(annotations.dense(m), dense[m], rtol=1e-5, atol=1e-7)
    rng = np.random.default_rng(1)
    weights, right = rng.random((80, 3)).astype(dtype), rng.random((3, 8, 8)).astype(dtype)
    mixture, meanings = np.zeros((80, 8), dtype), np.zeros((80, 8), dtype)
    opened = np.stack([right[m][labels.covers(m)].sum(axis=0) for m in range(3)])
    annotations.add_mixture(mixture, weights)
    annotations.add_meanings(meanings, weights, right, opened)
    near = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(mixture, np.einsum("nm,mnc->nc", weights, dense), **near)
    np.testing.assert_allclose(meanings, np.einsum("nm,mnc,mck->nk", weights, dense, right), **near)
    totals = annotations.totals(right.sum(axis=2), opened.sum(axis=1))
    np.testing.assert_allclose(totals, np.einsum("mnc,mck->nm", dense, right), **near)
    p = rng.dirichlet(np.ones(8), 80).astype(dtype)
    for given, factor in ((None, np.ones((80, 3))), (weights, weights)):
        table, spread = np.zeros((3, 8, 8)), np.zeros((3, 8))
        usage = annotations.add_together(given, p, table, spread)
        table += np.stack([labels.covers(m) for m in range(3)])[:, :, None] * spread[:, None]
        np.testing.assert_allclose(table, np.einsum("nm,mnc,nk->mck", factor, dense, p), **near)
        np.testing.assert_allclose(usage, np.einsum("nm,mnc->mc", factor, dense), **near)
    np.testing.assert_allclose(annotations.by_class(p), np.einsum("mnc,nc->mc", dense, p), **near)
    logs = np.log((1 - FLOOR) * dense + FLOOR / 8)
    np.testing.assert_allclose(annotations.expected_log(p), np.einsum("nc,mnc->nm", p, logs), **near)
