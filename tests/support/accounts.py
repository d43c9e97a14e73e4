"""Accounts of small fits, made by hand or fitted in no time."""

import numpy as np

from cosup import CoSupervisedClassifier, TeacherLabels
from cosup.provenance import Account, find_nearest, look_first
from fits import flat


def small_account(names=("ant", "bee", "cat"), ids=None):
    """Of 60 samples, three classes and three teachers."""
    X, _, said = flat(60)
    labels = TeacherLabels(said, names=["ann", "bob", "cid"])
    model = CoSupervisedClassifier(random_state=0).fit(X, labels)
    ids = [f"s{i:02}" for i in range(60)] if ids is None else ids
    return Account.of(
        model, labels, X, class_names=names, ids=ids, looking=look_first(X, labels, model), nearest=find_nearest(X)
    )


def by_hand(said, answer, *, classes, names, kept=None):
    """An account of one level, in which the first teacher that speaks was believed; no probability is known."""
    said, answer = np.asarray(said, dtype=np.int32), np.asarray(answer, dtype=np.int32)
    n, m = said.shape
    spoke = said >= 0
    believed = np.where(spoke.any(axis=1), spoke.argmax(axis=1), -1).astype(np.int32)[:, None]
    annotation = np.where(believed >= 0, np.take_along_axis(said, np.maximum(believed, 0), axis=1), -1).astype(np.int32)
    kept = (annotation >= 0) if kept is None else np.asarray(kept)[:, None]
    share, silent = np.full(n, 0.5, np.float32), annotation < 0
    return Account(
        ids=tuple(f"s{i}" for i in range(n)), class_names=tuple(classes), teachers=tuple(names),
        teacher_levels=(0,) * m, specialties=(None,) * m, levels=(0,), annotated=said,
        support=np.where(spoke, 0.5, np.nan).astype(np.float32), assigned=believed, annotation=annotation, kept=kept,
        reason=np.where(kept, 0, np.where(silent, 1, 2)).astype(np.uint8), reasons=("", "abstained", "overruled"),
        reason_texts=("", "nobody names a class", "others were believed"),
        probability=np.where(silent, np.nan, 0.5).astype(np.float32), level_answer=answer[:, None],
        answer=answer, second=np.zeros(n, np.int32), confidence=share, second_confidence=share / 2,
        rank=np.arange(n, dtype=np.int32), doubt=share, dispute=share, influence=share,
    )  # fmt: skip
