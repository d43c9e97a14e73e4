"""Estimated accuracies: written to files, of more or fewer teachers, and forgotten where nothing is believed."""

import numpy as np
import pytest

from cosup.estimators.accuracy import Estimates
from cosup.utils.errors import CosupError


def some():
    rng = np.random.default_rng(0)

    def intervals(*shape):
        return np.sort(rng.random((*shape, 3)))[..., [1, 0, 2]]  # an estimate, its lower and upper end

    by_class = intervals(2, 3)
    by_class[1, 2] = np.nan
    return Estimates(intervals(), intervals(2), by_class, ("ann", "bob"), note="made up")


def test_what_was_written_is_read_again():
    known = some()
    again = Estimates.from_json(known.to_json())
    np.testing.assert_allclose(again.overall, known.overall, atol=1e-4)
    np.testing.assert_allclose(again.by_class, known.by_class, atol=1e-4)
    assert again.note == "made up"


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"overall": [[0.5, 0.4]], "byClass": None, "note": ""},
        {"overall": [], "byClass": None, "note": ""},
        {"overall": [[0.5, 0.4, 7.0]], "byClass": None, "note": ""},
        {"overall": [[0.5, 0.6, 0.7]], "byClass": None, "note": ""},
        {"overall": [[0.5, None, 0.7]], "byClass": None, "note": ""},
        {"overall": [[0.5, 0.4, True]], "byClass": None, "note": ""},
        {"overall": [[0.5, 0.4, 0.6]], "byClass": None, "note": None},
        {"overall": [[0.5, 0.4, 0.6]], "byClass": [[0.5, 0.4, 0.6]], "note": ""},
    ],
)
def test_other_content_is_refused(content):
    with pytest.raises(CosupError, match="these are no"):
        Estimates.from_json(content)


def test_a_person_beside_the_teachers_is_not_known():
    known = some()
    more = known.of_teachers(["ann", "bob", "a person"])
    assert np.isnan(more.teachers[2]).all()
    assert np.isnan(more.by_class[2]).all()
    fewer = more.of_teachers(["ann", "bob"])
    np.testing.assert_array_equal(fewer.teachers, known.teachers)
    np.testing.assert_array_equal(fewer.by_class, known.by_class)


def test_nothing_is_known_of_a_model_that_is_not_believed():
    nothing = some().unknown()
    assert np.isnan(nothing.overall).all()
    assert np.isnan(nothing.by_class).all()
    assert nothing.names == ("ann", "bob")
    assert "ann" in nothing._repr_html_()
