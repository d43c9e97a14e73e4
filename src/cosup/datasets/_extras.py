"""Modules that only an extra brings; see `cosup._extras`."""

from cosup._extras import import_extra

__all__ = ["import_extra"]
