"""Plugins: a user's module that registers steps, students, methods, tasks, backbones or label formats.

A plugin runs only where somebody names it: ``--plugin`` on the command line, `load_plugins` or an import in Python.
A name in a file never loads one.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from cosup.utils.errors import CosupError
from cosup.utils.registry import snapshot

__all__ = ["import_file", "lasting_name", "load_plugins", "loaded_plugins"]

_LOADED: dict[str, None] = {}


def load_plugins(plugins: Iterable[str]) -> None:
    """Import modules, so that what they register is known here.

    Parameters
    ----------
    plugins : iterable of str
        Each a dotted module name, or the path of a file that ends in ``.py``. One that was imported already is left
        as it is.

    Raises
    ------
    CosupError
        If a module cannot be found, or raises an error while it is imported; nothing of it is registered then.
    """
    for plugin in plugins:
        restore = snapshot()
        try:
            if plugin.endswith(".py"):
                _load_file(Path(lasting_name(plugin)))
            else:
                importlib.import_module(plugin)
        except CosupError:
            restore()
            raise
        except Exception as error:
            restore()
            raise CosupError(
                f"the plugin {plugin!r} cannot be imported: {type(error).__name__}: {error}; "
                "give a module's dotted name or the path of a .py file"
            ) from error
        _LOADED[lasting_name(plugin)] = None


def loaded_plugins() -> tuple[str, ...]:
    """Name the plugins that `load_plugins` imported here, files by their whole paths: for one's own workers."""
    return tuple(_LOADED)


def lasting_name(plugin: str) -> str:
    """Name a plugin so that it is found from another folder: a file by its whole path."""
    return str(Path(plugin).expanduser().resolve()) if plugin.endswith(".py") else plugin


def _load_file(path: Path) -> None:
    if any(getattr(module, "__file__", None) == str(path) for module in tuple(sys.modules.values())):
        return
    if not path.is_file():
        raise CosupError(f"the plugin {path} is not a file")
    import_file(path, f"cosup_plugin_{path.stem}")


def import_file(path: Path, prefix: str) -> ModuleType:
    """Run a Python file as a module, called by `prefix` and a hash of the path.

    So two files of one name are two modules, and every process has the same name for one of them.
    """
    name = f"{prefix}_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
