"""The answers of label mode: whole in the folder at once, from this page only, and read by cosup check."""

import csv

import numpy as np
import pytest

from accounts import small_account
from cosup import CosupError
from cosup.provenance import read_answers
from cosup.report.explorer import LabelStore, make_app

IDS, CLASSES = ("a", "b", 'c,"d'), ("ant", "bee")


def answer(id_, person="ant", **more):
    return {"id": id_, "person": person, "chosen": "look", "status": "label", **more}


def test_answers_are_written_at_once_and_read_again(tmp_path):
    path = tmp_path / "answers.csv"
    store = LabelStore(path, IDS, CLASSES, who="ann")
    store.put(answer("a", when="2026-01-01T10:00:00+02:00"))
    store.put(answer('c,"d', "bee", chosen="uniform", note="it\nflies", who="bob"))
    store.put(answer("b", "", status="unsure"))
    with path.open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert rows["a"]["when"] == "2026-01-01T08:00:00Z"
    assert rows["a"]["who"] == "ann"
    assert rows['c,"d']["note"] == "it\nflies"
    again = LabelStore(path, IDS, CLASSES)
    assert sorted(map(str, again.rows())) == sorted(map(str, store.rows()))
    again.put({"id": "a", "status": "removed"})
    assert read_answers(path, IDS, CLASSES).tolist() == [-1, -1, 1]
    assert read_answers(path, IDS, CLASSES, drawn=True).tolist() == [-1, -1, 1]
    with pytest.raises(CosupError, match="no answer that was chosen for a look"):
        read_answers(path, IDS, CLASSES, drawn=False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (answer("z"), "no sample 'z'"),
        (answer("a", "cat"), "'cat' is no class"),
        (answer("a", status="skip"), "'ant' is no class"),
        (answer("a", status="sure"), "label, unsure, skip"),
        (answer("a", chosen="luck"), "look or uniform"),
    ],
)
def test_what_the_fit_does_not_know_is_refused_and_nothing_written(tmp_path, given, message):
    store = LabelStore(tmp_path / "answers.csv", IDS, CLASSES)
    with pytest.raises(CosupError, match=message):
        store.put(given)
    assert not (tmp_path / "answers.csv").exists()
    (tmp_path / "other.csv").write_text("id,person\na,ant\n")
    with pytest.raises(CosupError, match="holds no answers of label mode"):
        LabelStore(tmp_path / "other.csv", IDS, CLASSES)


def test_only_the_page_itself_may_write(tmp_path):
    pytest.importorskip("httpx")
    testclient = pytest.importorskip("starlette.testclient")
    account = small_account()
    store = LabelStore(tmp_path / "answers.csv", account.ids, account.class_names)
    client = testclient.TestClient(make_app(account, labels=store), base_url="http://127.0.0.1:8420")
    given = {"id": account.ids[0], "person": account.class_names[0], "chosen": "look", "status": "label"}
    token = client.get("/").text.split('"token":"')[1].split('"')[0]
    assert client.post("/api/answers", json=given).status_code == 403
    assert client.get("/api/answers", headers={"x-cosup-token": "x"}).status_code == 403
    assert client.post("/api/answers", json=given, headers={"x-cosup-token": token, "host": "evil"}).status_code == 400
    assert len(store) == 0
    headers = {"x-cosup-token": token}
    assert client.post("/api/answers", json=given, headers=headers).json() == {"answers": 1}
    assert client.get("/api/answers", headers=headers).json()[0]["person"] == 0
    assert client.post("/api/answers", content=b"[", headers=headers).status_code == 400
    assert client.post("/api/answers", json=[1], headers=headers).status_code == 400
    assert client.post("/api/check", json={}, headers=headers).status_code == 404
    plain = testclient.TestClient(make_app(account), base_url="http://127.0.0.1:8420")
    assert plain.post("/api/answers", json=given, headers=headers).status_code in (404, 405)
    assert np.all(read_answers(tmp_path / "answers.csv", account.ids, account.class_names)[1:] == -1)
