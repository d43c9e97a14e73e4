"""Features of many images on disk: one memory-mapped array, what they are of, and what made them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cosup.utils.json_files import read_json
from cosup.utils.validation import CosupError, FloatArray, IntArray

SCHEMA = 1
MANIFEST_NAME = "manifest.json"
FEATURES_NAME = "features.npy"
FILES_NAME = "files.jsonl"
DTYPES = ("float16", "float32")


@dataclass(frozen=True)
class FileEntry:
    """One image of a store.

    Parameters
    ----------
    path : str
        Relative to the folder of images, with ``/``.
    size : int
        Bytes; -1 where there is no such file.
    mtime_ns : int
        When it was last changed.
    sha256 : str, optional
        The hash of its bytes; None until it was read, or where it could not be.
    error : str, optional
        Why the image is unreadable; None where it has features.
    """

    path: str
    size: int
    mtime_ns: int
    sha256: str | None = None
    error: str | None = None

    def line(self) -> str:
        """Write one line of JSON."""
        return json.dumps([self.path, self.size, self.mtime_ns, self.sha256, self.error], ensure_ascii=False) + "\n"

    @classmethod
    def parse(cls, line: str) -> FileEntry:
        """Read `line` back; ValueError where it is no such line."""
        path, size, mtime_ns, sha256, error = json.loads(line)
        texts = isinstance(path, str) and all(text is None or isinstance(text, str) for text in (sha256, error))
        if not texts or type(size) is not int or type(mtime_ns) is not int:
            raise ValueError("this is no entry of a list of files")
        return cls(path, size, mtime_ns, sha256, error)

    def same_file(self, now: FileEntry, root: Path) -> bool:
        """Tell whether the file is the one that was read: by size and time, or else by its bytes (it may be a copy)."""
        if (self.path, self.size) != (now.path, now.size):
            return False
        return self.mtime_ns == now.mtime_ns or self.sha256 == hash_file(root / now.path)


def hash_file(path: Path) -> str | None:
    """Hash a file's bytes by SHA-256; None where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


# eq=False: comparing arrays field by field has no single truth value.
@dataclass(frozen=True, eq=False)
class FeatureStore:
    """Features of images, as ``cosup embed`` leaves them in a folder.

    Parameters
    ----------
    folder : Path
        It holds ``features.npy``, which ``numpy.load(..., mmap_mode="r")`` reads too; ``files.jsonl``, a line an
        image (path, size, time, SHA-256, and why it is unreadable); and ``manifest.json``.
    manifest : dict
        Backbone (name, fingerprint, preprocessing), versions of the libraries, dtype, numbers, checksums.

    Examples
    --------
    >>> store = FeatureStore.open("features")  # doctest: +SKIP
    >>> store.features[:1000].mean()  # doctest: +SKIP
    """

    folder: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> FeatureStore:
        """Open a finished store.

        Raises
        ------
        CosupError
            If there is none, it is not finished, was made by a newer cosup, its array was cut short, or its files are
            others than the manifest's checksums say: small files are compared whole, of large ones samples, see
            `sample_file`; `verify` compares all.
        """
        folder = Path(folder)
        manifest = finished_manifest(folder)
        store = cls(folder, manifest)
        expected = header_of(store.shape, manifest["dtype"])
        for name in (FEATURES_NAME, FILES_NAME):
            check_own(folder / name)
        with disk_array(folder).open("rb") as file:
            found = file.read(len(expected))
            size = file.seek(0, os.SEEK_END)
        if found != expected or size != len(expected) + store.nbytes:
            raise CosupError(f"{disk_array(folder)} is not the array that its manifest describes; {_AGAIN}")
        for name in (FEATURES_NAME, FILES_NAME):
            _compare(folder / name, manifest)
        return store

    def __len__(self) -> int:
        """Number of images that have features."""
        return int(self.manifest["n_images"])

    def __repr__(self) -> str:
        return f"FeatureStore({len(self)} images, {self.shape[1]} features of {self.manifest['backbone']['name']})"

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_images, n_features)``."""
        return len(self), int(self.manifest["backbone"]["n_features"])

    @property
    def nbytes(self) -> int:
        """Bytes of the features."""
        n_images, n_features = self.shape
        return n_images * n_features * int(np.dtype(self.manifest["dtype"]).itemsize)

    @cached_property
    def features(self) -> FloatArray:
        """Features, (n_images, n_features), float16 or float32, mapped into memory read-only."""
        return np.load(disk_array(self.folder), mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]

    @cached_property
    def files(self) -> tuple[FileEntry, ...]:
        """Every image of the folder, the unreadable ones included."""
        return tuple(read_files(self.folder))

    @property
    def paths(self) -> tuple[str, ...]:
        """Path of every row of `features`."""
        return tuple(file.path for file in self.files if file.error is None)

    @property
    def unreadable(self) -> dict[str, str]:
        """Path -> why the image has no features."""
        return {file.path: file.error for file in self.files if file.error is not None}

    def rows(self, paths: Sequence[str]) -> IntArray:
        """Find the rows of images.

        Parameters
        ----------
        paths : sequence of str
            As in `paths`.

        Returns
        -------
        ndarray of int64, shape (n,)
            -1 for images that are unreadable.

        Raises
        ------
        CosupError
            If one of them is not of this store.
        """
        place = {path: row for row, path in enumerate(self.paths)} | dict.fromkeys(self.unreadable, -1)
        try:
            return np.array([place[path] for path in paths], dtype=np.int64)
        except KeyError as error:
            raise CosupError(f"the features in {self.folder} know no image {error.args[0]!r}") from error

    def take(self, rows: IntArray) -> NDArray[np.float32]:
        """Copy rows into memory, (n, n_features) float32."""
        return np.asarray(self.features[rows], dtype=np.float32)

    def verify(self) -> None:
        """Compare every byte with the manifest's checksums.

        Raises
        ------
        CosupError
            If the features or the list of files were changed or damaged.
        """
        for name in (FEATURES_NAME, FILES_NAME):
            if hash_file(self.folder / name) != self.manifest["sha256"][name]:
                raise CosupError(f"{self.folder / name} was changed or damaged: its checksum is another one; {_AGAIN}")


_AGAIN = "delete the folder and embed again"

WHOLE = 1 << 22
"""Bytes of a file that is compared whole when a store is opened."""

SAMPLES, SAMPLE = 64, 1 << 12
"""Blocks of a larger file that are compared, and bytes of each."""


def sample_file(path: Path) -> str:
    """Return the SHA-256 of a file's size and of evenly spaced blocks of it: what is cheap for a file of any size."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        digest.update(f"{size}\n".encode())
        last = max(size - SAMPLE, 0)
        for place in range(SAMPLES):
            file.seek(last * place // (SAMPLES - 1))
            digest.update(file.read(SAMPLE))
    return digest.hexdigest()


def check_own(path: Path) -> None:
    """Raise `CosupError` where a file of a store is missing, or a link out of its folder."""
    if path.is_symlink() and path.parent.resolve() not in path.resolve().parents:
        raise CosupError(f"{path} is a link out of its folder, which is not followed; copy the file there")
    if not path.is_file():
        raise CosupError(f"{path} is missing; {_AGAIN}")


def _compare(path: Path, manifest: dict[str, Any]) -> None:
    """Compare a file with the manifest's checksums, as far as that is cheap."""
    whole = path.stat().st_size <= WHOLE
    known = manifest["sha256"] if whole else manifest.get("samples_sha256") or {}
    found = hash_file(path) if whole else sample_file(path) if path.name in known else None
    if known.get(path.name) != found:
        raise CosupError(f"{path} was changed or damaged: its checksum is another one; {_AGAIN}")


def disk_array(folder: Path) -> Path:
    """Open the file of a store's features."""
    return folder / FEATURES_NAME


def header_of(shape: tuple[int, int], dtype: str) -> bytes:
    """Make the header of a .npy file of this shape; numpy pads it, so that it is as long for any number of rows."""
    import io

    file = io.BytesIO()
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Read a store's manifest; None where the folder holds nothing of a store.

    Raises
    ------
    CosupError
        If the folder holds something else, or a store that a newer cosup made.
    """
    path = folder / MANIFEST_NAME
    if not path.is_symlink() and not path.exists():
        # A writer that was killed at once leaves no more than these.
        strangers = [p.name for p in folder.glob("*") if not p.name.startswith(".")] if folder.is_dir() else []
        if strangers:
            raise CosupError(f"{folder} holds other things ({strangers[0]}) and no features; name a new folder")
        return None
    check_own(path)
    manifest = read_json(path, _AGAIN)
    if not isinstance(manifest, dict) or manifest.get("kind") != "cosup features":
        raise CosupError(f"{path} is not the manifest of a feature store; name another folder")
    if type(manifest.get("schema")) is not int or manifest["schema"] != SCHEMA:
        raise CosupError(
            f"the features in {folder} have format {manifest.get('schema')!r}, and this cosup reads format {SCHEMA}: "
            "they were made by another version; upgrade cosup, or embed into another folder"
        )
    complete = manifest.get("complete")
    checks = _FIELDS | (_FINISHED if complete is True else {})
    backbone = manifest.get("backbone")
    for field, good in checks.items():
        if not good(manifest.get(field)):
            raise CosupError(f"{path} lacks {field!r}, or holds there what it can't; {_AGAIN}")
    for field, good in _BACKBONE.items():
        if not isinstance(backbone, dict) or not good(backbone.get(field)):
            raise CosupError(f"{path} lacks backbone {field!r}, or holds there what it can't; {_AGAIN}")
    return manifest


def _count(value: Any) -> bool:
    return type(value) is int and 0 < value < 1 << 40


def _texts_by_name(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


_FIELDS: dict[str, Callable[[Any], bool]] = {
    "complete": lambda value: isinstance(value, bool),
    "dtype": lambda value: isinstance(value, str) and value in DTYPES,
    "batch_size": _count,
    "shard_size": _count,
    "runs": lambda value: (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(run, dict) and isinstance(run.get("versions"), dict) for run in value)
    ),
}
_BACKBONE: dict[str, Callable[[Any], bool]] = {
    "name": lambda value: isinstance(value, str) and bool(value),
    "fingerprint": lambda value: isinstance(value, str) and bool(value),
    "preprocessing": lambda value: isinstance(value, dict),
    "n_features": lambda value: _count(value) and value < 1 << 31,
}
_FINISHED: dict[str, Callable[[Any], bool]] = {
    "n_images": _count,
    "n_files": _count,
    "unreadable": lambda value: isinstance(value, list) and all(isinstance(path, str) for path in value),
    "sha256": lambda value: _texts_by_name(value) and {FEATURES_NAME, FILES_NAME} <= set(value),
    "samples_sha256": lambda value: value is None or _texts_by_name(value),
}
"""Fields of a manifest, of its backbone, and of a finished one, and what they may hold."""


def finished_manifest(folder: Path, called: object = None) -> dict[str, Any]:
    """Read a finished store's manifest.

    Parameters
    ----------
    folder : Path
        It holds the manifest at least.
    called : object
        The name in messages. Default: `folder`.

    Raises
    ------
    CosupError
        If there is no store, it is not finished, or was made by a newer cosup.
    """
    called = folder if called is None else called
    manifest = read_manifest(folder)
    if manifest is None:
        raise CosupError(f"{called} holds no features; make them with 'cosup embed --out {called}'")
    if not manifest["complete"]:
        raise CosupError(f"the features in {called} are not finished; the same 'cosup embed' goes on with them")
    return manifest


def read_files(folder: Path) -> Iterator[FileEntry]:
    """Read the list of files, up to a line that a killed writer tore."""
    try:
        file: IO[str] = (folder / FILES_NAME).open(encoding="utf-8", newline="\n")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            try:
                yield FileEntry.parse(line)
            except (ValueError, TypeError, RecursionError):
                return
