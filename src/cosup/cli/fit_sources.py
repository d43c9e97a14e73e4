"""The inputs that a fit's manifest names, read in order: labels, lists of samples, features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cosup.cli.fit_inputs import check_one_source, gather_features, gather_labels, join, without_unreadable
from cosup.cli.fit_options import InputOptions
from cosup.embedding.backbones.trust import Trust
from cosup.embedding.read_images import list_image_files
from cosup.io.features import Features, read_features
from cosup.io.texts import read_texts
from cosup.labels import ImportedLabels, extend_labels
from cosup.utils.validation import CosupError, some

__all__ = ["check_join", "features_of", "labels_of", "stack", "trust_inputs"]


def labels_of(inputs: Sequence[InputOptions]) -> ImportedLabels:
    """Read all labels, those of later inputs beside or below those of earlier ones."""
    labels: ImportedLabels | None = None
    for own in inputs:
        if own.files or own.probabilities or labels is None:
            # What is added may name a part of the classes, or misspell one; a new one is named by --classes.
            more = gather_labels(own, own.classes or (None if labels is None else labels.class_names))
            labels = more if labels is None else extend_labels(labels, more)
        labels = labels.arrange(own.level, own.specialties)
    assert labels is not None
    return labels


def check_join(sources: Sequence[InputOptions], labels: ImportedLabels, *, partial: bool, match: str | None) -> None:
    """Raise `CosupError` where labels do not go with the samples of images and texts, which are only listed."""
    samples: Features | None = None
    for own in sources:
        listed = _listed(own)
        if samples is None:
            samples = listed
        elif samples.ids is not None and listed.ids is not None:
            ids = tuple(dict.fromkeys((*samples.ids, *listed.ids)))
            samples = Features(f"{samples.source}, {listed.source}", np.empty((len(ids), 0)), ids, samples.inputs)
    assert samples is not None
    if any(own.skip_unreadable for own in sources):
        samples = without_unreadable(samples, labels, match)
    join(samples, labels, partial=partial, match=match)


def _listed(own: InputOptions) -> Features:
    """List the samples of a source, without features where these are yet to be computed."""
    check_one_source(own)
    if own.features is not None:
        return read_features(own.features)
    if own.images is not None:
        ids, kind = tuple(list_image_files(own.images)), "backbone"
    else:
        assert own.texts is not None
        ids, kind = tuple(read_texts(own.texts)), "encoder"
    return Features(str(own.images or own.texts), np.empty((len(ids), 0)), ids, {kind: ""})


def trust_inputs(own: InputOptions, trust: Trust) -> None:
    """Raise `CosupError` for a recorded backbone or encoder that may not be made."""
    for kind, name in (("backbone", own.backbone), ("encoder", own.encoder)):
        if name is not None:
            trust.check(kind, name)


def features_of(
    own: InputOptions, before: Features | None, store: Path, trust: Trust, kept: Sequence[Path]
) -> Features:
    """Read or compute the features of one input, of the same backbone or encoder as those `before`."""
    trust_inputs(own, trust)
    return gather_features(own, store, kept=kept, trust=trust, made_of=None if before is None else before.inputs)


def stack(before: Features | None, more: Features) -> Features:
    """Features of more samples below those that there were; a sample of both must be the same."""
    if before is None:
        return more
    if before.ids is None or more.ids is None:
        which = before if before.ids is None else more
        raise CosupError(f"{which.source} has no ids, so more samples can't be told from these; give it a column 'id'")
    if before.names is not None:
        more = more.by_name(before.names)
    assert more.ids is not None
    if before.X.shape[1] != more.X.shape[1]:
        raise CosupError(
            f"{more.source} has {more.X.shape[1]} features a sample, but {before.source} has {before.X.shape[1]}; "
            "compute both with the same backbone or encoder"
        )
    place = {name: row for row, name in enumerate(before.ids)}
    known = [row for row, name in enumerate(more.ids) if name in place]
    same = (before.X[[place[more.ids[row]] for row in known]] == more.X[known]).all(axis=1)
    other = [more.ids[row] for row, equal in zip(known, same, strict=True) if not equal]
    if other:
        raise CosupError(
            f"{some(other)} of {more.source} are in {before.source}, too, with other features; if these are other "
            "samples, name them otherwise; if they are the same, fit everything anew"
        )
    new = [row for row, name in enumerate(more.ids) if name not in place]
    ids = (*before.ids, *(more.ids[row] for row in new))
    X = np.concatenate([before.X, more.X[new]])
    return replace(before, source=f"{before.source}, {more.source}", X=X, ids=ids, notes=(*before.notes, *more.notes))
