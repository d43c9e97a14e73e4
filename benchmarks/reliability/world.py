"""What there is to spoil: inputs, fits of them, and what readers see of a folder."""

from __future__ import annotations

import csv
import hashlib
import importlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from reliability.commands import must

from cosup.utils.atomic_files import COMMIT

ROWS, FIRST = 120, 90


class World:
    """Inputs, and fits of them.

    Nearly everything is run here once, in this process: the processes that are forked from it import nothing any more.
    """

    def __init__(self, root: Path, *, tuned: bool = True) -> None:
        self.root, self.tuned = root, tuned
        self._samples()
        self._photos()
        must(self.fit("old", root / "model"))
        must(self.fit("all", root / "model2", "--seed", 1))
        must(self.embed(root / "store"))
        for arguments in (
            self.fit("old", root / "warm"), self.update(root / "warm"), self.vanilla(root / "warm"),
            self.check(root / "warm-check"), self.bench(root / "warm-bench"), self.teach(root / "warm-teach"),
            self.fit("old", root / "other", "--classes", "c0,c1,c2,c9"),
        ):  # fmt: skip
            must(arguments)
        if tuned:
            _save_network(root / "bert")
            # Not the training itself: gradients start threads, behind which no process can be forked that needs them.
            network = ["--text", root / "texts.csv", "--encoder", f"hf:{root / 'bert'}"]
            must(["fit", *network, "--labels", root / "texts-labels.csv", "--out", root / "warm-text"])
            importlib.import_module("cosup.finetuning.classifier")
        (root / "earlier").mkdir()
        for name, words in (("tasks.json", self.look), ("page.html", self.explore), ("new.npz", self.predict)):
            must(words(root / "earlier" / name, root / "other"))

    def _samples(self) -> None:
        from cosup.tasks import make_hierarchy

        root = self.root
        task = make_hierarchy(ROWS, 20, n_features=6, n_classes=3, teachers_per_level=(1, 1), accuracy=(0.7, 0.8))
        ids = [f"s{row:03}" for row in range(ROWS)]
        hard = task.labels.hard()
        for name, rows in (("old", slice(FIRST)), ("new", slice(FIRST, ROWS)), ("all", slice(ROWS))):
            np.savez(root / f"{name}.npz", X=task.X_train[rows], ids=np.array(ids[rows]))
            with (root / f"{name}.csv").open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["id", "a", "b"])
                for i, row in zip(ids[rows], hard[rows], strict=True):
                    writer.writerow([i, *(f"c{v}" if v >= 0 else "" for v in row)])
        (root / "person.csv").write_text("id,person\ns000,c0\ns001,c1\ns002,c2\n")

    def _photos(self) -> None:
        from PIL import Image

        root, rng = self.root, np.random.default_rng(0)
        for row in range(12):
            where = root / "photos" / f"k{row % 2}"
            where.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 255, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(where / f"{row}.png")
        (root / "net.py").write_text(
            "def net():\n    return lambda x: x.flatten(1)[:, ::7], {'resize': 8, 'crop': [8, 8], 'version': 1}\n"
        )
        names = [f"k{row % 2}/{row}.png" for row in range(12)]
        (root / "photos.csv").write_text(
            "id,a,b\n" + "".join(f"{name},c{i % 3},c{i % 2}\n" for i, name in enumerate(names))
        )
        texts = [f"w{i % 2} w{i % 5} w{i % 7}" for i in range(24)]
        (root / "texts.csv").write_text("id,text\n" + "".join(f"t{i:02},{text}\n" for i, text in enumerate(texts)))
        (root / "texts-labels.csv").write_text(
            "id,a,b\n" + "".join(f"t{i:02},c{i % 2},{'' if i % 3 else f'c{i % 2}'}\n" for i in range(24))
        )

    # -- commands ----------------------------------------------------------------------------------------------------

    def fit(self, name: str, out: Path, *more: Any) -> list[Any]:
        return ["fit", "--features", self.root / f"{name}.npz", "--labels", self.root / f"{name}.csv", "--out", out,
                *more]  # fmt: skip

    def vanilla(self, out: Path) -> list[Any]:
        return self.fit("all", out, "--method", "vanilla")

    def update(self, out: Path) -> list[Any]:
        new = ["--features", self.root / "new.npz", "--labels", self.root / "new.csv"]
        return ["fit", "--update", out, *new, "--out", out]

    def check(self, out: Path) -> list[Any]:
        return ["check", self.root / "model", "--answers", self.root / "person.csv", "--out", out]

    def embed(self, out: Path) -> list[Any]:
        return ["embed", "--images", self.root / "photos", "--backbone", f"module:{self.root / 'net.py'}:net",
                "--batch-size", 4, "--shard-size", 4, "--out", out]  # fmt: skip

    def bench(self, out: Path) -> list[Any]:
        options = [
            word for option in ("n_samples=60", "n_test=20", "n_features=6") for word in ("--task-option", option)
        ]
        return ["bench", "--tasks", "hierarchy", *options, "--methods", "vanilla,csl", "--seeds", 2, "--jobs", 1,
                "--out", out]  # fmt: skip

    def look(self, out: Path, model: Path | None = None) -> list[Any]:
        return ["look", model or self.root / "model2", "--first", 60, "--out", out]

    def explore(self, out: Path, model: Path | None = None) -> list[Any]:
        return ["explore", model or self.root / "model2", "--out", out]

    def predict(self, out: Path, model: Path | None = None) -> list[Any]:
        return ["predict", "--model", model or self.root / "model2", "--features", self.root / "all.npz", "--out", out]

    def teach(self, out: Path) -> list[Any]:
        store = self.root / "store"
        return ["teach", "--images", self.root / "photos", "--layout", "folders", "--weak", store, "--features", store,
                "--levels", "1,2", "--share", 0.5, "--iterations", 20, "--out", out]  # fmt: skip

    def finetune(self, out: Path) -> list[Any]:
        return ["finetune", "--network", f"hf:{self.root / 'bert'}", "--text", self.root / "texts.csv", "--labels",
                self.root / "texts-labels.csv", "--tune", "last:1", "--epochs", 2, "--batch-size", 8, "--out",
                out]  # fmt: skip


def _save_network(where: Path) -> None:
    """A tiny network of texts with random weights, as its library saves it."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(8))]
    where.mkdir()
    (where / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizerFast(vocab=str(where / "vocab.txt")).save_pretrained(where)
    config = transformers.BertConfig(
        vocab_size=len(words), max_position_embeddings=16, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=8,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.BertModel(config).save_pretrained(where)


# -- what readers see ------------------------------------------------------------------------------------------------


def state_of_fit(folder: Path) -> str:
    """A digest of what a fit's readers see; "mixed" where they refuse, "none" where there is no fit."""
    from cosup.cli.fit_manifest import read_manifest
    from cosup.cli.fit_outputs import read_estimates, read_history
    from cosup.methods import load
    from cosup.provenance import read_account
    from cosup.utils.atomic_files import committed_files
    from cosup.utils.errors import CosupError

    files = committed_files(folder)
    if "model.json" not in files and "provenance.json" not in files:
        return "none"
    try:
        model = load(folder)
        read_account(folder), read_manifest(folder), read_history(folder), read_estimates(folder)
    except CosupError as error:
        return f"mixed: {error}"
    digest = hashlib.sha256()
    for name in sorted(set(files) - {"timings.json"}):
        digest.update(name.encode() + files[name].read_bytes())
    for place in model.inputs_.values():  # a network that was fine-tuned
        network = Path(place.partition(":")[2])
        if folder in network.parents:
            digest.update(state_of_files(network).encode())
    return digest.hexdigest()[:12]


def state_of_files(place: Path) -> str:
    """A digest of a file, or of a folder's files; "none" where there is none."""
    digest, some = hashlib.sha256(), False
    for path in [place] if place.is_file() else sorted(place.rglob("*")) if place.is_dir() else ():
        if path.is_file() and not path.name.startswith("."):
            digest.update(str(path.relative_to(place)).encode() + path.read_bytes())
            some = True
    return digest.hexdigest()[:12] if some else "none"


def state_of_tasks(place: Path) -> str:
    """A digest of Label Studio's two files; "part" between two renames, which the next command goes on with."""
    if (place.parent / COMMIT).exists():
        return "part"
    return f"{state_of_files(place)} {state_of_files(place.with_suffix('.xml'))}"


def state_of_store(folder: Path) -> str:
    """A digest of a store that is finished and whole; "part" of one that says it is not."""
    from cosup.embedding import FeatureStore
    from cosup.utils.errors import CosupError

    try:
        FeatureStore.open(folder).verify()
    except CosupError as error:
        begun = not folder.is_dir() or "not finished" in str(error) or "holds no" in str(error)
        return "part" if begun else f"mixed: {error}"
    return state_of_files(folder)


def state_of_teachers(folder: Path) -> str:
    """A digest of taught teachers and their labels; "part" where labels are missing, which come last but one."""
    return state_of_files(folder) if (folder / "X.npy").exists() else "part"


def records_of(folder: Path) -> str:
    """What a sweep measured, without what a clock says."""
    from cosup.benchmark import read_records

    if not (folder / "records.jsonl").is_file():
        return "[]"
    kept = [(r["run"], r["student"], r["ceiling"], r["error"]) for r in read_records(folder)]
    return json.dumps(sorted(kept))


# -- what changes a folder -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """A command that changes a folder or a file, and what must be there after it was cut."""

    what: str
    words: Callable[[Path], list[Any]]
    state: Callable[[Path], str]
    start: Path | None = None
    """A folder that is copied before the command runs."""
    name: str = ""
    """Of the file that the command writes into the folder; "" where the folder is its output."""

    def fresh(self, place: Path) -> Path:
        """Put the state from which it starts into a folder; where the command writes."""
        shutil.rmtree(place, ignore_errors=True)
        if self.start is not None:
            shutil.copytree(self.start, place)
        elif self.name:
            place.mkdir()
        return place / self.name

    def whole(self, left: str, old: str, new: str) -> bool:
        """Whether what is left is the old or the new state; of what goes on where it was cut, a part that says so."""
        if self.state is records_of:
            return set(map(tuple, json.loads(left))) <= set(map(tuple, json.loads(new)))
        return left in (old, new, "part")


def plans(world: World) -> list[Plan]:
    """Commands that write, each with the state from which it starts."""
    model, earlier = world.root / "model", world.root / "earlier"
    return [
        Plan("fit into a new folder", lambda out: world.fit("old", out), state_of_fit),
        Plan("fit over an earlier fit", lambda out: world.fit("all", out, "--seed", 1), state_of_fit, model),
        Plan("fit --method vanilla over an earlier fit", world.vanilla, state_of_fit, model),
        Plan("fit --update in place", world.update, state_of_fit, model),
        Plan("check --out", world.check, state_of_fit),
        Plan("embed", world.embed, state_of_store),
        Plan("bench", world.bench, records_of),
        *([Plan("finetune", world.finetune, state_of_fit)] if world.tuned else []),
        Plan("teach", world.teach, state_of_teachers),
        Plan("look --out, for Label Studio", world.look, state_of_tasks, earlier, "tasks.json"),
        Plan("explore --out", world.explore, state_of_files, earlier, "page.html"),
        Plan("predict --out", world.predict, state_of_files, earlier, "new.npz"),
    ]
