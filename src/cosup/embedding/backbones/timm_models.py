"""Backbones of the library timm."""

from __future__ import annotations

from typing import Any

import torch

from cosup.embedding.backbones.base import Options, TorchBackbone
from cosup.embedding.backbones.names import near
from cosup.embedding.backbones.pixels import as_rgb
from cosup.embedding.backbones.pooling import check_pooling, pool_tokens
from cosup.embedding.backbones.torchvision_models import import_torchvision
from cosup.embedding.backbones.weights import fetching, fill
from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import CosupError, UInt8Array


class TimmBackbone(TorchBackbone):
    """A network of timm, with the preprocessing of its own configuration.

    Parameters
    ----------
    name : str
        A name of ``timm.list_models(pretrained=True)``.
    options : Options
        `pooling` of None is the model's own; `weights` replaces the pre-trained ones.

    Raises
    ------
    CosupError
        If timm is not installed, the name is unknown, or the weights cannot be fetched or do not fit.
    """

    def __init__(self, name: str, options: Options) -> None:
        super().__init__(f"timm:{name}", options)
        purpose = f"the backbone '{self.name}'"
        # First, for its message: timm imports it, and with another torch it is what breaks.
        import_torchvision(self.name)
        self._library = import_extra("timm", extra="timm", purpose=purpose)
        self._data = import_extra("timm.data", extra="timm", purpose=purpose)
        self._model = name
        if not self._library.is_model(name):
            known = self._library.list_models(pretrained=True)
            raise CosupError(
                f"unknown backbone '{self.name}'.{near(name, known)} timm.list_models() lists {len(known)}"
            )
        # Built without weights: enough to know how images are prepared.
        bare = self._create(pretrained=False)
        config = dict(self._data.resolve_model_data_config(bare))
        if options.image_size:
            config["input_size"] = (3, options.image_size, options.image_size)
        if options.interpolation:
            config["interpolation"] = options.interpolation
        self._config = config
        self._transform = self._data.create_transform(**config, is_training=False)
        self._n_prefix = int(getattr(bare, "num_prefix_tokens", 0))
        if options.pooling is not None:
            check_pooling(options.pooling, tokens=True, cls=self._n_prefix > 0, name=self.name)
            if self._n_prefix == 0 and options.pooling == "mean" and bare.global_pool != "avg":
                raise CosupError(f"'{self.name}' is pooled by its own '{bare.global_pool}' only")
        self._own_pooling = str(bare.global_pool)

    def _create(self, *, pretrained: bool) -> torch.nn.Module:
        size = self._options.image_size
        fixed = self._library.get_pretrained_cfg(self._model)
        extra = {"img_size": size} if size and fixed is not None and fixed.fixed_input_size else {}
        network: torch.nn.Module = self._library.create_model(
            self._model, pretrained=pretrained, num_classes=0, **extra
        )
        return network

    def _describe(self) -> dict[str, Any]:
        config = {key: list(value) if isinstance(value, tuple) else value for key, value in self._config.items()}
        return config | {"pooling": self._options.pooling or f"the model's own ({self._own_pooling})"}

    def _identity(self) -> dict[str, Any]:
        return {"timm": self._model.partition(".")[0]}

    def prepare(self, image: UInt8Array) -> torch.Tensor:
        """Make one image, (h, w) or (h, w, 3) uint8, the network's input: float32 (3, s, s). Safe in threads."""
        pillow = import_extra("PIL.Image", extra="images", purpose="resizing images")
        prepared: torch.Tensor = self._transform(pillow.fromarray(as_rgb(image)))
        return prepared

    def _build(self) -> torch.nn.Module:
        if self._options.weights is None:
            with fetching(self.name):
                network = self._create(pretrained=True)
        else:
            network = self._create(pretrained=False)
            head = self._library.get_pretrained_cfg(self._model)
            spare = (head.classifier,) if head is not None and isinstance(head.classifier, str) else ()
            fill(network, self._options.weights, spare=spare)
        if self._options.pooling is None or self._n_prefix == 0:
            return network
        return _Pooled(network, self._options.pooling, self._n_prefix)


class _Pooled(torch.nn.Module):
    def __init__(self, network: torch.nn.Module, pooling: str, n_prefix: int) -> None:
        super().__init__()
        self.network = network
        self._pooling = pooling
        self._n_prefix = n_prefix

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        tokens = self.network.forward_features(batch)  # type: ignore[operator]
        return pool_tokens(tokens, self._pooling, self._n_prefix)


def make(name: str, options: Options) -> TimmBackbone:
    """Make a backbone of timm."""
    return TimmBackbone(name, options)
