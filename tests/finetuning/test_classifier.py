"""Fine-tuned students: models on disk, commands, and what is said of wrong input."""

import errno

import numpy as np
import pytest

import cosup
from cosup import CosupError, CoSupervisedClassifier
from cosup.finetuning import FineTuned

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
networks = pytest.importorskip("networks")
finetuning = pytest.importorskip("cosup.finetuning")
from cosup.embedding import make_backbone, make_encoder  # noqa: E402
from tuning import FAST, assert_as_before, planted, trained  # noqa: E402


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
    assert_as_before(read.predict_proba(X), wanted)
    assert read.predict(X).tolist() == model.predict(X).tolist()
    on_features = cosup.load(moved)
    spec = on_features.inputs_["encoder" if kind == "text" else "backbone"]
    tuned = (make_encoder if kind == "text" else make_backbone)(spec, device="cpu")
    assert_as_before(on_features.predict_proba(tuned.embed(X, progress=False)), wanted)
    model.fit(X, 1 - y).save(moved)  # over it: one network is left
    assert len(list(moved.glob("network-*"))) == 1


def test_a_full_disk_is_named_and_nothing_is_left(tmp_path, monkeypatch):
    X, _, labels = planted()
    model = finetuning.FineTunedClassifier(FineTuned(networks.tiny_net(), **FAST)).fit(X, labels)

    def full(self, folder):
        folder.mkdir()
        (folder / "half").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(model.network_), "save", full)
    with pytest.raises(OSError, match="No space left") as caught:
        model.save(tmp_path)
    assert caught.value.filename.startswith(str(tmp_path / "network-"))
    assert list(tmp_path.iterdir()) == []


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
        FineTuned(half, **FAST).prepare(["w1", "w2"] * 20).train(np.arange(40) % 2).head.materialise()
    with pytest.raises(CosupError, match=r"student must be a cosup\.finetuning\.FineTuned"):
        finetuning.FineTunedClassifier("ridge").fit(X, labels)
    with pytest.raises(CosupError, match="trains a student of its own kind"):
        finetuning.FineTunedClassifier(FineTuned(networks.tiny_net()), cosup.methods.make_method("evidential")).fit(
            X, labels
        )
    with pytest.raises(CosupError, match="features has 10 rows but the labels have 240"):
        finetuning.FineTunedClassifier(FineTuned(networks.tiny_net())).fit(X, labels, features=np.ones((10, 2)))
