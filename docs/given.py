"""What pages of the documentation are given before their first block: ``<!-- given: NAME -->``."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image

from cosup.cli import main

COLOURS = ("red", "blue")


def make_photos(folder: Path, rows: range, seed: int) -> list[str]:
    """Small pictures, half of them reddish and half bluish; their names."""
    rng = np.random.default_rng(seed)
    names = []
    for row in rows:
        colour = COLOURS[row % 2]
        pixels = rng.integers(0, 90, size=(24, 24, 3), dtype=np.uint8)
        pixels[:, :, 0 if colour == "red" else 2] += 150
        names.append(f"{colour}/{row:03}.png")
        (folder / colour).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / names[-1])
    return names


def write_table(path: Path, rows: list[list[str]]) -> None:
    """Write rows as CSV."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def photos(folder: Path) -> None:
    """`photos`, `new-photos` and `labels.csv`."""
    names = make_photos(folder / "photos", range(40), 0)
    make_photos(folder / "new-photos", range(40, 46), 1)
    rng = np.random.default_rng(2)

    def slip(truth: str) -> str:
        return next(c for c in COLOURS if c != truth) if rng.random() < 0.2 else truth

    rows = [["id", "rule", "old model", "annotator"]]
    for row, name in enumerate(names):
        truth = name.split("/")[0]
        rows.append([name, slip(truth), slip(truth), truth if row < 12 else ""])
    write_table(folder / "labels.csv", rows)


def model_of_photos(folder: Path) -> None:
    """`photos`, a `model` of them, `later` photos and what teachers gave for these."""
    photos(folder)
    run("fit", "--images", "photos", "--labels", "labels.csv", "--out", "model")
    names = make_photos(folder / "later", range(101, 109), 3)
    rows = [[name, name.split("/")[0], name.split("/")[0]] for name in names]
    write_table(folder / "later.csv", [["id", "rule", "new model"], *rows])


def tickets(folder: Path) -> None:
    """`features.npz` and `labels.csv` of forty tickets, half about logins and half about refunds."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 20)
    X = rng.normal(size=(40, 3)) + 3 * truth[:, None]
    names = np.array(["login", "refund"])
    noisy = np.where(rng.random(40) < 0.25, 1 - truth, truth)
    np.savez(folder / "features.npz", X=X, ids=[f"ticket-{i:05}" for i in range(40)])
    rows = [[f"ticket-{i:05}", names[noisy[i]], names[truth[i]] if i % 3 else ""] for i in range(40)]
    write_table(folder / "labels.csv", [["id", "old model", "rules"], *rows])


def model(folder: Path) -> None:
    """The tickets, and a `model` of them."""
    tickets(folder)
    run("fit", "--features", "features.npz", "--labels", "labels.csv", "--levels", "0,1", "--out", "model")


def run(*arguments: str) -> None:
    """Run a command, which must succeed."""
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 0, result.output


GIVEN: dict[str, Callable[[Path], None]] = {
    "photos": photos, "model-of-photos": model_of_photos, "tickets": tickets, "model": model,
}  # fmt: skip
