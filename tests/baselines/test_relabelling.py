"""Students that overrule their teachers: their formulas on cases known by hand."""

import numpy as np
import pytest

from cosup import TeacherLabels, make_method
from cosup.baselines.consensus import floored
from cosup.baselines.relabelling import mutual_predictability, shifted
from cosup.students import RidgeProbe


def test_the_shift_by_specialists_over_generalists_by_hand():
    said = np.array([[[0.5, 0.3, 0.2], [0.7, 0.3, 0.0], [0.0, 0.0, 1.0]]])
    labels = TeacherLabels(said, levels=[0, 1, 1], specialties=[None, [0, 1], [2]])
    student = np.array([[0.2, 0.5, 0.3]])
    # The mixture of the level: 0.7 of the first specialist, 0.3 of the second.
    mix = floored(np.array([[0.49, 0.21, 0.3]]))
    by_hand = student * (mix / floored(said[:, 0])) ** 0.5
    np.testing.assert_allclose(shifted(labels, student, 0.5), by_hand / by_hand.sum())
    np.testing.assert_allclose(shifted(labels, student, 0.0), student)


def test_nothing_is_shifted_where_a_level_is_silent():
    said = np.full((1, 2, 2), np.nan)
    said[0, 0] = [0.6, 0.4]
    labels = TeacherLabels(np.concatenate([said, [[[0.6, 0.4], [0.1, 0.9]]]]), levels=[0, 1])[:1]
    np.testing.assert_allclose(shifted(labels, np.array([[0.3, 0.7]]), 1.0), [[0.3, 0.7]])


def test_mutual_predictability_leaves_every_sample_out():
    rng = np.random.default_rng(0)
    y = np.arange(24) % 2
    X = rng.standard_normal((24, 3)) + 1.5 * np.eye(2, 3)[y]
    probe = RidgeProbe(alpha=0.5, calibration="scores")
    trainer = probe.prepare(X)
    first = trainer.train(y, n_classes=2)
    fit = trainer.like(first).train(y, n_classes=2)
    left_out = []
    for i in range(24):
        mask = np.arange(24) != i
        scores = trainer.like(first).train(y, train_mask=mask, n_classes=2).in_sample[i]
        left_out.append(np.log(scores[y[i]]))
    assert mutual_predictability(fit, y) == pytest.approx(sum(left_out), rel=0.02)


def blobs(seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(240) % 3
    X = 3 * np.eye(3, 5)[y] + rng.standard_normal((240, 5))
    weak = np.where(rng.random(240) < 0.3, rng.integers(3, size=240), y)
    return X, y, weak


@pytest.mark.parametrize("name", ["selective", "two-stage", "coherence", "log-odds"])
def test_a_student_overrules_random_mistakes(name):
    X, y, weak = blobs()
    model = make_method(name, random_state=0).fit(X, TeacherLabels(weak[:, None]))
    assert model.score(X, y) > 0.95


def test_labels_cohere_more_after_the_search():
    X, y, weak = blobs(1)
    model = make_method("coherence", random_state=0).fit(X, TeacherLabels(weak[:, None]))
    sought = model.provenance_["annotation"][:, 0]
    assert (sought == y).mean() > (weak == y).mean() + 0.1
    fit = RidgeProbe().prepare(X).train(weak, n_classes=3)
    other = RidgeProbe().prepare(X).like(fit).train(sought, n_classes=3)
    assert mutual_predictability(other, sought) > mutual_predictability(fit, weak)


def test_uncertain_labels_are_left_out_and_relabelled():
    X, _, weak = blobs(2)
    model = make_method("two-stage", keep_rate=0.5, random_state=0).fit(X, TeacherLabels(weak[:, None]))
    assert model.history_[0]["keep_rate"] == 0.5
    assert "60 of 120 uncertain samples" in model.history_[0]["notes"][0]


def test_a_student_that_always_knows_answers_itself():
    X, _, weak = blobs(3)
    labels = TeacherLabels(weak[:, None])
    alone = make_method("selective", threshold=0.0, random_state=0).fit(X, labels)
    assert "100%" in alone.history_[0]["notes"][0]
    never = make_method("selective", threshold=1.0, random_state=0).fit(X, labels)
    assert "100%" not in never.history_[0]["notes"][0]
