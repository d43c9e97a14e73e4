"""A student that is fine-tuned against its own linear probe, under the same hierarchy of weak teachers.

    python benchmarks/finetuning.py [--seeds 5] [--kinds text,images] [--methods default,vanilla,csl,truth]
    python benchmarks/finetuning.py --kills 10

The networks are tiny (two layers, width 32) and their weights random, drawn anew with every seed. Every class is a
segment and one of two variants. The frozen features show the segment to a linear probe, and hardly the variant:

- text: the segment is told by its own words; the variant by one word in twelve, of eight;
- images: the segment is a bright quarter; the variant is whether faint stripes lie or stand, at random phase.

A generalist is right on three samples in five; a specialist a segment is right nine times in ten there, and guesses
among its own classes elsewhere. Annotations are class ids. Probe and network are trained by the same method on the
same ones; nobody sees the truth, which measures only. Differences are paired by seed; the interval is Student's, 95 %.

With --kills N, nothing of that: a training in a process that is killed N times, against one that is left alone.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors import safe_open
from scipy import stats

from cosup import TeacherLabels, make_method
from cosup.embedding import make_backbone, make_encoder
from cosup.finetuning import FineTuned
from cosup.finetuning.classifier import FineTunedClassifier, believing

SEGMENTS, TRAIN, TEST, SIDE = 3, 1500, 600, 16
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(200)))
NAMES = {"truth": "vanilla"}
VARIANT = 8
"""Words a variant."""
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def texts(y: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Sentences of twelve words: one of the variant's, five of the segment's, the others of anyone's."""
    out = []
    for c in y:
        segment, variant = divmod(int(c), 2)
        words = [VARIANT * variant + rng.integers(0, VARIANT), *(40 + 20 * segment + rng.integers(0, 20, 5))]
        words = [*words, *(100 + rng.integers(0, 100, 6))]
        out.append(" ".join(f"w{word}" for word in rng.permutation(words)))
    return out


def images(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Grey noise of 16 x 16 with a quarter that is brighter, and stripes of four pixels that lie or stand."""
    n = len(y)
    out = rng.normal(110, 12, size=(n, SIDE, SIDE))
    phase = rng.integers(0, 4, n)
    for i, c in enumerate(y):
        segment, variant = divmod(int(c), 2)
        row, column = (8 * v for v in divmod(segment, 2))
        out[i, row : row + 8, column : column + 8] += 15
        stripe = 22.0 * np.sign(np.sin(2 * np.pi * (np.arange(SIDE) + phase[i] + 0.5) / 4))
        out[i] += stripe[:, None] if variant else stripe[None, :]
    return np.clip(out, 0, 255).astype(np.uint8)


def network(kind: str, folder: Path, seed: int) -> Any:
    """A tiny transformer with random weights, out of a folder as its library writes it."""
    with torch.random.fork_rng():
        torch.random.manual_seed(seed)
        if kind == "text":
            folder.mkdir()
            (folder / "vocab.txt").write_text("\n".join(WORDS))
            transformers.BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
            config = transformers.BertConfig(vocab_size=len(WORDS), max_position_embeddings=32, **SMALL)
            transformers.BertModel(config).save_pretrained(folder)
            return make_encoder(f"hf:{folder}", device="cpu")
        config = transformers.ViTConfig(image_size=SIDE, patch_size=4, **SMALL)
        transformers.ViTModel(config).save_pretrained(folder)
        transformers.ViTImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
        return make_backbone(f"hf:{folder}", pooling="mean", device="cpu")


def teachers(y: np.ndarray, rng: np.random.Generator) -> TeacherLabels:
    """A generalist, and a specialist a segment."""
    n, n_classes = len(y), 2 * SEGMENTS
    columns = [np.where(rng.random(n) < 0.6, y, (y + rng.integers(1, n_classes, n)) % n_classes)]
    specialties: list[Any] = [None]
    for segment in range(SEGMENTS):
        own = np.array([2 * segment, 2 * segment + 1])
        right = np.where(rng.random(n) < 0.9, y, y ^ 1)
        columns.append(np.where(np.isin(y, own), right, rng.choice(own, n)))
        specialties.append(own)
    levels = [0] + [1] * SEGMENTS
    return TeacherLabels(np.stack(columns, axis=1), levels=levels, specialties=specialties, n_classes=n_classes)


def method(name: str, seed: int) -> Any:
    """A method by its name; "default" is what fine-tuned students have where none is named, "truth" a ceiling."""
    return believing(seed) if name == "default" else make_method(NAMES.get(name, name), random_state=seed)


def measure(kind: str, seed: int, methods: list[str], options: dict[str, Any]) -> dict[str, float]:
    """Accuracies on test samples."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2 * SEGMENTS, TRAIN + TEST)
    X: Any = (texts if kind == "text" else images)(y, rng)
    train, test = slice(0, TRAIN), slice(TRAIN, None)
    labels = teachers(y[train], rng)
    out = {"generalist": float((labels.hard()[:, 0] == y[train]).mean())}
    with tempfile.TemporaryDirectory() as folder:
        net = network(kind, Path(folder) / "network", seed)
        features = net.embed(X, progress=False)
        # Methods share the networks that decide who is believed: trained once, found by the others.
        student = FineTuned(net, progress=False, device="cpu", checkpoint=Path(folder) / "training", **options)
        for name in methods:
            # The truth has no levels to decide about.
            given: Any = y[train] if name == "truth" else labels
            own = replace(student, folds=1) if name == "truth" else student
            probe = method(name, seed).fit(features[train], given)
            out[f"{name}, probe"] = float(probe.score(features[test], y[test]))
            model = FineTunedClassifier(own, method(name, seed))
            model.fit(X[train], given, features=features[train])
            out[f"{name}, fine-tuned"] = float(model.score(X[test], y[test]))
    return out


def train_once(kind: str, folder: Path) -> dict[str, float]:
    """One training on the truth with checkpoints in a folder: its last loss and a sum over its weights."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2 * SEGMENTS, TRAIN)
    with tempfile.TemporaryDirectory() as place:
        net = network(kind, Path(place) / "network", 0)
        student = FineTuned(
            net, epochs=4, learning_rate=1e-3, progress=False, device="cpu", checkpoint=folder, checkpoint_every=5
        )
        head: Any = student.prepare((texts if kind == "text" else images)(y, rng)).train(y).head
        head.materialise()
        total = sum(float(p.detach().double().abs().sum()) for p in head.network.module().parameters())
    return {"loss": head.epochs[-1]["loss"], "weights": total}


def kill_often(kind: str, kills: int) -> None:
    """Kill a training at random times, let it go on, and compare."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        alone = train_once(kind, Path(folder) / "alone")
        done = 0
        command = [sys.executable, __file__, "--train-in", str(Path(folder) / "killed"), "--kinds", kind]
        while True:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            before = _steps(Path(folder) / "killed")
            while done < kills and process.poll() is None:
                time.sleep(0.01)
                # Some steps after it went on, so that every kill falls into another part of the training.
                if _steps(Path(folder) / "killed") > before and rng.random() < 0.3:
                    process.kill()
            if process.wait() == -signal.SIGKILL:
                done += 1
                continue
            assert process.stdout is not None
            found = json.loads(process.stdout.read())
            break
    print(f"{kind}: killed {done} times; alone {alone}, killed {found}, the same: {alone == found}", flush=True)


def _steps(folder: Path) -> int:
    """Steps that the checkpoint in a folder holds."""
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            return int(json.loads(file.metadata()["progress"])["step"])
    return 0


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--kinds", default="text,images")
    parser.add_argument("--methods", default="default,vanilla,csl,co-supervised,truth")
    parser.add_argument("--tune", default="full")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--train-in", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train_in:
        print(json.dumps(train_once(arguments.kinds, arguments.train_in)))
        return
    if arguments.kills:
        for kind in arguments.kinds.split(","):
            kill_often(kind, arguments.kills)
        return
    methods = arguments.methods.split(",")
    options = {
        "tune": arguments.tune, "epochs": arguments.epochs, "learning_rate": arguments.learning_rate,
        "head_learning_rate": arguments.learning_rate, "patience": 4,
    }  # fmt: skip
    for kind in arguments.kinds.split(","):
        started = time.process_time()
        rows = []
        for seed in range(arguments.seeds):
            rows.append(measure(kind, seed, methods, options))
            print(kind, seed, json.dumps({k: round(v, 3) for k, v in rows[-1].items()}), flush=True)
        for name in methods:
            gain = 100 * np.array([row[f"{name}, fine-tuned"] - row[f"{name}, probe"] for row in rows])
            half = (
                stats.t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else np.nan
            )
            means = {k: round(100 * float(np.mean([row[k] for row in rows])), 1) for k in rows[0]}
            print(
                f"{kind}, {name}: probe {means[f'{name}, probe']}, fine-tuned {means[f'{name}, fine-tuned']}, "
                f"gain {gain.mean():+.1f} points ({gain.mean() - half:+.1f} to {gain.mean() + half:+.1f})"
            )
        print(f"{kind}: {time.process_time() - started:.0f} CPU seconds", flush=True)


if __name__ == "__main__":
    main()
