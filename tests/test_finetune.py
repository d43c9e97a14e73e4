"""Fine-tuned students: what is trained, on what, and that a training that was stopped ends as if it had not been."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

import cosup
from cosup import CosupError, CoSupervisedClassifier, TeacherLabels, make_method
from cosup.student import FineTuned, ModuleNetwork, RidgeProbe

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
networks = pytest.importorskip("networks")
finetuning = pytest.importorskip("cosup.finetuning")
from cosup.datasets import make_backbone  # noqa: E402
from cosup.datasets.text import make_encoder  # noqa: E402

FAST = {"epochs": 3, "learning_rate": 3e-3, "head_learning_rate": 3e-3, "progress": False, "device": "cpu"}


def planted(n=240, seed=0):
    """Rows whose class is the sign of one column and of a product, and the word of three teachers."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 6)).astype(np.float32)
    y = 2 * (X[:, 0] > 0) + (X[:, 1] * X[:, 2] > 0)
    columns = [np.where(rng.random(n) < 0.4, rng.integers(0, 4, n), y)]
    for own in ([0, 1], [2, 3]):
        columns.append(np.where(np.isin(y, own) & (rng.random(n) < 0.9), y, rng.choice(own, n)))
    labels = TeacherLabels(np.stack(columns, axis=1), levels=[0, 1, 1], specialties=[None, [0, 1], [2, 3]], n_classes=4)
    return X, y, labels


def weights(head):
    return {name: p.detach().numpy() for name, p in head.network.module().named_parameters()}


def same(one, other, **tolerance):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], err_msg=name, **(tolerance or {"rtol": 0, "atol": 0}))


def trained(targets, X=None, keep=None, seed=0, **options):
    X = planted()[0] if X is None else X
    student = FineTuned(networks.tiny_net(), **{**FAST, **options})
    head = student.prepare(X).train(targets, keep=keep, random_state=seed).head
    head.settle()
    return head


# --- the protocol ---------------------------------------------------------------------------------------------------


def test_it_is_a_student_that_learns_more_than_its_probe():
    X, y, labels = planted(800)
    net = networks.tiny_net()
    before = [p.detach().clone() for p in net.parameters()]
    student = FineTuned(net, **{**FAST, "epochs": 20}, patience=None)
    state = torch.get_rng_state()
    model = make_method("csl", student=student, random_state=0).fit(X[:600], labels[:600])
    assert torch.equal(state, torch.get_rng_state()), "torch's stream is the caller's"
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True)), "so is the network"
    F = ModuleNetwork(net).embed(X)
    probe = make_method("csl", random_state=0).fit(F[:600], labels[:600]).score(F[600:], y[600:])
    assert model.score(X[600:], y[600:]) > probe + 0.08
    assert model.head_.epochs[-1]["loss"] < model.head_.epochs[0]["loss"]


def test_only_heads_that_are_kept_are_trained(tmp_path):
    X, _, labels = planted()
    student = FineTuned(networks.tiny_net(), checkpoint=tmp_path, **FAST)
    model = CoSupervisedClassifier(student, random_state=0).fit(X, labels)
    assert len(list(tmp_path.iterdir())) == 3  # two folds of the first student, and the final one
    model.predict(X)
    assert len(list(tmp_path.iterdir())) == 3
    assert model.level_predict(X).shape == (2, len(X))
    assert len(list(tmp_path.iterdir())) == 4  # the first level's
    one = CoSupervisedClassifier(replace(student, folds=1, checkpoint=tmp_path / "one"), random_state=0).fit(X, labels)
    assert len(list((tmp_path / "one").iterdir())) == 1
    assert one.history_[1]["rounds"] == 5


def test_out_of_sample_is_by_networks_that_never_saw_the_sample():
    X, _, _ = planted()
    noise = np.random.default_rng(1).integers(0, 2, len(X))  # what can't be known, only remembered
    options = {**FAST, "epochs": 40, "patience": None, "learning_rate": 1e-2}
    trainer = FineTuned(networks.tiny_net(48), **options).prepare(X)
    fit = trainer.train(noise)
    assert (fit.in_sample.argmax(axis=1) == noise).mean() > 0.85
    assert abs((fit.out_of_sample.argmax(axis=1) == noise).mean() - 0.5) < 0.12
    later = trainer.like(fit).train(noise)
    assert abs((later.out_of_sample.argmax(axis=1) == noise).mean() - 0.5) < 0.12
    np.testing.assert_allclose(later.out_of_sample.sum(axis=1), 1)
    parts = list(later.blocks(True, 100))
    np.testing.assert_array_equal(np.concatenate([p for _, p in parts]), later.out_of_sample)
    assert [rows.stop for rows, _ in parts] == [100, 200, 240]


def test_with_one_fold_probes_on_the_frozen_features_decide():
    X, y, _ = planted()
    net = networks.tiny_net()
    fit = FineTuned(net, folds=1, **FAST).prepare(X).train(y)
    probe = RidgeProbe().prepare(ModuleNetwork(net).embed(X)).train(y)
    np.testing.assert_array_equal(fit.out_of_sample, probe.out_of_sample)
    assert fit.strength == probe.strength


def test_hard_targets_are_one_hot_ones_and_others_are_left_out():
    X, y, _ = planted()
    keep = np.arange(len(X)) % 3 > 0
    rows = np.eye(4)[y]
    same(weights(trained(y, keep=keep)), weights(trained(rows, keep=keep)))
    spoilt = np.where(keep, y, 0)
    same(weights(trained(y, keep=keep)), weights(trained(spoilt, keep=keep)))
    same(weights(trained(np.where(keep, y, -1))), weights(trained(y, keep=keep)))
    soft = trained(0.7 * rows + 0.075, keep=keep)
    assert np.median(soft.predict_proba(X).max(axis=1)) < np.median(trained(y, keep=keep).predict_proba(X).max(axis=1))


def test_merged_heads_are_trained_on_the_mean_of_their_targets():
    X, y, _ = planted()
    other = np.where(np.arange(len(y)) % 2, y, 3 - y)
    trainer = FineTuned(networks.tiny_net(), **FAST).prepare(X)
    heads = [trainer.train(t, n_classes=4).head for t in (y, other)]
    merged = cosup.student.average_heads(heads)
    direct = trainer.train((np.eye(4)[y] + np.eye(4)[other]) / 2).head
    same(weights(merged), weights(direct))


def test_a_method_without_levels_takes_it():
    X, y, labels = planted()
    student = FineTuned(networks.tiny_net(), **FAST)
    assert make_method("vanilla", student=student).fit(X, labels).score(X, y) > 0.4
    names = np.array(list("abcd"))[y]
    assert set(CoSupervisedClassifier(student).fit(X, names).predict(X)) <= set("abcd")


# --- what is trained ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tune", "moved"), [("full", {"0", "2", "4"}), ("last:1", {"4"}), ("last:2", {"2", "4"})])
def test_only_the_last_blocks_are_trained(tune, moved):
    before = dict(networks.tiny_net().named_parameters())
    after = weights(trained(planted()[1], tune=tune))
    assert {n.split(".")[0] for n in after if not np.array_equal(after[n], before[n].detach().numpy())} == moved


def test_lora_adds_a_matrix_of_low_rank_to_linear_layers_and_nothing_else():
    pytest.importorskip("peft")
    before = dict(networks.tiny_net().named_parameters())
    after = weights(trained(planted()[1], tune="lora:2"))
    assert after.keys() == before.keys()
    for name, value in after.items():
        change = value - before[name].detach().numpy()
        is_linear = name in ("0.weight", "2.weight")
        assert (np.linalg.matrix_rank(change, tol=1e-5) == 2) if is_linear else not change.any(), name


@pytest.mark.parametrize("kind", ["text", "images"])
def test_blocks_of_transformers_are_found(kind, tmp_path):
    save = networks.save_bert if kind == "text" else networks.save_vit
    X, y = (networks.sentences if kind == "text" else networks.pictures)(60)
    net = (make_encoder if kind == "text" else make_backbone)(f"hf:{save(tmp_path / 'net')}", device="cpu")
    before = {name: p.numpy() for name, p in net.module().state_dict().items()}
    for tune in ("last:1", "lora:2"):
        student = FineTuned(net, tune=tune, **{**FAST, "epochs": 1})
        head = student.prepare(X).train(y).head
        after = weights(head)
        changed = {name for name in after if not np.array_equal(after[name], before[name])}
        assert any("layer.1." in name for name in changed) or any("layers.1." in name for name in changed)
        last_only = not any(part in name for name in changed for part in ("embeddings", "layer.0.", "layers.0."))
        assert last_only == (tune == "last:1")


@pytest.mark.parametrize(
    ("save", "tune", "moved"), [("save_gpt2", "lora:2", "h."), ("save_resnet", "last:1", "stages.1.")]
)
def test_language_models_and_convolutional_networks_are_tuned_saved_and_read(save, tune, moved, tmp_path):
    is_text = save == "save_gpt2"
    folder = getattr(networks, save)(tmp_path / "net")
    X, y = (networks.sentences if is_text else networks.pictures)(40)
    net = (make_encoder if is_text else make_backbone)(f"hf:{folder}", device="cpu")
    before = {name: p.numpy() for name, p in net.module().state_dict().items()}
    model = finetuning.FineTunedClassifier(FineTuned(net, tune=tune, folds=1, **{**FAST, "epochs": 1})).fit(X, y)
    after = {name: p.numpy() for name, p in model.network_.module().state_dict().items()}
    changed = {name for name in after if not np.array_equal(after[name], before[name])}
    assert changed
    assert all(moved in name for name in changed), changed  # so no statistics of batch norms either
    assert not any("running" in name for name in changed)
    model.save(tmp_path / "model")
    read = finetuning.FineTunedClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(read.predict_proba(X), model.predict_proba(X))


def test_a_batch_may_be_split_and_computed_in_half_the_bits():
    _, y, _ = planted()
    whole = trained(y, batch_size=48)
    same(weights(whole), weights(trained(y, batch_size=48, micro_batch=7)), rtol=0, atol=2e-5)
    halves = trained(y, batch_size=48, precision="bfloat16")
    change = [np.abs(a - b).max() for a, b in zip(weights(whole).values(), weights(halves).values(), strict=True)]
    assert 0 < max(change) < 0.1
    assert all(p.dtype == torch.float32 for p in halves.network.module().parameters())


def test_early_stopping_goes_by_targets_that_were_held_out_and_keeps_the_best_epoch():
    X, y, _ = planted()
    noise = np.random.default_rng(0).integers(0, 4, len(X))
    options = {"learning_rate": 1e-2, "patience": 2}
    head = trained(noise, epochs=30, **options)
    agreement = [record["agreement"] for record in head.epochs]
    assert len(agreement) < 30
    best = int(np.argmax(agreement))
    assert len(agreement) == best + 3
    assert head.epochs[-1]["loss"] < head.epochs[0]["loss"], "training went on to fit what can't be known"
    assert [record["agreement"] for record in trained(y, patience=None).epochs] == [None] * 3


# --- stopped and killed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tune", ["full", "lora:2"])
def test_a_stopped_training_goes_on_to_the_same_weights(tune, tmp_path, monkeypatch):
    from cosup.student.finetuned import _training

    _, y, _ = planted()
    options = {"tune": tune, "checkpoint_every": 3}
    whole = trained(y, **options)
    step, calls = _training._Training._step, []

    def stopping(self, *arguments):
        calls.append(1)
        if len(calls) in (5, 12):
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(_training._Training, "_step", stopping)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            trained(y, checkpoint=tmp_path, **options)
    head = trained(y, checkpoint=tmp_path, **options)
    same(weights(whole), weights(head))
    assert [(r["loss"], r["agreement"]) for r in whole.epochs] == [(r["loss"], r["agreement"]) for r in head.epochs]
    done = len(calls)
    trained(y, checkpoint=tmp_path, **options)
    assert len(calls) == done, "a training that is finished is not repeated"
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CosupError, match=r"is damaged .* delete it"):
        trained(y, checkpoint=tmp_path, **options)


def test_what_would_end_elsewhere_is_another_training(tmp_path):
    X, y, _ = planted()
    for change in ({}, {"epochs": 2}, {"seed": 1}, {"keep": np.arange(len(X)) > 3}):
        trained(y, checkpoint=tmp_path, **change)
    trained(y, checkpoint=tmp_path, micro_batch=5, checkpoint_every=7)
    assert len(list(tmp_path.iterdir())) == 4


SCRIPT = """
import sys, numpy as np, networks
from cosup.student import FineTuned
from safetensors.numpy import save_file

rng = np.random.default_rng(0)
X = rng.normal(size=(400, 6)).astype(np.float32)
y = 2 * (X[:, 0] > 0) + (X[:, 1] * X[:, 2] > 0)
out, folder, options = sys.argv[1], sys.argv[2], eval(sys.argv[3])
student = FineTuned(networks.tiny_net(), epochs=6, learning_rate=3e-3, checkpoint=folder, progress=False, device="cpu",
                    checkpoint_every=2, **options)
head = student.prepare(X).train(y).head
head.settle()
arrays = {name: p.detach().numpy() for name, p in head.network.module().named_parameters()}
arrays["weight"], arrays["loss"] = head.linear.weight.copy(), np.array([e["loss"] for e in head.epochs])
save_file(arrays, out)
"""


def start(folder, name, launcher=(), **options):
    """A training in a process of its own; it leaves its weights in ``NAME.safetensors``."""
    (folder / "script.py").write_text(SCRIPT)
    arguments = [folder / "script.py", folder / f"{name}.safetensors", folder / name, repr(options)]
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    return subprocess.Popen(
        [sys.executable, *launcher, *map(str, arguments)], env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finished(process, folder, name):
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return load_file(folder / f"{name}.safetensors")


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_loss(tmp_path):
    whole = finished(start(tmp_path, "whole"), tmp_path, "whole")
    process = start(tmp_path, "killed")
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed").glob("*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    (path,) = (tmp_path / "killed").glob("*.safetensors")
    with safe_open(path, "np") as file:
        assert 0 < json.loads(file.metadata()["progress"])["step"] < 6 * 12
    same(finished(start(tmp_path, "killed"), tmp_path, "killed"), whole)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"micro_batch": 5}])
def test_two_processes_end_where_one_does(options, tmp_path):
    one = finished(start(tmp_path, "one"), tmp_path, "one")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    two = finished(start(tmp_path, "two", launcher, **options), tmp_path, "two")
    same(two, one, rtol=1e-4, atol=1e-4)
    assert not np.array_equal(two["weight"], one["weight"])  # or there was no second process


# --- samples as they are, and models on disk ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return networks.save_both(tmp_path_factory.mktemp("networks"))


@pytest.mark.parametrize("kind", ["text", "images"])
def test_a_saved_model_predicts_the_same(kind, folders, tmp_path):
    X, y = (networks.sentences if kind == "text" else networks.pictures)(60)
    net = (make_encoder if kind == "text" else make_backbone)(f"hf:{folders[kind]}", device="cpu")
    model = finetuning.FineTunedClassifier(FineTuned(net, tune="last:1", **FAST)).fit(X, np.array(["no", "yes"])[y])
    model.save(tmp_path / "model")
    wanted = model.predict_proba(X)
    moved = (tmp_path / "model").rename(tmp_path / "elsewhere")
    read = finetuning.FineTunedClassifier.load(moved)
    np.testing.assert_array_equal(read.predict_proba(X), wanted)
    assert read.predict(X).tolist() == model.predict(X).tolist()
    on_features = cosup.load(moved)
    spec = on_features.inputs_["encoder" if kind == "text" else "backbone"]
    tuned = (make_encoder if kind == "text" else make_backbone)(spec, device="cpu")
    np.testing.assert_array_equal(on_features.predict_proba(tuned.embed(X, progress=False)), wanted)
    model.fit(X, 1 - y).save(moved)  # over it: one network is left
    assert len(list(moved.glob("network-*"))) == 1


def test_a_module_is_saved_by_its_weights(tmp_path):
    X, y, labels = planted()
    model = finetuning.FineTunedClassifier(FineTuned(networks.tiny_net(), **FAST)).fit(X, labels)
    model.save(tmp_path)
    np.testing.assert_array_equal(
        finetuning.FineTunedClassifier.load(tmp_path, networks.tiny_net()).predict_proba(X), model.predict_proba(X)
    )
    with pytest.raises(CosupError, match="whose code is not saved; give module="):
        finetuning.FineTunedClassifier.load(tmp_path)
    with pytest.raises(CosupError, match="of another module"):
        finetuning.FineTunedClassifier.load(tmp_path, networks.tiny_net(8))
    CoSupervisedClassifier().fit(X, y).save(tmp_path / "plain")
    with pytest.raises(CosupError, match=r"holds no fine-tuned model; read it by cosup\.load"):
        finetuning.FineTunedClassifier.load(tmp_path / "plain")


# --- wrong input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tune": "lora"}, r"tune must be 'full', 'last:K' .* got 'lora'"),
        ({"tune": "last:0"}, "tune must be"),
        ({"epochs": 0}, "epochs of FineTuned must be a finite integer above 0"),
        ({"holdout": 1.0}, "holdout of FineTuned is a share, under 1"),
        ({"precision": "float15"}, "unknown precision of FineTuned"),
        ({"learning_rate": -1}, "learning_rate of FineTuned"),
    ],
)
def test_wrong_parameters_are_named(options, message):
    with pytest.raises(CosupError, match=message):
        FineTuned(networks.tiny_net(), **options)


def test_wrong_networks_and_samples_are_named(folders):
    X, y, labels = planted()
    with pytest.raises(CosupError, match="network must be a torch module"):
        FineTuned("bert").prepare(X)
    with pytest.raises(CosupError, match="more blocks than the module has: 3"):
        trained(y, tune="last:9")
    half = make_encoder(f"hf:{folders['text']}", dtype="bfloat16", device="cpu")
    with pytest.raises(CosupError, match="make it in float32"):
        FineTuned(half, **FAST).prepare(["w1", "w2"] * 20).train(np.arange(40) % 2).head.settle()
    with pytest.raises(CosupError, match=r"student must be a cosup\.student\.FineTuned"):
        finetuning.FineTunedClassifier("ridge").fit(X, labels)
    with pytest.raises(CosupError, match="trains a student of its own kind"):
        finetuning.FineTunedClassifier(FineTuned(networks.tiny_net()), cosup.methods.make_method("evidential")).fit(
            X, labels
        )
    with pytest.raises(CosupError, match="features has 10 rows but the labels have 240"):
        finetuning.FineTunedClassifier(FineTuned(networks.tiny_net())).fit(X, labels, features=np.ones((10, 2)))
