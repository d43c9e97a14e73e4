"""Backbones of torchvision: a classifier without its last linear layer, or cut at a layer of choice."""

from __future__ import annotations

from typing import Any

import torch

from cosup.embedding.backbones.base import Options, TorchBackbone
from cosup.embedding.backbones.names import near
from cosup.embedding.backbones.pixels import as_rgb
from cosup.embedding.backbones.weights import fetching, fill
from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import CosupError, UInt8Array


class TorchvisionBackbone(TorchBackbone):
    """A classifier of torchvision, with the preprocessing that its weights were published with.

    Parameters
    ----------
    name : str
        A model (``"alexnet"``): what its last linear layer is given. Or a model and one of its layers
        (``"alexnet/avgpool"``): that layer's output, flattened. The published co-supervised code trains its
        teachers on ``alexnet/avgpool``.
    options : Options

    Raises
    ------
    CosupError
        If torchvision is not installed or not of this torch, the name is unknown, or the weights cannot be
        fetched.
    """

    def __init__(self, name: str, options: Options) -> None:
        super().__init__(f"torchvision:{name}", options)
        self._library = import_torchvision(self.name)
        self._model, _, self._layer = name.partition("/")
        known = self._library.models.list_models(module=self._library.models)
        if self._model not in known:
            raise CosupError(
                f"unknown backbone 'torchvision:{self._model}'.{near(self._model, known)} "
                f"torchvision.models.list_models() lists {len(known)}"
            )
        if options.pooling not in (None, "mean"):
            raise CosupError(f"'{self.name}' gives what its last linear layer is given; it takes no pooling")
        self._default = self._library.models.get_model_weights(self._model).DEFAULT
        preset = self._default.transforms()
        size = options.image_size or preset.crop_size[0]
        kwargs = {
            "crop_size": size,
            "resize_size": round(preset.resize_size[0] * size / preset.crop_size[0]),
        }
        if options.interpolation:
            kwargs["interpolation"] = self._library.transforms.InterpolationMode(options.interpolation)
        self._transform = self._default.transforms(**kwargs)

    def _describe(self) -> dict[str, Any]:
        preset = self._transform
        return {
            "resize": list(preset.resize_size),
            "crop": list(preset.crop_size),
            "mean": list(preset.mean),
            "std": list(preset.std),
            "interpolation": preset.interpolation.value,
            "layer": self._layer or "before the last linear layer",
        }

    def _identity(self) -> dict[str, Any]:
        return {"torchvision": self._model}

    def prepare(self, image: UInt8Array) -> torch.Tensor:
        """Make one image, (h, w) or (h, w, 3) uint8, the network's input: float32 (3, s, s). Safe in threads."""
        pillow = import_extra("PIL.Image", extra="images", purpose="resizing images")
        prepared: torch.Tensor = self._transform(pillow.fromarray(as_rgb(image)))
        return prepared

    def _build(self) -> torch.nn.Module:
        models = self._library.models
        if self._options.weights is None:
            with fetching(self.name):
                network = models.get_model(self._model, weights=self._default)
        else:
            network = models.get_model(self._model, weights=None)
            fill(network, self._options.weights)
        return self._cut(network)

    def _cut(self, network: torch.nn.Module) -> torch.nn.Module:
        layers = dict(network.named_modules())
        if self._layer:
            if self._layer not in layers:
                raise CosupError(f"'{self._model}' has no layer {self._layer!r}.{near(self._layer, layers)}")
            purpose = f"the backbone '{self.name}'"
            extraction = import_extra("torchvision.models.feature_extraction", extra="torchvision", purpose=purpose)
            extractor = extraction.create_feature_extractor(network.eval(), {self._layer: "features"})
            return _Flattened(extractor)
        linear = [key for key, layer in layers.items() if isinstance(layer, torch.nn.Linear)]
        if not linear:
            raise CosupError(f"'{self._model}' has no linear layer; name one of its layers, as {self._model}/LAYER")
        network.set_submodule(linear[-1], torch.nn.Identity())
        return network


class _Flattened(torch.nn.Module):
    def __init__(self, extractor: torch.nn.Module) -> None:
        super().__init__()
        self.extractor = extractor

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.extractor(batch)["features"]
        return features.flatten(1)


def import_torchvision(name: str) -> Any:
    """Import torchvision.

    Raises
    ------
    CosupError
        If it is not installed, or was built for another torch: its operators do not load then.
    """
    try:
        return import_extra("torchvision", extra="torchvision", purpose=f"the backbone '{name}'")
    except RuntimeError as error:
        raise CosupError(
            f"'{name}' needs torchvision, and the one that is installed does not fit torch {torch.__version__} "
            f"({error}); install the pair that https://pytorch.org names"
        ) from error


def make(name: str, options: Options) -> TorchvisionBackbone:
    """Make a backbone of torchvision."""
    return TorchvisionBackbone(name, options)
