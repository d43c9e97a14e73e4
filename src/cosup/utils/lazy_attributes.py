"""Packages whose names are imported when they are first asked for.

A package's ``__init__.pyi`` lists its public names and where each is defined, for type checkers and for Python alike::

    from cosup.labels.top_k import TopK as TopK         # in cosup/labels/__init__.pyi

    __getattr__, __dir__, __all__ = lazy_attributes(__name__, __file__)     # in cosup/labels/__init__.py

This is the first of cosup that runs, before the command line can meet an interrupt: it imports nothing that Python has
not imported already.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["lazy_attributes"]


def lazy_attributes(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make what a package needs to import its names lazily.

    Parameters
    ----------
    package : str
        The package's ``__name__``.
    file : str
        Its ``__file__``; the stub stands beside it.

    Returns
    -------
    tuple
        ``__getattr__``, ``__dir__`` and ``__all__`` of the package.
    """
    homes = _read_stub(file.rpartition(".")[0] + ".pyi")
    names = sorted(homes)

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        import importlib

        value = getattr(importlib.import_module(homes[name]), name)
        # A submodule may have the name of an object in it; the object is what is public under that name.
        setattr(sys.modules[package], name, value)
        return value

    def names_and_globals() -> list[str]:
        return sorted({*vars(sys.modules[package]), *names})

    return get, names_and_globals, names


def _read_stub(path: str) -> dict[str, str]:
    """Read names -> modules that hold them: every line ``from module import name as name`` of the stub."""
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 (pathlib is not imported yet)
        lines = [line.split() for line in file]
    return {line[3]: line[1] for line in lines if len(line) == 6 and line[0] == "from"}
