"""From an image to a network's input: resize, crop and normalise, as the network's own configuration says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import CosupError, UInt8Array, check_choice

if TYPE_CHECKING:
    import torch

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

#: In the order of Pillow's numbers for them.
INTERPOLATIONS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")


@dataclass(frozen=True)
class Preprocessing:
    """Pillow's resize, a crop of the middle, scaling and normalising: safe in threads.

    Parameters
    ----------
    resize : int or (height, width) or None
        An int is the shorter side's length, and the aspect ratio is kept.
    crop : (height, width) or None
        Cut from the middle; where the picture is smaller, black is added.
    interpolation : str
        One of :data:`INTERPOLATIONS`.
    mean, std : tuple of 3 floats
        Subtracted, and divided by, channel by channel, after scaling.
    scale : float, default 1/255
        The factor of pixels.
    odd : {"down", "even"}
        Where a crop's corner falls between two pixels: ``"down"`` to the lower one, as transformers does, or
        ``"even"`` to the even one, as torchvision does.
    """

    resize: int | tuple[int, int] | None
    crop: tuple[int, int] | None
    interpolation: str = "bilinear"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    scale: float = 1 / 255
    odd: str = "down"

    def __post_init__(self) -> None:
        check_choice(self.interpolation, INTERPOLATIONS, "interpolation")
        check_choice(self.odd, ("down", "even"), "rounding of the crop's corner")
        if len(self.mean) != 3 or len(self.std) != 3 or 0 in self.std:
            raise CosupError(f"mean and std hold 3 numbers each, and std no 0; got {self.mean} and {self.std}")
        if self.crop is not None and not isinstance(self.crop, tuple):
            raise CosupError(f"crop is a height and a width, got {self.crop!r}")
        if self.crop is None and not isinstance(self.resize, tuple):
            raise CosupError("images must all end in one size: give resize a height and a width, or a crop")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what comes out."""
        size = self.crop or self.resize
        assert isinstance(size, tuple)
        return size

    def at(self, image_size: int | None, interpolation: str | None = None) -> Preprocessing:
        """Return the same for another size of what comes out, or another interpolation.

        The resizing before the crop grows with the size.
        """
        if interpolation is not None:
            return replace(self, interpolation=interpolation).at(image_size)
        if image_size is None:
            return self
        factor = image_size / min(self.size)
        resize: int | tuple[int, int] | None
        if isinstance(self.resize, int):
            resize = round(self.resize * factor)
        elif self.resize is not None:
            resize = (round(self.resize[0] * factor), round(self.resize[1] * factor))
        else:
            resize = None
        return replace(self, resize=resize, crop=(image_size, image_size) if self.crop else None)

    def as_json(self) -> dict[str, Any]:
        """Return the parameters in names and values that JSON knows."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @cached_property
    def _table(self) -> NDArray[np.float32]:
        # Pixels have 256 values: what each becomes is looked up, channel by channel.
        scaled = (np.arange(256) * self.scale).astype(np.float32)
        mean, std = np.array([self.mean, self.std], dtype=np.float32)[:, :, None]
        return np.asarray((scaled - mean) / std, dtype=np.float32)

    def __call__(self, image: UInt8Array) -> torch.Tensor:
        """Prepare one image, (h, w) or (h, w, 3) uint8; returns float32 (3, height, width)."""
        import torch

        pixels = self._crop(self._resize(image))
        out = np.empty((3, *pixels.shape[:2]), dtype=np.float32)
        for c in range(3):
            # "clip" writes to `out` directly; a byte is never out of the table's range.
            np.take(self._table[c], pixels[..., c], out=out[c], mode="clip")
        return torch.from_numpy(out)

    def _resize(self, image: UInt8Array) -> UInt8Array:
        image = as_rgb(image)
        height, width = image.shape[:2]
        size = self.resize
        if size is None:
            return image
        if isinstance(size, int):
            short, long = min(height, width), max(height, width)
            other = int(size * long / short)
            size = (size, other) if height <= width else (other, size)
        if size == (height, width):
            return image
        pillow = import_extra("PIL.Image", extra="images", purpose="resizing images")
        picture = pillow.fromarray(image).resize((size[1], size[0]), INTERPOLATIONS.index(self.interpolation))
        return np.asarray(picture, dtype=np.uint8)

    def _crop(self, pixels: UInt8Array) -> UInt8Array:
        if self.crop is None:
            return pixels
        for axis, want in enumerate(self.crop):
            have = pixels.shape[axis]
            if have < want:
                # As transformers: the odd row of black goes before the picture; torchvision puts it after.
                before = -((have - want) // 2) if self.odd == "down" else (want - have) // 2
                margins = [(0, 0)] * 3
                margins[axis] = (before, want - have - before)
                pixels = np.pad(pixels, margins)
            else:
                start = (have - want) // 2 if self.odd == "down" else round((have - want) / 2)
                pixels = pixels[start : start + want] if axis == 0 else pixels[:, start : start + want]
        return pixels


def as_rgb(image: UInt8Array) -> UInt8Array:
    """Return a grey image, (h, w), as (h, w, 3), and a coloured one as it is."""
    return np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image


def imagenet_preprocessing(interpolation: str = "bicubic", *, resize: int = 256, crop: int = 224) -> Preprocessing:
    """Return the common evaluation of ImageNet models: shorter side to 256, middle 224 x 224."""
    return Preprocessing(resize, (crop, crop), interpolation, odd="even")


def floats(values: float | Sequence[float]) -> tuple[float, ...]:
    """Return one number a channel."""
    return (float(values),) * 3 if isinstance(values, int | float) else tuple(float(v) for v in values)
