"""Packages whose names are imported when they are first asked for.

A package's ``__init__.pyi`` says what it offers and where each name lives, for type checkers and for Python alike::

    from cosup.labels.top_k import TopK as TopK         # in cosup/labels/__init__.pyi

    __getattr__, __dir__, __all__ = lazy_attributes(__name__, __file__)     # in cosup/labels/__init__.py
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
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
    homes = _read_stub(Path(file).with_suffix(".pyi"))
    names = sorted(homes)

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(homes[name]), name)
        # A submodule may bear the name of what it holds; what is public under that name is the latter.
        setattr(sys.modules[package], name, value)
        return value

    def names_and_globals() -> list[str]:
        return sorted({*vars(sys.modules[package]), *names})

    return get, names_and_globals, names


def _read_stub(path: Path) -> dict[str, str]:
    """Read names -> modules that hold them: every ``from module import name as name`` of the stub."""
    homes: dict[str, str] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            homes |= {alias.name: node.module for alias in node.names}
    return homes
