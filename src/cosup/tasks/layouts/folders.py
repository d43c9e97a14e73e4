"""Folders that say what their images are: CLASS, SPLIT/CLASS, DOMAIN/CLASS, or nothing at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cosup.tasks.layouts.files import Files
from cosup.tasks.layouts.image_list import ImageList
from cosup.utils.validation import CosupError

#: A folder's name -> the official split that it stands for.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "crossval": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Found:
    """One image on its way into a list."""

    path: str
    label: str | None
    domain: str | None = None
    split: str | None = None


def gather(files: Files, found: list[Found], class_names: Iterable[str] | None = None) -> ImageList:
    """Make a list of images; classes and domains are sorted by name unless `class_names` says their order."""
    if not found:
        raise CosupError(f"there is no image in {files.root}")
    labels = {f.label for f in found if f.label is not None}
    classes = tuple(sorted(labels) if class_names is None else class_names)
    domains = tuple(sorted({f.domain for f in found if f.domain is not None}))
    number = {name: i for i, name in enumerate(classes)}
    place = {name: i for i, name in enumerate(domains)}
    return ImageList(
        root=files.root,
        paths=tuple(f.path for f in found),
        labels=np.array([-1 if f.label is None else number[f.label] for f in found], dtype=np.int64),
        class_names=classes,
        domains=np.array([place[f.domain or ""] for f in found], dtype=np.int64) if domains else None,
        domain_names=domains,
        splits=np.array([f.split for f in found]) if found[0].split is not None else None,
    )


def class_folders(
    files: Files, place: str, *, domain: str | None = None, split: str | None = None, allow_empty: bool = False
) -> list[Found]:
    """Read a folder of class folders, in torchvision's order: by class, by folder in it, by name."""
    found: list[Found] = []
    for name in files.folders(place):
        below = f"{place}/{name}" if place else name
        images = files.images(below)
        if not images and not allow_empty:
            raise CosupError(
                f"the class folder {files.root / below} holds no image; fill or delete it, or set allow_empty"
            )
        found += [Found(path, name, domain, split) for path in images]
    return found


def read_flat(files: Files) -> ImageList:
    """Read images of unknown classes from anywhere below the root."""
    return gather(files, [Found(path, None) for path in files.images()])


def read_folders(files: Files, *, allow_empty: bool = False) -> ImageList:
    """Read ROOT/CLASS/..., or ROOT/SPLIT/CLASS/... where all folders are named as splits are."""
    names = files.folders()
    if names and all(name.lower() in SPLIT_NAMES for name in names):
        found = [
            f
            for name in names
            for f in class_folders(files, name, split=SPLIT_NAMES[name.lower()], allow_empty=allow_empty)
        ]
    else:
        found = class_folders(files, "", allow_empty=allow_empty)
    return gather(files, found)


def read_domains(files: Files, *, allow_empty: bool = False) -> ImageList:
    """Read ROOT/DOMAIN/CLASS/... or, as releases of VLCS have it, ROOT/DOMAIN/SPLIT/CLASS/...

    Where a domain has a folder ``full`` beside those of its splits, it holds the same images, and is left out.
    """
    found: list[Found] = []
    for domain in files.folders():
        inner = files.folders(domain)
        if not inner:
            raise CosupError(f"the domain {files.root / domain} holds no class folders")
        if not all(name.lower() in SPLIT_NAMES or name.lower() == "full" for name in inner):
            found += class_folders(files, domain, domain=domain, allow_empty=allow_empty)
            continue
        named = {n: SPLIT_NAMES[n.lower()] for n in inner if n.lower() != "full"} or dict.fromkeys(inner)
        for name, split in named.items():
            found += class_folders(files, f"{domain}/{name}", domain=domain, split=split, allow_empty=allow_empty)
    if len({f.split is None for f in found}) > 1:
        raise CosupError(f"some domains of {files.root} have folders for their splits and some have none")
    return gather(files, found)
