"""Features of samples that become more: what is embedded already is kept, and only the new goes through the network."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosup.embedding.backbones import Backbone
from cosup.embedding.feature_store import FeatureStore, FileEntry, read_files, read_manifest
from cosup.embedding.images_to_features import _entry, embed_images
from cosup.embedding.read_images import read_image
from cosup.utils.validation import CosupError

__all__ = ["Grown", "grow_images", "grow_texts", "is_readable"]

PART = "part-{}"
_logger = logging.getLogger(__name__)


# eq=False: comparing arrays field by field has no single truth value.
@dataclass(frozen=True, eq=False)
class Grown:
    """Features out of one or several stores.

    Attributes
    ----------
    features : ndarray of shape (n_samples, n_features)
        Mapped into memory where they are one store's, else in memory.
    paths : tuple of str
        The files of the rows.
    new : int
        Number of those that were not there before.
    backbone : dict
        The backbone as a store's manifest describes it.
    """

    features: Any
    paths: tuple[str, ...]
    new: int
    backbone: dict[str, Any]


def grow_images(
    root: str | os.PathLike[str],
    paths: Sequence[str],
    backbone: Backbone,
    folder: str | os.PathLike[str],
    *,
    kept: Sequence[str | os.PathLike[str]] = (),
    **options: Any,
) -> Grown:
    """Embed those images that `folder` does not hold yet, or holds as they were before they changed.

    Parameters
    ----------
    root, paths, backbone
        As of `cosup.tasks.embed_images`.
    folder : path
        Holds a store a call that found something new: ``part-0``, ``part-1``, ... Stopped, the same call goes on.
    kept : sequence of path
        Further folders of this kind: what they hold of these images by this backbone is read; nothing is written there.
    **options
        As of `cosup.tasks.embed_images`.

    Raises
    ------
    CosupError
        As `cosup.tasks.embed_images`; or if `folder` holds features of another backbone.
    """
    root = Path(root)
    return _grow(
        [_entry(root, path) for path in paths], root, backbone, Path(folder),
        lambda wanted, part: embed_images(root, wanted, backbone, part, **options),
        (lambda path: is_readable(root / path)) if options.get("skip_unreadable") else None, list(map(Path, kept)),
    )  # fmt: skip


def is_readable(path: Path) -> bool:
    """Tell whether a file is an image that can be read."""
    try:
        read_image(path)
    except CosupError:
        return False
    return True


def grow_texts(
    texts: Mapping[str, str], encoder: Any, folder: str | os.PathLike[str], *, source: str,
    kept: Sequence[str | os.PathLike[str]] = (), **options: Any,
) -> Grown:  # fmt: skip
    """Embed texts that are new; see `grow_images` and `cosup.embedding.texts_to_features.embed_texts`."""
    from cosup.embedding.texts_to_features import embed_texts, text_entry

    return _grow(
        [text_entry(name, text) for name, text in texts.items()], Path(source), encoder, Path(folder),
        lambda wanted, part: embed_texts(
            {name: texts[name] for name in wanted}, encoder, part, source=source, **options
        ), kept=list(map(Path, kept)),
    )  # fmt: skip


def _grow(
    listed: Sequence[FileEntry], root: Path, backbone: Any, folder: Path,
    embed: Callable[[list[str], Path], FeatureStore], is_readable: Callable[[str], bool] | None = None,
    kept: Sequence[Path] = (),
) -> Grown:  # fmt: skip
    parts, place = _finished_parts(folder, backbone)
    parts = [*parts, *_parts_elsewhere([other for other in kept if other.resolve() != folder.resolve()], backbone)]
    where: dict[str, tuple[int, int]] = {}
    for number, part in enumerate(parts):
        now = {file.path: file for file in listed}
        readable = [file for file in part.files if file.error is None]
        for row, file in enumerate(readable):
            if file.path in now and file.same_file(now[file.path], root):
                where[file.path] = number, row
    missing = [file.path for file in listed if file.path not in where]
    if missing and parts and is_readable is not None and not any(map(is_readable, missing)):
        missing = []  # a store of unreadable images only is none
    if missing:
        # What a stopped call began comes first, in its order, so that this one goes on with it.
        begun = dict.fromkeys(file.path for file in read_files(folder / PART.format(place)))
        new = set(missing)
        missing = [*(path for path in begun if path in new), *(path for path in missing if path not in begun)]
        parts.append(embed(missing, folder / PART.format(place)))
        for row, path in enumerate(parts[-1].paths):
            where[path] = len(parts) - 1, row
    paths = tuple(file.path for file in listed if file.path in where)
    described = parts[-1].manifest["backbone"]
    if parts[-1].paths == paths:
        return Grown(parts[-1].features, paths, len(missing), described)
    out = np.empty((len(paths), parts[-1].shape[1]), dtype=parts[-1].features.dtype)
    for number, part in enumerate(parts):
        own = [(target, where[path][1]) for target, path in enumerate(paths) if where[path][0] == number]
        if own:
            target, row = np.array(own).T
            out[target] = part.features[row]
    return Grown(out, paths, len(missing), described)


def _parts_elsewhere(folders: Sequence[Path], backbone: Any) -> list[FeatureStore]:
    """Find finished stores of this backbone in other folders; a part that can't be used there is computed here."""
    found: list[FeatureStore] = []
    for folder in folders:
        try:
            found += _finished_parts(folder, backbone)[0]
        except CosupError as error:
            _logger.info("features in %s are not used: %s", folder, error)
    return found


def _finished_parts(folder: Path, backbone: Any) -> tuple[list[FeatureStore], int]:
    """Return the stores that are finished, and the number of the next."""
    parts: list[FeatureStore] = []
    place = 0
    while True:
        part = folder / PART.format(place)
        manifest = read_manifest(part)
        if manifest is None or not manifest["complete"]:
            return parts, place
        if manifest["backbone"]["fingerprint"] != backbone.fingerprint:
            raise CosupError(
                f"{folder} holds features of '{manifest['backbone']['name']}', not of this '{backbone.name}'; features "
                "of two models are never mixed: name another folder"
            )
        parts.append(FeatureStore.open(part))
        place += 1
