"""Weak labels that real rules and real people gave: a folder of npz files, or of data sets in WRENCH's layout."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosup import embedding, students
from cosup.embedding.feature_cache import FeatureCache
from cosup.labels import TeacherLabels
from cosup.tasks.registry import register_task
from cosup.tasks.task import Task, Truth
from cosup.utils.validation import CosupError, FloatArray, IntArray

__all__ = ["WeakLabels", "embedded_texts", "list_weak_labels", "read_weak_labels"]

SHARE = 0.9
"""Share of the training samples that a seed draws."""

ENCODER = "pypi:all-minilm-l6-v2"


@dataclass(frozen=True, eq=False)
class WeakLabels:
    """A data set with the annotations that its teachers gave to the training samples.

    Attributes
    ----------
    X, X_test : ndarray of float32, shape (n, n_features)
    annotations : ndarray of int, shape (n_train, n_teachers)
        Class ids, -1 where a teacher abstains.
    y, y_test : ndarray of int
        The truth, to measure with.
    class_names : tuple of str
    """

    X: FloatArray
    annotations: IntArray
    y: IntArray
    X_test: FloatArray
    y_test: IntArray
    class_names: tuple[str, ...]


def list_weak_labels(root: str | Path) -> list[str]:
    """Name the data sets of a folder: ``NAME.npz``, and folders ``NAME`` with a train.json.

    Raises
    ------
    CosupError
        If there is no such folder or nothing of the kind in it.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise CosupError(
            f"{folder} is not a folder; name one that holds NAME.npz files or data sets in WRENCH's layout"
        )
    found = {path.stem for path in folder.glob("*.npz")} | {path.parent.name for path in folder.glob("*/train.json")}
    if not found:
        raise CosupError(
            f"{folder} holds no weak labels: NAME.npz (X, A, y, Xt, yt, classes), or NAME/train.json, test.json, "
            "label.json as WRENCH lays them out"
        )
    return sorted(found)


def read_weak_labels(
    root: str | Path, name: str, *, encoder: str = ENCODER, cache: FeatureCache | None = None
) -> WeakLabels:
    """Read one data set of a folder; of WRENCH's layout the labelled validation part is never opened.

    Parameters
    ----------
    root : path
    name : str
        One of `list_weak_labels`.
    encoder : str
        The encoder of texts, see `cosup.make_encoder`; other data have features of their own.
    cache : FeatureCache, optional
        Where features of texts are kept.

    Raises
    ------
    CosupError
        If a file is missing, cut short, or not what it should be.
    """
    folder = Path(root)
    if (folder / f"{name}.npz").is_file():
        return _of_npz(folder / f"{name}.npz")
    if (folder / name / "train.json").is_file():
        return _of_wrench(folder / name, encoder, cache or FeatureCache())
    raise CosupError(f"{folder} holds no weak labels called {name!r}; it has {', '.join(list_weak_labels(folder))}")


def _of_npz(path: Path) -> WeakLabels:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise CosupError(f"{path} cannot be read as npz without pickle ({error}); write it again") from error
    missing = [key for key in ("X", "A", "y", "Xt", "yt", "classes") if key not in arrays]
    if missing:
        raise CosupError(f"{path} lacks {', '.join(missing)}; it needs X, A, y, Xt, yt and classes")
    ids = {key: _ids(arrays[key], f"{path}: {key}") for key in ("A", "y", "yt")}
    return WeakLabels(
        arrays["X"].astype(np.float32), ids["A"], ids["y"], arrays["Xt"].astype(np.float32), ids["yt"],
        tuple(map(str, arrays["classes"])),
    )  # fmt: skip


def _ids(values: Any, where: str) -> IntArray:
    if values.dtype.kind not in "iu":
        raise CosupError(f"{where} must hold class ids, integers; got {values.dtype}")
    return np.asarray(values.astype(np.int64))


def _of_wrench(folder: Path, encoder: str, cache: FeatureCache) -> WeakLabels:
    names = _json(folder / "label.json")
    classes = tuple(str(names[key]) for key in sorted(names, key=int))
    parts = {part: list(_json(folder / f"{part}.json").values()) for part in ("train", "test")}
    for part, rows in parts.items():
        for row in rows:
            if not isinstance(row, dict) or not {"label", "weak_labels", "data"} <= set(row):
                raise CosupError(f"{folder / part}.json: every sample needs label, weak_labels and data")
    features = {part: _features([row["data"] for row in rows], folder, encoder, cache) for part, rows in parts.items()}
    annotations = np.array([row["weak_labels"] for row in parts["train"]], dtype=np.int64)
    truth = {part: np.array([int(row["label"]) for row in rows], dtype=np.int64) for part, rows in parts.items()}
    return WeakLabels(features["train"], annotations, truth["train"], features["test"], truth["test"], classes)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CosupError(f"{path} cannot be read as JSON ({error}); WRENCH's layout has it") from error
    if not isinstance(found, dict) or not found:
        raise CosupError(f"{path} must hold an object with at least one entry")
    return found


def _features(data: list[dict[str, Any]], folder: Path, encoder: str, cache: FeatureCache) -> FloatArray:
    """Return features of samples: their own, or those of their texts."""
    if all("feature" in sample for sample in data):
        return np.array([sample["feature"] for sample in data], dtype=np.float32)
    if not all(isinstance(sample.get("text"), str) for sample in data):
        raise CosupError(f"{folder}: every sample's data needs a text, or a feature each")
    return embedded_texts([sample["text"] for sample in data], encoder, cache)


def embedded_texts(texts: Sequence[str], encoder: str, cache: FeatureCache) -> FloatArray:
    """Return features of texts by a named encoder, float32 (n_texts, n_features): out of the cache, or computed."""
    model = embedding.make_encoder(encoder)
    key = {
        "kind": "embedded texts", "encoder": model.name, "fingerprint": model.fingerprint,
        "texts": hashlib.sha256("\0".join(texts).encode()).hexdigest(),
    }  # fmt: skip
    return np.asarray(cache.get(key, lambda: {"features": model.embed(texts)})["features"], dtype=np.float32)


@register_task(
    "weak-labels", "every data set of a folder (--root): npz, or WRENCH's layout; a seed draws nine tenths",
    members=list_weak_labels,
)  # fmt: skip
def _weak_labels(*, seed: int, cache: FeatureCache | None, member: str, root: str = "", encoder: str = ENCODER) -> Task:
    if not root:
        raise CosupError(f"the task 'weak-labels-{member}' needs the folder that holds it: --root DIR (root=)")
    found = read_weak_labels(root, member, encoder=encoder, cache=cache)
    n = len(found.X)
    rows = np.sort(np.random.default_rng(seed).permutation(n)[: max(1, round(SHARE * n))])
    annotations = found.annotations[rows]
    annotations = annotations[:, (annotations >= 0).any(axis=0)]
    labels = TeacherLabels(annotations, n_classes=len(found.class_names))
    return Task(
        name=f"weak-labels-{member}",
        X_train=found.X[rows],
        labels=labels,
        X_test=found.X_test,
        weak_test=_majority_student(found.X[rows], labels, found.X_test),
        truth=Truth(found.y[rows], found.y_test, np.full((len(rows), 1), -1)),
        class_names=found.class_names,
        images_train=None,
        description=(
            f"{len(rows):,} samples under {labels.n_teachers} teachers that nobody trained for the purpose; they say "
            "nothing about test samples, so the weak teacher is the student of their majority"
        ),
    )


def _majority_student(X: FloatArray, labels: TeacherLabels, X_test: FloatArray) -> IntArray:
    """Predict test samples by the ridge student of the majority vote: the lower end of the gap."""
    classes = labels.consensus(np.arange(labels.n_teachers))
    head = students.RidgeProbe().prepare(X).train(classes, train_mask=classes >= 0, n_classes=labels.n_classes).head
    return np.asarray(head.predict_proba(X_test).argmax(axis=1))
