"""Features of a user's own: arrays, tables, shards, stores of ``cosup embed``, folders of images, files of texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cosup.embedding import FeatureStore, list_image_files, make_backbone
from cosup.embedding.feature_store import FEATURES_NAME, FILES_NAME, MANIFEST_NAME, finished_manifest, read_files
from cosup.embedding.incremental import Grown, grow_images, grow_texts
from cosup.io.tables import (
    ID_COLUMNS,
    MATRICES,
    CsvFile,
    Matrix,
    Place,
    Table,
    arrow_features,
    check_finite,
    check_pairs,
    child,
    extension,
    fetched,
    files_in,
    find_column,
    gather_matrix,
    name_of,
    not_empty,
    pick,
    place_of,
    read_npy,
    read_npz,
    read_parquet,
    read_table,
)
from cosup.labels import ImportedLabels
from cosup.utils.shard import Shard
from cosup.utils.validation import CosupError, is_bfloat16, suggest

__all__ = ["Features", "check_shards", "features_of_images", "features_of_texts", "read_features", "read_texts"]

FORMATS = (".npy", ".npz", ".csv", ".tsv", ".parquet", ".safetensors")
TEXT_FORMATS = (".csv", ".tsv", ".parquet", ".jsonl", ".txt")
TEXT_COLUMNS = ("text", "sentence", "content", "body", "message")


# eq=False: comparing arrays field by field has no single truth value.
@dataclass(frozen=True, eq=False)
class Features:
    """A feature matrix, and whose rows they are.

    Attributes
    ----------
    source : str
        The file or folder.
    X : ndarray of shape (n_samples, n_features)
        Finite; of a store it is mapped into memory.
    ids : tuple of str, or None
    inputs : dict of str to str
        What made them, if that is known: ``{"backbone": ...}`` or ``{"encoder": ...}``.
    shards : tuple of Shard
        The files of a folder, each with its ``name`` and number of ``rows``; empty where there was one file.
    """

    source: str
    X: Any
    ids: tuple[str, ...] | None
    inputs: dict[str, str]
    shards: tuple[Shard, ...] = ()


def read_features(path: str | Path) -> Features:
    """Read features.

    Parameters
    ----------
    path : path or URL
        ``.npy``; ``.npz`` with the key ``X`` (and ``ids``), or a single array; ``.csv``, ``.tsv`` or ``.parquet``: one
        column a feature, and perhaps a column ``id`` (path, file, filename), or in parquet one column of lists;
        ``.safetensors`` with one tensor, or one named X; a folder that ``cosup embed`` wrote; or a folder of shards,
        all ``.npy``, ``.parquet`` or ``.safetensors``, in the order of their names. URLs are of any file system that
        fsspec knows: what they name is copied once to the folder for temporary files, whose room is looked at
        beforehand. Shards and ``.npy`` are mapped into memory.

    Returns
    -------
    Features
        Finite numbers, at least one row and one column.

    Raises
    ------
    CosupError
        For whatever is wrong with the file: what, where, what to do.

    Examples
    --------
    >>> features = read_features("features")  # doctest: +SKIP
    >>> features.X.shape, features.ids[:2]  # doctest: +SKIP
    ((1000, 1280), ('cat/001.png', 'cat/002.png'))
    """
    place = place_of(path)
    files = files_in(place) if isinstance(place, str) or place.is_dir() else None
    if files is not None:
        return _of_folder(place, files)
    kind = extension(place, FORMATS)
    if kind == ".safetensors" or (isinstance(place, str) and kind in MATRICES):
        return _of_matrix(gather_matrix([place], place), place)
    if isinstance(place, str):
        with fetched(place) as copy:
            return replace(read_features(copy), source=place)
    path = place
    ids: tuple[str, ...] | None = None
    if kind == ".npy":
        X = read_npy(path, mapped=True)
    elif kind == ".npz":
        arrays = read_npz(path)
        X = pick(path, arrays, "X")
        if "ids" in arrays and arrays["ids"].dtype.kind == "U":
            ids = tuple(map(str, arrays["ids"]))
    elif kind == ".parquet":
        X, ids = arrow_features(read_parquet(path), str(path))
    else:
        X, ids = _of_csv(path)
    if X.dtype.kind not in "fiub" and not is_bfloat16(X):
        raise CosupError(f"{path} holds values of type {X.dtype}; features must be numbers")
    if X.ndim != 2 or 0 in X.shape:
        raise CosupError(
            f"{path} has shape {X.shape}; features need one row a sample and one column a feature, at least one of each"
        )
    if ids is not None and len(ids) != len(X):
        raise CosupError(f"{path} has {len(ids)} ids for {len(X)} rows of features; write one a row")
    check_finite(path, X)
    return Features(str(path), X, ids, {})


def check_shards(features: Features, labels: ImportedLabels) -> None:
    """Check that shards of labels go with shards of features: as many, each of as many rows, with the same ids.

    Parameters
    ----------
    features : Features
    labels : ImportedLabels
        As `cosup.labels.read_labels` gives them; where either is no folder of shards, nothing is checked.

    Raises
    ------
    CosupError
        Naming the first shard that does not.
    """
    sources = (features.source, labels.source)
    check_pairs(features.shards, labels.shards, (features.ids, labels.ids), sources)


def _of_folder(place: Place, files: Sequence[Place]) -> Features:
    """A store of ``cosup embed``, or shards."""
    names = [name_of(file) for file in files]
    kinds = {kind for kind in MATRICES for name in names if name.lower().endswith(kind)}
    if MANIFEST_NAME in names and isinstance(place, str):
        return _of_remote_store(place)
    if MANIFEST_NAME in names or (not kinds and isinstance(place, Path)):
        return _of_store(FeatureStore.open(place))
    strangers = [name for name in names if not name.lower().endswith(MATRICES)]
    if not kinds or len(kinds) > 1 or strangers:
        held = strangers[0] if strangers else " and ".join(sorted(kinds)) + " files" if kinds else "no file"
        raise CosupError(
            f"{place} holds {held}; a folder of features holds what 'cosup embed' wrote, or shards of one kind only: "
            f"{', '.join(MATRICES)}"
        )
    return _of_matrix(gather_matrix(files, place), place, sharded=True)


def _of_matrix(matrix: Matrix, place: Place, *, sharded: bool = False) -> Features:
    return Features(str(place), matrix.X, matrix.ids, {}, matrix.shards if sharded else ())


def _of_remote_store(url: str) -> Features:
    with fetched(child(url, MANIFEST_NAME)) as copy:
        manifest = finished_manifest(copy.parent, url)
    with fetched(child(url, FILES_NAME)) as copy:
        ids = tuple(file.path for file in read_files(copy.parent) if file.error is None)
    X = gather_matrix([child(url, FEATURES_NAME)], url).X
    expected = (len(ids), int(manifest["backbone"]["n_features"])), manifest["dtype"]
    if (X.shape, X.dtype) != expected:
        raise CosupError(
            f"{url} is not what its manifest describes: its array has shape {X.shape} of {X.dtype}, and {len(ids)} "
            "samples are listed; copy the folder again"
        )
    return Features(url, X, ids, _inputs(manifest["backbone"]))


def _of_store(store: FeatureStore) -> Features:
    return Features(str(store.folder), store.features, store.paths, _inputs(store.manifest["backbone"]))


def _of_grown(grown: Grown, source: str | Path) -> Features:
    return Features(str(source), grown.features, grown.paths, _inputs(grown.backbone))


def _inputs(described: dict[str, Any]) -> dict[str, str]:
    """What made features, of how a store's manifest describes it: only text has tokens at the most."""
    return {"encoder" if "tokens" in described["preprocessing"] else "backbone": str(described["name"])}


def _of_csv(path: Path) -> tuple[Any, tuple[str, ...] | None]:
    file = CsvFile(path)
    place = find_column(file.header, ID_COLUMNS)
    columns = [column for column in range(len(file.header)) if column != place]
    if not columns:
        raise CosupError(f"{path} has no column of features beside {file.header[place or 0]!r}")
    parts = [_numbers(file, rows, lines, columns) for rows, lines in file.blocks()]
    ids = None if place is None else read_table(path).ids(place)
    return np.concatenate(parts), ids


def _numbers(file: CsvFile, rows: list[list[str]], lines: Any, columns: list[int]) -> Any:
    try:
        out = np.array([[cells[column] for column in columns] for cells in rows]).astype(np.float64)
    except ValueError:
        out = None
    if out is not None and np.isfinite(out).all():
        return out
    for cells, line in zip(rows, lines.tolist(), strict=True):
        for column in columns:
            _number(file, cells[column].strip(), line, column)
    # What numpy does not read, but Python does: 1_000.
    return np.array([[float(cells[column]) for column in columns] for cells in rows])


def _number(file: CsvFile, text: str, line: int, column: int) -> None:
    where = f"{file.path}, row {line}, column {column + 1} ({file.header[column]!r})"
    try:
        value = float(text)
    except ValueError as error:
        shown = "blank" if not text else f"{text[:40]!r}, not a number"
        raise CosupError(
            f"{where} is {shown}; fill it in or leave the sample out"
            + (" (is the first row a header?)" if line == 2 else "")
        ) from error
    if not np.isfinite(value):
        raise CosupError(f"{where} is {text}; fill it in or leave the sample out")


def features_of_images(
    folder: str | Path,
    out: str | Path,
    *,
    backbone: str | None = None,
    skip_unreadable: bool = False,
    progress: bool = True,
    ray: str | None = None,
) -> Features:
    """Features of all images in a folder, computed once and kept.

    Parameters
    ----------
    folder : path
        Searched with its subfolders; ids are the images' paths in it.
    out : path
        Where features are kept: stopped, the same call goes on; with more images, only the new ones are embedded.
    backbone : str, optional
        ``source:name``, see `cosup.tasks.make_backbone`. Default: ``lite:efficientnet-lite0``.
    skip_unreadable : bool
        Leave images out that cannot be read.
    progress : bool
    ray : str, optional
        Address of a cluster that computes them, see `cosup.tasks.embed_images`.

    Returns
    -------
    Features

    Raises
    ------
    CosupError
        If there is no image, one cannot be read, or `out` holds features of another backbone.
    """
    folder = Path(folder)
    network = make_backbone(backbone) if backbone else make_backbone()
    paths = list_image_files(folder)
    grown = grow_images(folder, paths, network, out, skip_unreadable=skip_unreadable, progress=progress, ray=ray)
    return _of_grown(grown, folder)


def features_of_texts(
    path: str | Path, out: str | Path, *, encoder: str | None = None, progress: bool = True
) -> Features:
    """Features of the texts in a file, computed once and kept.

    Parameters
    ----------
    path : path
        As `read_texts` takes it.
    out : path
        Where features are kept: stopped, the same call goes on; with more texts, only the new ones are embedded.
    encoder : str, optional
        See `cosup.embedding.make_encoder`. Default: ``pypi:all-minilm-l6-v2``.
    progress : bool

    Returns
    -------
    Features

    Raises
    ------
    CosupError
        If a text is missing, or `out` holds features of another encoder.
    """
    from cosup.embedding import make_encoder  # torch comes with it

    texts = read_texts(path)
    network = make_encoder(encoder) if encoder else make_encoder()
    return _of_grown(grow_texts(texts, network, out, progress=progress, source=str(path)), path)


def read_texts(path: str | Path) -> dict[str, str]:
    """Read texts with their ids.

    Parameters
    ----------
    path : path
        ``.csv``, ``.tsv`` or ``.parquet`` with a column ``text`` (sentence, content, body, message) and perhaps
        ``id``; ``.jsonl`` with these keys; or ``.txt``, a text a line. Without ids, texts are numbered from 0.

    Returns
    -------
    dict of str to str
        Id -> text, in the file's order.

    Raises
    ------
    CosupError
        For a missing column or text, and ids that repeat: where, and what to do.
    """
    path = Path(path)
    kind = extension(path, TEXT_FORMATS)
    if kind == ".txt":
        lines = _lines(path)
        return {str(row): text for row, (_, text) in enumerate(lines)}
    if kind == ".jsonl":
        return _texts_of_json(path)
    table = read_table(path)
    place = table.find(*TEXT_COLUMNS)
    if place is None:
        raise CosupError(f"{path} has no column 'text'.{suggest('text', table.names)} Rename the one that holds it")
    blank = np.flatnonzero(table.columns[place].codes < 0)
    if blank.size:
        raise CosupError(f"{table.where(int(blank[0]), place)} is blank; leave the sample out")
    return dict(zip(_ids(table), table.columns[place].texts(), strict=True))


def _ids(table: Table) -> Sequence[str]:
    place = table.find(*ID_COLUMNS)
    return [str(row) for row in range(len(table))] if place is None else table.ids(place)


def _lines(path: Path) -> list[tuple[int, str]]:
    not_empty(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CosupError(f"{path} is not UTF-8 text (byte {error.start}); save it in UTF-8") from error
    found = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not found:
        raise CosupError(f"{path} holds blank lines only; one text a line is expected")
    return found


def _texts_of_json(path: Path) -> dict[str, str]:
    out: dict[str, str] = {}
    for number, line in _lines(path):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise CosupError(f"{path}, row {number} is no JSON ({error}); one object a line") from error
        key = next((key for key in TEXT_COLUMNS if isinstance(record, dict) and key in record), None)
        if key is None or not isinstance(record[key], str) or not record[key].strip():
            raise CosupError(f"{path}, row {number} has no 'text'; every line needs one")
        name = next((str(record[k]) for k in ID_COLUMNS if k in record), str(len(out)))
        if name in out:
            raise CosupError(f"{path}, row {number}: the id {name!r} stands in an earlier row too")
        out[name] = record[key]
    return out
