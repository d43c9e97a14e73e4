"""Features of a user's own: arrays, tables, shards, stores of ``cosup embed``, folders of images, texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cosup.embedding import Backbone, FeatureStore, list_image_files, make_backbone
from cosup.embedding.feature_store import FEATURES_NAME, FILES_NAME, MANIFEST_NAME, finished_manifest, read_files
from cosup.embedding.incremental import Grown, grow_images, grow_texts
from cosup.io.feature_files import of_csv, of_npz, of_parquet
from cosup.io.tables import (
    MATRICES,
    FeatureColumns,
    Matrix,
    Place,
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
    partition_keys,
    place_of,
    read_npy,
    read_parquet,
)
from cosup.io.texts import read_texts
from cosup.labels import ImportedLabels
from cosup.utils.shard import Shard
from cosup.utils.validation import CosupError, is_bfloat16, some, suggest

__all__ = ["Features", "check_shards", "features_of_images", "features_of_texts", "read_features"]

FORMATS = (".npy", ".npz", ".csv", ".tsv", ".parquet", ".safetensors")
COUNTERS = ("index", "idx", "row", "row_number", "rownum", "row_id", "no", "no.", "nr", "nr.", "#", "number", "sno")
"""Names of columns that may number the rows."""


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
        Their source, if that is known: ``{"backbone": ...}`` or ``{"encoder": ...}``.
    shards : tuple of Shard
        The files of a folder, each with its ``name`` and number of ``rows``; empty where there was one file.
    names : tuple of str, or None
        Names of the columns, where the file has any.
    notes : tuple of str
        Remarks for the user on how it was read.
    """

    source: str
    X: Any
    ids: tuple[str, ...] | None
    inputs: dict[str, str]
    shards: tuple[Shard, ...] = ()
    names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    def by_name(self, columns: Sequence[str]) -> Features:
        """Take columns by name, in the order of `columns`.

        Raises
        ------
        CosupError
            If some are missing: which, and which are new.
        """
        if self.names is None or self.names == tuple(columns):
            return self
        place = {name: column for column, name in enumerate(self.names)}
        missing = [name for name in columns if name not in place]
        wanted = set(columns)
        new = [name for name in self.names if name not in wanted]
        if missing:
            near = suggest(missing[0], new).partition(" Known:")[0] if new else ""
            raise CosupError(
                f"{self.source} lacks {some(missing, 'columns')} that the model was fitted on"
                + (f", and has {some(new, 'columns')} that it was not" if new else "")
                + f"; name the columns as for fitting.{near}"
            )
        notes = [f"{some(new, 'columns')} were not there when the model was fitted, and were left out"] if new else []
        if [name for name in self.names if name in wanted] != list(columns):
            notes.append("columns are in another order than when the model was fitted, and were taken by name")
        taken = np.ascontiguousarray(self.X[:, [place[name] for name in columns]])
        return replace(self, X=taken, names=tuple(columns), notes=(*self.notes, *notes))


def read_features(path: str | Path, *, columns: Sequence[str] | None = None) -> Features:
    """Read features.

    Parameters
    ----------
    path : path or URL
        ``.npy``; ``.npz`` with the key ``X`` (and ``ids``), or a single array; ``.csv``, ``.tsv`` or ``.parquet``: one
        column a feature, and perhaps a column ``id`` (path, file, filename), or in parquet one column of lists;
        ``.safetensors`` with one tensor, or one named X; a folder that ``cosup embed`` wrote; or a folder of shards,
        all ``.npy``, ``.parquet`` or ``.safetensors``, in the order of their names. URLs are of any file system that
        fsspec knows: what they name is copied once to the folder for temporary files, whose room is looked at
        beforehand. Shards and ``.npy`` are mapped into memory. Numbers of rows, under the names that pandas and R give
        them, are no features. An ``.npz`` of ``scipy.sparse.save_npz`` is read where it is not too large when dense.
    columns : sequence of str, optional
        Names of the features to read, in this order, where the file names its columns: others may hold anything.

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
        found = _of_folder(place, files)
    elif (kind := extension(place, FORMATS)) == ".safetensors" or (isinstance(place, str) and kind in MATRICES):
        found = _of_matrix(gather_matrix([place], place), place)
    elif isinstance(place, str):
        with fetched(place) as copy:
            found = replace(read_features(copy, columns=columns), source=place)
    else:
        found = _of_file(place, kind, columns)
    return found if columns is None else found.by_name(columns)


def _of_file(path: Path, kind: str, columns: Sequence[str] | None) -> Features:
    if kind == ".npy":
        read = FeatureColumns(read_npy(path, mapped=True), None, None)
    elif kind == ".npz":
        read = of_npz(path)
    elif kind == ".parquet":
        read = of_parquet(path, columns)
    else:
        read = of_csv(path, columns)
    X, ids = read.X, read.ids
    if X.dtype.kind not in "fiub" and not is_bfloat16(X):
        raise CosupError(f"{path} holds values of type {X.dtype}; features must be numbers")
    if X.ndim != 2 or 0 in X.shape:
        raise CosupError(
            f"{path} has shape {X.shape}; features need one row a sample and one column a feature, at least one of each"
        )
    if ids is not None and len(ids) != len(X):
        raise CosupError(f"{path} has {len(ids)} ids for {len(X)} rows of features; write one a row")
    check_finite(path, X)
    return _without_counter(Features(str(path), X, ids, {}, (), read.names, read.notes), columns)


def _without_counter(features: Features, columns: Sequence[str] | None) -> Features:
    """Leave out a column that is named like, and holds, the numbers of rows; not one that is asked for."""
    names, X = features.names, features.X
    place = None if names is None or len(names) < 2 else find_column(names, COUNTERS)
    if names is None or place is None or len(X) < 3 or (columns is not None and names[place] in columns):
        return features
    if not np.array_equal(X[:, place], X[0, place] + np.arange(len(X))):
        return features
    others = [column for column in range(len(names)) if column != place]
    note = f"the column {names[place]!r} numbers the rows and was left out"
    return replace(
        features, X=X[:, others], names=tuple(names[column] for column in others), notes=(*features.notes, note)
    )


def check_shards(features: Features, labels: ImportedLabels) -> None:
    """Check that shards of labels go with shards of features: as many, each of as many rows, with the same ids.

    Parameters
    ----------
    features : Features
    labels : ImportedLabels
        Labels from `cosup.io.labels.read_labels`; where either is no folder of shards, nothing is checked.

    Raises
    ------
    CosupError
        Naming the first shard that does not.
    """
    sources = (features.source, labels.source)
    check_pairs(features.shards, labels.shards, (features.ids, labels.ids), sources)


def _of_folder(place: Place, files: Sequence[Place]) -> Features:
    """Read a store of ``cosup embed``, or shards."""
    names = [name_of(file) for file in files]
    if isinstance(place, Path) and names and all("=" in name for name in names) and (keys := partition_keys(place)):
        read = arrow_features(read_parquet(place), str(place), aside=keys)
        check_finite(place, read.X)
        note = f"{some(keys, 'keys')} of the partitioned folder are no features and were left out"
        return Features(str(place), read.X, read.ids, {}, (), read.names, (*read.notes, note))
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
    return Features(str(place), matrix.X, matrix.ids, {}, matrix.shards if sharded else (), matrix.names, matrix.notes)


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
    """Tell backbone from encoder in a store's manifest: only text has tokens at the most."""
    return {"encoder" if "tokens" in described["preprocessing"] else "backbone": str(described["name"])}


def features_of_images(
    folder: str | Path,
    out: str | Path,
    *,
    backbone: str | Backbone | None = None,
    skip_unreadable: bool = False,
    progress: bool = True,
    ray: str | None = None,
    kept: Sequence[str | Path] = (),
) -> Features:
    """Compute features of all images in a folder, once, and keep them.

    Parameters
    ----------
    folder : path
        Searched with its subfolders; ids are the images' paths in it.
    out : path
        Where features are kept: stopped, the same call goes on; with more images, only the new ones are embedded.
    backbone : str or Backbone, optional
        ``source:name``, or what `cosup.embedding.make_backbone` gives. Default: ``lite:efficientnet-lite0``.
    skip_unreadable : bool
        Leave images out that cannot be read.
    progress : bool
    ray : str, optional
        Address of a cluster that computes them, see `cosup.tasks.embed_images`.
    kept : sequence of path
        Further folders of this kind, which are read and never written to.

    Returns
    -------
    Features
        Features with the images' paths as ids.

    Raises
    ------
    CosupError
        If there is no image, one cannot be read, or `out` holds features of another backbone.
    """
    folder = Path(folder)
    if backbone is None:
        network = make_backbone()
    else:
        network = make_backbone(backbone) if isinstance(backbone, str) else backbone
    paths = list_image_files(folder)
    grown = grow_images(
        folder, paths, network, out, kept=kept, skip_unreadable=skip_unreadable, progress=progress, ray=ray
    )
    return _of_grown(grown, folder)


def features_of_texts(
    path: str | Path, out: str | Path, *, encoder: str | None = None, progress: bool = True,
    kept: Sequence[str | Path] = (),
) -> Features:  # fmt: skip
    """Compute features of the texts in a file, once, and keep them.

    Parameters
    ----------
    path : path
        As `read_texts` takes it.
    out : path
        Where features are kept: stopped, the same call goes on; with more texts, only the new ones are embedded.
    encoder : str, optional
        See `cosup.embedding.make_encoder`. Default: ``pypi:all-minilm-l6-v2``.
    progress : bool
    kept : sequence of path
        Further folders of this kind, which are read and never written to.

    Returns
    -------
    Features
        Features with the texts' ids.

    Raises
    ------
    CosupError
        If a text is missing, or `out` holds features of another encoder.
    """
    from cosup.embedding import make_encoder  # torch comes with it

    texts = read_texts(path)
    network = make_encoder(encoder) if encoder else make_encoder()
    return _of_grown(grow_texts(texts, network, out, kept=kept, progress=progress, source=str(path)), path)
