"""Fine-tuned students: a training that was stopped or killed, or ran in two processes, ends as if it had not been."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from cosup import CosupError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
networks = pytest.importorskip("networks")
finetuning = pytest.importorskip("cosup.finetuning")
from tuning import planted, same, trained, weights  # noqa: E402


@pytest.mark.parametrize("tune", ["full", "lora:2"])
def test_a_stopped_training_goes_on_to_the_same_weights(tune, tmp_path, monkeypatch):
    from cosup.finetuning import training

    _, y, _ = planted()
    options = {"tune": tune, "checkpoint_every": 3}
    whole = trained(y, **options)
    step, calls = training._Training._step, []

    def stopping(self, *arguments):
        calls.append(1)
        if len(calls) in (5, 12):
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(training._Training, "_step", stopping)
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
    for change in ({}, {"epochs": 2}, {"seed": 1}, {"train_mask": np.arange(len(X)) > 3}):
        trained(y, checkpoint=tmp_path, **change)
    trained(y, checkpoint=tmp_path, micro_batch=5, checkpoint_every=7)
    assert len(list(tmp_path.iterdir())) == 4


SCRIPT = """
import sys, numpy as np, networks
from cosup.finetuning import FineTuned
from safetensors.numpy import save_file

rng = np.random.default_rng(0)
X = rng.normal(size=(400, 6)).astype(np.float32)
y = 2 * (X[:, 0] > 0) + (X[:, 1] * X[:, 2] > 0)
out, folder, options = sys.argv[1], sys.argv[2], eval(sys.argv[3])
student = FineTuned(networks.tiny_net(), epochs=6, learning_rate=3e-3, checkpoint=folder, progress=False, device="cpu",
                    checkpoint_every=2, **options)
head = student.prepare(X).train(y).head
head.materialise()
arrays = {name: p.detach().numpy() for name, p in head.network.module().named_parameters()}
arrays["weight"], arrays["loss"] = head.linear.weight.copy(), np.array([e["loss"] for e in head.epochs])
save_file(arrays, out)
"""


def start(folder, name, launcher=(), **options):
    """A training in a process of its own; it leaves its weights in ``NAME.safetensors``."""
    (folder / "script.py").write_text(SCRIPT)
    arguments = [folder / "script.py", folder / f"{name}.safetensors", folder / name, repr(options)]
    paths = os.pathsep.join([str(Path(__file__).parents[1] / "support"), *sys.path])
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
    deadline = time.monotonic() + 600
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
