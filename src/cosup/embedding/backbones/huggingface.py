"""Backbones of the library transformers: a name on the hub, or a folder that save_pretrained wrote."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from cosup.embedding.backbones.base import Options, TorchBackbone
from cosup.embedding.backbones.names import HF, near
from cosup.embedding.backbones.pixels import INTERPOLATIONS, Preprocessing, floats
from cosup.embedding.backbones.pooling import check_pooling, pool_tokens
from cosup.embedding.backbones.transformers_files import offline_said, plain_loading, silent, write_folder
from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import CosupError, UInt8Array, suggest

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# Family -> tokens before the picture's (registers are counted apart), for those whose last layer is tokens.
_CLASS_TOKENS = {"vit": 1, "deit": 2, "dinov2": 1, "dinov2_with_registers": 1, "clip_vision_model": 1}
_MAPS = ("convnext", "convnextv2", "resnet", "regnet")
_FAMILIES = (*_CLASS_TOKENS, *_MAPS)

# In a configuration, but without influence on what the network computes.
_IDLE = {"transformers_version", "architectures", "_name_or_path", "dtype", "torch_dtype", "id2label", "label2id"}

# Processors whose steps are resize, crop, scale and normalise, in this order and with nothing between.
_PLAIN_PROCESSORS = ("PilBackend", "BitImageProcessorPil", "CLIPImageProcessorPil", "ViTImageProcessorPil",
                     "DeiTImageProcessorPil")  # fmt: skip


class TransformersBackbone(TorchBackbone):
    """A network of transformers, with the preprocessing of its own ``preprocessor_config.json``.

    Parameters
    ----------
    name : str
        A name on the hub, or a folder.
    options : Options
        `image_size` scales the model's own resizing and crop; positions of patches are interpolated.

    Raises
    ------
    CosupError
        If transformers is not installed, the files are not here and cannot be fetched, weights are missing
        in them, or the model's family or preprocessing is not known here.

    Notes
    -----
    ``"cls"`` and ``"mean"`` are of ``last_hidden_state``, after the last layer norm, without the pooler's dense
    layer, which no image model's features need. CLIP's last layer norm is for the class token only: ``"cls"``
    has it, ``"mean"`` has not. Networks without tokens give their ``pooler_output``.
    """

    only_local = False
    """Whether files that are not here are an error at once, in place of being fetched."""

    def __init__(self, name: str, options: Options) -> None:
        super().__init__(f"hf:{name}", options)
        if options.weights is not None:
            raise CosupError(
                f"'{self.name}' takes its weights from its own folder; give the folder's path in place of the name"
            )
        self._library = import_extra("transformers", extra="hf", purpose=f"the backbone '{self.name}'")
        self._source = _locate(name)
        with offline_said(self.name), silent(self._library):
            self._plain = plain_loading(self._source)
            self._plain["local_files_only"] |= self.only_local
            config = self._library.AutoConfig.from_pretrained(self._source, **self._plain)
            processor = self._library.AutoImageProcessor.from_pretrained(self._source, backend="pil", **self._plain)
        self._describe_model(_vision(config), _read_processor(processor, self.name))

    def _describe_model(self, config: Any, pixels: Preprocessing) -> None:
        """Determine how a model of this configuration takes images, and how its tokens are pooled."""
        options = self._options
        self._config = config
        family = config.model_type
        if family not in _FAMILIES:
            raise CosupError(
                f"'{self.name}' is of the family '{family}', whose features cosup does not know how to pool."
                f"{suggest(family, _FAMILIES)} Another model can be used as module:path.py:function"
            )
        self._has_tokens = family in _CLASS_TOKENS
        self._pooling = check_pooling(options.pooling, tokens=self._has_tokens, cls=self._has_tokens, name=self.name)
        self._pixels = pixels.at(options.image_size, options.interpolation)
        _check_patches(self._config, self._pixels, self.name)

    def _describe(self) -> dict[str, Any]:
        return self._pixels.as_json() | {"pooling": self._pooling}

    def _identity(self) -> dict[str, Any]:
        return {key: value for key, value in self._config.to_dict().items() if key not in _IDLE}

    def prepare(self, image: UInt8Array) -> torch.Tensor:
        """Make one image, (h, w) or (h, w, 3) uint8, the network's input: float32 (3, s, s). Safe in threads."""
        return self._pixels(image)

    def save(self, folder: str | Path) -> None:
        """Write the network as a folder that ``hf:FOLDER`` reads; see `TorchBackbone.save`."""
        options = self._options
        changed = [n for n in ("image_size", "pooling", "interpolation") if getattr(options, n) is not None]
        if changed:
            raise CosupError(
                f"'{self.name}' is made with {changed[0]}={getattr(options, changed[0])!r}, which a model's folder "
                "does not hold; make it without, or change the folder's own preprocessor_config.json"
            )
        with silent(self._library):
            processor = self._library.AutoImageProcessor.from_pretrained(self._source, backend="pil", **self._plain)
            write_folder(folder, self._network.model, processor)

    def _build(self) -> torch.nn.Module:
        library = self._library
        is_clip = self._config.model_type == "clip_vision_model"
        model_class = library.CLIPVisionModel if is_clip else library.MODEL_MAPPING[type(self._config)]
        # A pooler that the file has no weights for would be random; none is needed.
        extra = {"add_pooling_layer": False} if "add_pooling_layer" in _parameters(model_class.__init__) else {}
        with silent(library):
            model = self._load(model_class, extra)
        n_prefix = _CLASS_TOKENS.get(self._config.model_type, 0) + getattr(self._config, "num_register_tokens", 0)
        resized = self._has_tokens and self._pixels.size != _pair(self._config.image_size)
        return _Pooled(model, self._pooling if self._has_tokens else None, n_prefix, resized=resized)

    def _load(self, model_class: Any, extra: dict[str, Any]) -> torch.nn.Module:
        """Make the model with its weights; `extra` are arguments of the class."""
        with offline_said(self.name):
            model, report = model_class.from_pretrained(
                self._source,
                config=self._config,
                dtype=torch.float32,
                output_loading_info=True,
                use_safetensors=True,
                local_files_only=self._plain["local_files_only"],
                **extra,
            )
        lacking = sorted(report["missing_keys"]) + sorted(map(str, report["mismatched_keys"]))
        if lacking:
            raise CosupError(
                f"the weights of '{self.name}' lack {lacking[0]} ({len(lacking)} in all), which would be random"
            )
        loaded: torch.nn.Module = model
        return loaded


class _Pooled(torch.nn.Module):
    """A model of transformers with its output pooled; `pooling` is None where the last layer is a map."""

    def __init__(self, model: torch.nn.Module, pooling: str | None, n_prefix: int, *, resized: bool) -> None:
        super().__init__()
        self.model = model
        self._pooling = pooling
        self._n_prefix = n_prefix
        takes_it = "interpolate_pos_encoding" in _parameters(model.forward)
        self._options = {"interpolate_pos_encoding": True} if resized and takes_it else {}
        self._is_clip = "CLIP" in type(model).__name__

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        out = self.model(batch, **self._options)
        if self._pooling is None:
            pooled: torch.Tensor = out.pooler_output.flatten(1)
            return pooled
        tokens = out.last_hidden_state
        if self._is_clip:
            tokens = torch.cat([out.pooler_output[:, None], tokens[:, 1:]], dim=1)
        return pool_tokens(tokens, self._pooling, self._n_prefix)


def _parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def _pair(size: int | list[int] | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _vision(config: PretrainedConfig) -> PretrainedConfig:
    """Return the configuration of the image side of a model of images and text."""
    return config.vision_config if config.model_type == "clip" else config


def _locate(name: str) -> str:
    """Return the folder that is meant by `name`, or `name` if it is one on the hub."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return str(folder)
    if "/" not in name and not name.startswith((".", "~")):
        known = [f"hf:{key}" for key in HF]
        raise CosupError(f"unknown backbone 'hf:{name}'.{near(f'hf:{name}', known)} Names on the hub are OWNER/NAME")
    if name.startswith((".", "~", "/")) or name.count("/") != 1:
        raise CosupError(f"there is no folder {folder} with a model of transformers; save_pretrained writes one")
    return name


def _check_patches(config: PretrainedConfig, pixels: Preprocessing, name: str) -> None:
    patch = getattr(config, "patch_size", None) if config.model_type in _CLASS_TOKENS else None
    if patch and any(side % p for side, p in zip(pixels.size, _pair(patch), strict=True)):
        raise CosupError(f"image_size of '{name}' must be a multiple of its patches' {patch} pixels; got {pixels.size}")


def _read_processor(processor: Any, name: str) -> Preprocessing:
    """Read the steps of an image processor of transformers.

    Raises
    ------
    CosupError
        If it does more than resize, crop, scale and normalise.
    """
    kind = type(processor).__name__
    is_convnext = kind == "ConvNextImageProcessorPil"
    if (kind not in _PLAIN_PROCESSORS and not is_convnext) or getattr(processor, "do_pad", None):
        raise CosupError(
            f"'{name}' prepares images by '{kind}', whose steps cosup does not know; "
            "use the model as module:path.py:function"
        )
    size = _sizes(processor.size) if processor.do_resize else {}
    resize: int | tuple[int, int] | None = None
    crop = None
    if size.get("shortest_edge"):
        resize = size["shortest_edge"]
    elif size:
        resize = (size["height"], size["width"])
    if processor.do_center_crop:
        wanted = _sizes(processor.crop_size)
        crop = (wanted["height"], wanted["width"])
    if is_convnext and isinstance(resize, int):
        # ConvNeXt's own rule: below 384 resize by 1/crop_pct and crop, from there on squash.
        edge = resize
        crop = (edge, edge) if edge < 384 else None
        resize = int(edge / processor.crop_pct) if edge < 384 else (edge, edge)
    return Preprocessing(
        resize=resize,
        crop=crop,
        interpolation=INTERPOLATIONS[int(processor.resample)],
        mean=floats(processor.image_mean) if processor.do_normalize else (0.0,) * 3,
        std=floats(processor.image_std) if processor.do_normalize else (1.0,) * 3,
        scale=float(processor.rescale_factor) if processor.do_rescale else 1.0,
    )


def _sizes(size: Any) -> dict[str, int]:
    found = size if isinstance(size, dict) else {key: getattr(size, key, None) for key in ("height", "width",
        "shortest_edge", "longest_edge", "max_height", "max_width")}  # fmt: skip
    kept = {key: int(value) for key, value in found.items() if value}
    if set(kept) not in ({"shortest_edge"}, {"height", "width"}):
        raise CosupError(f"a preprocessing to the size {kept} is not known here; use module:path.py:function")
    return kept


def make(name: str, options: Options) -> TransformersBackbone:
    """Make a backbone of transformers."""
    return TransformersBackbone(name, options)
