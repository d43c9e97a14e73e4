"""One door to all layouts, and the recognition of which one it is."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path

from cosup._validation import CosupError, check_choice, suggest
from cosup.datasets.layouts import _folders
from cosup.datasets.layouts._files import Files
from cosup.datasets.layouts._image_list import ImageList

_Reader = Callable[..., ImageList]

LAYOUTS: dict[str, _Reader] = {
    "flat": _folders.read_flat,
    "folders": _folders.read_folders,
    "domains": _folders.read_domains,
}


def read_image_list(root: str | os.PathLike[str], layout: str = "auto", **options: object) -> ImageList:
    """Read what images a data set has, without opening them.

    Parameters
    ----------
    root : path
        The data set's folder.
    layout : str
    **options

    Returns
    -------
    ImageList
    """
    files = Files(Path(root))
    check_choice(layout, LAYOUTS, "layout")
    known = [name for name in inspect.signature(LAYOUTS[layout]).parameters if name != "files"]
    for option in options:
        if option not in known:
            raise CosupError(f"the layout {layout!r} has no option {option!r}.{suggest(option, known)}")
    return LAYOUTS[layout](files, **options)
