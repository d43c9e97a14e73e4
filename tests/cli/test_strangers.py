"""Folders from strangers: nothing in them is run, nothing is written outside, nobody is asked for anything."""

import json
import os
import shutil
import socket

import numpy as np
import pytest

import cosup
from cosup.cli.fit_manifest import read_manifest
from cosup.embedding import FeatureStore

pytest.importorskip("PIL")
pytest.importorskip("transformers")

from strangers import EVIL, Stage, honest


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return honest(tmp_path_factory.mktemp("made"))


@pytest.fixture
def stage(tmp_path, made, monkeypatch):
    stage = Stage(tmp_path, made)

    def ask(name):
        def asked(*arguments, **_):
            stage.asked.append((name, str(arguments[-1])))
            raise OSError(f"{name}: there is no network in this test")

        return asked

    monkeypatch.setattr(socket, "getaddrinfo", ask("getaddrinfo"))
    monkeypatch.setattr(socket.socket, "connect", lambda self, where: ask("connect")(where))
    monkeypatch.setattr(socket.socket, "connect_ex", lambda self, where: ask("connect")(where))
    monkeypatch.chdir(tmp_path)
    return stage


# -- attempts: each a function of the stage that gives a result, and what is said ------------------------------------


def linked(stage, folder, name, target=None):
    place = folder / name
    target = stage.outside / name if target is None else target
    if place.exists():
        place.rename(target)
    place.symlink_to(target)
    return folder


def hub_folder(stage):
    (stage.root / "hubrepo").mkdir()
    (stage.root / "hubrepo" / "hubconf.py").write_text(EVIL.format(mark=str(stage.mark)))
    return f"hub:{stage.root / 'hubrepo'}:net"


def half_store(stage):
    """A store that is not finished, whose array is a link to something of mine."""
    store = stage.copy("store")
    stage.edit(store / "manifest.json", lambda content: content.update(complete=False))
    (store / "features.npy").unlink()
    (store / "features.npy").symlink_to(stage.outside / "mine.txt")
    return store


def store_named(stage, name):
    store = stage.copy("store")
    stage.edit(store / "manifest.json", lambda content: content["backbone"].update(name=name))
    return store


def fitted_on(stage, store):
    """My own model, fitted on a stranger's store."""
    lines = "".join(f"{name},c{i % 2},c{i % 2}\n" for i, name in enumerate(FeatureStore.open(store).paths))
    (stage.root / "few.csv").write_text("id,a,b\n" + lines)
    result = stage.run("fit", "--features", store, "--labels", stage.root / "few.csv", "--out", stage.root / "mine")
    assert result.exit_code == 0, result.output
    return stage.root / "mine"


def committed(stage, moves, removed=()):
    folder = stage.copy("model")
    (folder / ".commit").write_text(json.dumps({"files": moves, "removed": list(removed)}))
    return stage.run(
        "fit", "--features", stage.made / "X.npz", "--labels", stage.made / "L.csv", "--out", folder
    )  # fmt: skip


def pickled(stage, where):
    """A network whose weights are a pickle that runs something."""
    import torch

    class Bomb:
        def __reduce__(self):
            return os.system, (f"touch {stage.mark}",)

    stage.network(where)
    (where / "model.safetensors").unlink()
    torch.save({"w": Bomb()}, where / "pytorch_model.bin")
    return where


def tuned(stage, spoil):
    """A model with a network beside it."""
    folder = stage.model(backbone="model:network-1")
    spoil(folder / "network-1")
    return stage.predict(folder)


def adapter(where, stage):
    stage.network(where)
    (where / "config.json").unlink()
    (where / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "owner/name", "peft_type": "LORA"})
    )


def remote_code(where, stage):
    stage.network(where, model_type="evil", auto_map={"AutoConfig": "evil.C", "AutoModel": "evil.M"})
    (where / "evil.py").write_text(EVIL.format(mark=str(stage.mark)))


def sweep(stage, **changed):
    folder = stage.root / "sweep"
    words = ["bench", "--tasks", "hierarchy", "--task-option", "n_samples=40", "--task-option", "n_test=10",
             "--task-option", "n_features=5", "--methods", "vanilla", "--seeds", "1", "--jobs", "1"]  # fmt: skip
    assert stage.run(*words, "--out", folder).exit_code == 0
    record = json.loads((folder / "records.jsonl").read_text())
    (folder / "records.jsonl").write_text(json.dumps(record | changed) + "\n")
    return folder, words


def swept_through_a_link(stage):
    folder, words = sweep(stage)
    linked(stage, folder, "records.jsonl")
    return stage.run(*words[:-4], "--seeds", "2", "--jobs", "1", "--out", folder)


ATTEMPTS = {
    # a model
    "a module, predict": (lambda s: s.predict(s.model(backbone=s.evil)), "--backbone 'module:"),
    "a hub's folder, predict": (lambda s: s.predict(s.model(backbone=hub_folder(s))), "--backbone 'hub:"),
    "a hub's name, predict": (lambda s: s.predict(s.model(backbone="hub:owner/name:net")), "--backbone 'hub:owner"),
    "transformers' hub, predict": (lambda s: s.predict(s.model(backbone="hf:owner/name")), "--backbone 'hf:owner/n"),
    "transformers' hub, texts": (
        lambda s: s.predict(s.model(encoder="hf:owner/name"), "text"), "--encoder 'hf:owner/name'"),
    "a folder elsewhere": (
        lambda s: s.predict(s.model(backbone=f"hf:{s.network(s.outside / 'net')}")), "--backbone 'hf:"),
    "timm's hub": (lambda s: s.predict(s.model(backbone="timm:resnet18.a1_in1k")), "--backbone 'timm:"),
    "torchvision's server": (lambda s: s.predict(s.model(backbone="torchvision:alexnet")), "--backbone 'torchvision:"),
    "a source that no one knows": (lambda s: s.predict(s.model(backbone="evil:x")), "--backbone 'evil:x'"),
    "another name is typed": (
        lambda s: s.predict(s.model(backbone=s.evil), "images", "--backbone", "lite:efficientnet-lite0"), "leave"),
    "model: upwards": (lambda s: s.predict(s.model(backbone="model:../outside")), "'inputs'"),
    "model: from the root": (lambda s: s.predict(s.model(backbone=f"model:{s.outside}")), "'inputs'"),
    "model: two steps": (lambda s: s.predict(s.model(backbone="model:a/b")), "'inputs'"),
    "model: nothing": (lambda s: s.predict(s.model(backbone="model:")), "'inputs'"),
    "a link in place of a network": (
        lambda s: tuned(s, lambda where: where.symlink_to(s.network(s.outside / "net"))), "holds links"),
    "a link in a network": (
        lambda s: tuned(s, lambda where: linked(s, s.network(where), "config.json")), "holds links"),
    "a network with code": (lambda s: tuned(s, lambda where: remote_code(where, s)), "cannot be loaded"),
    "a network that is an adapter": (lambda s: tuned(s, lambda where: adapter(where, s)), "adapter"),
    "a network that is a pickle": (lambda s: tuned(s, lambda where: pickled(s, where)), "cannot be loaded"),
    "a network with a kernel": (
        lambda s: tuned(s, lambda where: s.network(where, attn_implementation="owner/kernel")), "kernel"),
    "a network with a quantisation": (
        lambda s: tuned(s, lambda where: s.network(where, quantization_config={"quant_method": "quanto"})), "quantis"),
    "a link for model.json": (
        lambda s: s.predict(linked(s, s.copy("model"), "model.json")), "link out of its folder"),
    "a link for the weights": (
        lambda s: s.predict(linked(s, s.copy("model"), "model.safetensors")), "link out of its folder"),
    "a link for the provenance": (
        lambda s: s.run("look", linked(s, s.copy("model"), "provenance.json")), "link out of its folder"),
    # a fit
    "a module, update": (
        lambda s: s.update(s.fit(features=None, images=str(s.made / "photos"), backbone=s.evil)),
        "add --trust 'module:"),
    "a module, check": (
        lambda s: s.check(s.fit(features=None, images=str(s.made / "photos"), backbone=s.evil)),
        "add --trust 'module:"),
    "a hub, update": (
        lambda s: s.update(s.fit(features=None, texts=str(s.made / "t.txt"), encoder="hf:owner/name")),
        "add --trust 'hf:owner/name'"),
    "a hub, check": (
        lambda s: s.check(s.fit(features=None, texts=str(s.made / "t.txt"), encoder="hf:owner/name")),
        "add --trust 'hf:owner/name'"),
    "labels of a URL": (lambda s: s.update(s.fit(files=["http://evil.example/l.csv"])), "--again http://evil.example"),
    "features of a URL": (lambda s: s.update(s.fit(features="s3://evil/x.npy")), "--again s3://evil"),
    "probabilities of a URL": (
        lambda s: s.check(s.fit(probabilities={"a": "https://evil.example/p.npy"})), "--again https://evil"),
    "a store elsewhere": (
        lambda s: s.update(
            s.fit(features=None, images=str(s.made / "photos"), backbone="lite:efficientnet-lite0",
                  store=str(s.outside / "store"))), None),
    "a plugin": (
        lambda s: s.run("fit", "--update", plugged(s), "--out", s.root / "new"), "--plugin"),
    "a commit that leads out": (
        lambda s: committed(s, {"../outside/mine.txt": ".x-" + 32 * "0" + ".tmp"}), "delete it"),
    "a commit of another's file": (lambda s: committed(s, {"model.json": "../outside/mine.txt"}), "delete it"),
    "a commit that removes": (lambda s: committed(s, {}, ["../outside/mine.txt"]), "delete it"),
    "a lock that is a link": (lambda s: locked_out(s), "cannot be made or written"),
    # a store
    "a store's backbone, one fit later": (
        lambda s: s.predict(fitted_on(s, store_named(s, s.evil))), "--backbone 'module:"),
    "a store's backbone, one update later": (
        lambda s: s.update(fitted_on(s, store_named(s, s.evil)), "--images", s.made / "photos", "--partial"),
        "add --trust 'module:"),
    "a store whose array is a link": (
        lambda s: s.run("fit", "--features", linked(s, s.copy("store"), "features.npy"), "--labels", s.made / "L.csv",
                        "--out", s.root / "new"), "link out of its folder"),
    "a store whose list is a link": (
        lambda s: s.run("fit", "--features", linked(s, s.copy("store"), "files.jsonl"), "--labels", s.made / "L.csv",
                        "--out", s.root / "new"), "link out of its folder"),
    "a store to go on with, a link": (
        lambda s: s.run("embed", "--images", s.made / "photos", "--backbone", f"module:{s.made / 'net.py'}:net",
                        "--out", half_store(s)), "link out of its folder"),
    "a store of pickles": (
        lambda s: s.run("fit", "--features", pickled_store(s), "--labels", s.made / "L.csv", "--out", s.root / "new"),
        "not the array"),
    # a sweep's folder
    "a sweep's command": (lambda s: s.run("report", sweep(s, command="touch ran; rm -rf /")[0]), None),
    "a sweep through a link": (swept_through_a_link, "is a link"),
    "a sweep's task upwards": (
        lambda s: s.run("report", sweep(s, task="../../outside/x")[0], "--figures", s.root / "figures"), None),
    # a network's folder that is typed
    "a typed folder with code": (
        lambda s: s.run("embed", "--images", s.made / "photos", "--backbone", f"hf:{coded(s)}", "--out", s.root / "e"),
        "cannot be loaded"),
    "a typed folder of pickles": (
        lambda s: s.run("embed", "--images", s.made / "photos", "--backbone", f"hf:{pickled(s, s.root / 'net')}",
                        "--out", s.root / "e"), "cannot be loaded"),
}  # fmt: skip


def plugged(stage):
    folder = stage.copy("model")
    stage.edit(folder / "fit.json", lambda content: content.update(plugins=[str(stage.root / "evil.py")]))
    return folder


def coded(stage):
    remote_code(stage.root / "net", stage)
    return stage.root / "net"


def locked_out(stage):
    folder = stage.copy("model")
    (folder / ".lock").symlink_to(stage.outside / "mine.txt")
    return stage.run("fit", "--features", stage.made / "X.npz", "--labels", stage.made / "L.csv", "--out", folder)


def pickled_store(stage):
    store = stage.copy("store")
    np.save(store / "features.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return store


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_nothing_of_a_stranger_happens(stage, attempt):
    act, said = ATTEMPTS[attempt]
    result = act(stage)
    if said is None:
        assert result.exit_code == 0, result.output
    else:
        assert result.exit_code == 2, result.output
        assert said in " ".join(result.stderr.split())


def test_forty_attempts_at_the_least():
    assert len(ATTEMPTS) >= 40


HUB = """
import torch
def net(pretrained=True):
    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten())
"""


def test_a_repository_of_hub_is_run_where_its_name_is_typed(stage):
    """By every command, and by none that only finds the name in a file."""
    (stage.root / "repository").mkdir()
    (stage.root / "repository" / "hubconf.py").write_text(HUB)
    hub, photos = f"hub:{stage.root / 'repository'}:net", stage.made / "photos"
    store, model = stage.root / "hub-store", stage.root / "hub-model"
    assert stage.run("embed", "--images", photos, "--backbone", hub, "--out", store).exit_code == 0
    names = FeatureStore.open(store).paths
    (stage.root / "few.csv").write_text(
        "id,a,b\n" + "".join(f"{name},c{i % 2},c{i % 2}\n" for i, name in enumerate(names))
    )
    fit = ("--images", photos, "--labels", stage.root / "few.csv", "--out")
    assert stage.run("fit", *fit, model, "--backbone", hub).exit_code == 0
    shutil.rmtree(model / "features")
    predict = ("predict", "--model", model, "--images", photos, "--out", stage.root / "p.csv")
    update = ("fit", "--update", model, *fit, stage.root / "new")
    for words, option in ((predict, "--backbone"), (update, "--trust")):
        refused = stage.run(*words)
        assert (refused.exit_code, f"add {option} '{hub}'" in refused.stderr) == (2, True)
        assert stage.run(*words, option, hub).exit_code == 0


def test_what_a_person_names_too_is_run(stage):
    """The same fields, with the name on the command line: one's own fit goes on as it did."""
    honest = f"module:{stage.made / 'net.py'}:net"
    folder = fitted_on(stage, stage.copy("store"))
    assert cosup.load(folder).inputs_ == {"backbone": honest}
    assert stage.predict(folder).exit_code == 2
    assert stage.predict(folder, "images", "--backbone", honest).exit_code == 0
    update = ("--images", stage.made / "photos", "--labels", stage.root / "few.csv")
    assert stage.update(folder, *update).exit_code == 2
    result = stage.update(folder, *update, "--trust", honest)
    assert result.exit_code == 0, result.output
    assert read_manifest(stage.root / "new").inputs[0].features == stage.root / "store"
