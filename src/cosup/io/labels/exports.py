"""Recognise the tool that exported a file of labels, by what the file holds."""

from __future__ import annotations

from collections.abc import Iterator

from cosup.io.labels import crowds, image_tools, json_lines, label_studio, text_tools
from cosup.io.labels.answers import Answer
from cosup.io.labels.label_file import EXPORTS, LabelFile
from cosup.utils.errors import CosupError

__all__ = ["SHIPPED", "answers_of_export", "find_export"]

SHIPPED = (crowds, image_tools, json_lines, label_studio, text_tools)
"""The modules whose formats are registered by their import."""

EXPORTS.mark_shipped()


def find_export(file: LabelFile) -> str | None:
    """Find the tool's format that a table or JSON has, the last registered first; None where there is none."""
    if file.is_json or file.table is not None:
        return next((name for name, known in reversed(list(EXPORTS.items())) if known.recognises(file)), None)
    return None


def answers_of_export(name: str, file: LabelFile) -> Iterator[Answer]:
    """Read a file in a tool's format.

    Raises
    ------
    CosupError
        For what the format's reader refuses, or did not reckon with.
    """
    try:
        yield from EXPORTS[name].read(file)
    except CosupError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise CosupError(
            f"{file.path} looks like an export of {name}, but is not built like one ({type(error).__name__}: {error}); "
            'export it again, or write a record {"id": ..., "label": ...} an answer'
        ) from error
