"""Which tool exported a file of labels: recognised by what it holds."""

from __future__ import annotations

from cosup.io.labels import crowds, image_tools, json_lines, label_studio, text_tools
from cosup.io.labels.label_file import EXPORTS, Export, LabelFile

__all__ = ["SHIPPED", "find_export"]

SHIPPED = (crowds, image_tools, json_lines, label_studio, text_tools)
"""The modules whose formats are registered by their import."""

EXPORTS.mark_shipped()


def find_export(file: LabelFile) -> Export | None:
    """The tool's format that a table or JSON is of, the last registered first; None for what is no tool's."""
    if file.is_json or file.table is not None:
        return next((known for known in reversed(list(EXPORTS.values())) if known.recognises(file)), None)
    return None
