"""Define backbones, and the part that all those on torch have in common."""

from __future__ import annotations

import contextlib
import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from cosup.embedding.backbones.cpu import all_cores, in_parts, side_by_side
from cosup.embedding.backbones.hashes import hash_json, hash_weights
from cosup.embedding.backbones.pixels import INTERPOLATIONS
from cosup.utils.progress import progress_bar
from cosup.utils.slices import slices
from cosup.utils.validation import CosupError, UInt8Array, check_choice, check_positive

if TYPE_CHECKING:
    import torch

Float32Array = NDArray[np.float32]
Images = UInt8Array | Sequence[UInt8Array]

DTYPES = ("float32", "bfloat16", "float16")
POOLINGS = ("cls", "mean", "both")


class Backbone(Protocol):
    """A frozen network that embeds images.

    ``embed(images)`` is ``forward`` of the stacked ``prepare(image)``, batch by batch; who streams files calls
    the two parts itself, so that the next images are decoded and prepared while a batch is computed.
    """

    @property
    def name(self) -> str:
        """``source:name``."""

    @property
    def n_features(self) -> int:
        """Number of features of one image."""

    @property
    def fingerprint(self) -> str:
        """A hash of weights, preprocessing, pooling and precision: features of one fingerprint may be mixed."""

    @property
    def preprocessing(self) -> dict[str, Any]:
        """Steps before and after the network, on the image and on the output: names and values that JSON knows."""

    def prepare(self, image: UInt8Array) -> torch.Tensor:
        """Make one image, (h, w) or (h, w, 3) uint8, the network's input: float32 (3, s, s). Safe in threads."""

    def forward(self, batch: torch.Tensor) -> Float32Array:
        """Compute the features of prepared images, (n, 3, s, s); returns float32 (n, n_features)."""

    def embed(self, images: Images, *, batch_size: int = 100, progress: bool = True) -> Float32Array:
        """Embed images; returns float32 (n_images, n_features)."""


@dataclass(frozen=True)
class Options:
    """Settings of a backbone; the arguments of :func:`make_backbone`."""

    image_size: int | None = None
    pooling: str | None = None
    dtype: str = "float32"
    compile: bool = False
    device: str | None = None
    weights: str | Path | None = None
    trust_repo: bool = False
    interpolation: str | None = None

    def __post_init__(self) -> None:
        if self.image_size is not None:
            check_positive(self.image_size, "image_size", integer=True)
            # numpy's integers are not JSON's.
            object.__setattr__(self, "image_size", int(self.image_size))
        if self.pooling is not None:
            check_choice(self.pooling, POOLINGS, "pooling")
        check_choice(self.dtype, DTYPES, "dtype")
        if self.interpolation is not None:
            check_choice(self.interpolation, INTERPOLATIONS, "interpolation")
        if self.weights is not None and not Path(self.weights).is_file():
            raise CosupError(f"there is no weights file {self.weights}")


class TorchBackbone(ABC):
    """A network of torch behind :class:`Backbone`'s interface; a source adds how it is built.

    Parameters
    ----------
    name : str
        ``source:name``.
    options : Options
        Of these, `dtype`, `compile` and `device` are obeyed here.
    """

    name: str
    kind = "backbone"
    reentrant = True
    """Whether two threads may call the network at the same time."""

    def __init__(self, name: str, options: Options) -> None:
        self.name = name
        self._options = options
        self._device = _device(options.device)

    def __repr__(self) -> str:
        return f"<backbone {self.name}, {self._options.dtype} on {self._device}>"

    @abstractmethod
    def _build(self) -> torch.nn.Module:
        """Build the float32 network on the CPU: it maps (n, 3, s, s) to (n, n_features)."""

    @abstractmethod
    def _describe(self) -> dict[str, Any]:
        """Return :attr:`preprocessing` without the precision."""

    @abstractmethod
    def _identity(self) -> dict[str, Any]:
        """Return what defines the network beside its weights, in names and values that JSON knows."""

    @abstractmethod
    def prepare(self, image: UInt8Array) -> torch.Tensor:
        """Make one image, (h, w) or (h, w, 3) uint8, the network's input: float32 (3, s, s). Safe in threads."""

    @property
    def preprocessing(self) -> dict[str, Any]:
        """Steps before and after the network, on the image and on the output."""
        return self._describe() | {"dtype": self._options.dtype}

    @cached_property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights alone."""
        return hash_weights(self._network.state_dict())

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the weights, what defines the network, preprocessing, pooling and precision."""
        return hash_json(
            {
                "weights": self.weights_sha256,
                "identity": self._identity(),
                "preprocessing": self._describe(),
                **self._precision(),
            }
        )

    @cached_property
    def n_features(self) -> int:
        """Number of features of one image, found out by one forward of a black one."""
        black = self.prepare(np.zeros((64, 64, 3), dtype=np.uint8))
        return int(self._compute(self._runner, black[None]).shape[1])

    def forward(self, batch: torch.Tensor) -> Float32Array:
        """Compute the features of prepared images.

        Parameters
        ----------
        batch : tensor of float32, shape (n, 3, s, s)
            Images as :meth:`prepare` returns them.

        Returns
        -------
        ndarray of float32, shape (n, n_features)
            A row of features an image.

        Raises
        ------
        CosupError
            If `batch` has another shape, a feature is not finite (half precision overflowed), the device's
            memory is too small, or the network cannot be compiled.
        """
        if batch.ndim != 4 or batch.shape[1] != 3:
            raise CosupError(f"a batch of prepared images has shape (n, 3, s, s), got {tuple(batch.shape)}")
        features = self._compute(self._compiled if self._options.compile else self._runner, batch)
        self._check_finite(features)
        return features

    def _check_finite(self, features: Float32Array) -> None:
        if not np.isfinite(features).all():
            raise CosupError(
                f"'{self.name}' gave features that are not finite in {self._options.dtype}; "
                "use dtype 'bfloat16' or 'float32'"
            )

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
        ndarray of float32, shape (n, n_features)
            A row of features an image, in the order given.

        Raises
        ------
        CosupError
            If there is no image, or one is not uint8 of such a shape; and as :meth:`forward`.
        """
        check_positive(batch_size, "batch_size", integer=True)
        _check_images(images)
        parts: list[Float32Array] = []
        # disable=None: silent unless standard error is a terminal.
        with progress_bar(len(images), what=self.name, unit="image", shown=None if progress else False) as bar:
            for rows in slices(len(images), batch_size):
                parts.append(self.forward(self._stack(images[rows])))
                bar.update(len(parts[-1]))
        return np.concatenate(parts)

    def _stack(self, images: Images) -> torch.Tensor:
        import torch

        return torch.stack([self.prepare(image) for image in images])

    # -- to be fine-tuned: what cosup.students.Network asks for -----------------------------------------------------

    def module(self) -> torch.nn.Module:
        """Return a copy of the network that may be trained, float32 on the CPU: from `collate`'s batches to features.

        Raises
        ------
        CosupError
            If the network computes in half precision: its weights would be rounded.
        """
        if self._options.dtype != "float32":
            raise CosupError(
                f"'{self.name}' is made in {self._options.dtype}; to fine-tune it, make it in float32 and choose the "
                "precision of FineTuned"
            )
        return copy.deepcopy(self._network).cpu().requires_grad_(True)

    def collate(self, samples: Any) -> torch.Tensor:
        """Prepare samples and stack them."""
        return self._stack(samples)

    def with_module(self, module: torch.nn.Module) -> Self:
        """Make this backbone around other weights: a module that `module` gave."""
        other = copy.copy(self)
        for name in ("_network", "_runner", "_compiled", "fingerprint", "weights_sha256"):
            vars(other).pop(name, None)
        vars(other)["_network"] = module.eval().requires_grad_(False)
        return other

    def save(self, folder: str | Path) -> None:
        """Write the network as a folder that ``hf:FOLDER`` reads.

        Parameters
        ----------
        folder : path
            Made; it must not be there.

        Raises
        ------
        CosupError
            If it is not a model of transformers, whose folders say all that features depend on.
        """
        raise CosupError(
            f"'{self.name}' cannot be written as a folder of its own; models of transformers (hf:NAME, hf:FOLDER) can"
        )

    @cached_property
    def _network(self) -> torch.nn.Module:
        # Loaded when it is first needed: features out of a cache may never need it.
        return self._build().eval().requires_grad_(False)

    def _for_computing(self) -> torch.nn.Module:
        """Return the network in the form that computes float32 features fastest."""
        from cosup.embedding.backbones.fused_gelu import fuse_gelu

        return fuse_gelu(self._network) if self._device == "cpu" else self._network

    @cached_property
    def _runner(self) -> torch.nn.Module:
        import torch

        dtype = self._options.dtype
        if dtype == "float32":
            return self._for_computing().to(self._device)
        # The weights' hash is of the weights before they are rounded.
        _ = self.fingerprint
        return self._network.to(self._device, getattr(torch, dtype))

    @cached_property
    def _compiled(self) -> Any:
        import torch

        return torch.compile(self._runner)

    def _compute(self, network: Any, batch: torch.Tensor) -> Float32Array:
        if self._device != "cpu":
            with whole_float32():
                return self._compute_part(network, batch)
        parts = in_parts(batch)
        # What torch compiled is not for two threads.
        if self.reentrant and network is self._runner:
            found = side_by_side(lambda part: self._compute_part(network, part), parts)
        else:
            with all_cores():
                found = [self._compute_part(network, part) for part in parts]
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _to_device(self, batch: torch.Tensor) -> torch.Tensor:
        import torch

        return batch.to(self._device, getattr(torch, self._options.dtype))

    def _compute_part(self, network: Any, batch: torch.Tensor) -> Float32Array:
        import torch

        try:
            with torch.inference_mode():
                features = network(self._to_device(batch))
        except torch.OutOfMemoryError as error:
            raise CosupError(f"{self._device} has too little memory for batches of {len(batch)}: {error}") from error
        except RuntimeError as error:
            if network is not self._runner and "torch._" in type(error).__module__:
                raise CosupError(
                    f"'{self.name}' cannot be compiled here ({str(error).splitlines()[0]}); leave compile out"
                ) from error
            raise
        if features.ndim != 2 or len(features) != len(batch):
            raise CosupError(
                f"'{self.name}' gave an output of shape {tuple(features.shape)} for {len(batch)} samples; "
                "a backbone gives (n, n_features)"
            )
        # A view of the network's own memory would change with the next batch.
        return np.array(features.float().cpu().numpy())

    def _precision(self) -> dict[str, Any]:
        """Return what of the precision changes features by more than float32's rounding."""
        options = self._options
        if options.dtype == "float32":
            return {}
        # A compiled network keeps float32 between steps that it fuses; one that is not rounds after every step.
        return {"dtype": options.dtype, "compile": options.compile}


def _device(name: str | None) -> str:
    import torch

    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    # torch says a missing device by any of these; AssertionError is "not compiled with CUDA enabled".
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise CosupError(f"the device {name!r} is not here ({str(error).splitlines()[0]}); try 'cpu'") from error
    return name


@contextlib.contextmanager
def whole_float32() -> Iterator[None]:
    """Keep convolutions on a GPU from rounding float32 to 10 bits, which is torch's default there."""
    import torch

    with torch.backends.cudnn.flags(
        enabled=torch.backends.cudnn.enabled,
        benchmark=torch.backends.cudnn.benchmark,
        deterministic=torch.backends.cudnn.deterministic,
        allow_tf32=False,
    ):
        yield


def _check_images(images: Images) -> None:
    if len(images) == 0:
        raise CosupError("there are no images to embed")
    if isinstance(images, np.ndarray):
        check_image(images[0], f"images of shape {images.shape} and dtype {images.dtype}")
        return
    for index, image in enumerate(images):
        check_image(image, f"image {index}")


def check_image(image: object, what: str) -> None:
    """Raise `CosupError` unless `image` is uint8 of shape (h, w) or (h, w, 3)."""
    good = (
        isinstance(image, np.ndarray)
        and image.dtype == np.uint8
        and (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3))
        and image.size > 0
    )
    if not good:
        raise CosupError(f"{what} cannot be embedded: each must be a uint8 array of shape (h, w) or (h, w, 3)")
