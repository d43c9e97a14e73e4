"""Reading images: one file, or all of a folder; an error names the file."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import CosupError, UInt8Array

#: What is taken for an image in a folder, by the end of its name (upper or lower case).
IMAGE_SUFFIXES = frozenset({
    ".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
})  # fmt: skip

#: Bits that cameras and scanners use of 16, of which the fewest that hold an image's largest value are taken.
_DEPTHS = (8, 10, 12, 14, 16)

# Beside OSError and SyntaxError, decoders let through the errors of what they read with.
_DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)


def read_image(path: str | os.PathLike[str]) -> UInt8Array:
    """Read an image file.

    Parameters
    ----------
    path : path
        Any format that Pillow reads. Of a file with several pictures the first is taken; a camera's note on
        how the picture is turned is obeyed; transparent parts are laid on white; grey of up to 16 bits is cut
        to 8 by the bits that it uses (8, 10, 12, 14 or 16).

    Returns
    -------
    ndarray of uint8, shape (h, w) for grey images, else (h, w, 3) RGB
        The pixels, turned upright.

    Raises
    ------
    CosupError
        If the file is missing, empty, no image, cut short or damaged, too large to be a picture, or of a kind
        that has no 8-bit form; the message names the file. Also if Pillow (extra ``images``) is not
        installed.
    """
    path = Path(path)
    pillow = import_extra("PIL.Image", extra="images", purpose="reading images")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise CosupError(f"the image {path} cannot be read: {error.strerror}") from error
    if path.is_dir():
        raise CosupError(f"{path} is a folder, not an image; use read_image_folder")
    if size == 0:
        raise CosupError(f"the image {path} is empty (0 bytes); delete it or fetch it again")
    try:
        with pillow.open(path) as image:
            image.load()
            return _to_array(image, path, pillow)
    except CosupError:
        raise
    except pillow.UnidentifiedImageError as error:
        raise CosupError(f"{path} is not an image, or of a format that Pillow does not know") from error
    # The warning is one where the caller makes warnings errors.
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as error:
        raise CosupError(
            f"the image {path} is too large: {error}. If it is to be trusted, save it smaller, or raise "
            "PIL.Image.MAX_IMAGE_PIXELS"
        ) from error
    except _DECODING_ERRORS as error:
        raise CosupError(f"the image {path} is cut short or damaged ({error}); delete it or fetch it again") from error


def _to_array(image: Any, path: Path, pillow: ModuleType) -> UInt8Array:
    operations = import_extra("PIL.ImageOps", extra="images", purpose="reading images")
    operations.exif_transpose(image, in_place=True)
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"), dtype=np.uint8)
    if image.mode.startswith("I"):
        deep = np.asarray(image)
        if deep.min() < 0 or deep.max() > 65535:
            raise CosupError(f"the image {path} has pixels beyond 16 bits; save it with 8 bits a channel")
        depth = next(bits for bits in _DEPTHS if int(deep.max()) < 1 << bits)
        return (deep >> (depth - 8)).astype(np.uint8)
    if image.mode == "F":
        raise CosupError(f"the image {path} has floating-point pixels; save it with 8 bits a channel")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = pillow.new("RGBA", image.size, "white")
        image = pillow.alpha_composite(white, image)
    # Pillow copies what it need not convert.
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"), dtype=np.uint8)


def list_image_files(folder: str | os.PathLike[str]) -> list[str]:
    """Find the images of a folder and of the folders inside it.

    Parameters
    ----------
    folder : path

    Returns
    -------
    list of str
        Paths relative to `folder`, with ``/`` between their parts, sorted. Hidden files and folders
        (``.name``) are left out, and so is what does not end like an image (see ``IMAGE_SUFFIXES``).

    Raises
    ------
    CosupError
        If `folder` is no folder or holds no image; if a part of it cannot be listed; or if a link in it leads
        out of it (or nowhere): a data set is what lies inside its folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise CosupError(f"{root} is not a folder" if root.exists() else f"there is no folder {root}")
    names = sorted(walk_images(root))
    if not names:
        raise CosupError(f"there is no image in {root}; looked for {', '.join(sorted(IMAGE_SUFFIXES))}")
    return names


def walk_images(root: Path, below: str = "") -> Iterator[str]:
    """Find the images of a folder and of the folders inside it, in no particular order.

    Parameters
    ----------
    root : Path
        No link may lead out of it.
    below : str
        The folder in `root` to begin with; its parts are separated by ``/``.

    Yields
    ------
    str
        A path relative to `root`, with ``/`` between its parts.

    Raises
    ------
    CosupError
        As :func:`list_image_files`, but for an empty folder.
    """
    inside = root.resolve()
    waiting = [below]
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(root / place) as found:
                entries = list(found)
        except OSError as error:
            raise CosupError(f"the folder {root / place} cannot be listed: {error.strerror}") from error
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if not entry.name.isascii() and any("\ud800" <= c <= "\udfff" for c in entry.name):
                raise CosupError(
                    f"the name of a file in {root / place} is no UTF-8 text: {os.fsencode(entry.name)!r}; rename it"
                )
            path = f"{place}/{entry.name}" if place else entry.name
            is_image = os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122  # Path is slow for a million
            if entry.is_symlink() and (is_image or Path(entry.path).is_dir()):
                check_inside(Path(entry.path), inside)
            # A link to a folder inside is not followed: its images are found where they are.
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            elif is_image and not entry.is_dir():
                yield path


def check_inside(path: Path, root: Path) -> None:
    """Raise `CosupError` if `path` is a link that leads out of `root`, which is resolved, or nowhere."""
    try:
        target = path.resolve(strict=True)
    # RuntimeError: links that lead to one another, before Python 3.13
    except (OSError, RuntimeError) as error:
        raise CosupError(f"the link {path} leads nowhere; delete it") from error
    if not target.is_relative_to(root):
        raise CosupError(f"the link {path} leads out of the folder, to {target}; copy what it names, or delete it")


def read_image_folder(folder: str | os.PathLike[str]) -> tuple[list[UInt8Array], list[str]]:
    """Read all images of a folder and of the folders inside it.

    Parameters
    ----------
    folder : path

    Returns
    -------
    images : list of ndarray of uint8
        Each (h, w) or (h, w, 3), as :func:`read_image` returns it.
    names : list of str
        Their paths relative to `folder`, sorted, as :func:`list_image_files` returns them.

    Raises
    ------
    CosupError
        As :func:`list_image_files` and :func:`read_image`.
    """
    names = list_image_files(folder)
    return [read_image(Path(folder, name)) for name in names], names
