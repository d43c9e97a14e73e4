"""The explorer: what its page holds, what its server answers."""

import base64
import csv
import dataclasses
import hashlib
import html.parser
import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cosup import CosupError, CoSupervisedClassifier, TeacherLabels
from cosup.cli import main
from cosup.estimators.accuracy import Estimates
from cosup.provenance import Account, account_files, look_first
from cosup.report.explorer import build_explorer, make_app
from cosup.report.explorer.page import LARGEST
from cosup.report.explorer.query import Query, find_samples
from cosup.report.explorer.summary import summarise_account
from cosup.tasks import make_hierarchy

NASTY = "</script><script>alert(1)</script><!--"


@pytest.fixture(scope="module")
def fitted():
    task = make_hierarchy(
        n_classes=4, n_features=12, n_samples=300, teachers_per_level=(1, 2), accuracy=(0.6, 0.8), separation=2.5,
        abstain=0.1, random_state=0,
    )  # fmt: skip
    labels = TeacherLabels(
        task.labels.hard(), levels=[0, 1, 1], specialties=[None, [0, 1], [2, 3]], names=["g", NASTY, "b"], n_classes=4
    )
    model = CoSupervisedClassifier(random_state=0).fit(task.X_train, labels)
    looking = look_first(task.X_train, labels, model)
    ids = [f"s{i:03}" for i in range(300)]
    account = Account.of(model, labels, task.X_train, class_names=["a", "b", NASTY, "d"], ids=ids, looking=looking)
    return account, model.history_


class Reader(html.parser.HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.scripts, self.tags, self._into = {}, [], None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self._into = dict(attrs).get("id", "script")
            self.scripts[self._into] = ""

    def handle_data(self, data):
        if self._into:
            self.scripts[self._into] += data

    def handle_endtag(self, tag):
        self._into = None


def decode(boot, name, shape):
    column = boot["columns"][name]
    values = np.frombuffer(base64.b64decode(column["data"]), dtype=f"<{column['kind']}")
    return values.reshape(shape, order="F")


def test_the_page_holds_the_account(fitted):
    account, history = fitted
    page = Reader(build_explorer(account, history, texts=[NASTY] * 300, facts={NASTY: NASTY}))
    boot = json.loads(page.scripts["data"])
    assert boot["ids"] == list(account.ids)
    assert boot["texts"][0] == NASTY
    np.testing.assert_array_equal(decode(boot, "annotated", (300, 3)), account.annotated)
    np.testing.assert_array_equal(decode(boot, "annotation", (300, 2)), account.annotation)
    np.testing.assert_array_equal(decode(boot, "kept", (300, 2)), account.kept)
    np.testing.assert_allclose(decode(boot, "confidence", 300) / 1e4, account.confidence, atol=6e-5)
    support = decode(boot, "support", (300, 3))
    np.testing.assert_array_equal(support == 65535, account.annotated < 0)


def test_nothing_hostile_becomes_markup_and_nothing_may_be_fetched(fitted):
    account, history = fitted
    page = build_explorer(account, history, texts=[NASTY] * 300, facts={NASTY: NASTY}, title=NASTY)
    read = Reader(page)
    assert list(read.scripts) == ["data", "script"]
    assert "alert(1)</script>" not in page
    policy = next(attrs["content"] for tag, attrs in read.tags if attrs.get("http-equiv"))
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "self" not in policy
    digest = base64.b64encode(hashlib.sha256(read.scripts["script"].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    assert "innerHTML" not in read.scripts["script"]


def test_a_summary_counts_what_is_there(fitted):
    account, history = fitted
    summary = summarise_account(account, history, title="t")
    first, second = summary["levels"]
    assert first["kept"] == account.kept[:, 0].sum()
    assert all(level["kept"] + level["overruled"] + level["nobody"] == 300 for level in (first, second))
    assert sum(count for _, count in second["assigned"]) + second["nobody"] + second["voted"] == 300
    assert second["agreement"] == pytest.approx(history[1]["agreement"])
    assert second["changed"] == pytest.approx((account.level_answer[:, 1] != account.level_answer[:, 0]).mean())
    assert sum(summary["answers"]) == sum(summary["histogram"]) == 300
    speaks = account.annotated[:, 1] >= 0
    assert summary["teachers"][1]["agreement"] == pytest.approx(
        (account.annotated == account.answer[:, None])[speaks, 1].mean()
    )
    both = (account.annotated[:, 1] >= 0) & (account.annotated[:, 2] >= 0)
    differ = both & (account.annotated[:, 1] != account.annotated[:, 2])
    assert summary["disagreement"][1][2] == [both.sum(), differ.sum()]
    before, now = account.annotation.T
    changed = (before >= 0) & (now >= 0) & (before != now)
    assert sum(row["count"] for row in summary["corrections"]) == changed.sum()
    json.dumps(summary, allow_nan=False)


def test_estimates_have_their_place(fitted):
    account, _ = fitted
    teachers, student = np.tile([0.8, 0.7, 0.9], (3, 1)), np.full(3, np.nan)
    estimates = Estimates(student, teachers, np.full((3, 4, 3), 0.5), note="by split halves")
    summary = summarise_account(account, title="t", estimates=estimates)
    assert summary["estimates"]["overall"][0] == [0.8, 0.7, 0.9]
    assert summary["estimates"]["overall"][3] == [None, None, None]
    assert summary["estimates"]["note"] == "by split halves"
    assert summary["estimates"]["byClass"] == [[[0.5] * 3] * 4] * 3 + [[[None] * 3] * 4]
    with pytest.raises(CosupError, match="estimates are of 2 teachers, but the account has 3"):
        summarise_account(account, title="t", estimates=Estimates(student, teachers[:2]))
    with pytest.raises(CosupError, match=r"shape \(3, 5, 3\), expected \(3, 4, 3\)"):
        summarise_account(account, title="t", estimates=Estimates(student, teachers, np.full((3, 5, 3), 0.5)))


def test_estimates_are_kept_for_the_next_page(fitted, folder):
    overall = np.tile([0.8, 0.7, 0.9], (4, 1))
    overall[1] = np.nan
    content = Estimates(overall[-1], overall[:-1], note="halves").to_json()
    (folder / "estimates.json").write_text(json.dumps(content, allow_nan=False))
    run("explore", folder)
    boot = json.loads(Reader((folder / "report.html").read_text()).scripts["data"])
    assert boot["summary"]["estimates"] == content
    np.testing.assert_array_equal(Estimates.from_json(content).overall, overall)
    (folder / "estimates.json").write_text("{}")
    assert "these are no estimates" in run("explore", folder, code=2)


def test_of_many_samples_the_file_holds_those_most_worth_a_look(fitted, monkeypatch):
    account, history = fitted
    monkeypatch.setattr("cosup.report.explorer.page.LARGEST", 100)
    boot = json.loads(Reader(build_explorer(account, history, texts=list(account.ids))).scripts["data"])
    assert boot["summary"]["n"] == 300
    assert boot["texts"] == boot["ids"]
    assert set(boot["ids"]) == {account.ids[i] for i in np.argsort(account.rank)[:100]}
    assert LARGEST == 20_000


def test_pictures_are_packed_into_sheets(fitted, tmp_path):
    pytest.importorskip("PIL")
    from PIL import Image

    account, history = fitted
    images = np.zeros((300, 8, 10), np.uint8)
    images[257] = 255
    read = Reader(build_explorer(account, history, images=images))
    assert list(read.scripts) == ["data", "script", "sheet-0", "sheet-1"]
    (tmp_path / "s.webp").write_bytes(base64.b64decode(read.scripts["sheet-1"]))
    with Image.open(tmp_path / "s.webp") as sheet:
        grey = np.asarray(sheet.convert("L"))
    assert grey.shape == (288, 1536)
    assert grey[48, 48] < 10 < 245 < grey[48, 96 + 48]
    with pytest.raises(CosupError, match="299 images for 300 samples"):
        build_explorer(account, history, images=images[:-1])
    with pytest.raises(CosupError, match="float64"):
        build_explorer(account, history, images=np.zeros((300, 8, 8)))


def test_what_is_asked_for_is_found(fitted):
    account, _ = fitted
    every = set(range(300))

    def found(**asked):
        return set(find_samples(account, Query(**asked), texts=["Ünï"] * 150 + ["x"] * 150).tolist())

    assert found() == every
    assert found(q="S01") == set(range(10, 20))
    assert found(q="ünï") == set(range(150))
    assert found(answer=2) == set(np.flatnonzero(account.answer == 2))
    assert found(teacher=0, relation="abstained") == set(np.flatnonzero(account.annotated[:, 0] < 0))
    assert found(teacher=1, relation="assigned") == set(np.flatnonzero(account.assigned[:, 1] == 1))
    differs = (account.annotated >= 0) & (account.annotated != account.answer[:, None])
    assert found(relation="differs") == set(np.flatnonzero(differs.any(axis=1)))
    assert found(says=3, teacher=2) == set(np.flatnonzero(account.annotated[:, 2] == 3))
    assert found(kept="kept") | found(kept="overruled") | found(kept="silent") == every
    assert found(kept="silent", level=0) == set(np.flatnonzero(account.annotation[:, 0] < 0))
    assert found(kept="overruled", level=0) == set(
        np.flatnonzero(~account.kept[:, 0] & (account.annotation[:, 0] >= 0))
    )
    assert found(low=50) | found(high=50) == every
    assert found(reason=1, level=1) == set(np.flatnonzero(account.reason[:, 1] == 1))
    one, other = account.annotated[:, 0], account.annotated[:, 1]
    both = (one >= 0) & (other >= 0) & (one != other)
    assert found(teacher=0, against=1) == set(np.flatnonzero(both))
    row = next(c for c in summarise_account(account, title="")["corrections"] if c["from"] >= 0 <= c["to"])
    assert len(found(teacher=row["to"], instead=row["from"])) == row["count"]
    assert find_samples(account, Query(sort="look"))[0] == np.argmin(account.rank)
    assert find_samples(account, Query(sort="confidence"))[0] == np.argmin(account.confidence)
    assert find_samples(account, Query(sort="-confidence"))[0] == np.argmax(account.confidence)
    assert find_samples(account, Query(sort="-id"))[0] == 299
    assert find_samples(account, Query(sort="draw")).tolist() == np.random.default_rng(0).permutation(300).tolist()


@pytest.fixture
def client(fitted, tmp_path):
    pytest.importorskip("starlette")
    pytest.importorskip("httpx")
    from starlette.testclient import TestClient

    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "p.png").write_bytes(b"png")
    return TestClient(make_app(*fitted, images=[tmp_path / "p.png"] * 300), base_url="http://127.0.0.1:8420")


def test_the_server_hands_out_samples_in_pages(fitted, client):
    account = fitted[0]
    assert "connect-src &#x27;self&#x27;" in client.get("/").text
    found = client.get("/api/samples", params={"offset": 10, "limit": 5, "sort": "look"}).json()
    assert found["total"] == 300
    assert [row["rank"] for row in found["rows"]] == [10, 11, 12, 13, 14]
    row = found["rows"][0]
    assert row["id"] == account.ids[row["i"]]
    assert row["annotated"] == account.annotated[row["i"]].tolist()
    some = client.get("/api/samples", params={"answer": 1, "limit": 500}).json()
    assert some["total"] == len(some["rows"]) == (account.answer == 1).sum()
    assert client.get("/image/3").content == b"png"


@pytest.mark.parametrize("asked", ["answer=9", "answer=x", "sort=up", "limit=x", "relation=is", "level=-2"])
def test_the_server_says_what_cannot_be_asked(client, asked):
    answer = client.get(f"/api/samples?{asked}")
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_the_server_keeps_to_its_files_and_names(client):
    for path in ("/image/300", "/image/..%2Fsecret.txt", "/secret.txt", "/image/-1"):
        assert client.get(path).status_code == 404
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400


@pytest.fixture
def folder(fitted, tmp_path):
    for name, content in account_files(fitted[0], {"Method": "m"}).items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def run(*words, code=0):
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.output


def test_commands_explain_and_rank(fitted, folder):
    account = fitted[0]
    assert run("explain", folder, "s004", "s005").count("sample s00") == 2
    assert "there is no sample 'nobody'" in run("explain", folder, "nobody", code=2)
    lines = run("look", folder, "--first", "7", "--out", folder / "look.csv").splitlines()
    assert lines[1].split()[0] == account.ids[int(np.argmin(account.rank))]
    with (folder / "look.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [account.ids[i] for i in np.argsort(account.rank)[:7]]
    assert [row["classes"] for row in rows][:4] == list(account.class_names)
    assert {row["person"] for row in rows} == {""}
    assert {row["chosen"] for row in rows} == {"look"}
    first = int(np.argmin(account.rank))
    assert rows[0]["model"] == account.class_names[account.answer[first]]
    said = account.annotated[first]
    assert [rows[0][f"says: {name}"] for name in account.teachers] == [
        "" if c < 0 else account.class_names[c] for c in said
    ]
    assert "holds no provenance.json" in run("look", folder.parent, code=2)


def test_the_document_reads_the_table(folder, monkeypatch):
    pytest.importorskip("pyarrow")
    pytest.importorskip("pandas")
    text = (Path(__file__).parents[2] / "docs" / "how-to" / "explain-and-correct.md").read_text(encoding="utf-8")
    (folder / "model").symlink_to(folder)
    monkeypatch.chdir(folder)
    (code,) = (code for code in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL) if "read_parquet" in code)
    names = {}
    exec(code, names)
    assert 0 < len(names["unsure"]) < 300


def test_the_command_makes_the_page_anew(fitted, folder):
    pillow = pytest.importorskip("PIL.Image")
    pictures = folder / "photos" / "deep"
    pictures.mkdir(parents=True)
    for name in fitted[0].ids:
        pillow.new("L", (4, 4)).save(pictures / f"{name}.png")
    (folder / "t.csv").write_text("id,text\n" + "".join(f"{name},hello {name}\n" for name in fitted[0].ids))
    run("explore", folder, "--images", folder / "photos", "--text", folder / "t.csv")
    boot = json.loads(Reader((folder / "report.html").read_text()).scripts["data"])
    assert boot["texts"][3] == "hello s003"
    assert boot["sheets"]["n"] == 2
    (pictures / "s003.png").unlink()
    assert "1 of 300 samples ('s003' is the first)" in run("explore", folder, "--images", folder / "photos", code=2)


def test_an_account_without_answers_or_order_still_makes_a_page(fitted):
    account, history = fitted
    blank = dataclasses.replace(
        account, answer=np.full(300, -1, np.int32), rank=np.full(300, -1, np.int32),
        confidence=np.full(300, np.nan, np.float32),
    )  # fmt: skip
    boot = json.loads(Reader(build_explorer(blank, history)).scripts["data"])
    assert boot["summary"]["ranked"] is False
    assert boot["summary"]["confidence"] is None
