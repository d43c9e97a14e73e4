"""One's own teachers: estimators, networks, pipelines and functions annotate samples; annotations as a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosup.embedding.disk_space import disk_errors
from cosup.labels import ImportedLabels, TeacherLabels, TopK
from cosup.utils.atomic_files import write_whole
from cosup.utils.slices import slices
from cosup.utils.validation import CosupError, check_positive, suggest

Annotated = NDArray[Any]
"""A batch's class ids, (n,) int, -1 abstains; or probabilities, (n, n_classes) float, NaN abstains."""


def annotate(
    teachers: Mapping[str, Any] | Sequence[Any],
    inputs: Any,
    class_names: Sequence[str],
    *,
    levels: ArrayLike | None = None,
    specialties: Sequence[Iterable[int] | None] | None = None,
    top_k: int | None = None,
    batch_size: int = 100,
) -> ImportedLabels:
    """Let one's own teachers annotate samples.

    Parameters
    ----------
    teachers : mapping of name to teacher, or sequence
        A scikit-learn classifier (``predict_proba``, or else ``predict``; its ``classes_`` are class ids or names); a
        ``torch.nn.Module`` whose output, or its output's ``logits``, is (n, n_classes); a classification pipeline of
        transformers, whose labels are class names; or a function from a batch of inputs to class ids (-1 abstains),
        class names (None abstains) or probabilities (NaN abstains). Teachers may differ in kind.
    inputs : array or sequence
        The inputs of the teachers, given a slice at a time. A network is given a tensor of the slice.
    class_names : sequence of str
        Class id -> name.
    levels, specialties
        As in :class:`cosup.TeacherLabels`.
    top_k : int, optional
        Keep so many classes of every probability row; default: all.
    batch_size : int

    Returns
    -------
    ImportedLabels
        `TeacherLabels` with the classes' names. Hard where all teachers name classes, else soft.

    Raises
    ------
    CosupError
        If a teacher is of no such kind, or what it says fits neither the samples nor the classes.

    Examples
    --------
    >>> import numpy as np
    >>> rule = lambda batch: ["warm" if x > 20 else "cold" for x in batch]
    >>> annotate({"rule": rule}, np.array([3.0, 25.0, 31.0]), ["cold", "warm"]).hard().ravel()
    array([0, 1, 1], dtype=int32)
    """
    check_positive(batch_size, "batch_size", integer=True)
    if top_k is not None:
        check_positive(top_k, "top_k", integer=True)
    named = teachers if isinstance(teachers, Mapping) else {f"teacher {i}": t for i, t in enumerate(teachers)}
    if not named or len(inputs) == 0:
        raise CosupError("there are no teachers, or no samples for them to annotate")
    classes = tuple(class_names)
    columns = []
    for name, teacher in named.items():
        ask = _voice(name, teacher, classes)
        batches = (inputs[rows] for rows in slices(len(inputs), batch_size))
        annotated = [_check(name, ask(batch), len(batch), classes) for batch in batches]
        columns.append(np.concatenate(annotated))
    if all(column.ndim == 1 for column in columns):
        annotations: Any = np.stack(columns, axis=1)
    else:
        annotations = np.stack([_soft(column, len(classes)) for column in columns], axis=1)
        annotations = annotations if top_k is None else TopK.of(annotations, top_k)
    return ImportedLabels(annotations, classes, levels=levels, specialties=specialties, names=list(named))


def _voice(name: str, teacher: Any, classes: tuple[str, ...]) -> Callable[[Any], Annotated]:
    """Ask a teacher about a batch."""
    torch = sys.modules.get("torch")  # whoever has a network has imported it
    if torch is not None and isinstance(teacher, torch.nn.Module):
        return lambda batch: _ask_network(torch, teacher, batch)
    if any(c.__name__ == "Pipeline" and c.__module__.startswith("transformers") for c in type(teacher).__mro__):
        return lambda batch: _ask_pipeline(name, teacher, batch, classes)
    if hasattr(teacher, "predict_proba"):
        columns = [_class_id(name, c, classes) for c in teacher.classes_]
        return lambda batch: _spread(np.asarray(teacher.predict_proba(batch), dtype=np.float64), columns, len(classes))
    if hasattr(teacher, "predict"):
        return lambda batch: _ids(name, teacher.predict(batch), classes)
    if callable(teacher):
        return lambda batch: _ids(name, teacher(batch), classes)
    raise CosupError(
        f"the teacher {name!r} is a {type(teacher).__name__}; it must be a classifier with predict, a torch module, a "
        "pipeline of transformers, or a function"
    )


def _ask_network(torch: Any, network: Any, batch: Any) -> Annotated:
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            tensor = batch if isinstance(batch, torch.Tensor) else torch.as_tensor(np.asarray(batch))
            parameter = next(network.parameters(), None)
            if parameter is not None:
                # Class ids of tokens stay what they are.
                kind = parameter.dtype if tensor.is_floating_point() else tensor.dtype
                tensor = tensor.to(parameter.device, kind)
            out = network(tensor)
            logits = getattr(out, "logits", out)
            return logits.double().softmax(dim=-1).cpu().numpy()  # type: ignore[no-any-return]
    finally:
        network.train(was_training)


def _ask_pipeline(name: str, pipeline: Any, batch: Any, classes: tuple[str, ...]) -> Annotated:
    out = np.zeros((len(batch), len(classes)))
    for row, answers in enumerate(pipeline(list(batch), top_k=None)):
        for answer in answers:
            out[row, _class_id(name, answer["label"], classes)] = answer["score"]
    return out


def _spread(probabilities: NDArray[np.float64], columns: list[int], n_classes: int) -> Annotated:
    out = np.zeros((len(probabilities), n_classes))
    out[:, columns] = probabilities
    return out


def _class_id(name: str, value: Any, classes: tuple[str, ...]) -> int:
    if value is None:
        return -1
    if isinstance(value, str):
        if value in classes:
            return classes.index(value)
        raise CosupError(f"the teacher {name!r} names the class {value!r}.{suggest(value, classes)}")
    return int(value)


def _ids(name: str, annotated: Any, classes: tuple[str, ...]) -> Annotated:
    array = (
        annotated
        if isinstance(annotated, np.ndarray)
        else np.array(annotated, dtype=None if _plain(annotated) else object)
    )
    if array.dtype.kind in "OUS":
        return np.array([_class_id(name, value, classes) for value in array.tolist()])
    return array


def _plain(annotated: Any) -> bool:
    return not any(isinstance(value, str) or value is None for value in annotated)


def _check(name: str, annotated: Annotated, n: int, classes: tuple[str, ...]) -> Annotated:
    if annotated.shape not in ((n,), (n, len(classes))) or annotated.dtype.kind not in (
        "iu" if annotated.ndim == 1 else "f"
    ):
        raise CosupError(
            f"the teacher {name!r} says {annotated.dtype} of shape {annotated.shape} about {n} samples; "
            f"class ids ({n},) or probabilities ({n}, {len(classes)}) are expected"
        )
    if annotated.ndim == 1 and (annotated.min() < -1 or annotated.max() >= len(classes)):
        raise CosupError(f"the teacher {name!r} names a class outside 0 to {len(classes) - 1}")
    return annotated


def _soft(column: Annotated, n_classes: int) -> Annotated:
    if column.ndim == 2:
        return column
    out = np.eye(n_classes)[np.maximum(column, 0)]
    out[column < 0] = np.nan
    return out


def save_annotations(path: Path, labels: TeacherLabels, class_names: Sequence[str]) -> None:
    """Write annotations as ``cosup fit --labels`` reads them: npz without pickle.

    Sparse ones (:class:`cosup.labels.TopK`) are ``classes`` and ``probabilities``, others ``annotations``.
    """
    import io

    masks = np.array([labels.covers(t) for t in range(labels.n_teachers)])
    annotated = labels.annotations
    arrays = {"annotations": annotated}
    if isinstance(annotated, TopK):
        arrays = {"classes": annotated.classes, "probabilities": annotated.probabilities}
    file = io.BytesIO()
    np.savez(
        file, allow_pickle=False, **arrays, levels=labels.levels, specialties=masks, names=np.array(labels.names),
        class_names=np.array(class_names),
    )  # fmt: skip
    with disk_errors(path, "Nothing was written"):
        write_whole(path, file.getvalue())
