"""Many linear heads in one call: different targets, subsets, seeds and alphas on shared features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from cosup.students.heads import LinearHead
from cosup.utils.row_blocks import is_half
from cosup.utils.validation import BoolArray, CosupError, FloatArray, IntArray, check_positive

if TYPE_CHECKING:
    import torch

__all__ = ["LinearHeads", "train_heads"]


@dataclass(frozen=True)
class LinearHeads:
    """Several linear layers under a softmax, over the same features and classes.

    Attributes
    ----------
    weight : ndarray of shape (n_heads, n_features, n_classes), float32
    bias : ndarray of shape (n_heads, n_classes), float32
    """

    weight: FloatArray
    bias: FloatArray

    def __len__(self) -> int:
        """Return the number of heads."""
        return len(self.weight)

    def __getitem__(self, head: int) -> LinearHead:
        """Return one head, whose probabilities of features no finer than float32 are float32."""
        return LinearHead(self.weight[head], self.bias[head])


def train_heads(
    X: FloatArray,
    targets: ArrayLike,
    *,
    n_classes: int | None = None,
    train_mask: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    seeds: int | Sequence[int] = 0,
    learning_rates: float | Sequence[float] = 1e-3,
    weight_decays: float | Sequence[float] = 0.0,
    epochs: int | Sequence[int] = 20,
    batch_size: int = 100,
    shared_order: bool = False,
    device: str | None = None,
) -> LinearHeads:
    """Train linear heads by mini-batch Adam on the cross-entropy, all that can be in one product.

    Every head is what ``torch.nn.Linear`` trained by ``torch.optim.Adam`` (L2 decay of weight and bias as there)
    with ``CosineAnnealingLR`` stepped after every batch would be: a generator seeded with the head's seed draws
    weight (n_features, n_classes) and bias uniformly in +-1/sqrt(n_features), then a permutation of its samples an
    epoch. The last batch of an epoch may be smaller; a batch's loss is the sum of weight times cross-entropy, over
    the number of its samples.

    Heads with the same samples, epochs and order of batches are trained side by side, the others one after the
    other. The memory taken beside the arguments is 16 bytes x n_heads x (n_features + 1) x n_classes for weights,
    gradient and moments, half a megabyte of gathered features (or a batch; four where features are cast), and the
    targets once more where their dtype is not int64 or float32.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Floating (bfloat16: `BFLOAT16`), possibly memory-mapped. float32 in memory and in C order is used as it is;
        the rest is read and cast a few batches at a time.
    targets : array-like
        Class ids, integers of shape (n_samples,) or (n_heads, n_samples); or probabilities, floating of shape
        (n_samples, n_classes) or (n_heads, n_samples, n_classes).
    n_classes : int, optional
        Default: as many as the targets show.
    train_mask : array-like of bool, shape (n_samples,) or (n_heads, n_samples), optional
        The samples to train on. Default: all.
    weights : array-like of shape (n_samples,) or (n_heads, n_samples), optional
        Weights of the samples. Default: one.
    seeds, learning_rates, weight_decays, epochs : number, or sequence of n_heads numbers
    batch_size : int
    shared_order : bool
        Draw the order of batches once, from the generator of the first head of those that have the same samples
        and epochs, instead of once a seed: all these then share their products. Initialisations keep their seeds.
    device : {"cpu", "cuda"}, optional
        Default: "cuda" where there is one.

    Returns
    -------
    LinearHeads

    Raises
    ------
    CosupError
        For shapes that do not fit together, class ids out of range, an empty subset, or a rate that is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[-1.0], [-0.8], [0.8], [1.0]], dtype=np.float32)
    >>> heads = train_heads(X, np.array([0, 0, 1, 1]), seeds=[0, 1], learning_rates=0.1, batch_size=2)
    >>> len(heads), heads[1].predict_proba(X).argmax(axis=1)
    (2, array([0, 0, 1, 1]))
    """
    import torch  # takes a second, for which only this training has to wait

    from cosup.students.adam.steps import Batches, Recipe, run_adam

    task = _Task.of(X, targets, n_classes=n_classes, train_mask=train_mask, weights=weights)
    settings = {
        "seeds": seeds, "learning_rates": learning_rates, "weight_decays": weight_decays, "epochs": epochs,
    }  # fmt: skip
    n_heads = _count_heads(task, settings)
    per_head = {name: _per_head(value, name, n_heads) for name, value in settings.items()}
    check_positive(batch_size, "batch_size", integer=True)
    if device not in (None, "cpu", "cuda"):
        raise CosupError(f"device must be 'cpu' or 'cuda', got {device!r}")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")

    d, c = task.X.shape[1], task.n_classes
    weight = np.empty((n_heads, d, c), dtype=np.float32)
    bias = np.empty((n_heads, c), dtype=np.float32)
    for members, group in _groups(task, per_head["seeds"], per_head["epochs"], n_heads, shared_order):
        generators = [torch.Generator().manual_seed(int(per_head["seeds"][h])) for h in group]
        starts = [_initial(torch, d, c, g) for g in generators]
        recipe = Recipe(
            per_head["learning_rates"][group], per_head["weight_decays"][group], int(per_head["epochs"][group[0]]),
            batch_size,
        )  # fmt: skip
        batches = Batches(
            task.X,
            None if task.ids is None else _on(torch, _columns(task.ids, group), np.int64, device),
            None if task.soft is None else _on(torch, _columns(task.soft, group), np.float32, device),
            None if task.weights is None else _on(torch, _columns(task.weights, group), np.float32, device),
            members,
        )
        trained, offset = run_adam(
            batches, torch.cat([s[0] for s in starts], dim=1), torch.cat([s[1] for s in starts]), len(group),
            recipe, generators[0], device,
        )  # fmt: skip
        weight[group] = trained.view(d, len(group), c).swapaxes(0, 1).numpy()
        bias[group] = offset.view(len(group), c).numpy()
    return LinearHeads(weight, bias)


def _initial(torch: Any, d: int, c: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    # torch.nn.Linear's default: both uniform in +-1/sqrt(fan in).
    bound = d**-0.5
    weight = torch.empty(d, c).uniform_(-bound, bound, generator=generator)
    return weight, torch.empty(c).uniform_(-bound, bound, generator=generator)


def _on(torch: Any, array: Any, dtype: Any, device: str) -> Any:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=dtype)).to(device)


def _columns(array: Any, group: list[int]) -> Any:
    """Select the heads of `group`, samples first; one column where all heads share it."""
    return np.swapaxes(array if len(array) == 1 else array[group], 0, 1)


def _per_head(value: Any, name: str, n_heads: int) -> Any:
    array = np.asarray(value)
    integer = name in ("seeds", "epochs")
    if array.dtype.kind not in ("iu" if integer else "iuf"):
        raise CosupError(f"{name} must be {'integers' if integer else 'numbers'}, got {value!r}")
    if array.shape not in ((), (1,), (n_heads,)):
        raise CosupError(f"{name} must be one number or {n_heads}, one a head, got shape {array.shape}")
    lowest = {"seeds": 0, "epochs": 1, "weight_decays": 0.0, "learning_rates": np.nextafter(0.0, 1.0)}[name]
    if not np.isfinite(array).all() or (array < lowest).any():
        raise CosupError(
            f"{name} must be finite and {'above 0' if name == 'learning_rates' else f'at least {lowest:g}'}"
        )
    return np.broadcast_to(array.reshape(-1), (n_heads,))


def _count_heads(task: _Task, settings: dict[str, Any]) -> int:
    sizes = {name: np.size(value) for name, value in settings.items()}
    for name in ("ids", "soft", "weights", "train_mask"):
        array = getattr(task, name)
        if array is not None:
            sizes["targets" if name in ("ids", "soft") else name] = len(array)
    several = {name: size for name, size in sizes.items() if size != 1}
    if len(set(several.values())) > 1:
        raise CosupError(f"how many heads? {', '.join(f'{name} has {size}' for name, size in several.items())}")
    n_heads = next(iter(several.values()), 1)
    if n_heads == 0:
        raise CosupError(f"there is no head to train: {', '.join(several)} is empty")
    return n_heads


@dataclass(frozen=True)
class _Task:
    """Checked arguments; heads first, an axis of one where all heads share."""

    X: FloatArray
    ids: IntArray | None
    soft: FloatArray | None
    weights: FloatArray | None
    train_mask: BoolArray | None
    n_classes: int

    @classmethod
    def of(cls, X: FloatArray, targets: ArrayLike, *, n_classes: int | None, train_mask: Any, weights: Any) -> _Task:
        if X.ndim != 2 or not len(X) or not (is_half(X) or X.dtype.kind == "f"):
            raise CosupError(f"X must be floating of shape (n_samples, n_features), got {X.dtype} {X.shape}")
        n = len(X)
        masks = _by_head(train_mask, "train_mask", n)
        if masks is not None:
            if masks.dtype != bool:
                raise CosupError(f"train_mask must be boolean, got {masks.dtype}")
            if not masks.any(axis=1).all():
                raise CosupError(f"train_mask leaves head {int(np.argmin(masks.any(axis=1)))} without a sample")
        weights = _by_head(weights, "weights", n)
        if weights is not None and not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise CosupError("weights must be finite and at least 0")
        array = np.asarray(targets)
        if array.dtype.kind in "iu":
            ids = _by_head(array, "targets", n)
            assert ids is not None
            used = ids if masks is None else np.where(masks, ids, 0)
            n_classes = int(used.max()) + 1 if n_classes is None else n_classes
            if used.min() < 0 or used.max() >= n_classes:
                raise CosupError(
                    f"targets must be class ids from 0 to {n_classes - 1}, got {used.min()} to {used.max()}; "
                    "leave samples without a target out with train_mask"
                )
            return cls(X, np.clip(ids, 0, n_classes - 1), None, weights, masks, n_classes)
        soft = array[None] if array.ndim == 2 else array
        if soft.dtype.kind != "f" or soft.ndim != 3 or soft.shape[1] != n:
            raise CosupError(
                f"targets must be integers ([n_heads,] {n}) or floating ([n_heads,] {n}, n_classes), "
                f"got {array.dtype} {array.shape}"
            )
        if n_classes not in (None, soft.shape[2]):
            raise CosupError(f"targets have {soft.shape[2]} classes, n_classes is {n_classes}")
        return cls(X, None, soft, weights, masks, soft.shape[2])


def _by_head(array: Any, name: str, n: int) -> Any:
    if array is None:
        return None
    array = np.asarray(array)
    array = array[None] if array.ndim == 1 else array
    if array.ndim != 2 or array.shape[1] != n:
        raise CosupError(f"{name} must have shape ({n},) or (n_heads, {n}), got {array.shape}")
    return array


def _groups(task: _Task, seeds: Any, epochs: Any, n_heads: int, shared_order: bool) -> list[tuple[IntArray, list[int]]]:
    """Group the heads that can be trained side by side, with the samples they train on."""
    found: dict[tuple[Any, ...], tuple[IntArray, list[int]]] = {}
    for h in range(n_heads):
        mask = None if task.train_mask is None else task.train_mask[h if len(task.train_mask) > 1 else 0]
        key = (None if mask is None else mask.tobytes(), int(epochs[h]), None if shared_order else int(seeds[h]))
        if key not in found:
            found[key] = (np.arange(len(task.X)) if mask is None else np.flatnonzero(mask), [])
        found[key][1].append(h)
    return list(found.values())
