"""A strong network fine-tuned under smaller ones, on your own labelled data: how much of the gap it recovers.

    python examples/weak_to_strong.py --strong hf:gpt2-large --weak hf:gpt2 --text data.csv --segments 2
    python examples/weak_to_strong.py --strong hf:FOLDER --weak hf:FOLDER --images FOLDER --tune lora:8

The setting of Burns et al. (2023), *Weak-to-Strong Generalization*, with Liu & Alahi's hierarchy (2024) in the place of
the single teacher. The labels of a first part train the weak network: once for all classes, and once for each segment
of them. These models annotate a second part, whose labels nobody sees; the strong network is fine-tuned on what they
say: the generalist alone (vanilla), and the hierarchy. The labels of the second part train the ceiling, and those of a
third measure. `data.csv` has the columns text and label; a folder of images has a folder a class.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from cosup import CosupError, TeacherLabels, make_method, performance_gap_recovered
from cosup.embedding import list_image_files, make_backbone, make_encoder
from cosup.finetuning import FineTuned
from cosup.finetuning.classifier import FineTunedClassifier, ImageFiles, believing


class Part:
    """Some of the samples, read when they are needed."""

    def __init__(self, samples: Any, rows: np.ndarray) -> None:
        self.samples, self.rows = samples, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> Any:
        return self.samples[int(self.rows[place])]


def read(text: Path | None, images: Path | None) -> tuple[Any, np.ndarray, list[str]]:
    """Samples, class ids and class names."""
    if text is not None:
        with text.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        samples: Any = [row["text"] for row in rows]
        names = [row["label"] for row in rows]
    elif images is not None:
        paths = list_image_files(images)
        samples, names = ImageFiles(images, paths), [path.split("/")[0] for path in paths]
    else:
        raise CosupError("give one of --text FILE, --images FOLDER")
    classes, ids = np.unique(names, return_inverse=True)
    return samples, ids, classes.tolist()


def compare(
    samples: Any, y: np.ndarray, strong: FineTuned, weak: FineTuned, *, segments: int = 2, seed: int = 0
) -> dict[str, float]:
    """Accuracies on the third part, and PGR of both students."""
    order = np.random.default_rng(seed).permutation(len(y))
    teach, learn, test = np.split(order, [int(0.4 * len(y)), int(0.8 * len(y))])
    n_classes = int(y.max()) + 1
    specialties = [None, *(own for own in np.array_split(np.arange(n_classes), segments) if len(own) > 1)]
    students, measured = Part(samples, learn), Part(samples, test)
    said = []
    for own in specialties:
        rows = teach if own is None else teach[np.isin(y[teach], own)]
        vanilla = make_method("vanilla", random_state=seed)
        teacher = FineTunedClassifier(weak, vanilla).fit(Part(samples, rows), y[rows])
        if own is None:
            weak_accuracy = float(np.mean(teacher.predict(measured) == y[test]))
        said.append(teacher.predict(students))
    labels = TeacherLabels(
        np.stack(said, axis=1), levels=[0] + [1] * (len(said) - 1), specialties=specialties, n_classes=n_classes
    )
    out = {"weak": weak_accuracy}
    for name, method, given in (
        ("vanilla", make_method("vanilla", random_state=seed), labels),
        ("hierarchy", believing(seed), labels),
        ("ceiling", make_method("vanilla", random_state=seed), y[learn]),
    ):
        model = FineTunedClassifier(strong, method).fit(students, given)
        out[name] = float(np.mean(model.predict(measured) == y[test]))
    for name in ("vanilla", "hierarchy"):
        if out["ceiling"] > out["weak"]:
            gap = performance_gap_recovered(out[name], out["weak"], out["ceiling"])
            out[f"PGR of {name}"] = float(gap)
    return out


def main() -> None:
    """Read, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strong", required=True)
    parser.add_argument("--weak", required=True)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--segments", type=int, default=2, help="of classes, a specialist each")
    parser.add_argument("--tune", default="full")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoints", type=Path, help="a folder: the same command goes on where it was stopped")
    arguments = parser.parse_args()
    samples, y, _ = read(arguments.text, arguments.images)
    make = make_encoder if arguments.text else make_backbone
    options = {
        "epochs": arguments.epochs, "learning_rate": arguments.learning_rate, "checkpoint": arguments.checkpoints,
    }  # fmt: skip
    strong = FineTuned(make(arguments.strong), tune=arguments.tune, **options)
    weak = FineTuned(make(arguments.weak), folds=1, **options)
    found = compare(samples, y, strong, weak, segments=arguments.segments, seed=arguments.seed)
    print(json.dumps({name: round(value, 4) for name, value in found.items()}, indent=1))


if __name__ == "__main__":
    main()
