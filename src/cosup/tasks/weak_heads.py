"""Weak teachers as the paper has them: linear heads on a weak backbone's features, a generalist and specialists."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from cosup.embedding.disk_space import disk_errors
from cosup.utils.atomic_files import write_whole
from cosup.utils.folder_lock import only_writer
from cosup.utils.progress import progress_bar
from cosup.utils.validation import CosupError, FloatArray, IntArray, check_choice, check_positive

KINDS = ("adam", "logistic")
OUTPUTS = ("all", "range")


@dataclass(frozen=True)
class HeadRecipe:
    """Settings by which a weak head is trained.

    Parameters
    ----------
    kind : {"adam", "logistic"}
        ``"adam"`` is the released code of Liu & Alahi (2024): one linear layer, weights from a normal distribution of
        spread 0.01, bias 0, cross-entropy, Adam, batches drawn with replacement from the teacher's samples, a cosine
        that falls over 20 epochs of ImageNet (100,100 steps) and is left early, after `iterations`.
        ``"logistic"``, for a few hundred samples: L2-regularised logistic regression on standardised features, at most
        `iterations` of L-BFGS (ours).
    iterations : int, default 1000
        Number of steps, as published. Fewer make a weaker teacher.
    learning_rate : float, default 1e-4
    batch_size : int, default 256
        Both for ``"adam"`` only, and as published.
    outputs : {"all", "range"}, default "all"
        Whether a specialist's softmax runs over all classes, as published, or over those it was trained on: it then
        gives zero outside. ``"logistic"`` is always the latter.

    Notes
    -----
    The released code crops and flips its training images at random; here every image is seen in the middle crop that
    the backbone's own configuration prescribes, since its features are computed once (ours).
    """

    kind: str = "adam"
    iterations: int = 1000
    learning_rate: float = 1e-4
    batch_size: int = 256
    outputs: str = "all"

    def __post_init__(self) -> None:
        check_choice(self.kind, KINDS, "kind of teacher")
        check_choice(self.outputs, OUTPUTS, "outputs of a teacher")
        check_positive(self.learning_rate, "learning_rate of a teacher")
        check_positive(self.iterations, "iterations of a teacher", integer=True)
        check_positive(self.batch_size, "batch_size of a teacher", integer=True)


@dataclass(frozen=True, eq=False)
class WeakHead:
    """A linear layer under a softmax over some of the classes.

    Parameters
    ----------
    weight : ndarray of float32, shape (n_features, n_outputs)
    bias : ndarray of float32, shape (n_outputs,)
    classes : ndarray of int64, shape (n_outputs,)
        The class of every output.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    classes: NDArray[np.int64]

    def probabilities(self, X: FloatArray, n_classes: int) -> NDArray[np.float32]:
        """Predict probabilities of every class, (n_samples, n_classes); zero for classes that it has no output for."""
        out = np.zeros((len(X), n_classes), dtype=np.float32)
        from scipy.special import softmax  # whoever lists tasks computes none

        out[:, self.classes] = softmax(np.asarray(X, dtype=np.float32) @ self.weight + self.bias, axis=1)
        return out

    def to_bytes(self) -> bytes:
        """Write the content of a safetensors file."""
        return safetensors.numpy.save({"weight": self.weight, "bias": self.bias, "classes": self.classes})

    @classmethod
    def read(cls, path: Path) -> WeakHead:
        """Read a safetensors file; CosupError if it is damaged."""
        try:
            arrays = safetensors.numpy.load_file(path)
            return cls(arrays["weight"], arrays["bias"], arrays["classes"])
        except (safetensors.SafetensorError, KeyError) as error:
            raise CosupError(f"the teacher {path} is damaged ({error}); delete it, and it is trained again") from error


@dataclass(frozen=True, eq=False)
class Specialist:
    """Describe a teacher: the samples that it is trained on and its declared specialty.

    Parameters
    ----------
    name : str
    level : int
        0 for the generalist.
    members : ndarray of int
        Rows of the teachers' samples that it is trained on.
    classes : tuple of int or None
        Its specialty, where that is a set of classes.
    """

    name: str
    level: int
    members: IntArray
    classes: tuple[int, ...] | None = None


def class_range_specialists(y: IntArray, n_classes: int, sizes: Sequence[int]) -> list[Specialist]:
    """Cut the classes into equal ranges, level by level.

    Parameters
    ----------
    y : ndarray of int, shape (n_samples,)
        Classes of the teachers' samples.
    n_classes : int
    sizes : sequence of int
        Teachers at every level, as in 1, 2, 4, 8; the first is 1.

    Raises
    ------
    CosupError
        If the first is not 1, or a level has more teachers than there are classes.
    """
    if not sizes or sizes[0] != 1 or any(size < 2 or size > n_classes for size in sizes[1:]):
        raise CosupError(
            f"levels must begin with one generalist and go on with 2 to {n_classes} teachers each, as in 1,2,4,8; "
            f"got {','.join(map(str, sizes))}"
        )
    out = []
    for level, size in enumerate(sizes):
        for i in range(size):
            first, end = i * n_classes // size, (i + 1) * n_classes // size
            name = "generalist" if size == 1 else f"classes {first}-{end - 1}"
            members = np.flatnonzero((y >= first) & (y < end))
            out.append(Specialist(name, level, members, tuple(range(first, end)) if size > 1 else None))
    return out


def group_specialists(groups: IntArray, group_names: Sequence[str]) -> list[Specialist]:
    """Name a generalist and one specialist a group (a domain, a camera, a site); nobody is told what it is good at.

    Parameters
    ----------
    groups : ndarray of int, shape (n_samples,)
        Groups of the teachers' samples: indexes into `group_names`.
    group_names : sequence of str
    """
    one_each = [Specialist(name, 1, np.flatnonzero(groups == g)) for g, name in enumerate(group_names)]
    return [Specialist("generalist", 0, np.arange(len(groups))), *one_each]


@dataclass(frozen=True, eq=False)
class TaughtSamples:
    """The samples that weak teachers are trained on: the only ones whose true classes they see.

    Attributes
    ----------
    take : callable
        Rows of the samples -> their features, (n, n_features) floating.
    y : ndarray of int, shape (n_samples,)
        Their true classes.
    n_classes : int
    """

    take: Callable[[IntArray], FloatArray]
    y: IntArray
    n_classes: int


def train_heads_of(
    specialists: Sequence[Specialist],
    taught: TaughtSamples,
    recipe: HeadRecipe,
    folder: Path,
    *,
    seed: int = 0,
    progress: bool = True,
) -> list[WeakHead]:
    """Train teachers, each kept in a file of its own as soon as it is trained: a stopped call goes on behind it.

    Parameters
    ----------
    specialists : sequence of Specialist
    taught : TaughtSamples
    recipe : HeadRecipe
    folder : path
        One for every set of specialists, features and recipe; made if it does not exist.
    seed : int
        Teacher t draws its weights and batches from ``seed + t``.

    Returns
    -------
    list of WeakHead

    Raises
    ------
    CosupError
        If the folder is that of other teachers, a specialist has no samples, or the disk is full.
    """
    told = [
        {"name": s.name, "level": s.level, "members": _digest(s.members), "classes": s.classes} for s in specialists
    ]
    key = {"kind": "cosup teachers", "schema": 1, "seed": seed, "recipe": asdict(recipe), "all": told}
    key |= {"y": _digest(taught.y), "n_classes": taught.n_classes}
    text = json.dumps(key, indent=1, sort_keys=True) + "\n"
    for specialist in specialists:
        if len(specialist.members) == 0:
            raise CosupError(f"the teacher {specialist.name!r} has no samples to be trained on; give the teachers more")
    heads = []
    with only_writer(folder, wait=True), disk_errors(folder, "The teachers that are trained are kept"):
        manifest = folder / "teachers.json"
        if not manifest.exists():
            write_whole(manifest, text)
        elif manifest.read_text(encoding="utf-8") != text:
            raise CosupError(f"{folder} holds other teachers; name another folder, or delete it")
        shown = None if progress else False
        bar = progress_bar(len(specialists), what="teachers", unit="teacher", over=specialists, shown=shown)
        for place, specialist in enumerate(bar):
            path = folder / f"teacher-{place:03d}.safetensors"
            if not path.exists():
                write_whole(path, _train(taught, specialist, recipe, seed + place).to_bytes())
            heads.append(WeakHead.read(path))
    return heads


def _digest(array: IntArray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array, dtype="<i8").tobytes()).hexdigest()


def _train(taught: TaughtSamples, specialist: Specialist, recipe: HeadRecipe, seed: int) -> WeakHead:
    members, y = specialist.members, taught.y
    if recipe.kind == "logistic":
        return _logistic(taught.take(members), y[members], recipe)
    everything = recipe.outputs == "all" or specialist.classes is None
    classes = np.arange(taught.n_classes) if everything else np.array(specialist.classes)
    return _adam(taught.take, members, y, classes, recipe, seed)


def _logistic(X: FloatArray, y: IntArray, recipe: HeadRecipe) -> WeakHead:
    from sklearn.linear_model import LogisticRegression

    seen = np.unique(y).astype(np.int64)
    if len(seen) == 1:  # it knows one class, and names it always
        return WeakHead(np.zeros((X.shape[1], 1), dtype=np.float32), np.zeros(1, dtype=np.float32), seen)
    mean, spread = X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64)
    spread[spread == 0] = 1.0
    model = LogisticRegression(max_iter=recipe.iterations).fit((X - mean) / spread, y)
    weight, bias = model.coef_.T, model.intercept_
    if len(seen) == 2:  # one score, for the second class
        weight, bias = np.hstack([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    weight = weight / spread[:, None]
    return WeakHead(weight.astype(np.float32), (bias - mean @ weight).astype(np.float32), model.classes_)


#: Steps that the published learning rate falls over: 20 epochs of 1.28 million images in batches of 256.
PUBLISHED_STEPS = 100_100


def _adam(
    take: Callable[[IntArray], FloatArray],
    members: IntArray,
    y: IntArray,
    classes: IntArray,
    recipe: HeadRecipe,
    seed: int,
) -> WeakHead:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator().manual_seed(seed)
    layer: Any = torch.nn.Linear(take(members[:1]).shape[1], len(classes))
    with torch.no_grad():
        layer.weight.normal_(0.0, 0.01, generator=generator)
        layer.bias.zero_()
    layer = layer.to(device)
    optimiser = torch.optim.Adam(layer.parameters(), lr=recipe.learning_rate)
    total = max(PUBLISHED_STEPS, recipe.iterations)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=total)
    for _ in range(recipe.iterations):
        chosen = members[torch.randint(len(members), (recipe.batch_size,), generator=generator).numpy()]
        x = torch.from_numpy(np.asarray(take(chosen), dtype=np.float32)).to(device)
        target = torch.from_numpy(np.searchsorted(classes, y[chosen])).to(device)
        loss = torch.nn.functional.cross_entropy(layer(x), target)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    weight = layer.weight.detach().cpu().numpy().T
    return WeakHead(np.ascontiguousarray(weight), layer.bias.detach().cpu().numpy(), classes.astype(np.int64))
