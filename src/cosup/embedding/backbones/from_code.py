"""Backbones that are code of somebody else's or one's own: torch.hub's repositories, and a function in a file."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cosup.embedding.backbones.base import Options, TorchBackbone
from cosup.embedding.backbones.names import HUB
from cosup.embedding.backbones.pixels import Preprocessing, imagenet_preprocessing
from cosup.embedding.backbones.pooling import check_pooling, pool_tokens
from cosup.embedding.backbones.weights import fetching, fill
from cosup.utils.plugins import import_file
from cosup.utils.validation import CosupError, UInt8Array, suggest


class _CodeBackbone(TorchBackbone):
    """A network whose preprocessing is a :class:`Preprocessing`, and whose pooling shows by its output."""

    _pixels: Preprocessing

    def _describe(self) -> dict[str, Any]:
        return self._pixels.as_json() | {"pooling": self._options.pooling or "the network's own"}

    def prepare(self, image: UInt8Array) -> torch.Tensor:
        """Make one image, (h, w) or (h, w, 3) uint8, the network's input: float32 (3, s, s). Safe in threads."""
        return self._pixels(image)


class HubBackbone(_CodeBackbone):
    """A network of torch.hub; **the repository's code is run**, so the caller must trust it explicitly.

    Images are prepared as DINO and DINOv2 are evaluated: shorter side to 256 (bicubic), the middle 224 x 224,
    ImageNet's mean and spread; a repository of torch.hub says nothing about it. The published co-supervised
    code resizes bilinearly: ``interpolation="bilinear"``.

    Parameters
    ----------
    name : str
        ``OWNER/REPOSITORY[:BRANCH]:MODEL``, or ``FOLDER:MODEL`` for a copy of a repository.
    options : Options
        `trust_repo` must be true. With `weights`, the network is made with ``pretrained=False``.

    Raises
    ------
    CosupError
        If the repository is not trusted, cannot be fetched, or has no such model.
    """

    def __init__(self, name: str, options: Options) -> None:
        super().__init__(f"hub:{name}", options)
        self._repository, colon, self._model = name.rpartition(":")
        if not colon or not self._repository:
            known = [f"hub:{key}" for key in HUB]
            raise CosupError(f"a model of torch.hub is named hub:OWNER/REPOSITORY:MODEL.{suggest(self.name, known)}")
        if not options.trust_repo:
            raise CosupError(
                f"'{self.name}' runs the code of the repository {self._repository} on this machine; "
                "if you trust it, say so by trust_repo=True (on the command line, its name says so)"
            )
        self._pixels = imagenet_preprocessing().at(options.image_size, options.interpolation)

    def _identity(self) -> dict[str, Any]:
        return {"hub": self._model}

    def _build(self) -> torch.nn.Module:
        options = self._options
        local = Path(self._repository).expanduser().is_dir()
        where = str(Path(self._repository).expanduser()) if local else self._repository
        source = "local" if local else "github"
        with fetching(self.name):
            network: torch.nn.Module = torch.hub.load(  # type: ignore[no-untyped-call]
                where,
                self._model,
                source=source,
                trust_repo=True,
                skip_validation=True,
                verbose=False,
                **({"pretrained": False} if options.weights else {}),
            )
        if options.weights:
            fill(network, options.weights)
        return network if options.pooling is None else _pooled(network, options.pooling, self.name)


def _pooled(network: torch.nn.Module, pooling: str, name: str) -> torch.nn.Module:
    """Pool the tokens of DINO and DINOv2, which each have a way of their own to give them."""
    parameters = inspect.signature(getattr(network, "get_intermediate_layers", lambda: None)).parameters
    if not {"n", "return_class_token"} & set(parameters):
        check_pooling(pooling, tokens=False, cls=False, name=name)
        return network
    return _HubTokens(network, pooling, is_v2="return_class_token" in parameters)


class _HubTokens(torch.nn.Module):
    def __init__(self, network: torch.nn.Module, pooling: str, *, is_v2: bool) -> None:
        super().__init__()
        self.network = network
        self._pooling = pooling
        self._is_v2 = is_v2

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        network: Any = self.network
        if self._is_v2:
            patches, cls = network.get_intermediate_layers(batch, n=1, return_class_token=True)[0]
            tokens = torch.cat([cls[:, None], patches], dim=1)
        else:
            tokens = network.get_intermediate_layers(batch, n=1)[0]
        return pool_tokens(tokens, self._pooling, 1)


class NetworkBackbone(_CodeBackbone):
    """One's own network, made by a function of one's own.

    Parameters
    ----------
    name : str
        ``source:name``.
    made : torch module or callable, or a pair of it and a dictionary
        A function takes a float32 tensor (n, 3, s, s). It gives (n, d), or, with `pooling`, tokens (n, t, d) the
        first of which is the class token. The dictionary is its preprocessing: the parameters of
        :class:`Preprocessing` (``resize``, ``crop``, ``interpolation``, ``mean``, ``std``, ``scale``), and perhaps
        ``version``, anything that JSON knows: it enters the fingerprint. Default: shorter side to 256, the middle
        224 x 224, ImageNet's mean and spread.
    options : Options
    code : callable
        The function that made it.
    asked : str
        The name that was asked for, where it makes several: a part of the fingerprint.

    Raises
    ------
    CosupError
        If what was made is of another kind, or an option does not fit it.

    Notes
    -----
    The fingerprint is of the function's file, of the torch module's weights, and of the preprocessing. It knows
    nothing of what the file imports, nor of the weights of a network that is no torch module: change ``version``
    with these. The network is called by one thread at a time.
    """

    reentrant = False

    def __init__(self, name: str, made: Any, options: Options, *, code: Callable[..., Any], asked: str = "") -> None:
        super().__init__(name, options)
        if options.weights is not None:
            raise CosupError(f"'{self.name}' reads its weights itself; it takes no weights")
        self._file, self._function, self._asked = Path(inspect.getfile(code)), code.__name__, asked
        network, preprocessing = made if isinstance(made, tuple) and len(made) == 2 else (made, {})
        if not callable(network) or not isinstance(preprocessing, Mapping):
            raise CosupError(
                f"{self._file}: {self._function}() must return a torch module or a function, alone or with a "
                f"dictionary of its preprocessing; got {type(made).__name__}"
            )
        if not isinstance(network, torch.nn.Module) and (options.dtype != "float32" or options.compile):
            raise CosupError(f"'{self.name}' is no torch module, so dtype and compile have no meaning for it")
        self._made = network
        self._version = preprocessing.get("version")
        self._pixels = _read_preprocessing(preprocessing, self._file).at(options.image_size, options.interpolation)

    def _identity(self) -> dict[str, Any]:
        return {
            "file": hashlib.sha256(self._file.read_bytes()).hexdigest(), "function": self._function,
            "version": self._version, **({"asked": self._asked} if self._asked else {}),
        }  # fmt: skip

    def _build(self) -> torch.nn.Module:
        return _Own(self._made, self._options.pooling)

    def _for_computing(self) -> torch.nn.Module:
        return self._network  # nothing is known of somebody's own layers


class _Own(torch.nn.Module):
    def __init__(self, network: Callable[[torch.Tensor], Any], pooling: str | None) -> None:
        super().__init__()
        self.network = network
        self._pooling = pooling

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        out = self.network(batch)
        out = torch.from_numpy(np.asarray(out)) if not isinstance(out, torch.Tensor) else out
        if self._pooling is None:
            return out
        if out.ndim != 3:
            raise CosupError(f"pooling={self._pooling!r} needs tokens of shape (n, t, d), got {tuple(out.shape)}")
        return pool_tokens(out, self._pooling, 1)


def _function_of(file: Path, function: str) -> Callable[[], Any]:
    """Run a Python file, and return a function of it."""
    if not file.is_file():
        raise CosupError(f"there is no file {file}")
    module = import_file(file.resolve(), "_cosup_backbone")
    if not callable(getattr(module, function, None)):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise CosupError(f"{file} has no function {function!r}.{suggest(function, names)}")
    found: Callable[[], Any] = getattr(module, function)
    return found


def _read_preprocessing(given: Mapping[str, Any], file: Path) -> Preprocessing:
    if not set(given) - {"version"}:
        return imagenet_preprocessing("bilinear")
    known = [field.name for field in fields(Preprocessing)]
    for key in given:
        if key not in (*known, "version"):
            raise CosupError(f"{file}: the preprocessing has no parameter {key!r}.{suggest(str(key), known)}")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items() if k != "version"}
    values = {"resize": None, "crop": None} | values
    return Preprocessing(**values)


def make_hub(name: str, options: Options) -> HubBackbone:
    """Make a backbone of torch.hub."""
    return HubBackbone(name, options)


def make_module(name: str, options: Options) -> NetworkBackbone:
    """Make the backbone of a function in a Python file, ``PATH.py:FUNCTION``; **the file is run**.

    The function takes nothing, and returns what `NetworkBackbone` is made of.

    Raises
    ------
    CosupError
        If there is no such file or function, or as `NetworkBackbone`.
    """
    path, colon, function = name.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise CosupError(f"one's own backbone is named module:PATH.py:FUNCTION; got 'module:{name}'")
    if options.weights is not None:
        raise CosupError(f"'module:{name}' reads its weights itself; it takes no weights")
    code = _function_of(Path(path).expanduser(), function)
    return NetworkBackbone(f"module:{name}", code(), options, code=code)
