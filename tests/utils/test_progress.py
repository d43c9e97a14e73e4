"""Progress bars: nothing where nobody watches, levels and rounds of a fit where somebody does."""

import os
import pty
import sys

import numpy as np
import pytest

import cosup
from forked import forked


def fit():
    X = np.random.default_rng(0).normal(size=(60, 2))
    labels = cosup.TeacherLabels(np.stack([X[:, 0] > 0, X[:, 1] > 0], axis=1).astype(int), levels=[0, 1])
    cosup.CoSupervisedClassifier(random_state=0).fit(X, labels)


def fit_shown():
    with cosup.show_progress():
        fit()


def stderr_of(work, *, terminal):
    main, sub = pty.openpty() if terminal else os.pipe()

    def with_stderr():
        os.dup2(sub, 2)
        with os.fdopen(2, "w", closefd=False) as sys.stderr:
            work()

    with os.fdopen(main, "rb", buffering=0) as read:
        process = forked(with_stderr)
        os.close(sub)
        shown = b""
        try:
            while piece := read.read(4096):
                shown += piece
        except OSError:  # a terminal whose other end is closed
            pass
        process.join()
        assert process.exitcode == 0
    return shown.decode()


def test_a_fit_shows_its_levels_on_a_terminal_that_was_asked_for():
    shown = stderr_of(fit_shown, terminal=True)
    assert "level 0" in shown
    assert "level 1" in shown
    assert "100%" in shown


@pytest.mark.parametrize(("work", "terminal"), [(fit, True), (fit_shown, False)])
def test_nothing_is_shown_unasked_or_where_nobody_watches(work, terminal):
    assert stderr_of(work, terminal=terminal) == ""
