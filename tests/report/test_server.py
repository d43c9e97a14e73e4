"""The explorer's server: under which names it answers, what it tells browsers, what it never hands out."""

import pytest

from command import run
from cosup.provenance import Account, account_files
from cosup.report.explorer import make_app
from cosup.report.explorer.server import host_name

pytest.importorskip("starlette")
testclient = pytest.importorskip("starlette.testclient")


@pytest.fixture(scope="module")
def account():
    from cosup import CoSupervisedClassifier, TeacherLabels
    from fits import flat

    X, _, said = flat(60)
    labels = TeacherLabels(said, n_classes=3)
    model = CoSupervisedClassifier(random_state=0).fit(X, labels)
    return Account.of(model, labels, X, class_names=["a", "b", "c"], ids=[f"s{i}" for i in range(60)])


def client(account, **options):
    return testclient.TestClient(make_app(account, **options), base_url="http://127.0.0.1:8420")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8420", "localhost", "LocalHost:80", "[::1]", "[::1]:8420"])
def test_it_answers_under_this_machines_names(account, host):
    assert client(account).get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8420",
        "127.0.0.1.evil.example",
        "0.0.0.0",
        "[::1",
        "[::2]",
        "localhost@evil",
        "a/b",
    ],
)
def test_it_answers_under_no_other_name(account, host):
    answer = client(account).get("/", headers={"host": host})
    assert answer.status_code == 400
    assert "--host-name" in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_name_that_was_given_is_a_name(account):
    assert client(account, hosts=["lab.example"]).get("/", headers={"host": "LAB.example:1"}).status_code == 200
    assert host_name("") == host_name("a b") == host_name("[x]") == ""


def test_every_answer_says_what_a_browser_may_do(account):
    for path in ("/", "/api/samples", "/image/0", "/nothing"):
        headers = client(account).get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert policy.endswith("frame-ancestors 'none'")
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


def test_nothing_is_had_without_the_token(account):
    served = client(account, token="secret")
    for path in ("/", "/api/samples", "/image/0", "/secre/", "/secretx/", "/SECRET/"):
        assert served.get(path).status_code == 404
    assert served.get("/secret/").status_code == 200
    assert served.get("/secret/api/samples?limit=2").json()["total"] == 60
    # The page asks by addresses beside its own, so that the token goes with it.
    page = served.get("/secret/").text
    assert "fetch(`api/samples?" in page
    assert "`/image/" not in page


def test_a_picture_that_became_a_link_is_not_served(account, tmp_path):
    (tmp_path / "photos").mkdir()
    pictures = [tmp_path / "photos" / f"{i}.png" for i in range(60)]
    for picture in pictures:
        picture.write_bytes(b"png")
    (tmp_path / "secret.png").write_bytes(b"secret")
    served = client(account, images=pictures)
    assert served.get("/image/3").content == b"png"
    pictures[3].unlink()
    pictures[3].symlink_to(tmp_path / "secret.png")
    assert served.get("/image/3").status_code == 404
    pictures[3].unlink()
    pictures[3].symlink_to(pictures[4])  # within the folder
    assert served.get("/image/3").content == b"png"


def test_all_networks_need_a_name(account, tmp_path):
    pytest.importorskip("uvicorn")
    for name, content in account_files(account).items():
        (tmp_path / name).write_bytes(content)
    for host in ("0.0.0.0", "::"):
        said = run("serve", tmp_path, "--host", host, code=2).stderr
        assert "add --host-name NAME" in " ".join(said.split())
