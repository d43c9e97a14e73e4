"""`fit` says beforehand when it will not fit, and what it says is what it takes."""

import subprocess
import sys

import numpy as np
import pytest

from cosup import CosupError, TeacherLabels, TopK, make_method
from cosup.tasks import make_hierarchy
from cosup.utils import available_memory

MEASURE = """
import sys
from pathlib import Path
import numpy as np
def most():  # not getrusage's, which begins with what the process had that started this one
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
from cosup import TeacherLabels, make_method
n, d, c = map(int, sys.argv[2:5])
rng = np.random.default_rng(0)
y = rng.integers(c, size=n)
X = (rng.standard_normal((c, d), dtype=np.float32)[y] + rng.standard_normal((n, d), dtype=np.float32))
said = np.where(rng.random((n, 3)) < 0.5, y[:, None], rng.integers(c, size=(n, 3)))
labels = TeacherLabels(said, levels=[0, 1, 1], specialties=[None, range(c // 2), range(c // 2, c)])
model = make_method(sys.argv[1], random_state=0, **({"epochs": 1} if sys.argv[1] == "csl-published" else {}))
small = make_method(sys.argv[1], **({"epochs": 1} if sys.argv[1] == "csl-published" else {}))
small.fit(X[:2000], labels[:2000])  # libraries and their buffers
before = most()
expected = model._peak_bytes(X, labels)
model.fit(X, labels)
print(expected, most() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["co-supervised", "csl", "csl-published", "vanilla"])
@pytest.mark.parametrize("shape", [(30_000, 64, 100), (6_000, 256, 300), (100_000, 32, 10)])
def test_what_is_expected_bounds_what_is_taken(name, shape):
    command = [sys.executable, "-c", MEASURE, name, *map(str, shape)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    expected, taken = map(int, done.stdout.split())
    assert taken <= expected
    assert expected <= 3 * taken + 5e8


def test_what_will_not_fit_is_refused_before_any_work(monkeypatch):
    task = make_hierarchy(n_samples=200, n_test=50, random_state=0)
    monkeypatch.setattr(available_memory, "available_memory", lambda: 1_000_000)
    for name in ("co-supervised", "csl-published", "vanilla", "majority"):
        with pytest.raises(CosupError, match=r"200 samples.*needs about .* GB.*0\.0 GB are available.*TopK"):
            make_method(name).fit(task.X_train, task.labels)


def test_where_the_system_does_not_say_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(available_memory, "available_memory", lambda: None)
    task = make_hierarchy(n_samples=200, n_test=50, random_state=0)
    make_method("vanilla").fit(task.X_train, task.labels)


def test_a_containers_limit_counts(monkeypatch, tmp_path):
    for name, text in (("max", "5000"), ("current", "2000"), ("none", "max")):
        (tmp_path / name).write_text(text + "\n")
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable:    4 kB\n")
    monkeypatch.setattr(available_memory, "MEMINFO", meminfo)
    monkeypatch.setattr(available_memory, "CGROUPS", ((tmp_path / "max", tmp_path / "current"),))
    assert available_memory.available_memory() == 3000
    monkeypatch.setattr(available_memory, "CGROUPS", ((tmp_path / "none", tmp_path / "current"),))
    assert available_memory.available_memory() == 4096
    monkeypatch.setattr(available_memory, "MEMINFO", tmp_path / "absent")
    assert available_memory.available_memory() is None


@pytest.mark.parametrize("name", ["csl-published", "vanilla"])
def test_imagenet_under_fifteen_teachers_is_expected_under_four_gigabytes(name):
    n, c = 1_281_167, 1000
    few = TopK(np.zeros((4, 15, 5), int) + np.arange(5), np.full((4, 15, 5), 0.2), c)
    labels = TeacherLabels(few, levels=[0] + [1] * 2 + [2] * 4 + [3] * 8)
    X = np.broadcast_to(np.zeros((1, 384), np.float16), (n, 384))
    per_sample = TeacherLabels.n_samples
    try:
        TeacherLabels.n_samples = property(lambda _: n)
        expected = make_method(name)._peak_bytes(X, labels)
    finally:
        TeacherLabels.n_samples = per_sample
    assert expected + few.nbytes / 4 * n < 4e9
