"""Measuring a fitted method against the truth: its levels, its classes, and pictures of what it kept."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score

from cosup.benchmark.records import PNG_SIGNATURE
from cosup.metrics import selection_quality
from cosup.tasks import Task
from cosup.utils.validation import BoolArray, IntArray

PICTURES = 12
"""Samples that are shown of a task: so many that were kept, and so many that were rejected."""


UNEQUAL = 3
"""Classes are called unequal when the most frequent one has so many times the test samples of the rarest."""


def or_none(value: Any) -> float | None:
    """Turn NaN and None into None (JSON has no NaN), anything else into a float."""
    if value is None or not math.isfinite(float(value)):
        return None
    return float(value)


def per_class(correct: BoolArray, y_test: IntArray, n_classes: int) -> list[float | None]:
    """Compute the accuracy by true class; None for a class without test samples."""
    return [float(correct[y_test == c].mean()) if (y_test == c).any() else None for c in range(n_classes)]


def macro_f1(y_test: IntArray, predicted: IntArray) -> float | None:
    """Compute mean F1 over unequal classes (the most frequent one `UNEQUAL` times the rarest); None for equal ones.

    Accuracy says little there: naming the most frequent class everywhere is right most of the time.
    """
    counts = np.unique(y_test, return_counts=True)[1]
    if len(counts) < 2 or counts.max() < UNEQUAL * counts.min():
        return None
    return float(f1_score(y_test, predicted, average="macro", zero_division=0))


def measure_levels(model: Any, task: Task) -> list[dict[str, Any]]:
    """Measure every level: assigned teachers, kept annotations, and the student's accuracy.

    Parameters
    ----------
    model : fitted estimator
        With ``history_`` and ``level_predict``, see `cosup.make_method`.
    task : Task

    Returns
    -------
    list of dict
        One JSON-ready record a level, see ``levels`` in the records.
    """
    given = task.labels.hard()
    truth = task.truth.y_train
    students = model.level_predict(task.X_test)
    levels = []
    for place, entry in enumerate(model.history_):
        teachers = [int(column) for column in entry["teachers"]]
        assigned = np.asarray(entry["assigned"])
        has = assigned >= 0
        rows = np.flatnonzero(has)
        right = given[rows, assigned[rows]] == truth[rows]
        precision, recall = selection_quality(np.asarray(entry["kept"], dtype=np.bool_)[rows], right)
        counts = np.zeros((len(teachers), task.labels.n_classes), dtype=np.int64)
        for row, column in enumerate(teachers):
            counts[row] = np.bincount(truth[assigned == column], minlength=task.labels.n_classes)
        levels.append(
            {
                "level": int(entry["level"]),
                "teachers": [task.labels.names[column] for column in teachers],
                "assigned_accuracy": or_none(right.mean() if right.size else math.nan),
                "keep_rate": or_none(entry["keep_rate"]),
                "precision": or_none(precision),
                "recall": or_none(recall),
                "student": float(np.mean(students[place] == task.truth.y_test)),
                "agreement": or_none(entry.get("agreement")),
                "objective": or_none(entry.get("objective")),
                "rounds": int(entry.get("rounds", 1)),
                "seconds": or_none(entry.get("seconds")),
                "notes": [str(note) for note in entry.get("notes", ())],
                "assignment": counts.tolist(),
            }
        )
    return levels


def per_teacher(model: Any, task: Task) -> list[dict[str, Any]]:
    """Measure where a method fails, by the right specialist of the last level: its share of the training samples.

    Returns
    -------
    list of dict
        For every teacher of the last level: ``teacher``, its name; ``samples``, how many it is the right one of;
        ``student``, the share of these that the final student, trained without their truth, gets right; ``said``, the
        share on which the teacher is right; ``found``, the share on which it was assigned. None where there is no
        such sample.
    """
    last = task.labels.n_levels - 1
    expert, truth = task.truth.expert[:, last], task.truth.y_train
    right = np.asarray(model.predict(task.X_train)) == truth
    annotated = task.labels.hard()
    entry = model.history_[-1]
    assigned = np.asarray(entry["assigned"]) if int(entry["level"]) == last else None
    out = []
    for t in task.labels.at_level(last):
        rows = expert == t
        some = bool(rows.any())
        out.append(
            {
                "teacher": task.labels.names[t],
                "samples": int(rows.sum()),
                "student": float(right[rows].mean()) if some else None,
                "said": float((annotated[rows, t] == truth[rows]).mean()) if some else None,
                "found": float((assigned[rows] == t).mean()) if some and assigned is not None else None,
            }
        )
    return out


def picture_samples(model: Any, task: Task, label: str, seed: int) -> list[dict[str, Any]]:
    """Draw samples that the last level kept and rejected, with their annotations.

    Which samples are shown is drawn at random, not picked; the student's answer is that of the final student.
    """
    if task.images_train is None:
        return []
    last = model.provenance_[:, -1]
    annotated = task.labels.hard()
    answers = np.asarray(model.predict(task.X_train))
    rng = np.random.default_rng(seed)
    samples = []
    for kept in (True, False):
        pool = np.flatnonzero((last["kept"] == kept) & (last["teacher"] >= 0))
        for row in np.sort(rng.permutation(pool)[:PICTURES]):
            teacher = int(last["teacher"][row])
            samples.append(
                {
                    "task": label,
                    "kept": kept,
                    "image": base64.b64encode(png(task.images_train[row])).decode("ascii"),
                    "teacher": task.labels.names[teacher],
                    "annotation": _class_name(task, annotated[row, teacher]),
                    "student": _class_name(task, answers[row]),
                    "truth": _class_name(task, task.truth.y_train[row]),
                    "probability": or_none(min(max(float(last["probability"][row]), 0.0), 1.0)),
                    "reason": str(last["reason"][row]),
                }
            )
    return samples


def _class_name(task: Task, label: Any) -> str:
    return task.class_names[int(label)] if int(label) >= 0 else "abstains"


def png(image: npt.NDArray[np.uint8]) -> bytes:
    """Encode (h, w) grey or (h, w, 3) RGB as PNG: small enough to write here, and no library is needed."""
    height, width = image.shape[:2]
    colour = 2 if image.ndim == 3 else 0
    rows = np.ascontiguousarray(image).reshape(height, -1)
    filtered = np.hstack([np.zeros((height, 1), dtype=np.uint8), rows])  # filter type 0 before each row

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    body = zlib.compress(filtered.tobytes(), 9)
    return PNG_SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
