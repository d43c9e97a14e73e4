"""`read_labels`: a file of labels, whatever its format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cosup.io.labels.answers import Answer, labels_of_answers
from cosup.io.labels.exports import answers_of_export, find_export
from cosup.io.labels.formats import LABEL_FORMATS, LabelOptions
from cosup.io.labels.image_tools import read_cvat
from cosup.io.labels.json_lines import answers_of_records
from cosup.io.labels.label_file import LabelFile
from cosup.io.labels.matrices import MOST_CLASSES, class_ids
from cosup.io.labels.sets import check_separator
from cosup.io.labels.shards import TABLES, read_arrays, read_tables, sharded_kind
from cosup.io.labels.tables import labels_of_table
from cosup.io.tables import (
    JSON_FORMATS,
    Place,
    as_texts,
    extension,
    fetched,
    files_in,
    partition_keys,
    pick,
    place_of,
    read_npy,
    read_npz,
)
from cosup.labels.imported_labels import ImportedLabels
from cosup.labels.top_k import TopK
from cosup.utils.texts import shown
from cosup.utils.validation import CosupError, suggest

__all__ = ["read_labels"]

NPZ_KEYS = (
    "annotations", "classes", "probabilities", "levels", "specialties", "names", "n_classes", "class_names", "ids",
)  # fmt: skip


def read_labels(
    path: str | Path,
    *,
    class_names: Sequence[str] | None = None,
    abstain: Sequence[str] = (),
    id: str | None = None,
    task: str | None = None,
    worker: str | None = None,
    label: str | None = None,
    workers: Sequence[str] | None = None,
    teacher: str | None = None,
    top_k: int | None = None,
    one_of: str | None = None,
) -> ImportedLabels:
    """Read a file of labels, or a folder of them.

    Parameters
    ----------
    path : path or URL
        Of a file system that fsspec knows, or a folder of shards, all csv, tsv, parquet, npy or npz, in the order of
        their names; see `cosup.io.features.check_shards`. Formats of a file:
        ``.csv``, ``.tsv`` or ``.parquet``: wide, with one column a teacher, class names inside, blank where it
        abstains, and perhaps a column ``id`` (or path, file, filename); or long, with columns task, worker and label.
        ``.jsonl``, or an array in ``.json``: one answer a record, ``{"id": ..., "label": ...}`` or ``{"id": ...,
        "probabilities": {...}}``, with ``"teacher"`` (or worker, annotator, model) where there are several. Exports of
        tools (`cosup.io.labels.exports`) are recognised by what they hold. ``.npy``: int or text (n, m), -1 or
        blank abstains, or float (n, m, C), NaN abstains. ``.npz``: the same
        under ``annotations``, with ``levels`` (m,), ``specialties`` (m, C) bool (a row that is all true: everything or
        unknown), ``names`` (m,), ``class_names`` (C,) and ``ids`` (n,) where there are any; or the k most probable
        classes, ``classes`` and ``probabilities`` (n, m, k), in place of ``annotations``. Others: those that plugins
        register, see `cosup.register_label_format`.
    class_names : sequence of str, optional
        Class id -> name; other names are errors then, and whole numbers are ids. Default: all that occur, sorted.
    abstain : sequence of str
        Texts that mean an abstention, as a blank cell does.
    id, task, worker, label : str, optional
        Names of columns or keys, where they are other ones.
    workers : sequence of str, optional
        All workers that a long table may name.
    teacher : str, optional
        The name of the one teacher of a file of JSON lines. Default: the file's.
    top_k : int, optional
        Keep the so many most probable classes of soft annotations (see `TopK`): of shards, no two are in memory
        dense at a time. Default: all.
    one_of : str, optional
        Answers may leave several classes open, one of which is right: this separates them in a text, as ``"|"`` in
        ``cat|dog``; in JSON they may be a list. They become equal probabilities. Default: every text is one class.

    Returns
    -------
    ImportedLabels
        A column of labels for each teacher, with the classes' names and, where the file has them, ids.

    Raises
    ------
    CosupError
        For whatever is wrong with the file: what, in which row and column, what to do.

    Examples
    --------
    >>> labels = read_labels("labels.csv")  # doctest: +SKIP
    >>> print(labels.summary())  # doctest: +SKIP
    """
    options: dict[str, Any] = {
        "id": id, "task": task, "worker": worker, "label": label, "workers": workers, "one_of": one_of,
    }  # fmt: skip
    place = place_of(path)
    partitioned = isinstance(place, Path) and place.is_dir() and bool(partition_keys(place))
    files = files_in(place) if (isinstance(place, str) or place.is_dir()) and not partitioned else None
    if files is not None:
        labels = _of_shards(place, files, class_names, abstain, top_k, options)
    elif isinstance(place, str):
        with fetched(place) as copy:
            labels = read_labels(
                copy, class_names=class_names, abstain=abstain, teacher=teacher, top_k=top_k, **options
            )
            labels.source = place
    else:
        kind = ".parquet" if partitioned else extension(place, tuple(LABEL_FORMATS))
        labels = LABEL_FORMATS[kind](place, LabelOptions(class_names, abstain, teacher, options))
    if top_k is None or not labels.is_soft or labels.is_sparse:
        return labels
    return labels.top_k(top_k)


def _of_table_or_json(path: Path, options: LabelOptions) -> ImportedLabels:
    columns = options.columns
    check_separator(columns.get("one_of"))
    file = LabelFile(
        path, columns.get("id") or columns.get("task"), columns.get("label"), options.class_names, columns.get("one_of")
    )
    named = columns.get("worker") is not None or columns.get("task") is not None
    export = None if named and file.table is not None else find_export(file)
    if export is not None:
        return _of_answers(file, answers_of_export(export, file), options)
    if file.table is not None:
        return labels_of_table(
            file.table, class_names=options.class_names, abstain=options.abstain, columns=options.columns
        )  # fmt: skip
    return _of_answers(file, answers_of_records(file, worker=columns.get("worker")), options)


def _of_xml(path: Path, options: LabelOptions) -> ImportedLabels:
    file = LabelFile(path)
    return _of_answers(file, read_cvat(file), options)


def _of_answers(file: LabelFile, answers: Iterable[Answer], options: LabelOptions) -> ImportedLabels:
    labels = labels_of_answers(
        answers, str(file.path), teacher=options.teacher or file.path.stem.strip("_") or "teacher",
        class_names=options.class_names, abstain=options.abstain, workers=options.columns.get("workers"),
        notes=file.notes, one_of=options.columns.get("one_of"),
    )  # fmt: skip
    if file.without_ids:
        labels.ids = None
    return labels


def _of_npy(path: Path, options: LabelOptions) -> ImportedLabels:
    return _from_arrays(path, {"annotations": read_npy(path)}, options.class_names, options.abstain)


def _of_npz(path: Path, options: LabelOptions) -> ImportedLabels:
    return _from_arrays(path, read_npz(path), options.class_names, options.abstain)


for _extension, _reader in (
    *((ending, _of_table_or_json) for ending in (".csv", ".tsv", ".parquet", *JSON_FORMATS, ".manifest")),
    (".npy", _of_npy), (".npz", _of_npz), (".xml", _of_xml),
):  # fmt: skip
    LABEL_FORMATS.add(_extension, _reader)
LABEL_FORMATS.mark_shipped()


def _of_shards(
    place: Place, files: Sequence[Place], class_names: Sequence[str] | None, abstain: Sequence[str],
    top_k: int | None, options: dict[str, Any],
) -> ImportedLabels:  # fmt: skip
    kind = sharded_kind(place, files)
    if kind in TABLES:
        table, shards = read_tables(place, files)
        labels = labels_of_table(table, class_names=class_names, abstain=abstain, columns=options)
    else:
        arrays, shards = read_arrays(files, kind, top_k)
        labels = _from_arrays(place, arrays, class_names, abstain)
    # A long table has rows of answers, not of samples.
    labels.shards = shards if len(labels) == sum(shard.rows for shard in shards) else ()
    return labels


def _from_arrays(
    path: Place, arrays: dict[str, Any], class_names: Sequence[str] | None, abstain: Sequence[str]
) -> ImportedLabels:
    unknown = sorted(set(arrays) - set(NPZ_KEYS)) if len(arrays) > 1 else []
    if unknown:
        raise CosupError(f"{path} holds an array {unknown[0]!r}.{suggest(unknown[0], NPZ_KEYS)}")
    if class_names is not None:
        arrays = {**arrays, "class_names": np.array(list(map(str, class_names)))}
    if "classes" in arrays and "probabilities" in arrays:
        return _from_top_k(path, arrays)
    annotations = pick(path, arrays, "annotations")
    if isinstance(annotations, TopK):
        return _with_options(path, annotations, arrays)
    if annotations.ndim == 1 and 0 not in annotations.shape:
        annotations = annotations[:, None]  # a vector is one teacher's
    names_inside = annotations.dtype.kind in "UTS"
    if (
        annotations.ndim not in (2, 3 - names_inside)
        or annotations.dtype.kind not in "iufUTS"
        or (0 in annotations.shape)
    ):
        raise CosupError(
            f"{path}: annotations have shape {annotations.shape} and type {annotations.dtype}; they must be int "
            "(samples, teachers) with -1 for an abstention, texts of the same shape, or float (samples, teachers, "
            "classes) with rows that sum to 1"
        )
    if annotations.ndim == 3:
        return _with_options(path, annotations, arrays)
    given = _texts(path, "class_names", arrays["class_names"]) if "class_names" in arrays else None
    ids, names, notes = class_ids(annotations, given, abstain, str(path))
    if given is None and not names_inside and "n_classes" in arrays:
        names = tuple(map(str, range(_n_classes(path, arrays))))
    return _with_options(path, ids, {**arrays, "class_names": np.array(names)}, notes)


def _n_classes(path: Place, arrays: dict[str, Any]) -> int:
    value = np.asarray(arrays["n_classes"])
    if value.size != 1 or value.dtype.kind not in "iu" or not 2 <= int(value.reshape(())) <= MOST_CLASSES:
        raise CosupError(f"{path}: n_classes must be a whole number from 2 to {MOST_CLASSES:,}, got {shown(value)}")
    return int(value.reshape(()))


def _from_top_k(path: Place, arrays: dict[str, Any]) -> ImportedLabels:
    if "class_names" not in arrays and "n_classes" not in arrays:
        raise CosupError(f"{path}: the k most probable classes need class_names or n_classes beside them")
    n_classes = _n_classes(path, arrays) if "n_classes" in arrays else len(np.atleast_1d(arrays["class_names"]))
    try:
        top = TopK(arrays["classes"], arrays["probabilities"], n_classes)
    except CosupError as error:
        raise CosupError(f"{path}: {error}") from error
    return _with_options(path, top, arrays)


def _with_options(
    path: Place, annotations: Any, arrays: dict[str, Any], notes: Sequence[str] = ()
) -> ImportedLabels:  # fmt: skip
    n_samples, n_teachers = annotations.shape[:2]
    names: Sequence[str] = [f"teacher {place}" for place in range(n_teachers)]
    if "names" in arrays:
        names = as_texts(path, "names", arrays["names"], n_teachers)
    n_classes = annotations.n_classes if isinstance(annotations, TopK) else annotations.shape[-1]
    if "n_classes" in arrays and "class_names" not in arrays:
        n_classes = _n_classes(path, arrays)
    elif "class_names" in arrays:
        n_classes = len(np.atleast_1d(arrays["class_names"]))
    class_names: Sequence[str] = [str(c) for c in range(n_classes)]
    if "class_names" in arrays:
        class_names = as_texts(path, "class_names", np.atleast_1d(arrays["class_names"]), n_classes)
    specialties = None
    if "specialties" in arrays:
        specialties = _masks(path, arrays["specialties"], (n_teachers, n_classes))
    return ImportedLabels(
        annotations, class_names, levels=arrays.get("levels"), specialties=specialties, names=names,
        ids=as_texts(path, "ids", arrays["ids"], n_samples) if "ids" in arrays else None, source=str(path),
        notes=notes,
    )  # fmt: skip


def _texts(path: Place, key: str, values: Any) -> tuple[str, ...]:
    values = np.atleast_1d(values)
    return as_texts(path, key, values, len(values))


def _masks(path: Place, values: Any, shape: tuple[int, int]) -> list[list[int] | None]:
    if values.shape != shape or values.dtype.kind != "b":
        raise CosupError(
            f"{path}: specialties must be a boolean array of shape {shape} (teachers, classes), true where a teacher "
            f"covers a class; its shape is {values.shape} and its type {values.dtype}"
        )
    return [None if row.all() else np.flatnonzero(row).tolist() for row in values]
