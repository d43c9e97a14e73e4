"""Plugins: a user's module that registers methods or tasks, imported by name or by path in every process."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from cosup.utils.validation import CosupError

__all__ = ["load_plugins"]


def load_plugins(plugins: Iterable[str]) -> None:
    """Import modules, so that the methods and tasks that they register are known here.

    Parameters
    ----------
    plugins : iterable of str
        Each a dotted module name, or the path of a file that ends in ``.py``. One that was imported already is left
        as it is.

    Raises
    ------
    CosupError
        If a module cannot be found, or raises an error while it is imported.
    """
    for plugin in plugins:
        try:
            if plugin.endswith(".py"):
                _load_file(Path(plugin).resolve())
            else:
                importlib.import_module(plugin)
        except CosupError:
            raise
        except Exception as error:
            raise CosupError(
                f"the plugin {plugin!r} cannot be imported: {type(error).__name__}: {error}; "
                "give a module's dotted name or the path of a .py file"
            ) from error


def _load_file(path: Path) -> None:
    # A name of its own for every path, so that a second import finds the first.
    name = f"cosup_plugin_{path.stem}_{abs(hash(str(path))):x}"
    if any(getattr(module, "__file__", None) == str(path) for module in tuple(sys.modules.values())):
        return
    if not path.is_file():
        raise CosupError(f"the plugin {path} is not a file")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
