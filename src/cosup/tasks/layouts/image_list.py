"""A list of images with their labels, domains and official split; every path lies inside one folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cosup.utils.validation import CosupError, IntArray


# eq=False: comparing arrays field by field has no single truth value.
@dataclass(frozen=True, eq=False)
class ImageList:
    """Images of a data set, in an order that depends on their names only.

    Parameters
    ----------
    root : Path
        The folder that all lie in.
    paths : tuple of str
        Relative to `root`, with ``/`` between their parts; none twice.
    labels : ndarray of int64, shape (n,)
        Index into `class_names`; -1 where unknown.
    class_names : tuple of str
    domains : ndarray of int64, shape (n,), or None
        Index into `domain_names`; None where the layout has no domains.
    domain_names : tuple of str
    splits : ndarray of str, shape (n,), or None
        The official split of every image; None where the layout has none.

    Raises
    ------
    CosupError
        If lengths differ, a label or domain is out of range, or a path is there twice or leaves `root`.
    """

    root: Path
    paths: tuple[str, ...]
    labels: IntArray
    class_names: tuple[str, ...]
    domains: IntArray | None = None
    domain_names: tuple[str, ...] = ()
    splits: npt.NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        n = len(self.paths)
        for name, values in (("labels", self.labels), ("domains", self.domains), ("splits", self.splits)):
            if values is not None and values.shape != (n,):
                raise CosupError(f"there are {n} images, but {name} have shape {values.shape}")
        _check_range(self.labels, -1, self.class_names, self.paths, "label")
        if self.domains is not None:
            _check_range(self.domains, 0, self.domain_names, self.paths, "domain")
        if len(set(self.paths)) != n:
            seen: set[str] = set()
            twice = next(path for path in self.paths if path in seen or seen.add(path))  # type: ignore[func-returns-value]
            raise CosupError(f"the image {twice} is listed twice")
        for path in self.paths:
            check_relative(path, "the list of images")

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        domains = f", {len(self.domain_names)} domains" if self.domains is not None else ""
        return f"ImageList({len(self)} images in {self.root}, {len(self.class_names)} classes{domains})"

    def __getitem__(self, index: slice | IntArray | Sequence[int] | npt.NDArray[np.bool_]) -> ImageList:
        """Select images by a slice, indexes or a mask; names of classes and domains stay."""
        chosen = np.atleast_1d(np.arange(len(self))[index])

        def take(values: npt.NDArray[Any] | None) -> Any:
            return None if values is None else values[chosen]

        return ImageList(
            self.root,
            tuple(self.paths[i] for i in chosen),
            take(self.labels),
            self.class_names,
            take(self.domains),
            self.domain_names,
            take(self.splits),
        )

    def path(self, index: int) -> Path:
        """Return where image `index` lies."""
        return self.root / self.paths[index]


def _check_range(values: IntArray, low: int, names: tuple[str, ...], paths: tuple[str, ...], what: str) -> None:
    bad = np.flatnonzero((values < low) | (values >= len(names)))
    if len(bad):
        raise CosupError(
            f"the {what} {values[bad[0]]} of {paths[bad[0]]} is out of range: there are {len(names)} "
            f"({len(bad)} images in all)"
        )


def check_relative(path: str, where: str) -> str:
    """Return `path` in its plain form: relative, with ``/``, and never upwards.

    Raises
    ------
    CosupError
        If it is absolute, goes upwards or is empty; `where` begins the message.
    """
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    is_drive = bool(parts) and len(parts[0]) == 2 and parts[0][1] == ":"
    if path.startswith(("/", "\\")) or ".." in parts or not parts or is_drive or "\0" in path:
        raise CosupError(f"{where}: {path!r} is no path inside the data set's folder")
    return "/".join(parts)
