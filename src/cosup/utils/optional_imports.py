"""Modules that only an extra brings: imported when needed, with a clear error when missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from cosup.utils.errors import CosupError


def import_extra(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import a module of an optional dependency.

    Parameters
    ----------
    module : str
        Dotted name of the module.
    extra : str
        The extra of cosup that brings it.
    purpose : str
        The purpose that it is needed for; the subject of the error message.

    Returns
    -------
    module

    Raises
    ------
    CosupError
        If the module is not installed. A module that is there but broken raises its own error.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # A module that is installed, but lacks something of its own, is another fault: do not hide it.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise CosupError(
            f"{purpose} needs the package '{error.name}', which is not installed: pip install 'cosup[{extra}]'"
        ) from error
