"""Backbones as a plan needs them, without a network: those that are well known are built from a table of their sizes.

The cost of an image does not depend on the weights, so a network of the same shape with random ones is measured. Sizes
are those of the configurations that are published with the models.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

import torch

from cosup.embedding import list_backbones, make_backbone
from cosup.embedding.backbones import Backbone
from cosup.embedding.backbones.base import Options, TorchBackbone
from cosup.embedding.backbones.huggingface import TransformersBackbone
from cosup.embedding.backbones.pixels import Preprocessing, imagenet_preprocessing
from cosup.utils.errors import CosupError
from cosup.utils.optional_imports import import_extra

__all__ = ["SHAPES", "Shape", "backbone_for_plan"]


@dataclass(frozen=True)
class Shape:
    """Sizes of a network, as its class of transformers takes them.

    Attributes
    ----------
    config : str
        Class of the configuration.
    n_features : int
        Number of features of one image.
    n_parameters : int
        Number of parameters in millions, of the part that takes images.
    sizes : dict
        Arguments of `config`.
    pixels : Preprocessing
    """

    config: str
    n_features: int
    n_parameters: int
    sizes: dict[str, Any]
    pixels: Preprocessing


_CROPPED = imagenet_preprocessing("bicubic")
_SQUARE = Preprocessing((224, 224), None, "bilinear")
_CLIP = Preprocessing(224, (224, 224), "bicubic")

_WIDTHS = {"small": (384, 12, 6, 21), "base": (768, 12, 12, 86), "large": (1024, 24, 16, 303)}
"""Size of a vision transformer -> features, layers, heads, millions of parameters."""


def _vit(size: str, patch: int, config: str = "ViTConfig", pixels: Preprocessing = _CROPPED) -> Shape:
    width, layers, heads, millions = _WIDTHS[size]
    sizes = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads, "patch_size": patch}
    # The former count their inner width in multiples of the outer one.
    sizes |= {"image_size": 518} if "Dinov2" in config else {"image_size": 224, "intermediate_size": 4 * width}
    return Shape(config, width, millions, sizes, pixels)


def _convnext(millions: int, depth: int, width: int) -> Shape:
    sizes = {"depths": [3, 3, depth, 3], "hidden_sizes": [width, 2 * width, 4 * width, 8 * width]}
    return Shape("ConvNextConfig", 8 * width, millions, sizes, _CROPPED)


def _resnet(millions: int, *depths: int, layer: str = "bottleneck") -> Shape:
    last = 2048 if layer == "bottleneck" else 512
    sizes = {"depths": list(depths), "hidden_sizes": [last // 8, last // 4, last // 2, last], "layer_type": layer}
    return Shape("ResNetConfig", last, millions, sizes, _CROPPED)


_RESNETS = {
    18: _resnet(11, 2, 2, 2, 2, layer="basic"), 34: _resnet(21, 3, 4, 6, 3, layer="basic"),
    50: _resnet(23, 3, 4, 6, 3), 101: _resnet(42, 3, 4, 23, 3), 152: _resnet(58, 3, 8, 36, 3),
}  # fmt: skip
_DINO = {f"{size[0]}{patch}": _vit(size, patch) for size in ("small", "base") for patch in (8, 16)}
_DINOV2 = {size: _vit(size, 14, "Dinov2Config") for size in _WIDTHS}
_REGISTERS = {size: _vit(size, 14, "Dinov2WithRegistersConfig") for size in _WIDTHS}

SHAPES: dict[str, Shape] = {
    **{f"hf:facebook/dinov2-{size}": shape for size, shape in _DINOV2.items()},
    **{f"hf:facebook/dinov2-with-registers-{size}": shape for size, shape in _REGISTERS.items()},
    **{f"hf:facebook/dino-vit{name}": shape for name, shape in _DINO.items()},
    **{f"hf:google/vit-{size}-patch16-224": _vit(size, 16, pixels=_SQUARE) for size in ("base", "large")},
    "hf:openai/clip-vit-base-patch32": _vit("base", 32, "CLIPVisionConfig", _CLIP),
    "hf:openai/clip-vit-base-patch16": _vit("base", 16, "CLIPVisionConfig", _CLIP),
    "hf:openai/clip-vit-large-patch14": _vit("large", 14, "CLIPVisionConfig", _CLIP),
    "hf:facebook/convnext-tiny-224": _convnext(28, 9, 96),
    "hf:facebook/convnext-small-224": _convnext(49, 27, 96),
    "hf:facebook/convnext-base-224": _convnext(88, 27, 128),
    "hf:facebook/convnext-large-224": _convnext(196, 27, 192),
    **{f"hf:microsoft/resnet-{depth}": shape for depth, shape in _RESNETS.items()},
    "timm:vit_small_patch14_reg4_dinov2.lvd142m": _REGISTERS["small"],
    "timm:vit_small_patch8_224.dino": _DINO["s8"],
    "timm:resnet50.a1_in1k": _RESNETS[50],
    "torchvision:resnet18": _RESNETS[18],
    "torchvision:resnet50": _RESNETS[50],
    **{f"hub:facebookresearch/dino:dino_vit{name}": shape for name, shape in _DINO.items()},
    "hub:facebookresearch/dino:dino_resnet50": _RESNETS[50],
    **{f"hub:facebookresearch/dinov2:dinov2_vit{size[0]}14": shape for size, shape in _DINOV2.items()},
    **{f"hub:facebookresearch/dinov2:dinov2_vit{size[0]}14_reg": shape for size, shape in _REGISTERS.items()},
}
"""``source:name`` -> sizes; models of one architecture share them, whatever their source."""


class _RandomWeights(TransformersBackbone):
    """A network of a known shape."""

    def __init__(self, spec: str, shape: Shape, options: Options) -> None:
        TorchBackbone.__init__(self, spec, options)
        self._library = import_extra("transformers", extra="hf", purpose=f"planning with the backbone '{spec}'")
        self._describe_model(getattr(self._library, shape.config)(**shape.sizes), shape.pixels)

    def _load(self, model_class: Any, extra: dict[str, Any]) -> torch.nn.Module:
        with torch.random.fork_rng(devices=[]):
            model: torch.nn.Module = model_class(self._config, **extra)
        return model


class _Local(TransformersBackbone):
    only_local = True


def backbone_for_plan(spec: str, image_size: int | None = None) -> Backbone:
    """Make a backbone that costs what the named one does, of `SHAPES` or of files that are here.

    Raises
    ------
    CosupError
        If the name is unknown, with near matches; or its files would have to be fetched.
    """
    if spec in SHAPES:
        return _RandomWeights(spec, SHAPES[spec], Options(image_size))
    try:
        if spec.startswith("hf:"):
            return _Local(spec.removeprefix("hf:"), Options(image_size))
        return make_backbone(spec, image_size=image_size)
    except CosupError as error:
        near = difflib.get_close_matches(spec, {*list_backbones(), *SHAPES}, n=3, cutoff=0.7)
        if "Did you mean" in str(error) or not near or spec in near:
            raise
        raise CosupError(f"{error}. Did you mean {' or '.join(map(repr, near))}?") from error
