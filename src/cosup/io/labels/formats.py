"""Label formats: the reader of a file of labels, by the file's extension; plugins add to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cosup.labels.imported_labels import ImportedLabels
from cosup.labels.teacher_labels import TeacherLabels
from cosup.utils.errors import CosupError
from cosup.utils.registry import Registry

__all__ = ["LABEL_FORMATS", "LabelOptions", "register_label_format"]


@dataclass(frozen=True)
class LabelOptions:
    """Options of `cosup.io.labels.read_labels`, which a format obeys as far as they concern it.

    Attributes
    ----------
    class_names : sequence of str, optional
    abstain : sequence of str
    teacher : str, optional
    columns : mapping
        Names of columns of tables: ``id``, ``task``, ``worker``, ``label``, ``workers``; and what separates the classes
        of an annotation that leaves several open, ``one_of``.
    """

    class_names: Sequence[str] | None = None
    abstain: Sequence[str] = ()
    teacher: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)


Reader = Callable[[Path, LabelOptions], ImportedLabels]
AnyReader = TypeVar("AnyReader", bound=Callable[[Path], TeacherLabels])

LABEL_FORMATS: Registry[Reader] = Registry("label format")
"""Readers by the extension of the files that they read."""


def register_label_format(extension: str) -> Callable[[AnyReader], AnyReader]:
    """Register the decorated function as the reader of files with an extension.

    Parameters
    ----------
    extension : str
        The extension in lower case, with its dot: ``".votes"``.

    Returns
    -------
    decorator
        For a function of a path that returns `ImportedLabels`, or `TeacherLabels`, whose classes are called by the
        names that `read_labels` is given, or by their ids.

    Raises
    ------
    CosupError
        If the extension is taken, or is none.

    Examples
    --------
    >>> import json
    >>> from cosup import ImportedLabels, register_label_format
    >>> @register_label_format(".votes")  # doctest: +SKIP
    ... def votes(path):
    ...     rows = json.loads(path.read_text())
    ...     return ImportedLabels([row["votes"] for row in rows], ["no", "yes"], ids=[row["id"] for row in rows])
    """
    if not (extension.startswith(".") and extension == extension.lower() and len(extension) > 1):
        raise CosupError(f"a label format is registered by its extension in lower case, as '.votes', not {extension!r}")

    def reader(read: AnyReader) -> Reader:
        return lambda path, options: _with_names(read(path), path, options.class_names)

    return LABEL_FORMATS.decorator(extension, reader)


def _with_names(labels: TeacherLabels, path: Path, class_names: Sequence[str] | None) -> ImportedLabels:
    """Give labels from a plugin's reader their names of classes and the file that they are from."""
    if not isinstance(labels, TeacherLabels):
        raise CosupError(
            f"{path}: the reader of {path.suffix} files must return ImportedLabels or TeacherLabels, "
            f"got {type(labels).__name__}"
        )
    if not isinstance(labels, ImportedLabels):
        names = [str(c) for c in range(labels.n_classes)] if class_names is None else class_names
        if len(names) != labels.n_classes:
            raise CosupError(f"{path} holds labels of {labels.n_classes} classes, but {len(names)} are named")
        return ImportedLabels.of(labels, names, source=str(path))
    if class_names is not None and tuple(class_names) != labels.class_names:
        raise CosupError(
            f"{path} names the classes {', '.join(labels.class_names)}, not {', '.join(class_names)}; name the same in "
            "this order, or leave them out"
        )
    labels.source = labels.source or str(path)
    return labels
