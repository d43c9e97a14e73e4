"""The files of a data set: what is in its folders, and whether a name from a list is one of them."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

from cosup.embedding.read_images import check_inside, walk_images
from cosup.tasks.layouts.image_list import check_relative
from cosup.utils.validation import CosupError


class Files:
    """The folder of a data set, each of whose folders is listed once.

    Parameters
    ----------
    root : Path

    Raises
    ------
    CosupError
        If `root` is no folder.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise CosupError(f"{root} is not a folder" if root.exists() else f"there is no folder {root}")
        self.root = root
        self._listed: dict[str, dict[str, bool]] = {}

    @cached_property
    def _resolved(self) -> Path:
        return self.root.resolve()

    def folders(self, place: str = "") -> list[str]:
        """Return the names of the folders in `place`, sorted; hidden ones are left out."""
        return sorted(n for n, is_folder in self._list(place).items() if is_folder and not n.startswith("."))

    def files(self, place: str = "") -> list[str]:
        """Return the names of the files in `place`, sorted; hidden ones are left out."""
        return sorted(n for n, is_folder in self._list(place).items() if not is_folder and not n.startswith("."))

    def images(self, place: str = "") -> list[str]:
        """Return the images in `place` and the folders inside it, folder by folder, as torchvision orders them."""
        return sorted(walk_images(self.root, place), key=lambda path: path.rpartition("/")[::2])

    def find(self, name: str, where: str) -> str:
        """Return the image that a list names, in its plain form.

        Raises
        ------
        CosupError
            If it leaves the folder, or is not there; `where` (file and line) begins the message.
        """
        path = check_relative(name, where)
        folder, _, file = path.rpartition("/")
        parts = folder.split("/") if folder else []
        for depth, part in enumerate(parts):
            if not self._list("/".join(parts[:depth])).get(part, False):
                raise CosupError(f"{where}: there is no folder {self.root / '/'.join(parts[: depth + 1])}")
        if self._list(folder).get(file, True):
            raise CosupError(f"{where}: there is no image {self.root / path}")
        return path

    def _list(self, place: str) -> dict[str, bool]:
        """Return the names in a folder, and whether each is a folder."""
        if place not in self._listed:
            try:
                with os.scandir(self.root / place) as entries:
                    found = {entry.name: entry.is_dir() for entry in entries if self._keep(entry)}
            except OSError as error:
                raise CosupError(f"the folder {self.root / place} cannot be listed: {error.strerror}") from error
            self._listed[place] = found
        return self._listed[place]

    def _keep(self, entry: os.DirEntry[str]) -> bool:
        if entry.is_symlink():
            check_inside(Path(entry.path), self._resolved)
        return True
