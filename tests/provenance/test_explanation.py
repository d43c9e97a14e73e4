"""What happened to a sample: the table, the words, and the order in which to look."""

import dataclasses
import json
import sys

import numpy as np
import pytest

from cosup import CosupError, CoSupervisedClassifier, TeacherLabels
from cosup.cosupervision.rejection import REJECTIONS
from cosup.provenance import Account, account_files, after_looking, explain, look_first, read_account, reason_text, tell
from cosup.tasks import make_hierarchy

NAMES = ("cat", "dog", 'e "e', "<f>")


@pytest.fixture(scope="module")
def fitted():
    task = make_hierarchy(
        n_classes=4,
        n_features=12,
        n_samples=300,
        teachers_per_level=(1, 2),
        accuracy=(0.6, 0.8),
        separation=2.5,
        random_state=0,
    )
    said = task.labels.hard()
    said[::7, 1] = -1
    labels = TeacherLabels(said, levels=task.labels.levels, names=["rules", "old, model", "x"], n_classes=4)
    model = CoSupervisedClassifier(random_state=0).fit(task.X_train, labels)
    looking = look_first(task.X_train, labels, model)
    ids = [f"s{i:03}" for i in range(len(labels))]
    account = Account.of(model, labels, task.X_train, class_names=NAMES, ids=ids, looking=looking)
    return task, labels, model, account


def test_an_account_says_what_the_model_says(fitted):
    task, labels, model, account = fitted
    P = model.predict_proba(task.X_train)
    np.testing.assert_array_equal(account.answer, P.argmax(axis=1))
    np.testing.assert_allclose(account.confidence, P.max(axis=1), rtol=1e-5)
    np.testing.assert_allclose(account.second_confidence, np.sort(P, axis=1)[:, -2], rtol=1e-4, atol=1e-7)
    np.testing.assert_array_equal(account.level_answer.T, model.level_predict(task.X_train))
    np.testing.assert_array_equal(np.isnan(account.support), labels.hard() < 0)
    assert account.support[1, 1] == pytest.approx(P[1, labels.hard()[1, 1]], rel=1e-5)
    assert sorted(account.rank) == list(range(len(labels)))
    assert set(account.reasons) <= {"", "abstained", "overruled"}


@pytest.mark.parametrize("parquet", [True, False])
def test_an_account_comes_back_from_disk(fitted, tmp_path, monkeypatch, parquet):
    if parquet:
        pytest.importorskip("pyarrow")
    else:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    account = fitted[3]
    files = account_files(account, {"Method": "m"})
    assert set(files) == {"provenance.json", "provenance.parquet" if parquet else "provenance.csv"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    back, facts = read_account(tmp_path)
    assert facts == {"Method": "m"}
    for field in dataclasses.fields(Account):
        one, other = getattr(account, field.name), getattr(back, field.name)
        if isinstance(one, np.ndarray):
            np.testing.assert_allclose(other, one, rtol=1e-5, err_msg=field.name)
        else:
            assert one == other, field.name


def test_other_programs_read_the_parquet_file(fitted, tmp_path):
    pytest.importorskip("pyarrow")
    pandas = pytest.importorskip("pandas")
    account = fitted[3]
    (tmp_path / "p.parquet").write_bytes(account_files(account)["provenance.parquet"])
    frame = pandas.read_parquet(tmp_path / "p.parquet").set_index("id")
    row = frame.loc["s007"]
    assert row["answer"] == NAMES[account.answer[7]]
    assert pandas.isna(row["says: old, model"])
    assert row["says: rules"] == NAMES[account.annotated[7, 0]]
    assert row["level 1: kept"] == account.kept[7, 1]
    first = frame.sort_values("look_rank").index[0]
    assert account.rank[account.place(first)] == 0


def test_words_say_who_was_assigned_and_who_was_not(fitted):
    task, labels, model, account = fitted
    one, other = account.annotated[:, 1], account.annotated[:, 2]
    overruled = np.flatnonzero((account.assigned[:, 1] == 2) & (one >= 0) & (one != other)).tolist()
    place = overruled[0]
    text = tell(account, place)
    assert text.startswith(f"sample s{place:03}: the student answers {NAMES[account.answer[place]]} (confidence ")
    assert f"level 1: assigned 'x' (says {NAMES[account.annotated[place, 2]]}; a student not trained on it" in text
    assert f"'old, model' says {NAMES[account.annotated[place, 1]]} and was overruled" in text
    assert "'old, model' abstained" in tell(account, 7)
    rejected = int(np.flatnonzero(account.reason[:, 1] == account.reasons.index("overruled"))[0])
    assert "rejected: the pooled posterior of all levels" in tell(account, rejected)
    mine = explain(model, labels, place, task.X_train, class_names=NAMES)
    assert mine.splitlines()[-1] == text.splitlines()[-1]
    assert "answers" not in explain(model, labels, 0)
    with pytest.raises(IndexError):
        explain(model, labels, 300)


def test_every_check_is_told_in_words():
    assert all(reason_text(name) != name for name in (*REJECTIONS, "abstained", "overruled", "outvoted"))


def test_a_look_finds_wrong_answers_sooner_than_chance(fitted):
    task, _, _, account = fitted
    wrong = account.answer != task.truth.y_train
    first = np.argsort(account.rank)[:40]
    assert wrong.any()
    assert wrong[first].mean() > 2 * wrong.mean()


def test_looking_changes_nothing_and_depends_on_no_order(fitted):
    task, labels, model, _ = fitted
    _, parts = look_first(task.X_train, labels, model)
    turned = np.arange(300)[::-1]
    _, other = look_first(task.X_train[turned], labels[turned], model)
    np.testing.assert_allclose(other["value"][turned], parts["value"], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("soft", [False, True])
def test_labels_that_come_back_are_learned(fitted, soft):
    task, labels, model, account = fitted
    if soft:
        labels = TeacherLabels(np.eye(4)[np.maximum(labels.hard(), 0)], levels=labels.levels)
    looked = np.argsort(account.rank)[:60]
    known = np.full(300, -1)
    known[looked] = task.truth.y_train[looked]
    better = after_looking(task.X_train, labels, model, known)
    assert better.score(task.X_test, task.truth.y_test) >= model.score(task.X_test, task.truth.y_test)
    right = better.predict(task.X_train)[looked] == known[looked]
    assert right.mean() > (account.answer[looked] == known[looked]).mean()


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (np.zeros(3, int), r"shape \(3,\)"),
        (np.zeros(300), "type float64"),
        (np.full(300, 4), "outside 0..3"),
        (np.full(300, -2), "outside 0..3"),
        (np.full(300, -1), "no label at all"),
    ],
)
def test_labels_that_cannot_be_are_named(fitted, known, message):
    task, labels, model, _ = fitted
    with pytest.raises(CosupError, match=message):
        after_looking(task.X_train, labels, model, known)


def test_accounts_that_cannot_be_are_named(fitted, tmp_path):
    _, labels, model, account = fitted
    with pytest.raises(CosupError, match=r"did you mean s.* or s017"):
        account.place("s0177")
    with pytest.raises(CosupError, match="labels has 5 samples, but the model was fitted on 300"):
        Account.of(model, labels[:5])
    with pytest.raises(CosupError, match="2 class names for 4 classes"):
        Account.of(model, labels, class_names=["a", "b"])
    with pytest.raises(CosupError, match="read from disk"):
        explain(CoSupervisedClassifier.from_arrays(*model.to_arrays()), labels, 0)
    with pytest.raises(CosupError, match="make one with 'cosup fit"):
        read_account(tmp_path)
    for name, content in account_files(account.take(slice(0, 9))).items():
        (tmp_path / name).write_bytes(content)
    meta = json.loads((tmp_path / "provenance.json").read_text())
    (tmp_path / "provenance.json").write_text(json.dumps({**meta, "class_names": ["cat", "dog"]}))
    with pytest.raises(CosupError, match=r"does not fit provenance\.json"):
        read_account(tmp_path)
    (tmp_path / "provenance.json").write_text(json.dumps({**meta, "schema": 99}))
    with pytest.raises(CosupError, match="schema 99"):
        read_account(tmp_path)
    (tmp_path / "provenance.json").write_text("{")
    with pytest.raises(CosupError, match="not JSON"):
        read_account(tmp_path)
