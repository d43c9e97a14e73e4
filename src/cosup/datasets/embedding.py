"""Embed images into a feature store: streamed, resumable, one model a store."""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
from tqdm import tqdm

from cosup._validation import CosupError, check_choice, check_positive
from cosup.datasets._disk import disk_errors, only_writer, require_space, write_whole
from cosup.datasets.backbones import Backbone
from cosup.datasets.images import read_image
from cosup.datasets.store import (
    DTYPES,
    FEATURES_NAME,
    FILES_NAME,
    MANIFEST_NAME,
    SCHEMA,
    FeatureStore,
    FileEntry,
    hash_file,
    header_of,
    read_files,
    read_manifest,
)

if TYPE_CHECKING:
    import torch

# What decides how an image is read and embedded; the others cannot change a feature.
_LIBRARIES = ("cosup", "numpy", "pillow", "torch", "transformers", "timm", "torchvision", "efficientnet-lite-pytorch")

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
        Of the features on disk.
    skip_unreadable : bool, default False
        Leave images out that cannot be read, and list them in the store. Otherwise they are an error, that lists all;
        what was embedded before the first of them is kept.
    workers : int, optional
        Threads that read and prepare images while the network computes. Default: one fewer than there are
        cores.
    progress : bool, default True
        Show images a second and the time left on standard error, if that is a terminal.
    wait : bool, default False
        Wait for another process that writes to the folder, instead of raising.

    Returns
    -------
    FeatureStore

    Raises
    ------
    CosupError
        If the folder holds features of another model, of other images or of a newer cosup; if another process writes
        to it; if an image cannot be read; if the disk is full; or if a feature is not finite in `dtype`.
    """
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
        if manifest["runs"][-1]["versions"] != _versions():
            manifest["runs"].append({"from": len(done), "versions": _versions()})
        row_bytes = backbone.n_features * np.dtype(dtype).itemsize
        require_space(folder, (len(listed) - len(done)) * (row_bytes + _LINE_BYTES))
        with disk_errors(folder, _kept(len(done), listed)):
            _write_manifest(folder, manifest)
        _Writer(folder, root, backbone, manifest, workers, progress).run(listed, done, skip_unreadable)
    return FeatureStore.open(folder)


def _entry(root: Path, path: str) -> FileEntry:
    try:
        stat = (root / path).stat()
    except OSError:
        return FileEntry(path, -1, 0)  # reading it says why
    return FileEntry(path, stat.st_size, stat.st_mtime_ns)


def _versions() -> dict[str, str]:
    """Versions of Python and of those libraries that are installed."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    installed = {str(d.name).lower(): d.version for d in importlib.metadata.distributions(name=None) if d.name}
    return found | {name: installed[name] for name in _LIBRARIES if name in installed}


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
        "runs": [{"from": 0, "versions": _versions()}],
    }


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    write_whole(folder / MANIFEST_NAME, json.dumps(manifest, indent=1, sort_keys=True, allow_nan=False) + "\n")


def _check_model(folder: Path, manifest: dict[str, Any], backbone: Backbone, dtype: str) -> None:
    """Features of two models are never mixed."""
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
        said = "; ".join(f"{len(v):,} images {what} (first: {v[0]})" for what, v in changes.items() if v)
        raise CosupError(
            f"{folder} holds the features of other images than {root} has now: {said}. Name another folder, or delete "
            "this one to embed again"
        )
    if [file.path for file in store.files] != [file.path for file in listed]:
        raise CosupError(f"{folder} holds the features of these images in another order; name another folder")
    if store.unreadable and not skip_unreadable:
        raise _unreadable_error(root, store.unreadable)
    return store


def _resume(folder: Path, root: Path, manifest: dict[str, Any], listed: Sequence[FileEntry]) -> list[FileEntry]:
    """The entries of whole shards that are there, and are what the folder of images has now."""
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


class _Writer:
    """One run: reads ahead in threads, computes in this one, and flushes shard by shard."""

    def __init__(
        self,
        folder: Path,
        root: Path,
        backbone: Backbone,
        manifest: dict[str, Any],
        workers: int | None,
        progress: bool,
    ) -> None:
        self.folder, self.root, self.backbone, self.manifest = folder, root, backbone, manifest
        # One core is the network's: where its threads wait for one that reads images, all of them wait.
        self.workers = workers or max(1, joblib.cpu_count() - 1)
        self.progress = progress
        self.dtype = np.dtype(manifest["dtype"])

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
        }
        with disk_errors(self.folder, "Everything is embedded and kept"):
            _write_manifest(self.folder, self.manifest)

    def _file(self, name: str) -> FileIO:
        path = self.folder / name
        path.touch()
        # Unbuffered: a buffer that a full disk refused would be written once more when the file is closed.
        return path.open("r+b", buffering=0)

    def _cut(self, file: FileIO, size: int) -> None:
        """Drop what a killed run wrote behind the last whole shard."""
        if file.seek(0, os.SEEK_END) < size:
            raise CosupError(f"{file.name} was cut short: it ends before what {FILES_NAME} says; delete {self.folder}")
        file.truncate(size)
        file.seek(size)

    def _bar(self, listed: Sequence[FileEntry], done: Sequence[FileEntry]) -> Any:
        # disable=None: silent unless standard error is a terminal.
        return tqdm(
            total=len(listed), initial=len(done), desc=self.backbone.name, unit="image", smoothing=0.05,
            disable=None if self.progress else True,
        )  # fmt: skip

    def _shards(
        self, listed: Sequence[FileEntry], unreadable: dict[str, str], skip: bool, bar: Any
    ) -> Iterator[list[tuple[list[FileEntry], Any]]]:
        """Whole shards: a list of batches, each with its files' entries and its rows."""
        shard: list[tuple[list[FileEntry], Any]] = []
        per_shard = self.manifest["shard_size"] // self.manifest["batch_size"]
        with self._batches(listed) as batches:
            for entries, prepared in batches:
                unreadable |= {file.path: file.error for file in entries if file.error is not None}
                bar.update(len(entries))
                if unreadable and not skip:  # the rest is read only to say what else is wrong
                    bar.set_description("looking for unreadable images", refresh=False)
                    continue
                shard.append((entries, self._rows(entries, prepared)))
                if len(shard) == per_shard:
                    yield shard
                    shard = []
        if shard and (skip or not unreadable):
            yield shard

    def _rows(self, entries: Sequence[FileEntry], prepared: Sequence[torch.Tensor]) -> Any:
        import torch

        if not prepared:
            return np.empty((0, self.backbone.n_features), dtype=self.dtype)
        computed = self.backbone.forward(torch.stack(list(prepared)))
        with np.errstate(over="ignore"):  # looked for below
            rows = np.ascontiguousarray(computed, dtype=self.dtype)
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if bad.size:
            path = [file.path for file in entries if file.error is None][bad[0]]
            hint = "; float16 ends at 65,504: use dtype float32" if np.isfinite(computed[bad[0]]).all() else ""
            raise CosupError(f"'{self.backbone.name}' gives features of {path} that are not finite{hint}")
        return rows

    @contextmanager
    def _batches(self, listed: Sequence[FileEntry]) -> Iterator[Iterator[tuple[list[FileEntry], list[torch.Tensor]]]]:
        """Batches in order, read ahead of the network by threads."""
        size = self.manifest["batch_size"]
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="cosup-read", initializer=_one_thread)

        def stream() -> Iterator[tuple[list[FileEntry], list[torch.Tensor]]]:
            waiting: deque[Future[tuple[FileEntry, torch.Tensor | None]]] = deque()
            place = 0
            for start in range(0, len(listed), size):
                # The next batch is read while this one is computed.
                ahead = min(len(listed), start + 2 * size + self.workers)
                waiting.extend(pool.submit(self._read, file) for file in listed[place:ahead])
                place = ahead
                read = [waiting.popleft().result() for _ in range(min(size, len(listed) - start))]
                yield [file for file, _ in read], [tensor for _, tensor in read if tensor is not None]

        try:
            yield stream()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _read(self, file: FileEntry) -> tuple[FileEntry, torch.Tensor | None]:
        path = self.root / file.path
        try:
            tensor = self.backbone.prepare(read_image(path))
        except CosupError as error:
            return replace(file, error=str(error), sha256=hash_file(path)), None
        return replace(file, sha256=hash_file(path)), tensor


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)  # the pool's threads are parallel already; this holds for the calling thread


def _write(file: FileIO, *parts: bytes) -> None:
    rest = memoryview(b"".join(parts))
    while rest:
        rest = rest[file.write(rest) :]


def _kept(n_files: int, listed: Sequence[FileEntry]) -> str:
    return f"What is embedded is kept: {n_files:,} of {len(listed):,} images"
