"""Fine-tuned students: what is trained, and on what."""

from dataclasses import replace

import numpy as np
import pytest

import cosup
from cosup import CoSupervisedClassifier, make_method
from cosup.finetuning import FineTuned, ModuleNetwork
from cosup.students import RidgeProbe

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
networks = pytest.importorskip("networks")
finetuning = pytest.importorskip("cosup.finetuning")
from cosup.embedding import make_backbone, make_encoder  # noqa: E402
from tuning import FAST, assert_as_before, planted, same, trained, weights  # noqa: E402

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
    assert fit.alpha == probe.alpha


def test_hard_targets_are_one_hot_ones_and_others_are_left_out():
    X, y, _ = planted()
    train_mask = np.arange(len(X)) % 3 > 0
    rows = np.eye(4)[y]
    same(weights(trained(y, train_mask=train_mask)), weights(trained(rows, train_mask=train_mask)))
    spoilt = np.where(train_mask, y, 0)
    same(weights(trained(y, train_mask=train_mask)), weights(trained(spoilt, train_mask=train_mask)))
    same(weights(trained(np.where(train_mask, y, -1))), weights(trained(y, train_mask=train_mask)))
    soft = trained(0.7 * rows + 0.075, train_mask=train_mask)
    assert np.median(soft.predict_proba(X).max(axis=1)) < np.median(
        trained(y, train_mask=train_mask).predict_proba(X).max(axis=1)
    )


def test_merged_heads_are_trained_on_the_mean_of_their_targets():
    X, y, _ = planted()
    other = np.where(np.arange(len(y)) % 2, y, 3 - y)
    trainer = FineTuned(networks.tiny_net(), **FAST).prepare(X)
    heads = [trainer.train(t, n_classes=4).head for t in (y, other)]
    merged = cosup.students.average_heads(heads)
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
    assert_as_before(read.predict_proba(X), model.predict_proba(X))


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
