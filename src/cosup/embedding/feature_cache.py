"""A cache of computed arrays: npz without pickle, named by what defines them, written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import tempfile
import uuid
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from cosup.utils.validation import CosupError

_logger = logging.getLogger(__name__)

#: The member of the npz that holds the manifest: UTF-8 JSON as uint8.
_MANIFEST = "cosup_manifest"
_SCHEMA = 1

Arrays = dict[str, npt.NDArray[Any]]


class _UnreadableError(Exception):
    """The file is cut short or damaged."""


class _ForeignError(Exception):
    """The file is whole, but it is not the answer to this key."""


def default_cache_folder() -> Path:
    """Return the folder that :class:`FeatureCache` uses when it is given none.

    Returns
    -------
    Path
        ``$COSUP_CACHE``, or ``$XDG_CACHE_HOME/cosup``, or ``~/.cache/cosup``: the first that is set.
    """
    if own := os.environ.get("COSUP_CACHE"):
        return Path(own)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "cosup"
    try:
        return Path.home() / ".cache" / "cosup"
    except RuntimeError as error:  # no home directory can be found
        raise CosupError("no home folder was found for the cache; set COSUP_CACHE to a folder") from error


class FeatureCache:
    """Arrays kept on disk under the key that defines them.

    A file's name is the hash of its key, and the file holds the key itself: an entry computed by another
    model is never taken for this one's. Entries are written to a temporary file in the same folder, flushed
    to the disk and then renamed, so that a reader, or a second process that computes the same entry at the
    same time, sees a whole file or none.

    Parameters
    ----------
    folder : path, optional
        Made when the first entry is stored. Default: ``$COSUP_CACHE``, ``$XDG_CACHE_HOME/cosup`` or
        ``~/.cache/cosup``.
    ray : str, optional
        Address of a cluster that embeds images of tasks that are not there yet; see `cosup.tasks.embed_images`.

    Attributes
    ----------
    folder : Path
    ray : str or None
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None, *, ray: str | None = None) -> None:
        self.folder = default_cache_folder() if folder is None else Path(folder).expanduser()
        self.ray = ray

    def __repr__(self) -> str:
        return f"FeatureCache({str(self.folder)!r})"

    def path_of(self, key: Mapping[str, object]) -> Path:
        """Return the file that holds the entry of `key`, whether it exists or not.

        Raises
        ------
        CosupError
            If the key is not made of what JSON knows.
        """
        return self.folder / f"{hashlib.sha256(_canonical(key)).hexdigest()[:32]}.npz"

    def get(self, key: Mapping[str, object], compute: Callable[[], Arrays]) -> Arrays:
        """Return the arrays stored under `key`; compute and store them if there are none.

        Parameters
        ----------
        key : mapping
            Everything that defines the arrays, in terms that JSON knows: source, model fingerprint, ...
        compute : callable
            Called without arguments when there is no whole entry; returns a dict of arrays (no objects).

        Returns
        -------
        dict of str to ndarray

        Raises
        ------
        CosupError
            If the file under this key was computed for another key (it was tampered with, or copied there);
            if the folder cannot be made, read or written; or if the disk is full. A file that is cut short or
            damaged is no error: this is logged, and the entry is computed again.
        """
        path = self.path_of(key)
        try:
            return _read(path, key)
        except (FileNotFoundError, NotADirectoryError):
            _logger.debug("no entry %s yet", path)
        except _UnreadableError as error:
            _logger.warning("The cache file %s is damaged (%s); computing it again.", path, error)
        except _ForeignError as error:
            raise CosupError(
                f"the cache file {path} does not belong here: {error}. It was changed by hand, or copied "
                "from another cache or model; delete it, and it will be computed again"
            ) from error
        except OSError as error:
            raise CosupError(
                f"the cache file {path} cannot be read ({error.strerror}); correct its permissions, or name "
                "another folder, for instance with the variable COSUP_CACHE"
            ) from error
        # Before the work, not after it: a folder that cannot be written should not cost minutes.
        self._prepare_folder()
        arrays = compute()
        self._store(path, key, arrays)
        return arrays

    def _prepare_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise CosupError(
                f"the cache folder {self.folder} cannot be made or written ({error.strerror}); name one "
                "that can, for instance with the variable COSUP_CACHE"
            ) from error

    def _store(self, path: Path, key: Mapping[str, object], arrays: Arrays) -> None:
        if _MANIFEST in arrays:
            raise CosupError(f"an array in the cache cannot be named '{_MANIFEST}'")
        manifest = {"schema": _SCHEMA, "key": json.loads(_canonical(key)), "arrays": sorted(arrays)}
        text = json.dumps(manifest, sort_keys=True).encode()
        temporary: Path | None = None
        try:
            # Not mkstemp: its files are for one user only, and a cache may be shared.
            temporary = self.folder / f".{path.stem}-{uuid.uuid4().hex}.tmp"
            with temporary.open("xb") as file:
                _write_npz(file, {**arrays, _MANIFEST: np.frombuffer(text, dtype=np.uint8)})
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            temporary = None
        except OSError as error:
            why = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
            raise CosupError(
                f"the cache folder {self.folder} could not take {_megabytes(arrays)} MB of features: {why}. "
                "Nothing was lost: what the cache held is untouched, and no half-written file stays; "
                "free some space, or name another folder, for instance with the variable COSUP_CACHE"
            ) from error
        finally:
            if temporary is not None:
                temporary.unlink(missing_ok=True)


def _canonical(key: Mapping[str, object]) -> bytes:
    try:
        return json.dumps(dict(key), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise CosupError(f"a cache key must be made of what JSON knows: {error}") from error


def _megabytes(arrays: Arrays) -> int:
    return max(1, round(sum(array.nbytes for array in arrays.values()) / 1e6))


def _write_npz(file: IO[bytes], arrays: Arrays) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def _read(path: Path, key: Mapping[str, object]) -> Arrays:
    """Read a whole entry and compare its manifest with the key."""
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                # Every member's checksum first: what is parsed afterwards is what was written.
                damaged = archive.testzip()
                if damaged is not None:
                    raise _UnreadableError(f"the checksum of {damaged} is wrong")
                members = {name.removesuffix(".npy"): name for name in archive.namelist()}
                if not members:
                    raise _UnreadableError("it is empty")
                if _MANIFEST not in members:
                    raise _ForeignError("it has no manifest of ours")
                manifest = _parse_manifest(archive, members.pop(_MANIFEST))
                if manifest["key"] != json.loads(_canonical(key)):
                    raise _ForeignError(f"it was computed for {json.dumps(manifest['key'], sort_keys=True)}")
                if manifest["arrays"] != sorted(members):
                    raise _UnreadableError("arrays are missing or were added")
                return {name: _read_array(archive, member) for name, member in members.items()}
        # What zipfile raises for damaged bytes: beside BadZipFile, also errors from reading sizes, flags and
        # compression types. Errors of the disk itself pass.
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            ValueError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise _UnreadableError(str(error) or type(error).__name__) from error
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # A damaged table of contents sends zipfile to a place before the file's beginning.
            raise _UnreadableError("its table of contents points outside it") from error


def _read_array(archive: zipfile.ZipFile, member: str) -> npt.NDArray[Any]:
    with archive.open(member) as file:
        array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _parse_manifest(archive: zipfile.ZipFile, member: str) -> dict[str, Any]:
    manifest = json.loads(_read_array(archive, member).tobytes())
    if not isinstance(manifest, dict) or manifest.get("schema") != _SCHEMA or "key" not in manifest:
        raise _ForeignError("its manifest is of another version")
    return manifest
