"""Tables of many teachers: the terminal and the notebook show some, and say how many are left."""

import numpy as np

from cosup import CoSupervisedClassifier, TeacherLabels
from cosup.labels import ImportedLabels
from cosup.utils.tables import MOST, align, foremost


def test_columns_stand_below_one_another_and_numbers_end_below_one_another():
    assert align([("", "votes", "names"), ("ann", "7", "a"), ("bo", "1,234", "b")], right=(1,)) == [
        "     votes  names",
        "ann      7  a",
        "bo   1,234  b",
    ]


def test_the_foremost_rows_keep_their_order():
    weights = np.arange(MOST + 5)[::-1]
    assert foremost(weights) == list(range(MOST))
    assert foremost(-weights) == list(range(5, MOST + 5))
    assert foremost([]) == []


def test_of_a_crowd_those_are_shown_who_annotate_most():
    rng = np.random.default_rng(0)
    n, m = 400, 60
    truth = rng.integers(0, 3, n)
    X = np.eye(3)[truth] + rng.normal(scale=0.3, size=(n, 3))
    said = np.where(rng.random((n, m)) < 0.7, truth[:, None], rng.integers(0, 3, (n, m)))
    said[rng.random((n, m)) > np.linspace(0.02, 0.3, m)] = -1
    said[:, 1] = said[:, 2] = said[:, 0]
    names = [f"worker {t}" for t in range(m)]
    labels = ImportedLabels(said, ["a", "b", "c"], names=names)
    summary, votes = labels.summary(), (said >= 0).sum(axis=0)
    for text in (str(summary), summary._repr_html_()):
        shown = [t for t in range(m) if f"worker {t} " in text or f">worker {t}<" in text]
        assert len(shown) == MOST
        assert votes[shown].min() >= np.delete(votes, shown).max()
        assert f"{m - MOST} more teachers" in text
    assert len(summary.teachers) == m  # all of them stay at hand
    model = CoSupervisedClassifier(random_state=0).fit(X, TeacherLabels(said, names=names))
    for text in (str(model.estimates_), model.estimates_._repr_html_()):
        assert "the student" in text
        assert text.count("worker ") == MOST
        assert f"{m - MOST} more teachers" in text
    assert "2 teachers repeat others and count once: 'worker 1', 'worker 2'" in model.history_[0]["notes"]
