"""What a user waits for, against what a user would write: start-up, embedding, the default; rows of ``bench.py``.

Seconds are of the processor, this process's and its children's, user and system: what else the machine does disturbs
them little. Contestants take turns, and a ratio is that of neighbours in time.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ratios import medians, ratio

HERE = Path(__file__).resolve().parent
COSUP = [sys.executable, "-c", "from cosup.cli import main; main()"]


def cpu_seconds() -> float:
    """Processor time of this process and of the children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def turns(contestants: dict[str, Callable[[], Any]], repeats: int) -> dict[str, Any]:
    """Processor seconds of every contestant, taking turns, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(repeats + 1):
        for name, run in contestants.items():
            started = cpu_seconds()
            run()
            if turn:
                seconds[name].append(cpu_seconds() - started)
    return {name: np.array(values) for name, values in seconds.items()}


def process(*command: str) -> Callable[[], Any]:
    """Run a command in a process of its own."""
    return lambda: subprocess.run(command, capture_output=True, check=False)


def start_up(quick: bool) -> dict[str, Any]:
    """Processor seconds of commands that compute nothing or little, and of ``import numpy``."""
    with tempfile.TemporaryDirectory(prefix="cosup-bench-") as name:
        fitted, runs = _fitted(Path(name), 500 if quick else 20_000), str(Path(name) / "runs")
        small = ("--task-option", "n_samples=200", "--methods", "vanilla,csl", "--seeds", "2", "--jobs", "1")
        subprocess.run([*COSUP, "bench", *small, "--out", runs], capture_output=True, check=True)
        return turns(
            {
                "import numpy": process(sys.executable, "-c", "import numpy"),
                "import cosup": process(sys.executable, "-c", "import cosup"),
                "cosup": process(*COSUP),
                "cosup --help": process(*COSUP, "--help"),
                "cosup --version": process(*COSUP, "--version"),
                "cosup fit --help": process(*COSUP, "fit", "--help"),
                "cosup ftt": process(*COSUP, "ftt"),
                "cosup explain": process(*COSUP, "explain", fitted, "7"),
                "cosup look": process(*COSUP, "look", fitted),
                "cosup methods": process(*COSUP, "methods"),
                "cosup tasks": process(*COSUP, "tasks"),
                "cosup report": process(*COSUP, "report", runs),
            },
            2 if quick else 7,
        )


def _fitted(folder: Path, n: int) -> str:
    from cosup.tasks import make_hierarchy

    task = make_hierarchy(n, 10, n_features=32, n_classes=10)
    np.save(folder / "X.npy", task.X_train)
    np.savez(folder / "L.npz", annotations=task.labels.hard(), levels=task.labels.levels)
    given = ("--features", str(folder / "X.npy"), "--labels", str(folder / "L.npz"), "--out", str(folder / "model"))
    subprocess.run([*COSUP, "fit", *given], capture_output=True, check=True)
    return str(folder / "model")


VOCABULARY = """the a refund please it crashes again and money back screen order late parcel invoice login password
reset thanks hello support account customer delivery broken item not working since yesterday update phone"""


def texts(quick: bool) -> dict[str, Any]:
    """Seconds of embedding tickets of 3 to 200 words: ours, and a loop that sorts by length and pads to the batch."""
    import torch

    from cosup.embedding import make_encoder

    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(3.2, 0.7, 60 if quick else 1000).astype(int), 3, 200)
    given = [" ".join(rng.choice(VOCABULARY.split(), length)) for length in lengths]
    encoder = make_encoder()
    network, tokenizer = encoder._network.model, encoder._tokenizer
    found: dict[str, Any] = {}

    def loop(batch_size: int) -> None:
        order = sorted(range(len(given)), key=lambda i: len(given[i]))
        out = torch.empty(len(given), encoder.n_features)
        with torch.inference_mode():
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                batch = tokenizer([given[i] for i in rows], padding=True, truncation=True, max_length=encoder._length,
                                  return_tensors="pt")  # fmt: skip
                mask = batch["attention_mask"][:, :, None].float()
                summed = (network(**batch).last_hidden_state * mask).sum(dim=1)
                out[rows] = torch.nn.functional.normalize(summed / mask.sum(dim=1), dim=1)
        found["loop"] = out.numpy()

    def ours() -> None:
        found["ours"] = encoder.embed(given, progress=False)

    t = turns({"ours": ours, "loop of 32": lambda: loop(32), "loop of 100": lambda: loop(100)}, 1 if quick else 5)
    return t | {"difference": float(np.abs(found["ours"] - found["loop"]).max())}


def jpegs(quick: bool) -> dict[str, Any]:
    """Seconds of whole processes that embed 1,120 JPEGs by EfficientNet-Lite0: the command, and a torch loop.

    Both of the processor and of the clock, in an environment that says nothing of threads, as a user's.
    """
    from PIL import Image

    from cosup.planning.image_rates import photo

    plain = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "OPENBLAS_"))}
    with tempfile.TemporaryDirectory(prefix="cosup-bench-") as name:
        root, out = Path(name) / "photos", Path(name) / "out"
        root.mkdir()
        for i in range(8 if quick else 1120):
            Image.fromarray(photo(227, 227, i)).save(root / f"{i:04}.jpg", quality=90)
        loop = [sys.executable, str(HERE / "lite_loop.py"), str(root), "96", str(out) + ".npy"]
        ours = [*COSUP, "embed", "--images", str(root), "--backbone", "lite:efficientnet-lite0", "--out", str(out)]

        def run(command: list[str]) -> tuple[float, float]:
            shutil.rmtree(out, ignore_errors=True)
            began, used = time.perf_counter(), cpu_seconds()
            subprocess.run(command, env=plain, capture_output=True, check=True)
            return time.perf_counter() - began, cpu_seconds() - used

        contestants = {"ours": ours, "loop": loop, "loop channels last": [*loop, "channels_last"]}
        seconds = [[run(command) for command in contestants.values()] for _ in range(1 if quick else 4)]
        found = np.array(seconds if quick else seconds[1:])  # the first reads files and modules
    return {
        f"lite {who}, {what}": found[:, i, j]
        for i, who in enumerate(contestants)
        for j, what in enumerate(("clock", "processor"))
    }


def images(quick: bool) -> dict[str, Any]:
    """Seconds of embedding JPEGs at ViT-S's shape: ours, and a plain torch loop with a DataLoader of two workers."""
    import torch
    import transformers
    from PIL import Image

    from cosup.embedding import embed_images, make_backbone
    from cosup.planning.image_rates import photo

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory(prefix="cosup-bench-") as name:
        root, vit = Path(name) / "photos", Path(name) / "vit-s"
        root.mkdir()
        for i in range(8 if quick else 96):  # of mixed sizes
            Image.fromarray(photo(*((500, 375) if i % 2 else (640, 480)), i)).save(root / f"{i:03}.jpg", quality=90)
        paths = sorted(path.name for path in root.iterdir())
        config = transformers.ViTConfig(
            hidden_size=384, num_hidden_layers=12, num_attention_heads=6, intermediate_size=1536
        )
        transformers.ViTModel(config, add_pooling_layer=False).save_pretrained(vit)
        transformers.ViTImageProcessorPil(size={"height": 224, "width": 224}).save_pretrained(vit)
        backbone = make_backbone(f"hf:{vit}")
        bare = backbone._network

        def ours() -> None:
            with tempfile.TemporaryDirectory(dir=name) as out:
                embed_images(root, paths, backbone, Path(out) / "f", progress=False)

        def loop() -> None:
            loader = torch.utils.data.DataLoader(Photos(root, paths, 224), batch_size=32, num_workers=2)
            with torch.inference_mode():
                for batch in loader:
                    bare(batch)

        return turns({"hf ours": ours, "hf loop": loop}, 1 if quick else 5)


class Photos:
    """A data set as one writes it for torch's DataLoader."""

    def __init__(self, root: Path, paths: list[str], side: int) -> None:
        self.root, self.paths, self.side = root, paths, side

    def __len__(self) -> int:
        """Number of photos."""
        return len(self.paths)

    def __getitem__(self, i: int) -> Any:
        """One photo, resized and normalised."""
        import torch
        from PIL import Image

        image = Image.open(self.root / self.paths[i]).convert("RGB").resize((self.side, self.side), Image.BILINEAR)
        return (torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255 - 0.5) / 0.5


def default(quick: bool) -> dict[str, Any]:
    """Seconds of a fit of the default, of vanilla, and of a majority vote with scikit-learn's logistic regression."""
    from sklearn.linear_model import LogisticRegression

    from cosup import make_method
    from cosup.tasks import make_hierarchy

    n, d = (1000, 32) if quick else (100_000, 384)
    task = make_hierarchy(n, 10, n_features=d, n_classes=10, teachers_per_level=(1, 9), accuracy=(0.6, 0.8))
    X, labels = np.ascontiguousarray(task.X_train, dtype=np.float32), task.labels
    hard = labels.hard()

    def majority() -> None:
        votes = np.stack([(hard == c).sum(axis=1) for c in range(10)], axis=1)
        LogisticRegression().fit(X, votes.argmax(axis=1))

    contestants = {
        "default": lambda: make_method("co-supervised", random_state=0).fit(X, labels),
        "vanilla": lambda: make_method("vanilla", random_state=0).fit(X, labels),
        "majority and scikit-learn": majority,
    }
    return turns(contestants, 1 if quick else 3)


def adam_method(quick: bool) -> dict[str, Any]:
    """Seconds of trainings by Adam through `make_method`, and of a loop over a DataLoader.

    ``csl-published`` on one generalist is one training, as the loop is: of the same batches, as many epochs.
    ``vanilla`` with the student ``adam`` predicts out of sample, too: beside the student, one a fold of five is
    trained, in as many steps each.
    """
    from loops import user_loop

    from cosup import AdamProbe, make_method

    n, d, c, epochs = (600, 32, 10, 2) if quick else (10_000, 384, 100, 20)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((n, d), dtype=np.float32), rng.integers(0, c, n)
    size = {"n": n, "d": d, "c": c, "batch": 100, "epochs": epochs}
    student = AdamProbe(epochs=epochs, batch_size=100)
    recipe: dict[str, Any] = {"epochs": epochs, "batch_size": 100, "random_state": 0}
    return turns(
        {
            "published": lambda: make_method("csl-published", **recipe).fit(X, y),
            "vanilla": lambda: make_method("vanilla", student=student, random_state=0).fit(X, y),
            "loop": lambda: user_loop(X, y, size),
        },
        1 if quick else 5,
    )


def embedding_on_gpu(quick: bool) -> dict[str, Any]:
    """Wall seconds of embedding prepared images on a GPU: `Backbone.forward` and the bare network."""
    import time

    import torch

    from cosup.planning.known_backbones import backbone_for_plan

    backbone = backbone_for_plan("hf:facebook/dinov2-small")
    batch = torch.rand(8 if quick else 100, 3, 224, 224)
    bare = backbone._runner  # type: ignore[attr-defined]
    seconds: dict[str, list[float]] = {"ours": [], "bare": []}
    with torch.inference_mode():
        for _ in range(3 if quick else 11):
            for who, run in (("ours", backbone.forward), ("bare", lambda b: bare(b.to("cuda")).cpu())):
                torch.cuda.synchronize()
                started = time.perf_counter()
                run(batch)
                torch.cuda.synchronize()
                seconds[who].append(time.perf_counter() - started)
    return {who: np.array(values[1:]) for who, values in seconds.items()}


def row_start_up(quick: bool) -> dict[str, Any]:
    t = start_up(quick)
    computing = ("cosup explain", "cosup look", "cosup methods", "cosup tasks", "cosup report")
    bars = dict.fromkeys(computing, "under 8")
    return _against(t, "import numpy", {name: bars.get(name, "under 2.5") for name in t if name != "import numpy"})


def row_texts(quick: bool) -> dict[str, Any]:
    t = texts(quick)
    difference = {"difference": t.pop("difference")}
    ratios = {f"{name} / ours": ratio(t[name], t["ours"], "over 1.2") for name in ("loop of 32", "loop of 100")}
    return {"size": difference, "seconds": medians(t), "ratios": ratios}


def row_images(quick: bool) -> dict[str, Any]:
    t = jpegs(quick) | images(quick)
    ratios = {
        f"lite, whole process, {what}: {who} / ours": ratio(t[f"lite {who}, {what}"], t[f"lite ours, {what}"], "over 6")
        for who in ("loop", "loop channels last")
        for what in ("clock", "processor")
    }
    ratios["hf, ViT-S: loop / ours"] = ratio(t["hf loop"], t["hf ours"], "over 1.2")
    return {"seconds": medians(t), "ratios": ratios}


def row_default(quick: bool) -> dict[str, Any]:
    t = default(quick)
    ratios = {
        "default / vanilla": ratio(t["default"], t["vanilla"], "under 5"),
        "default / majority and scikit-learn": ratio(t["default"], t["majority and scikit-learn"], "under 1"),
    }
    return {"seconds": medians(t), "ratios": ratios}


def row_adam_method(quick: bool) -> dict[str, Any]:
    t = adam_method(quick)
    ratios = {
        "published recipe: loop / ours": ratio(t["loop"], t["published"], "over 5"),
        "vanilla, cross-fitted: six loops / ours": ratio(t["loop"], t["vanilla"], "over 5", 6),
    }
    return {"seconds": medians(t), "ratios": ratios}


def row_gpu_images(quick: bool) -> dict[str, Any]:
    import torch

    if not torch.cuda.is_available():
        return {"status": "not measured: no GPU"}
    t = embedding_on_gpu(quick)
    return {"seconds": medians(t), "ratios": {"ours / bare network": ratio(t["ours"], t["bare"], "under 1.2")}}


def _against(t: dict[str, Any], to: str, bars: dict[str, str]) -> dict[str, Any]:
    ratios = {f"{name} / {to}": ratio(t[name], t[to], bar) for name, bar in bars.items()}
    return {"seconds": medians(t), "ratios": ratios}
