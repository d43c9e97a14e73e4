"""The label-free choice among trainings: longer ones that cannot win are not tried."""

import numpy as np

from cosup.students.held_out_choice import choose

N = 1000
POSTERIOR = np.tile([0.9, 0.1], (N, 1))
STEPS = np.array([100.0, 100.0, 400.0, 400.0, 1600.0, 1600.0])
PATHS = np.array([1.0, 3.0, 4.0, 12.0, 16.0, 48.0])


def asked_and_chosen(wrong, **how):
    """Choose among candidates that name the second class on so many of the 200 samples held out."""
    asked = []

    def predictions(tried, sees):
        asked.append(tried[:, 0].astype(int).tolist())
        held = np.flatnonzero(~sees[:, 0])
        out = np.zeros((len(tried), N), dtype=int)
        for row, candidate in zip(out, asked[-1], strict=True):
            row[held[: wrong[candidate]]] = 1
        return out

    chosen = choose(predictions, POSTERIOR, 0, np.arange(float(len(wrong)))[:, None], **how)
    return asked, int(chosen[0])


def test_a_stage_is_trained_together_and_everything_is_tried_while_longer_helps():
    asked, chosen = asked_and_chosen([90, 80, 70, 60, 50, 40], stages=STEPS, paths=PATHS)
    assert asked == [[0, 1], [2, 3], [4, 5]]
    assert chosen == 5


def test_paths_longer_than_one_that_is_certainly_worse_are_not_trained():
    # Of the second stage, the longer path loses to the shorter one: the third has only longer ones.
    assert asked_and_chosen([60, 40, 30, 60, 0, 0], stages=STEPS, paths=PATHS) == ([[0, 1], [2, 3]], 2)
    # Within a stage nothing is left out, and shorter paths than the one that lost are tried.
    paths = np.array([1.0, 6.0, 4.0, 12.0, 5.0, 48.0])
    asked, chosen = asked_and_chosen([20, 60, 21, 80, 10, 0], stages=STEPS, paths=paths)
    assert asked == [[0, 1], [2], [4]]
    assert chosen == 4


def test_a_path_that_is_hardly_worse_rules_nothing_out():
    asked, chosen = asked_and_chosen([40, 42, 41, 41, 39, 50], stages=STEPS, paths=PATHS)
    assert asked == [[0, 1], [2, 3], [4, 5]]
    assert chosen == 4


def test_a_path_that_is_surely_worse_by_next_to_nothing_rules_nothing_out():
    # Four or five samples of 200 are lost and none is won: two standard errors, but not two points.
    asked, chosen = asked_and_chosen([40, 44, 45, 45, 40, 20], stages=STEPS, paths=PATHS)
    assert asked == [[0, 1], [2, 3], [4, 5]]
    assert chosen == 5


def test_without_stages_all_are_tried_at_once():
    assert asked_and_chosen([20, 60, 30, 80, 10, 0]) == ([[0, 1, 2, 3, 4, 5]], 5)
