"""One door to all layouts, and the recognition of which one it is."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cosup.embedding.read_images import IMAGE_SUFFIXES
from cosup.tasks.layouts import domainnet, folders, imagenet, table
from cosup.tasks.layouts.files import Files
from cosup.tasks.layouts.image_list import ImageList
from cosup.tasks.layouts.lines import TABLE_SUFFIXES
from cosup.utils.validation import CosupError, check_choice, suggest

LAYOUTS: dict[str, Callable[..., ImageList]] = {
    "flat": folders.read_flat,
    "folders": folders.read_folders,
    "domains": folders.read_domains,
    "domainnet": domainnet.read_domainnet,
    "imagenet": imagenet.read_imagenet,
    "table": table.read_images_of_table,
}


def read_image_list(root: str | os.PathLike[str], layout: str = "auto", **options: Any) -> ImageList:
    """Read what images a data set has, what they are of, and in which official split, without opening them.

    Parameters
    ----------
    root : path
        The data set's folder; or a CSV, TSV or parquet file, whose paths are relative to its own folder.
    layout : {"auto", "flat", "folders", "domains", "imagenet", "domainnet", "table"}, default "auto"
        ``"flat"``: images of unknown classes, anywhere below `root`.

        ``"folders"``: ``CLASS/...``, or ``SPLIT/CLASS/...`` where all folders are called as splits are (train,
        val, test, ...).

        ``"domains"`` (PACS, OfficeHome, VLCS, DomainNet without its lists): ``DOMAIN/CLASS/...``, or
        ``DOMAIN/SPLIT/CLASS/...``; a folder ``full`` beside those of the splits is left out.

        ``"imagenet"``: ``train/WNID/...`` and ``val/WNID/...``, each if it is there; or a flat ``val`` with the
        devkit (``ILSVRC2012_validation_ground_truth.txt`` and ``meta.mat``) or a mapping file (Kaggle's
        ``LOC_val_solution.csv``; lines ``FILE WNID`` or ``FILE NUMBER``; or one wnid a line).

        ``"domainnet"``: ``DOMAIN/CLASS/...`` by the official lists ``DOMAIN_train.txt`` and ``DOMAIN_test.txt``,
        without the images that ``domain_net_duplicates.txt`` names.

        ``"table"``: columns ``path``, ``label`` and perhaps ``domain`` and ``split``.
    **options
        ``allow_empty`` (folders, domains, imagenet): accept class folders without images. ``part`` (imagenet):
        ``"train"``, ``"val"`` or ``"all"``. ``mapping`` (imagenet): the mapping file. ``domains`` (domainnet):
        which to read. ``duplicates`` (domainnet): the list of what to leave out. ``table`` (table): the file,
        if `root` holds several or it lies elsewhere. ``columns`` (table): ``{"label": "breed", ...}``, the
        columns' own names. ``class_names`` (table): the classes in their order.

    Returns
    -------
    ImageList
        Ordered as torchvision orders it: by split, domain, class, folder and name. Tables and lists: as they
        are.

    Raises
    ------
    CosupError
        If the layout is unknown, not recognised or not what it is named; if a list names a file that is
        not there or leaves `root` (the line is named), a class out of range or an image twice; if a class has
        no image, or a link leads out of `root`.

    Notes
    -----
    Peng et al. (2019) for DomainNet; Russakovsky et al. (2015) for ImageNet; Li et al. (2017) for PACS.
    """
    root = Path(root)
    if root.suffix.lower() in TABLE_SUFFIXES and root.is_file():
        options = {"table": root} | options
        root, layout = root.parent, "table" if layout == "auto" else layout
    files = Files(root)
    if layout == "auto":
        layout = recognise(files)
    check_choice(layout, LAYOUTS, "layout")
    known = [name for name in inspect.signature(LAYOUTS[layout]).parameters if name != "files"]
    for option in options:
        if option not in known:
            takes = suggest(option, known) if known else " It has none."
            raise CosupError(f"the layout {layout!r} has no option {option!r}.{takes}")
    return LAYOUTS[layout](files, **options)


def recognise(files: Files) -> str:
    """Say which layout a folder has.

    Raises
    ------
    CosupError
        If it is none, or may be more than one; the message says what was seen.
    """
    names = files.folders()
    if domainnet.find_lists(files) is not None:
        return "domainnet"
    if _is_imagenet(files):
        return "imagenet"
    tables = [name for name in files.files() if name.lower().endswith(TABLE_SUFFIXES)]
    if tables:
        return "table"
    if not names:
        return "flat"
    if all(name.lower() in folders.SPLIT_NAMES for name in names):
        return "folders"
    inner = {name: files.folders(name) for name in names}
    direct = [name for name in names if any(_is_image(file) for file in files.files(name))]
    if direct:
        return "folders"
    seen = [below for folders in inner.values() for below in folders]
    if len(names) > 1 and len(set(seen)) < len(seen):
        return "domains"
    raise CosupError(
        f"{files.root} holds the folders {', '.join(names[:4])}{', ...' if len(names) > 4 else ''} "
        f"with {', '.join(sorted(set(seen))[:4]) or 'nothing'} in them: no layout that is known for sure. "
        f"Say which it is by layout, one of {', '.join(LAYOUTS)}"
    )


def _is_imagenet(files: Files) -> bool:
    parts = imagenet.find_parts(files)
    for place in parts.values():
        names = files.folders(place)
        if names and all(imagenet.WNID.fullmatch(name) for name in names):
            return True
        if not names and any(file.startswith("ILSVRC2012_val_") for file in files.files(place)):
            return True
    return False


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in IMAGE_SUFFIXES
