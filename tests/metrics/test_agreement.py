"""Agreement of annotators against published worked examples and against counting."""

import math
from itertools import combinations

import numpy as np
import pytest

from cosup.metrics import annotator_agreement, pairwise_agreement


def test_krippendorffs_own_example():
    # Krippendorff (2011), Computing Krippendorff's alpha-reliability, C: four observers, twelve units, nominal: 0.743.
    units = [
        "1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 .",
    ]  # fmt: skip
    said = np.array([[-1 if word == "." else int(word) - 1 for word in row.split()] for row in units]).T
    assert annotator_agreement(said, 5).alpha == pytest.approx(0.743, abs=5e-4)
    assert annotator_agreement(said, 5).samples == 11


def test_fleiss_own_example():
    # The worked example of Fleiss' kappa (ten subjects, fourteen raters, five categories): 0.210.
    counts = np.array([
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ])  # fmt: skip
    said = np.array([np.repeat(np.arange(5), row) for row in counts])
    assert annotator_agreement(said, 5).kappa == pytest.approx(0.210, abs=5e-4)


def test_pairs_are_counted():
    rng = np.random.default_rng(0)
    said = rng.integers(-1, 3, (60, 5))
    pairs = [(row[a], row[b]) for row in said for a, b in combinations(range(5), 2) if row[a] >= 0 and row[b] >= 0]
    assert annotator_agreement(said, 3).pairs == pytest.approx(np.mean([a == b for a, b in pairs]))
    found = pairwise_agreement(said)
    both = (said[:, 0] >= 0) & (said[:, 3] >= 0)
    assert found[0, 3] == found[3, 0] == pytest.approx((said[both, 0] == said[both, 3]).mean())
    np.testing.assert_array_equal(np.diag(found), 1)


def test_blocks_change_nothing(monkeypatch):
    said = np.random.default_rng(1).integers(-1, 4, (50, 6))
    whole = annotator_agreement(said, 4)
    monkeypatch.setattr("cosup.metrics.agreement.BLOCK", 20)
    np.testing.assert_allclose(annotator_agreement(said, 4), whole)


def test_nothing_to_compare_is_nan():
    alone = annotator_agreement(np.array([[0, -1], [-1, 1]]), 2)
    assert alone.samples == 0
    assert math.isnan(alone.alpha)
    assert math.isnan(annotator_agreement(np.zeros((5, 2), dtype=int), 2).alpha)
    assert math.isnan(pairwise_agreement(np.array([[0, -1], [-1, 1]]))[0, 1])
