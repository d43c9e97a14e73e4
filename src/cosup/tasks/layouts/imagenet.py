"""ImageNet (ILSVRC 2012): train and val as class folders, or a flat val with the file that says its classes."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cosup.tasks.layouts.files import Files
from cosup.tasks.layouts.folders import Found, class_folders, gather
from cosup.tasks.layouts.image_list import ImageList
from cosup.tasks.layouts.lines import read_lines, to_int
from cosup.utils.validation import CosupError, check_choice

PARTS = ("train", "val")
WNID = re.compile(r"n\d{8}")
#: Where ``train`` and ``val`` lie: in the root, or as Kaggle's archive has them.
PLACES = ("", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC")
_VAL_FOLDERS = ("val", "validation", "ILSVRC2012_img_val")
_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_DEVKITS = ("ILSVRC2012_devkit_t12/data", "ILSVRC2012_devkit_t12", "devkit/data", "devkit", "data", "")
_MAPPINGS = (
    "LOC_val_solution.csv",
    "imagenet_2012_validation_synset_labels.txt",
    "ILSVRC2012_validation_synset_labels.txt",
    "synset_labels.txt",
    "val.txt",
    "val_map.txt",
)
# What scipy raises for a file that is damaged or another, beside its own.
_NO_META = (OSError, ValueError, TypeError, LookupError, NotImplementedError, struct.error, zlib.error)
_NUMBERED = re.compile(r"ILSVRC2012_val_(\d{8})\.")


def find_parts(files: Files) -> dict[str, str]:
    """Return where ``train`` and ``val`` lie in the root: part -> folder."""
    for place in PLACES:
        folder = files.root / place
        if not folder.is_dir():
            continue
        names = files.folders(place)
        parts = {"train": "train"} if "train" in names else {}
        val = next((name for name in _VAL_FOLDERS if name in names), None)
        parts |= {"val": val} if val else {}
        if parts:
            return {part: f"{place}/{name}" if place else name for part, name in parts.items()}
    return {}


def read_imagenet(
    files: Files,
    *,
    part: str = "all",
    mapping: str | Path | None = None,
    allow_empty: bool = False,
) -> ImageList:
    """Read ImageNet in torchvision's order: by part, by wnid, by file.

    Classes are the wnids, sorted. A flat val takes its classes from `mapping`, or from the devkit's ground truth
    and ``meta.mat``, or from one of the mapping files that are in use, if one lies in the root.
    """
    check_choice(part, (*PARTS, "all"), "part of ImageNet")
    places = find_parts(files)
    wanted = [p for p in PARTS if p in places] if part == "all" else [part]
    if not wanted or any(p not in places for p in wanted):
        raise CosupError(
            f"{files.root} has no folder {part if part != 'all' else 'train or val'!r} of ImageNet; it holds "
            f"{', '.join(files.folders()[:5]) or 'no folders'}"
        )
    found: list[Found] = []
    classes: list[str] | None = None
    for name in wanted:
        place = places[name]
        if files.folders(place):
            found += class_folders(files, place, split=name, allow_empty=allow_empty)
        elif name == "val":
            flat, classes = _flat_val(files, place, mapping)
            found += flat
        else:
            raise CosupError(f"{files.root / place} holds no class folders")
    if classes is not None:
        unknown = sorted({f.label for f in found if f.label is not None} - set(classes))
        if unknown:
            # A mapping names the classes of its images only: train may have more.
            classes = sorted({*classes, *unknown})
    return gather(files, found, classes)


def _flat_val(files: Files, place: str, mapping: str | Path | None) -> tuple[list[Found], list[str]]:
    images = files.images(place)
    if not images:
        raise CosupError(f"{files.root / place} holds neither class folders nor images")
    file, is_truth = _find_mapping(files, mapping)
    labels = _read_truth(file, images) if is_truth else _read_mapping(file, images, files)
    found = [Found(path, label, split="val") for path, label in zip(images, labels[0], strict=True)]
    # As if it were in class folders, so that a seeded shuffle picks the same images.
    return sorted(found, key=lambda f: (f.label or "", f.path)), labels[1]


def _find_mapping(files: Files, given: str | Path | None) -> tuple[Path, bool]:
    if given is not None:
        file = next((f for f in (Path(given), files.root / given) if f.is_file()), None)
        if file is None:
            raise CosupError(f"there is no mapping file {given}")
        return file, file.name == _TRUTH
    for folder in _DEVKITS:
        if (files.root / folder / _TRUTH).is_file():
            return files.root / folder / _TRUTH, True
    for name in _MAPPINGS:
        if (files.root / name).is_file():
            return files.root / name, False
    raise CosupError(
        f"the images of val in {files.root} lie in no class folders, and nothing says their classes; copy "
        f"ILSVRC2012_devkit_t12 there, or one of {', '.join(_MAPPINGS[:2])}, or name a file by mapping"
    )


def _read_truth(file: Path, images: list[str]) -> tuple[list[str], list[str]]:
    """Read the devkit: the ground truth has one ILSVRC2012_ID a line, and meta.mat says whose it is."""
    from scipy.io import loadmat, matlab

    meta = file.parent / "meta.mat"
    if not meta.is_file():
        raise CosupError(f"{file} needs meta.mat of the devkit beside it: its numbers are not in the wnids' order")
    try:
        synsets = loadmat(meta, squeeze_me=True)["synsets"]
        # The leaves of the tree only: the others are no classes.
        wnids = {int(s[0]): str(s[1]) for s in synsets if int(s[4]) == 0}
    except (matlab.MatReadError, *_NO_META) as error:
        raise CosupError(f"{meta} is not the devkit's meta.mat, or damaged: {error!r}") from error
    lines = list(read_lines(file))
    labels = []
    for text, where in lines:
        number = to_int(text, where)
        if number not in wnids:
            raise CosupError(f"{where}: the label {number} is out of range; {meta} has {len(wnids)} classes")
        labels.append(wnids[number])
    return _align(labels, images, file), sorted(wnids.values())


def _align(labels: list[str], images: list[str], file: Path) -> list[str]:
    """Give the labels of a file with one a line to the images, whose names are numbered or sorted."""
    if len(labels) != len(images):
        raise CosupError(f"{file} has {len(labels)} labels, but there are {len(images)} images in val")
    numbers = [_NUMBERED.search(path) for path in images]
    if not all(numbers):
        return labels
    order = np.array([int(number[1]) for number in numbers if number]) - 1
    if not np.array_equal(np.sort(order), np.arange(len(images))):
        missing = sorted(set(range(len(images))) - set(order.tolist()))
        raise CosupError(f"the image number {missing[0] + 1:08d} that line {missing[0] + 1} of {file} names is missing")
    return [labels[i] for i in order]


def _read_mapping(file: Path, images: list[str], files: Files) -> tuple[list[str], list[str]]:
    """Read ``FILE WNID``, ``FILE NUMBER`` (of the sorted wnids), Kaggle's CSV, or one wnid a line."""
    lines = [(re.split(r"[,\s]+", line), where) for line, where in read_lines(file) if not line.startswith("ImageId,")]
    if all(len(fields) == 1 for fields, _ in lines):
        labels = [_wnid(fields[0], where) for fields, where in lines]
        return _align(labels, images, file), sorted(set(labels))
    by_stem = {Path(path).name.partition(".")[0]: path for path in images}
    name_of = _numbered_classes(files) if all(f[1].isdigit() for f, _ in lines if len(f) > 1) else _wnid
    label_of: dict[str, str] = {}
    for fields, where in lines:
        if len(fields) < 2:
            raise CosupError(f"{where}: 'FILE CLASS' is expected, got {' '.join(fields)!r}")
        path = by_stem.get(Path(fields[0]).name.partition(".")[0])
        if path is None:
            raise CosupError(f"{where}: there is no image {fields[0]} in val")
        if path in label_of:
            raise CosupError(f"{where}: {fields[0]} is listed twice")
        label_of[path] = name_of(fields[1], where)
    for path in images:
        if path not in label_of:
            raise CosupError(f"{file} does not say the class of {path}")
    return [label_of[path] for path in images], sorted(set(label_of.values()))


def _wnid(text: str, where: str) -> str:
    if not WNID.fullmatch(text):
        raise CosupError(f"{where}: a wnid, as n01440764, is expected, got {text!r}")
    return text


def _numbered_classes(files: Files) -> Callable[[str, str], str]:
    """Return what turns a class's number into its wnid: the folders of train say the order."""
    train = find_parts(files).get("train")
    wnids = files.folders(train) if train else []
    if not wnids:
        raise CosupError(
            "the mapping file numbers its classes, which takes the class folders of train to know their names; "
            "use the devkit, or a file with wnids"
        )

    def name(text: str, where: str) -> str:
        number = to_int(text, where)
        if not 0 <= number < len(wnids):
            raise CosupError(f"{where}: the label {number} is out of range; there are {len(wnids)} classes")
        return wnids[number]

    return name
