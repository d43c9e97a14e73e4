"""What every test file shares: one thread a matrix product, hypothesis without a clock, and which files go first."""

import gc
import os

# Small matrices run best on one thread each; must be set before numpy loads its BLAS.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from cosup.utils import plugins  # noqa: E402
from cosup.utils.registry import snapshot  # noqa: E402

settings.register_profile("cosup", deadline=None, max_examples=40)
settings.load_profile("cosup")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Keep the garbage collector from looking at what is imported again and again: it stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(10_000, 20, 50)
        gc.enable()


@pytest.fixture(autouse=True)
def plugins_as_found():
    """Take out what a test registers: commands and pages load plugins into this process."""
    restore, loaded = snapshot(), dict(plugins._LOADED)
    yield
    restore()
    plugins._LOADED.clear()
    plugins._LOADED.update(loaded)


LONGEST = (
    "cluster/test_ray",
    "tests/test_docs",
    "report/test_explorer_browser",
    "baselines/test_rivals",
    "baselines/test_fairness",
    "estimators/test_base",
    "cli/test_shell",
    "finetuning/test_student",
    "estimators/test_streaming",
    "tests/test_faults",
    "cosupervision/test_algorithm",
    "students/test_mlp",
    "planning/test_known_backbones",
    "tasks/test_digits",
    "benchmark/test_designs",
    "embedding/test_backbones_hf",
    "cosupervision/test_invariance",
    "cli/test_finetune",
    "report/test_report",
)


def pytest_collection_modifyitems(items):
    """Longest files first: where a file is one worker's, none of them is left to run alone in the end."""

    def place(item):
        name = f"{item.path.parent.name}/{item.path.stem}"
        return LONGEST.index(name) if name in LONGEST else len(LONGEST)

    items.sort(key=place)
