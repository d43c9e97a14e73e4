"""Named splits of a list of images; each depends on its name, its options and the seed only."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cosup.tasks.layouts.image_list import ImageList
from cosup.tasks.registry import check_seed
from cosup.utils.validation import CosupError, IntArray, check_choice, check_positive

SPLITS = ("published", "official", "random", "stratified", "domain")
_SHARES = {"train": 0.8, "test": 0.2}


def split_images(
    images: ImageList,
    name: str,
    *,
    seed: int = 0,
    n_train: int = 40_000,
    shares: Mapping[str, float] | None = None,
    domain: str | None = None,
) -> dict[str, IntArray]:
    """Split images by name.

    Parameters
    ----------
    images : ImageList
    name : {"published", "official", "random", "stratified", "domain"}
        ``"published"``: of the images that the layout has in its split ``val`` (all, if it has no splits), in
        their order, the first `n_train` after ``np.random.default_rng(seed).shuffle`` are ``train``, the rest
        ``test``, both in the shuffled order; what is not in ``val`` is left out. ``"official"``: the layout's
        own, under its own names. ``"random"``: by `shares`. ``"stratified"``: by `shares` in every class of
        every domain. ``"domain"``: `domain` is ``test``, the others ``train``.
    seed : int, default 0
        For all but ``"official"`` and ``"domain"``, where nothing is random.
    n_train : int, default 40,000
        For ``"published"``: that of Burns et al. (2023) and Liu & Alahi (2024).
    shares : mapping of str to float, optional
        For ``"random"`` and ``"stratified"``: part -> share; they add up to 1. Default: 0.8 ``train``, 0.2
        ``test``.
    domain : str, optional
        For ``"domain"``.

    Returns
    -------
    dict of str to ndarray of int64
        Part -> indexes into `images`; ascending, but for ``"published"``.

    Raises
    ------
    CosupError
        If the name is unknown, the layout lacks what the split is made of, or a part would be empty.
    """
    check_choice(name, SPLITS, "split")
    rng = np.random.default_rng(check_seed(seed, name="seed"))
    if name == "published":
        parts = _published(images, rng, n_train)
    elif name == "official":
        if images.splits is None:
            raise CosupError(f"{images.root} has no official split; use 'stratified' or 'random'")
        parts = {str(part): np.flatnonzero(images.splits == part) for part in np.unique(images.splits)}
    elif name == "domain":
        if images.domains is None or domain is None:
            raise CosupError("the split 'domain' needs images with domains, and the argument domain")
        check_choice(domain, images.domain_names, "domain")
        chosen = images.domains == images.domain_names.index(domain)
        parts = {"train": np.flatnonzero(~chosen), "test": np.flatnonzero(chosen)}
    else:
        parts = _by_shares(images, rng, _check_shares(shares or _SHARES), by_class=name == "stratified")
    for part, indexes in parts.items():
        if len(indexes) == 0:
            raise CosupError(f"the part {part!r} of the split {name!r} of {len(images)} images is empty")
    return parts


def _published(images: ImageList, rng: np.random.Generator, n_train: int) -> dict[str, IntArray]:
    check_positive(n_train, "n_train", integer=True)
    order = np.arange(len(images)) if images.splits is None else np.flatnonzero(images.splits == "val")
    if len(order) == 0:
        raise CosupError("the published split is one of the split 'val', and no image is in it")
    if len(order) <= n_train:
        raise CosupError(
            f"the published split trains on {n_train} images and tests on the rest, but there are {len(order)}; "
            "give n_train (four fifths are as published)"
        )
    rng.shuffle(order)
    return {"train": order[:n_train], "test": order[n_train:]}


def _check_shares(shares: Mapping[str, float]) -> Mapping[str, float]:
    for part, share in shares.items():
        check_positive(share, f"the share of {part!r}")
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise CosupError(f"shares must add up to 1, got {dict(shares)}")
    return shares


def _by_shares(
    images: ImageList, rng: np.random.Generator, shares: Mapping[str, float], *, by_class: bool
) -> dict[str, IntArray]:
    cells = np.zeros(len(images), dtype=np.int64)
    if by_class:
        domains = 0 if images.domains is None else images.domains
        cells = (images.labels + 1) + domains * (len(images.class_names) + 1)
    part_of = np.empty(len(images), dtype=np.int64)
    bounds = np.cumsum(list(shares.values()))[:-1]
    order = np.argsort(cells, kind="stable")
    starts = np.flatnonzero(np.diff(cells[order])) + 1
    for cell in np.split(order, starts):
        members = rng.permutation(cell)
        for part, chosen in enumerate(np.split(members, np.round(bounds * len(members)).astype(int))):
            part_of[chosen] = part
    return {name: np.flatnonzero(part_of == part) for part, name in enumerate(shares)}
