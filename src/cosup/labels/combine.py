"""Several sources of labels into one: rules, models and annotators side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cosup.labels.checks import sort_names
from cosup.labels.imported_labels import ImportedLabels
from cosup.labels.top_k import TopK
from cosup.utils.available_memory import check_memory
from cosup.utils.validation import CosupError

__all__ = ["combine_labels", "extend_labels"]


def combine_labels(parts: Sequence[ImportedLabels]) -> ImportedLabels:
    """Put labels of several sources side by side.

    Parameters
    ----------
    parts : sequence of ImportedLabels
        All with ids, which join them: a teacher abstains on what its source does not know. Or all without, and of the
        same samples in the same order.

    Returns
    -------
    ImportedLabels
        Soft if any part is; `TopK` if a part is, and the others are hard or are, too. Class names are those of all
        parts, samples in the order of their first appearance. What the former lack of one is spread over all
        classes of all parts.

    Raises
    ------
    CosupError
        If two teachers have one name, only some parts have ids, parts without ids differ in length, or probabilities of
        all classes don't fit into memory.

    Examples
    --------
    >>> rules = ImportedLabels([[0], [1], [1]], ["bug", "praise"], names=["rule"], ids=["a", "b", "c"])
    >>> person = ImportedLabels([[1], [0]], ["bug", "praise"], names=["ann"], ids=["c", "a"])
    >>> combine_labels([rules, person]).hard().tolist()
    [[0, 0], [1, -1], [1, 1]]
    """
    parts = list(parts)
    if not parts:
        raise CosupError("there are no labels to combine")
    if len(parts) == 1:
        return parts[0]
    names: list[str] = []
    for part in parts:
        for name in part.names:
            if name in names:
                raise CosupError(
                    f"{part.source or 'the labels'}: there is a teacher {name!r} in another source too; rename one"
                )
            names.append(name)
    ids = _ids(parts)
    classes = _classes(parts)
    rows = None if ids is None else {name: row for row, name in enumerate(ids)}
    n_samples = len(parts[0]) if ids is None else len(ids)
    sparse = any(part.is_sparse for part in parts) and all(part.is_sparse or not part.is_soft for part in parts)
    soft = not sparse and any(part.is_soft for part in parts)
    merged: Any
    if sparse:
        k = max(part.annotations.k if part.is_sparse else 1 for part in parts)
        kind = np.result_type(*(part.annotations.probabilities for part in parts if part.is_sparse))
        shares = np.full((n_samples, len(names), k), np.nan, dtype=kind)
        merged = np.full((n_samples, len(names), k), -1, dtype=np.int32)
    elif soft:
        check_memory(
            4 * n_samples * len(names) * len(classes),
            f"probabilities of {len(classes)} classes by {len(names)} teachers",
            "give those of all classes as their most probable ones too: ImportedLabels of cosup.TopK.of(probabilities)",
        )
        merged = np.full((n_samples, len(names), len(classes)), np.nan, dtype=np.float32)
    else:
        merged = np.full((n_samples, len(names)), -1, dtype=np.int32)
    specialties: list[list[int] | None] = []
    first = 0
    for part in parts:
        place = np.array([classes.index(name) for name in part.class_names])
        where = slice(None) if rows is None else np.array([rows[name] for name in part.ids or ()])
        its = slice(first, first + part.n_teachers)
        if sparse:
            merged[where, its], shares[where, its] = _listed(part, place, k)
        else:
            merged[where, its] = _spread(part, place, len(classes)) if soft else np.append(place, -1)[part.hard()]
        specialties += [None if classes_ is None else place[classes_].tolist() for classes_ in part.specialties]
        first += part.n_teachers
    annotations = TopK(merged, shares, len(classes)) if sparse else merged
    return ImportedLabels(
        annotations, classes, levels=np.concatenate([part.levels for part in parts]), specialties=specialties,
        names=names, ids=ids, source=", ".join(dict.fromkeys(part.source for part in parts if part.source)),
        notes=[f"{part.source}: {note}" if part.source else note for part in parts for note in part.notes],
    )  # fmt: skip


def extend_labels(labels: ImportedLabels, more: ImportedLabels) -> ImportedLabels:
    """Add samples and teachers to labels; a teacher of both goes on, and its later answers count.

    Parameters
    ----------
    labels, more : ImportedLabels
        With ids, or of the same samples in the same order.

    Returns
    -------
    ImportedLabels
        Levels and specialties of teachers of both are those of `labels`.

    Raises
    ------
    CosupError
        As `combine_labels`, but for teachers of the same name.

    Examples
    --------
    >>> monday = ImportedLabels([[0], [1]], ["bug", "praise"], names=["rule"], ids=["a", "b"])
    >>> tuesday = ImportedLabels([[0, 1], [1, 1]], ["bug", "praise"], names=["rule", "ann"], ids=["b", "c"])
    >>> both = extend_labels(monday, tuesday)
    >>> both.names, both.hard().tolist()
    (('rule', 'ann'), [[0, -1], [0, 1], [1, 1]])
    """
    later = {name: f"{name} " for name in more.names if name in labels.names}
    renamed = ImportedLabels(
        more.annotations, more.class_names, levels=more.levels, specialties=more.specialties,
        names=[later.get(name, name) for name in more.names], ids=more.ids, source=more.source, notes=more.notes,
    )  # fmt: skip
    both = combine_labels([labels, renamed])
    speaks = both.speaks()
    whole: Any = both.annotations
    parts = [whole.classes, whole.probabilities] if both.is_sparse else [whole]
    for name, again in later.items():
        first, second = both.names.index(name), both.names.index(again)
        rows = np.flatnonzero(speaks[:, second])
        for part in parts:
            part[rows, first] = part[rows, second]
    kept = [t for t, name in enumerate(both.names) if name not in later.values()]
    merged, *shares = (part[:, kept] for part in parts)
    if shares:
        merged = TopK(np.where(merged == both.n_classes, -1, merged.astype(np.int32)), shares[0], both.n_classes)
    return ImportedLabels(
        merged, both.class_names, levels=both.levels[kept], specialties=[both.specialties[t] for t in kept],
        names=[both.names[t] for t in kept], ids=both.ids, source=both.source, notes=both.notes,
    )  # fmt: skip


def _ids(parts: Sequence[ImportedLabels]) -> tuple[str, ...] | None:
    without = [part for part in parts if part.ids is None]
    if not without:
        return tuple(dict.fromkeys(name for part in parts for name in part.ids or ()))
    if len(without) < len(parts):
        raise CosupError(
            f"{without[0].source or 'one source of labels'} has no ids, but another source has; give all a column 'id'"
        )
    for part in parts:
        if len(part) != len(parts[0]):
            raise CosupError(
                f"{part.source or 'one source of labels'} has {len(part)} samples, but "
                f"{parts[0].source or 'the first'} has {len(parts[0])}; without ids they must describe the same "
                "samples in the same order"
            )
    return None


def _classes(parts: Sequence[ImportedLabels]) -> tuple[str, ...]:
    if all(part.class_names == parts[0].class_names for part in parts):
        return parts[0].class_names
    return sort_names({name for part in parts for name in part.class_names})


def _spread(part: ImportedLabels, place: Any, n_classes: int) -> Any:
    """Spread a part's probabilities to all classes."""
    out = np.full((len(part), part.n_teachers, n_classes), np.nan, dtype=np.float32)
    for t in range(part.n_teachers):
        speaks = np.flatnonzero(part.speaks()[:, t])
        block = np.zeros((len(speaks), n_classes), dtype=np.float32)
        block[:, place] = part.probabilities(t, speaks)
        out[speaks, t] = block
    return out


def _listed(part: ImportedLabels, place: Any, k: int) -> tuple[Any, Any]:
    """List a part's classes and their probabilities, `k` an annotation; hard annotations have probability 1."""
    if isinstance(part.annotations, TopK):
        ids, shares = np.append(place, -1)[part.annotations.classes], part.annotations.probabilities
    else:
        ids = np.append(place, -1)[part.hard()][:, :, None]
        shares = np.where(ids >= 0, 1.0, np.nan)
    more = ((0, 0), (0, 0), (0, k - ids.shape[2]))
    silent = np.isnan(shares).all(axis=2, keepdims=True)
    return np.pad(ids, more, constant_values=-1), np.where(silent, np.nan, np.pad(shares, more))
