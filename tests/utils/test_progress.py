"""Progress bars: nothing where nobody watches, levels and rounds of a fit where somebody does."""

import os
import pty
import subprocess
import sys

import pytest

FIT = """
import numpy as np
import cosup
X = np.random.default_rng(0).normal(size=(60, 2))
labels = cosup.TeacherLabels(np.stack([X[:, 0] > 0, X[:, 1] > 0], axis=1).astype(int), levels=[0, 1])
def fit():
    cosup.CoSupervisedClassifier(random_state=0).fit(X, labels)
"""


def stderr_of(code, *, terminal):
    main, sub = pty.openpty() if terminal else os.pipe()
    with os.fdopen(main, "rb", buffering=0) as read:
        environment = dict(os.environ)
        done = subprocess.Popen([sys.executable, "-c", FIT + code], stderr=sub, env=environment)
        os.close(sub)
        shown = b""
        try:
            while piece := read.read(4096):
                shown += piece
        except OSError:  # a terminal whose other end is closed
            pass
        assert done.wait() == 0
    return shown.decode()


def test_a_fit_shows_its_levels_on_a_terminal_that_was_asked_for():
    shown = stderr_of("with cosup.show_progress(): fit()", terminal=True)
    assert "level 0" in shown
    assert "level 1" in shown
    assert "100%" in shown


@pytest.mark.parametrize(("code", "terminal"), [("fit()", True), ("with cosup.show_progress(): fit()", False)])
def test_nothing_is_shown_unasked_or_where_nobody_watches(code, terminal):
    assert stderr_of(code, terminal=terminal) == ""
