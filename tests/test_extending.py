"""The worked examples of docs/how-to/extend.md, as they stand there: short, and known to fit, predict and bench."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import cosup
from cosup.benchmark import read_records
from cosup.cli import main
from cosup.embedding.backbones.trust import Trust
from cosup.provenance import read_account

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "how-to" / "extend.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, flags=re.DOTALL))
RULE = "local-and-global-student-agree-otherwise"
SMALL = ("--tasks", "hierarchy", "--task-option", "n_samples=200", "--task-option", "n_test=60", "--task-option",
         "n_features=12", "--task-option", "n_classes=8", "--seeds", 1, "--jobs", 1)  # fmt: skip
KINDS = ("cat", "cow", "dog")


@pytest.fixture
def example(tmp_path):
    """Writes an example's file, under a path of this test's own: it is imported anew."""

    def write(name):
        (tmp_path / name).write_text(EXAMPLES[name], encoding="utf-8")
        return tmp_path / name

    return write


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def data(tmp_path):
    """Features and labels of three teachers, one of whom is often wrong; half of them know two classes."""
    rng = np.random.default_rng(0)
    y = np.tile(np.arange(3), 60)
    X = rng.normal(size=(180, 6)) + 3 * np.eye(3, 6)[y]
    wrong = (y + 1) % 3
    said = np.stack([np.where(rng.random(180) < p, wrong, y) for p in (0.3, 0.1, 0.6)], axis=1)
    said[:, 1][y == 2] = -1
    np.save(tmp_path / "X.npy", X)
    lines = ["rules,model,crowd", *(",".join("" if c < 0 else KINDS[c] for c in row) for row in said)]
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    return ("--features", tmp_path / "X.npy", "--labels", tmp_path / "labels.csv", "--levels", "0,1,1",
            "--specialty", "model=cat,cow"), y  # fmt: skip


def predicted(model, plugin, folder):
    run("predict", "--plugin", plugin, "--model", model, "--features", folder / "X.npy", "--out", folder / "p.npy")
    return np.load(folder / "p.npy")


def labels_of(records):
    assert all(record["error"] is None for record in records), records
    return {record["label"] for record in records}


def test_every_example_is_one_file_of_under_60_lines():
    pieces = ("method", "rejection", "assigner", "student", "backbone", "labels", "task")
    assert set(EXAMPLES) == {f"my_{piece}.py" for piece in pieces}
    assert all(len(code.splitlines()) < 60 for code in EXAMPLES.values())


def test_every_decorator_of_the_page_is_public():
    named = set(re.findall(r"register_\w+", PAGE)) - {"register_member"}
    assert len(named) == 7
    assert named <= set(cosup.__all__)


def test_a_method(example, data, tmp_path):
    plugin, (given, y) = example("my_method.py"), data
    assert "agreement-vote " in run("methods", "--plugin", plugin)
    run("fit", "--plugin", plugin, "--method", "agreement-vote", *given, "--out", tmp_path / "model")
    assert (predicted(tmp_path / "model", plugin, tmp_path) == y).mean() > 0.7
    methods = ("--methods", "vanilla,agreement-vote")
    run("bench", "--plugin", plugin, *SMALL, *methods, "--out", tmp_path / "runs")
    assert labels_of(read_records(tmp_path / "runs")) == {"vanilla", "agreement-vote"}


def test_a_rejection_rule_with_local_students_is_named_whole_everywhere(example, data, tmp_path, monkeypatch):
    plugin, (given, y) = example("my_rejection.py"), data
    model = tmp_path / "model"
    run("fit", "--plugin", plugin, "--method", "csl", "--set", f'reject=["{RULE}"]', *given, "--out", model)
    assert len(RULE) == 40
    account, _ = read_account(model)
    assert RULE in account.reasons
    row = int(np.flatnonzero((account.reason == account.reasons.index(RULE)).any(axis=1))[0])
    assert RULE in set(account.provenance()["reason"][row])
    assert (predicted(model, plugin, tmp_path) == y).mean() > 0.6
    assert json.loads((model / "fit.json").read_text())["parameters"] == {"reject": [RULE]}

    run("bench", "--plugin", plugin, *SMALL, "--methods", "csl", "--set", f'reject=["{RULE}"]', "--out",
        tmp_path / "runs")  # fmt: skip
    (record,) = read_records(tmp_path / "runs")
    assert (record["label"], record["error"]) == (f"csl, reject={RULE}", None)
    crossed = cosup.benchmark.factorial_methods(factors={"assignment": ["mass"], "head": ["linear"]})
    assert {"reject": [RULE]}.items() <= next(m for m in crossed if m.factors["rejection"] == RULE).parameters.items()

    # Told without the plugin, too: the reason lies beside the provenance.
    snapshot_without_plugin(monkeypatch)
    reason = "the teacher's local student and the global student agree on another class"
    assert f"rejected: {reason}" in run("explain", model, row)
    assert reason in (model / "report.html").read_text()
    stopped = run("fit", "--update", model, *given[2:4], "--out", tmp_path / "again", code=2)
    assert f"add: --plugin {plugin}" in stopped


def snapshot_without_plugin(monkeypatch):
    """Take out what was registered from outside, as a new process would find it."""
    from cosup.cosupervision.rejection import REJECTIONS
    from cosup.embedding.backbones.sources import BACKBONE_SOURCES

    for registry in (REJECTIONS, BACKBONE_SOURCES):
        left = {name: registry[name] for name in registry if name not in registry.added}
        monkeypatch.setattr(registry, "_entries", left)
    monkeypatch.setattr("cosup.utils.plugins._LOADED", {})


def test_an_assigner(example, data, tmp_path):
    plugin, (given, y) = example("my_assigner.py"), data
    run("fit", "--plugin", plugin, "--set", "assign=narrowest", *given, "--out", tmp_path / "model")
    assert (predicted(tmp_path / "model", plugin, tmp_path) == y).mean() > 0.7
    account, _ = read_account(tmp_path / "model")
    speaks = account.annotated[:, 1] >= 0
    assert (account.assigned[speaks, 1] == 1).all()  # the one who knows two classes, wherever it speaks
    run("bench", "--plugin", plugin, *SMALL, "--methods", "csl,vanilla", "--set", "assign=narrowest", "--out",
        tmp_path / "runs")  # fmt: skip
    assert labels_of(read_records(tmp_path / "runs")) == {"csl, assign=narrowest", "vanilla"}


def test_a_student(example, data, tmp_path):
    plugin, (given, y) = example("my_student.py"), data
    run("fit", "--plugin", plugin, "--set", "student=nearest-mean", *given, "--out", tmp_path / "model")
    assert (predicted(tmp_path / "model", plugin, tmp_path) == y).mean() > 0.7
    assert cosup.load(tmp_path / "model").student == "nearest-mean"
    run("bench", "--plugin", plugin, *SMALL, "--methods", "vanilla,csl", "--set", "student=nearest-mean", "--out",
        tmp_path / "runs")  # fmt: skip
    assert labels_of(read_records(tmp_path / "runs")) == {"vanilla, student=nearest-mean", "csl, student=nearest-mean"}


@pytest.fixture
def photos(tmp_path):
    """Twelve photos a class of one colour each, and labels by two teachers."""
    rng, lines = np.random.default_rng(0), ["id,rules,model"]
    for c, name in enumerate(KINDS):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(0, 60, size=(20, 24, 3)) + 150 * np.eye(3, dtype=int)[c]
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / name / f"{i}.png")
            lines.append(f"{name}/{i}.png,{name},{KINDS[(c + (i == 0)) % 3]}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "photos"


def test_a_source_of_backbones(example, photos, tmp_path, monkeypatch):
    plugin, model = example("my_backbone.py"), tmp_path / "model"
    assert "colours:MODEL" in run("backbones", "--plugin", plugin)
    run("fit", "--plugin", plugin, "--images", photos, "--backbone", "colours:2", "--labels", tmp_path / "labels.csv",
        "--out", model)  # fmt: skip
    assert cosup.load(model).n_features_in_ == 12
    new = ("predict", "--model", model, "--images", photos, "--out", tmp_path / "p.csv")
    run(*new, "--plugin", plugin)
    lines = [line.split(",") for line in (tmp_path / "p.csv").read_text().splitlines()[1:]]
    assert sum(line[0].split("/")[0] == line[1] for line in lines) >= 34
    run("bench", "--plugin", plugin, "--tasks", "images", "--root", photos, "--task-option", "student=colours:2",
        "--task-option", "teacher=colours:1", "--task-option", "levels=1,2", "--methods", "vanilla", "--seeds", 1,
        "--jobs", 1, "--cache", tmp_path / "cache", "--out", tmp_path / "runs")  # fmt: skip
    assert labels_of(read_records(tmp_path / "runs")) == {"vanilla"}
    # One source, two models: features of one are never taken for the other's.
    fingerprints = {cosup.make_backbone(f"colours:{model}").fingerprint for model in (1, 2)}
    assert len(fingerprints) == 2
    # The model names backbone and plugin; neither is a reason to run the plugin.
    snapshot_without_plugin(monkeypatch)
    for name in [name for name, module in sys.modules.items() if getattr(module, "__file__", None) == str(plugin)]:
        monkeypatch.delitem(sys.modules, name)
    plugin.write_text(f"open({str(tmp_path / 'was run')!r}, 'w')\n")
    again = ("fit", "--update", model, "--labels", tmp_path / "labels.csv", "--out", tmp_path / "model2")
    for command in (new, again):
        assert f"add: --plugin {plugin}" in run(*command, code=2)
    assert not (tmp_path / "was run").exists()
    with pytest.raises(cosup.CosupError, match="colours:2"):
        Trust().check("backbone", "colours:2")


VOTED_TASK = """
import numpy as np
from cosup import read_labels, register_task
from cosup.tasks import Task, Truth

@register_task("voted", "features and a file of votes from root")
def voted(*, seed, cache, root):
    X, labels = np.load(root + "/X.npy").astype(np.float32), read_labels(root + "/crowd.votes")
    y = np.tile(np.arange(3), 60)
    return Task("voted", X, labels, X, labels.hard()[:, 0], Truth(y, y, np.zeros((180, 1), int)), labels.class_names,
                None, "votes")
"""


def test_a_label_format(example, data, tmp_path):
    plugin, (_, y) = example("my_labels.py"), data
    rows = [line.split(",") for line in (tmp_path / "labels.csv").read_text().splitlines()]
    header, rows = rows[0], rows[1:]
    (tmp_path / "crowd.votes").write_text(
        "".join(f"{i} " + " ".join(f"{t}:{c}" for t, c in zip(header, row, strict=True) if c) + "\n"
                for i, row in enumerate(rows))
    )  # fmt: skip
    labels = ("--labels", tmp_path / "crowd.votes")
    run("fit", "--plugin", plugin, "--features", tmp_path / "X.npy", *labels, "--out", tmp_path / "model")
    assert (predicted(tmp_path / "model", plugin, tmp_path) == y).mean() > 0.7
    assert set(read_account(tmp_path / "model")[0].teachers) == {"crowd", "model", "rules"}
    (tmp_path / "voted.py").write_text(VOTED_TASK)
    run("bench", "--plugin", plugin, "--plugin", tmp_path / "voted.py", "--tasks", "voted", "--root", tmp_path,
        "--methods", "vanilla", "--seeds", 1, "--jobs", 1, "--out", tmp_path / "runs")  # fmt: skip
    assert labels_of(read_records(tmp_path / "runs")) == {"vanilla"}
    # Names that are given must be those of the file.
    with pytest.raises(cosup.CosupError, match="names the classes cat, cow, dog, not a, b"):
        cosup.read_labels(tmp_path / "crowd.votes", class_names=["a", "b"])


def test_a_task(example, tmp_path):
    plugin, method = example("my_task.py"), example("my_method.py")
    run("bench", "--plugin", method, "--plugin", plugin, "--tasks", "iris", "--task-option", "depth=2", "--methods",
        "vanilla,agreement-vote,co-supervised", "--seeds", 2, "--jobs", 1, "--out", tmp_path / "runs")  # fmt: skip
    records = read_records(tmp_path / "runs")
    assert labels_of(records) == {"vanilla", "agreement-vote", "co-supervised"}
    assert all(record["task_options"] == {"depth": 2} for record in records)
    assert records[0]["ceiling"] > 0.8
    assert f"--plugin {plugin}" in records[0]["command"]
    assert {entry["teacher"] for entry in records[0]["per_teacher"]}


def test_parameters_that_no_method_has_are_refused_before_any_work(data, tmp_path):
    given, _ = data
    out = ("--out", tmp_path / "model")
    for setting, message in (
        ("asign=mass", "Did you mean 'assign'"), ("assign", "NAME=VALUE"), ("random_state=3", "--seed"),
        ("assign=nearest", "there is no assigner 'nearest'"),
    ):  # fmt: skip
        assert message in run("fit", "--method", "csl", "--set", setting, *given, *out, code=2)
    assert not (tmp_path / "model").exists()
    assert "Did you mean 'rounds'" in run("bench", *SMALL, "--methods", "csl", "--set", "round=2", *out, code=2)
