"""DomainNet: six domains of 345 classes, with the official lists DOMAIN_train.txt and DOMAIN_test.txt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cosup.tasks.layouts.files import Files
from cosup.tasks.layouts.folders import Found, gather
from cosup.tasks.layouts.image_list import ImageList, check_relative
from cosup.tasks.layouts.lines import read_lines, to_int
from cosup.utils.validation import CosupError, check_choice

DOMAINS = ("clipart", "infograph", "painting", "quickdraw", "real", "sketch")
_PARTS = ("train", "test")
#: Where the official lists are looked for.
LIST_FOLDERS = ("", "splits", "lists", "image_list", "txt")
#: What DomainBed calls the list of images that are in the original archives twice, and what others do.
DUPLICATE_LISTS = ("domain_net_duplicates.txt", "duplicates.txt")


def find_lists(files: Files) -> str | None:
    """Return the folder that holds the official lists, or None."""
    known = {f"{domain}_{part}.txt" for domain in DOMAINS for part in _PARTS}
    for place in LIST_FOLDERS:
        if (not place or place in files.folders()) and known & set(files.files(place)):
            return place
    return None


def read_domainnet(
    files: Files, *, domains: Sequence[str] | None = None, duplicates: str | Path | None = None
) -> ImageList:
    """Read DomainNet by its official lists.

    Every line of a list is ``DOMAIN/CLASS/FILE LABEL``; classes are named by their folders and numbered as the
    lists number them. `duplicates` is a file that names images to leave out, one a line; it is found by itself
    under the name that DomainBed gives it.
    """
    place = find_lists(files)
    if place is None:
        raise CosupError(
            f"{files.root} has none of DomainNet's lists (clipart_train.txt, clipart_test.txt, ...); they lie on "
            "http://ai.bu.edu/M3SDA. Without them: layout='domains'"
        )
    chosen = [d for d in DOMAINS if d in files.folders()] if domains is None else list(domains)
    for domain in chosen:
        check_choice(domain, DOMAINS, "domain")
    left_out = _read_duplicates(files, duplicates)
    names: dict[int, str] = {}
    listed: dict[str, str] = {}
    found: list[Found] = []
    # The lists of all domains: a class may be missing in one (t-shirt in painting), and keeps its number.
    for domain in DOMAINS:
        for part in _PARTS:
            file = files.root / place / f"{domain}_{part}.txt"
            if not file.is_file():
                if domain in chosen:
                    raise CosupError(f"the list {file} is missing; it lies on http://ai.bu.edu/M3SDA")
                continue
            for line, where in read_lines(file):
                path, label = _parse(line, where, domain)
                _name(names, label, path, where)
                if domain not in chosen or path in left_out:
                    continue
                if path in listed:
                    raise CosupError(f"{where}: {path} is listed already, in {listed[path]}")
                listed[path] = where
                found.append(Found(files.find(path, where), names[label], domain, part))
    missing = sorted(set(range(max(names, default=-1) + 1)) - set(names))
    if missing:
        raise CosupError(
            f"no list of {files.root} has an image of the class {missing[0]} ({len(missing)} classes in all), so its "
            "name is unknown; add the lists of the other domains, their images are not needed"
        )
    return gather(files, found, [names[label] for label in sorted(names)])


def _parse(line: str, where: str, domain: str) -> tuple[str, int]:
    name, space, label = line.rpartition(" ")
    path = check_relative(name.strip(), where) if space else ""
    parts = PurePosixPath(path).parts
    if len(parts) != 3 or parts[0] != domain:
        raise CosupError(f"{where}: '{domain}/CLASS/FILE LABEL' is expected, got {line!r}")
    number = to_int(label, where)
    if number < 0:
        raise CosupError(f"{where}: the label {number} is out of range")
    return path, number


def _name(names: dict[int, str], label: int, path: str, where: str) -> None:
    name = path.split("/")[1]
    if names.setdefault(label, name) != name:
        raise CosupError(f"{where}: the label {label} is that of {names[label]!r} elsewhere, and {name!r} here")


def _read_duplicates(files: Files, given: str | Path | None) -> set[str]:
    if given is not None:
        file = Path(given)
        file = file if file.is_file() else files.root / file
    else:
        names = [name for name in DUPLICATE_LISTS if name in files.files()]
        if not names:
            return set()
        file = files.root / names[0]
    # A name that no list has is no fault: the cleaned lists lack the duplicates already.
    return {check_relative(line, where) for line, where in read_lines(file)}
