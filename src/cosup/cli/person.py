"""A person's answers in a fit: read from their files, and trained on after everything else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cosup.labels import ImportedLabels
from cosup.provenance import after_looking, read_answers, recalibrate, with_person
from cosup.utils.validation import CosupError, IntArray

__all__ = ["PERSON", "calibrated", "fact", "given_answers", "taught"]

PERSON = "Person"
"""The fact of an account that says that the model was trained with a person's labels."""


def given_answers(
    files: Sequence[str], ids: Sequence[str], class_names: Sequence[str], *, drawn: bool = False
) -> IntArray:
    """Read the answers of several files, (n_samples,) class ids, -1 where there is none; the later file counts.

    Parameters
    ----------
    files, ids, class_names : sequences of str
    drawn : bool
        Of files that say how samples were chosen: those that were drawn uniformly, instead of those trained on.

    Raises
    ------
    CosupError
        If a file is gone or broken, or names samples or classes that are not among these.
    """
    known = np.full(len(ids), -1, dtype=np.int64)
    for file in files:
        if not Path(file).is_file():
            raise CosupError(f"{file}, a person's answers that the model was made with, is gone; put it back")
        more = read_answers(Path(file), ids, class_names, drawn=drawn)
        known = np.where(more >= 0, more, known)
    return known


def taught(
    model: Any, X: Any, labels: ImportedLabels, known: IntArray, ids: Sequence[str] | None
) -> tuple[Any, ImportedLabels]:
    """Train a last student with a person's answers; it, and the labels with the person's beside the others'."""
    model = after_looking(X, labels, model, known)
    labels = ImportedLabels.of(with_person(labels, known), labels.class_names, ids=ids, source=labels.source)
    if model.estimates_ is not None:  # of the person nothing is estimated
        model.estimates_ = model.estimates_.of_teachers(labels.names)
    return model, labels


def calibrated(model: Any, X: Any, drawn: IntArray, known: IntArray | None) -> tuple[Any, IntArray]:
    """Calibrate a model by uniformly drawn answers; it, and those of them that it was not trained on."""
    rest = drawn if known is None else np.where(known >= 0, -1, drawn)
    return (recalibrate(model, X, rest)[0] if (rest >= 0).any() else model), rest


def fact(known: IntArray, files: Sequence[str]) -> str:
    """Say how many answers were used, and from where."""
    return f"{(known >= 0).sum()} labels of {', '.join(files) or 'nobody'}"
