"""Texts as features in a store that goes on where it was stopped, as images'."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cosup.embedding.disk_space import disk_errors, require_space
from cosup.embedding.feature_store import DTYPES, FeatureStore, FileEntry, read_manifest
from cosup.embedding.images_to_features import (
    _check_model,
    _finished,
    _first_manifest,
    _kept,
    _resume,
    _write_manifest,
    _Writer,
)
from cosup.embedding.text_encoders import TextEncoder
from cosup.embedding.workers import Batch
from cosup.utils.folder_lock import only_writer
from cosup.utils.slices import slices
from cosup.utils.validation import CosupError, check_choice, check_positive

__all__ = ["embed_texts", "text_entry"]


def embed_texts(
    texts: Mapping[str, str],
    encoder: TextEncoder,
    folder: str | os.PathLike[str],
    *,
    batch_size: int = 100,
    shard_size: int = 1000,
    dtype: str = "float32",
    progress: bool = True,
    source: str = "the texts",
) -> FeatureStore:
    """Embed texts into a folder, or go on where a stopped call left it; see `cosup.tasks.embed_images`.

    Parameters
    ----------
    texts : mapping of id to text
        Their order is that of the rows.
    encoder : TextEncoder
    folder : path
        Made if it does not exist. If it holds the finished features of these texts by this encoder, nothing is done.
    batch_size, shard_size : int
    dtype : {"float32", "float16"}
        The type of the features on disk.
    progress : bool
    source : str
        The name of the texts in messages: their file's path.

    Returns
    -------
    FeatureStore
        Its ``paths`` are the ids.

    Raises
    ------
    CosupError
        If the folder holds features of another encoder or of other texts; if another process writes to it; if the disk
        is full.
    """
    for name, value in (("batch_size", batch_size), ("shard_size", shard_size)):
        check_positive(value, name, integer=True)
    check_choice(dtype, DTYPES, "dtype")
    if not texts:
        raise CosupError("there are no texts to embed")
    folder, root = Path(folder), Path(source)
    listed = [text_entry(name, text) for name, text in texts.items()]
    with only_writer(folder):
        manifest = read_manifest(folder)
        if manifest is not None:
            _check_model(folder, manifest, encoder, dtype)
            if manifest["complete"]:
                return _finished(folder, root, listed, False)
        shard_size = -(-shard_size // batch_size) * batch_size
        manifest = manifest or _first_manifest(encoder, dtype, batch_size, shard_size)
        done = _resume(folder, root, manifest, listed)
        require_space(folder, (len(listed) - len(done)) * encoder.n_features * np.dtype(dtype).itemsize)
        with disk_errors(folder, _kept(len(done), listed)):
            _write_manifest(folder, manifest)
        _TextWriter(folder, root, encoder, manifest, 1, progress, dict(texts)).run(listed, done, False)
    return FeatureStore.open(folder)


def text_entry(name: str, text: str) -> FileEntry:
    """Make the entry of a text in the list of files; its time is a number from its bytes, so that changes show."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return FileEntry(name, len(text.encode()), int(digest[:15], 16), digest)


class _TextWriter(_Writer):
    def __init__(
        self, folder: Path, root: Path, encoder: Any, manifest: dict[str, Any], workers: int, progress: bool,
        texts: dict[str, str],
    ) -> None:  # fmt: skip
        super().__init__(folder, root, encoder, manifest, workers, progress)
        self.texts = texts

    @contextmanager
    def batches(self, listed: Sequence[FileEntry], skip: bool) -> Iterator[Iterator[Batch]]:
        """Yield batches in order; the texts of a shard are sorted by length to be computed, and put in order again."""
        yield self._by_shard(listed)

    def _by_shard(self, listed: Sequence[FileEntry]) -> Iterator[Batch]:
        texts = [self.texts[file.path] for file in listed]
        shard, size = self.manifest["shard_size"], self.batch_size
        blocks = self.backbone.encode_blocks(texts, block=shard, batch_size=size)  # type: ignore[attr-defined]
        for place, computed in zip(slices(len(listed), shard), blocks, strict=True):
            files = listed[place]
            rows = self._stored(files, computed)
            for batch in slices(len(files), size):
                yield list(files[batch]), rows[batch]
