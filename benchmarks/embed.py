"""How fast images are embedded from their files, against the network on tensors that are in memory already.

    python benchmarks/embed.py IMAGES [--backbone lite:efficientnet-lite0] [--image-size 224] [--repeats 5]

The network is run twice: bare, as torch runs a whole batch on all cores, and as `Backbone.forward` does, in parts.
All see the same images in batches of the same size, one after the other in every repeat, so that whatever else the
machine does meets all. Prints one JSON object: images a second of each, and the ratios of every repeat.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import joblib
import torch

from cosup.embedding import make_backbone
from cosup.embedding.images_to_features import embed_images
from cosup.embedding.read_images import list_image_files, read_image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbone", default="lite:efficientnet-lite0")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()

    paths = list_image_files(given.folder)
    paths = paths[:: max(1, len(paths) // given.images)][: given.images]
    backbone = make_backbone(given.backbone, image_size=given.image_size)
    batches = [
        torch.stack(
            [backbone.prepare(read_image(given.folder / path)) for path in paths[start : start + given.batch_size]]
        )
        for start in range(0, len(paths), given.batch_size)
    ]
    backbone.forward(batches[0])  # weights are loaded, kernels chosen
    network = backbone.module().eval()
    cores = joblib.cpu_count()

    def bare() -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(cores)
        with torch.inference_mode():
            for batch in batches:
                network(batch)
        torch.set_num_threads(before)

    def forward() -> None:
        for batch in batches:
            backbone.forward(batch)

    rates: dict[str, list[float]] = {"embed": [], "bare": [], "forward": []}
    for _ in range(given.repeats):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            embed_images(
                given.folder, paths, backbone, Path(folder, "store"),
                batch_size=given.batch_size, workers=given.workers, progress=False,
            )  # fmt: skip
            rates["embed"].append(len(paths) / (time.perf_counter() - start))
        for name, run in (("bare", bare), ("forward", forward)):
            start = time.perf_counter()
            run()
            rates[name].append(len(paths) / (time.perf_counter() - start))
    out: dict[str, Any] = {
        "backbone": backbone.name,
        "image_size": given.image_size,
        "images": len(paths),
        "batch_size": given.batch_size,
        "cores": cores,
        "load_average": os.getloadavg()[0],
        "images_per_second": {name: spread(values) for name, values in rates.items()},
        "embed / bare": spread([a / b for a, b in zip(rates["embed"], rates["bare"], strict=True)]),
        "embed / forward": spread([a / b for a, b in zip(rates["embed"], rates["forward"], strict=True)]),
    }
    print(json.dumps(out, indent=1))


def spread(values: list[float]) -> dict[str, float]:
    return {"min": round(min(values), 3), "median": round(statistics.median(values), 3), "max": round(max(values), 3)}


if __name__ == "__main__":
    main()
