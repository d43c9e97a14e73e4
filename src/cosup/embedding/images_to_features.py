"""Embed images into a feature store: streamed, resumable, one model a store."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from cosup.cluster import check_address, connect
from cosup.embedding.backbones import Backbone
from cosup.embedding.disk_space import disk_errors, require_space
from cosup.embedding.feature_store import (
    DTYPES,
    FEATURES_NAME,
    FILES_NAME,
    MANIFEST_NAME,
    SCHEMA,
    FeatureStore,
    FileEntry,
    check_own,
    hash_file,
    header_of,
    read_files,
    read_manifest,
    sample_file,
)
from cosup.embedding.workers import Batch, Computing, batches_of, versions
from cosup.utils.atomic_files import write_whole
from cosup.utils.folder_lock import only_writer
from cosup.utils.progress import progress_bar
from cosup.utils.validation import CosupError, check_choice, check_positive

_LINE_BYTES = 200  # about, in the list of files


def embed_images(
    root: str | os.PathLike[str],
    paths: Sequence[str],
    backbone: Backbone,
    folder: str | os.PathLike[str],
    *,
    batch_size: int = 100,
    shard_size: int = 1000,
    dtype: str = "float16",
    skip_unreadable: bool = False,
    workers: int | None = None,
    progress: bool = True,
    wait: bool = False,
    ray: str | None = None,
) -> FeatureStore:
    """Embed images into a folder, or go on where a stopped call left it.

    A shard is what is flushed to the disk at once: the features' rows first, then the lines of their files. Whatever
    ends the process, the same call finds the shards that are whole and goes on behind them, with the same batches, so
    that the finished files are the same byte for byte (on the same machine, with the same versions).

    Parameters
    ----------
    root : path
        The folder of images.
    paths : sequence of str
        Relative to `root`, with ``/``; their order is that of the rows.
    backbone : Backbone
    folder : path
        Made if it does not exist. If it holds the finished features of these images by this backbone, nothing is done.
    batch_size, shard_size : int
        Images that go through the network together, and images that are flushed together (rounded up to whole
        batches). A store that was begun goes on with its own.
    dtype : {"float16", "float32"}
        The type of the features on disk.
    skip_unreadable : bool, default False
        Leave images out that cannot be read, and list them in the store. Otherwise they are an error, that lists all;
        what was embedded before the first of them is kept.
    workers : int, optional
        Threads that read and prepare images while the network computes. Default: one fewer than there are
        cores. On Ray: of each actor, and the cores that it reserves; default 1, or beside a GPU its share of the cores.
    progress : bool, default True
        Show images a second and the time left on standard error, if that is a terminal.
    wait : bool, default False
        Wait for another process that writes to the folder, instead of raising.
    ray : str, optional
        Address of a Ray cluster whose actors read and compute: see `cosup.cluster.connect`. They see the images under
        the same path; this process alone writes, what it would write without them, so that either goes on where the
        other was stopped.

    Returns
    -------
    FeatureStore
        The features on disk, read on demand.

    Raises
    ------
    CosupError
        If the folder holds features of another model, of other images or of a newer cosup; if another process writes
        to it; if an image cannot be read; if the disk is full; if a feature is not finite in `dtype`; or if the
        cluster is not there, or its nodes have other versions or do not see the images.
    """
    if ray is not None:
        check_address(ray)
    for name, value in (("batch_size", batch_size), ("shard_size", shard_size)):
        check_positive(value, name, integer=True)
    check_choice(dtype, DTYPES, "dtype")
    root, folder = Path(root), Path(folder)
    if not paths:
        raise CosupError(f"there are no images of {root} to embed")
    listed = [_entry(root, path) for path in paths]
    manifest = read_manifest(folder)
    if manifest is not None:
        _check_model(folder, manifest, backbone, dtype)
        if manifest["complete"]:
            return _finished(folder, root, listed, skip_unreadable)
    with only_writer(folder, wait=wait):
        # Read again: another process may have finished meanwhile.
        manifest = read_manifest(folder)
        if manifest is not None and manifest["complete"]:
            return _finished(folder, root, listed, skip_unreadable)
        shard_size = -(-shard_size // batch_size) * batch_size
        manifest = manifest or _first_manifest(backbone, dtype, batch_size, shard_size)
        done = _resume(folder, root, manifest, listed)
        if manifest["runs"][-1]["versions"] != versions():
            manifest["runs"].append({"from": len(done), "versions": versions()})
        row_bytes = backbone.n_features * np.dtype(dtype).itemsize
        require_space(folder, (len(listed) - len(done)) * (row_bytes + _LINE_BYTES))
        with disk_errors(folder, _kept(len(done), listed)):
            _write_manifest(folder, manifest)
        _Writer(folder, root, backbone, manifest, workers, progress, ray).run(listed, done, skip_unreadable)
    return FeatureStore.open(folder)


def _entry(root: Path, path: str) -> FileEntry:
    try:
        stat = (root / path).stat()
    except OSError:
        return FileEntry(path, -1, 0)  # reading it says why
    return FileEntry(path, stat.st_size, stat.st_mtime_ns)


def _first_manifest(backbone: Backbone, dtype: str, batch_size: int, shard_size: int) -> dict[str, Any]:
    return {
        "kind": "cosup features",
        "schema": SCHEMA,
        "complete": False,
        "backbone": {
            "name": backbone.name,
            "fingerprint": backbone.fingerprint,
            "weights_sha256": getattr(backbone, "weights_sha256", None),
            "preprocessing": backbone.preprocessing,
            "n_features": int(backbone.n_features),
        },
        "dtype": dtype,
        "batch_size": batch_size,
        "shard_size": shard_size,
        "runs": [{"from": 0, "versions": versions()}],
    }


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    write_whole(folder / MANIFEST_NAME, json.dumps(manifest, indent=1, sort_keys=True, allow_nan=False) + "\n")


def _check_model(folder: Path, manifest: dict[str, Any], backbone: Backbone, dtype: str) -> None:
    """Refuse features of another model: they are never mixed."""
    other = manifest["backbone"]
    if other["fingerprint"] != backbone.fingerprint:
        what = (
            f"of other weights or preprocessing ({_difference(other['preprocessing'], backbone.preprocessing)})"
            if other["name"] == backbone.name
            else f"of '{other['name']}'"
        )
        raise CosupError(
            f"{folder} holds features {what}, not of this '{backbone.name}'; features of two models are never mixed: "
            "name another folder"
        )
    if manifest["dtype"] != dtype:
        raise CosupError(f"{folder} holds features of dtype {manifest['dtype']}, not {dtype}; name another folder")


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    keys = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    return ", ".join(f"{key} {old.get(key)!r} there, {new.get(key)!r} here" for key in keys) or "the weights differ"


def _finished(folder: Path, root: Path, listed: Sequence[FileEntry], skip_unreadable: bool) -> FeatureStore:
    store = FeatureStore.open(folder)
    old = {file.path: file for file in store.files}
    new = {file.path: file for file in listed}
    changes = {
        "not in it": [path for path in new if path not in old],
        "gone": [path for path in old if path not in new],
        "changed": [path for path in new if path in old and not old[path].same_file(new[path], root)],
    }
    if any(changes.values()):
        how = "; ".join(f"{len(v):,} images {what} (first: {v[0]})" for what, v in changes.items() if v)
        raise CosupError(
            f"{folder} holds the features of other images than {root} has now: {how}. Name another folder, or delete "
            "this one to embed again"
        )
    if [file.path for file in store.files] != [file.path for file in listed]:
        raise CosupError(f"{folder} holds the features of these images in another order; name another folder")
    if store.unreadable and not skip_unreadable:
        raise _unreadable_error(root, store.unreadable)
    return store


def _resume(folder: Path, root: Path, manifest: dict[str, Any], listed: Sequence[FileEntry]) -> list[FileEntry]:
    """Return the entries of whole shards that are there, and that the folder of images still has."""
    found = list(read_files(folder))
    if found and not any(old.same_file(new, root) for old, new in zip(found, listed, strict=False)):
        raise CosupError(
            f"{folder} holds unfinished features of other images (first: {found[0].path}); name another folder, or "
            "delete this one"
        )
    same = 0
    for old, new in zip(found, listed, strict=False):
        if not old.same_file(new, root):
            break
        same += 1
    whole = same if same == len(listed) else same // manifest["shard_size"] * manifest["shard_size"]
    return found[:whole]


def _unreadable_error(root: Path, unreadable: dict[str, str]) -> CosupError:
    lines = "".join(f"\n  {why}" for why in list(unreadable.values())[:50])
    more = f"\n  and {len(unreadable) - 50:,} more" if len(unreadable) > 50 else ""
    return CosupError(
        f"{len(unreadable):,} images of {root} cannot be read; mend or remove them, or leave them out with "
        f"--skip-unreadable (skip_unreadable=True):{lines}{more}"
    )


class _Writer(Computing):
    """One run: has batches computed, and flushes shard by shard."""

    def __init__(
        self,
        folder: Path,
        root: Path,
        backbone: Backbone,
        manifest: dict[str, Any],
        workers: int | None,
        progress: bool,
        ray: str | None = None,
    ) -> None:
        super().__init__(root, backbone, manifest["dtype"], manifest["batch_size"], workers)
        self.folder, self.manifest, self.progress, self.ray = folder, manifest, progress, ray
        self.asked_workers = workers

    def run(self, listed: Sequence[FileEntry], done: list[FileEntry], skip: bool) -> None:
        """Embed what is not `done`, then finish the store."""
        n_files, n_rows = len(done), sum(file.error is None for file in done)
        unreadable = {file.path: file.error for file in done if file.error is not None}
        if unreadable and not skip:
            raise _unreadable_error(self.root, unreadable)
        header = header_of((len(listed), self.backbone.n_features), self.dtype.name)
        row_bytes = self.backbone.n_features * self.dtype.itemsize
        with self._file(FEATURES_NAME) as features, self._file(FILES_NAME) as files, self._bar(listed, done) as bar:
            with disk_errors(self.folder, _kept(n_files, listed)):
                _write(features, header)
                self._cut(features, len(header) + n_rows * row_bytes)
                self._cut(files, sum(len(file.line().encode()) for file in done))
            for shard in self._shards(listed[n_files:], unreadable, skip, bar):
                with disk_errors(self.folder, _kept(n_files, listed)):
                    _write(features, *(rows.tobytes() for _, rows in shard))
                    os.fsync(features.fileno())
                    _write(files, *(file.line().encode() for entries, _ in shard for file in entries))
                    os.fsync(files.fileno())
                n_files += sum(len(entries) for entries, _ in shard)
                n_rows += sum(len(rows) for _, rows in shard)
            if n_rows == 0 or (unreadable and not skip):
                raise _unreadable_error(self.root, unreadable)
            with disk_errors(self.folder, _kept(n_files, listed)):
                features.seek(0)
                _write(features, header_of((n_rows, self.backbone.n_features), self.dtype.name))
                os.fsync(features.fileno())
        self._finish(n_files, n_rows, unreadable)

    def _finish(self, n_files: int, n_rows: int, unreadable: dict[str, str]) -> None:
        self.manifest |= {
            "complete": True,
            "n_files": n_files,
            "n_images": n_rows,
            "unreadable": sorted(unreadable),
            "sha256": {name: hash_file(self.folder / name) for name in (FEATURES_NAME, FILES_NAME)},
            "samples_sha256": {name: sample_file(self.folder / name) for name in (FEATURES_NAME, FILES_NAME)},
        }
        with disk_errors(self.folder, "Everything is embedded and kept"):
            _write_manifest(self.folder, self.manifest)

    def _file(self, name: str) -> FileIO:
        path = self.folder / name
        if not path.is_symlink():
            path.touch()
        check_own(path)  # what a link leads to is not overwritten
        # Unbuffered: a buffer that a full disk refused would be written once more when the file is closed.
        return path.open("r+b", buffering=0)

    def _cut(self, file: FileIO, size: int) -> None:
        """Drop what a killed run wrote behind the last whole shard."""
        if file.seek(0, os.SEEK_END) < size:
            raise CosupError(f"{file.name} was cut short: it ends before what {FILES_NAME} says; delete {self.folder}")
        file.truncate(size)
        file.seek(size)

    def _bar(self, listed: Sequence[FileEntry], done: Sequence[FileEntry]) -> Any:
        shown = None if self.progress else False
        return progress_bar(len(listed), initial=len(done), what=self.backbone.name, unit="image", shown=shown)

    def _shards(
        self, listed: Sequence[FileEntry], unreadable: dict[str, str], skip: bool, bar: Any
    ) -> Iterator[list[Batch]]:
        """Yield whole shards: a list of batches, each with its files' entries and its rows."""
        shard: list[Batch] = []
        per_shard = self.manifest["shard_size"] // self.manifest["batch_size"]
        with self._computed(listed, skip) as batches:
            for entries, rows in batches:
                unreadable |= {file.path: file.error for file in entries if file.error is not None}
                bar.update(len(entries))
                if unreadable and not skip:  # the rest is read only to say what else is wrong
                    bar.set_description("looking for unreadable images", refresh=False)
                    continue
                shard.append((entries, rows))
                if len(shard) == per_shard:
                    yield shard
                    shard = []
        if shard and (skip or not unreadable):
            yield shard

    def _computed(self, listed: Sequence[FileEntry], skip: bool) -> AbstractContextManager[Iterator[Batch]]:
        return self.batches(listed, skip) if self.ray is None else self._on_cluster(self.ray, listed, skip)

    @contextlib.contextmanager
    def _on_cluster(self, address: str, listed: Sequence[FileEntry], skip: bool) -> Iterator[Iterator[Batch]]:
        with (
            connect(address) as cluster,
            contextlib.closing(batches_of(cluster, self, listed, skip=skip, workers=self.asked_workers)) as batches,
        ):
            yield batches


def _write(file: FileIO, *parts: bytes) -> None:
    rest = memoryview(b"".join(parts))
    while rest:
        rest = rest[file.write(rest) :]


def _kept(n_files: int, listed: Sequence[FileEntry]) -> str:
    return f"What is embedded is kept: {n_files:,} of {len(listed):,} images"
