"""Small pictures of many samples, packed into sheets: one image for 256 samples, not 256."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cosup.utils.optional_imports import import_extra
from cosup.utils.slices import slices
from cosup.utils.validation import CosupError

__all__ = ["ACROSS", "Sheets", "make_sheets"]

ACROSS = 16
"""Pictures in a row of a sheet, and rows of it."""

FEW, LARGE, SMALL = 4000, 96, 48
"""Up to so many samples, pictures are that large; beyond, they are small, so that the page stays light."""

Sheets = tuple[int, list[str]]
"""A picture's side in pixels, and WebP images in base64."""


def make_sheets(images: Any) -> Sheets:
    """Pack pictures.

    Parameters
    ----------
    images : uint8 ndarray of shape (n, h, w) or (n, h, w, 3), or sequence of paths
        Grey or RGB pictures, or the files that hold them.

    Raises
    ------
    CosupError
        If Pillow is missing, the array is no pictures, or a file can't be read.
    """
    pillow: Any = import_extra("PIL.Image", extra="images", purpose="showing pictures")
    is_array = isinstance(images, np.ndarray)
    if is_array and (
        images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3)
    ):
        raise CosupError(
            f"images have shape {images.shape} and type {images.dtype}; pictures are uint8 (n, h, w) or (n, h, w, 3)"
        )
    side = LARGE if len(images) <= FEW else SMALL
    sheets = []
    for rows in slices(len(images), ACROSS**2):
        part = images[rows]
        sheet = pillow.new("RGB", (ACROSS * side, -(-len(part) // ACROSS) * side))
        for place, image in enumerate(part):
            picture = pillow.fromarray(image) if is_array else _open(pillow, Path(image), side)
            picture.thumbnail((side, side))
            if max(picture.size) < side:  # a small picture is enlarged by whole pixels
                times = max(side // max(picture.size), 1)
                picture = picture.resize((picture.width * times, picture.height * times), pillow.Resampling.NEAREST)
            row, column = divmod(place, ACROSS)
            left, top = (side - picture.width) // 2, (side - picture.height) // 2
            sheet.paste(picture.convert("RGB"), (column * side + left, row * side + top))
        buffer = io.BytesIO()
        sheet.save(buffer, "WEBP", quality=75, method=2)
        sheets.append(base64.b64encode(buffer.getvalue()).decode("ascii"))
    return side, sheets


def _open(pillow: Any, path: Path, side: int) -> Any:
    try:
        with pillow.open(path) as picture:
            picture.draft("RGB", (2 * side, 2 * side))  # a JPEG is decoded no finer than is shown
            return picture.convert("RGB")
    except OSError as error:  # Pillow's UnidentifiedImageError is one
        raise CosupError(f"{path} is not a readable picture ({error})") from error


def check_count(what: str, given: Sequence[Any] | None, n: int) -> None:
    """Raise CosupError unless there are as many as samples."""
    if given is not None and len(given) != n:
        raise CosupError(f"there are {len(given)} {what} for {n} samples")
