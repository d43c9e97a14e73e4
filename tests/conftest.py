"""What every test file shares: one thread a matrix product, hypothesis without a clock, and which files go first."""

import os

# Small matrices run best on one thread each; must be set before numpy loads its BLAS.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from hypothesis import settings  # noqa: E402

settings.register_profile("cosup", deadline=None, max_examples=40)
settings.load_profile("cosup")

LONGEST = ("test_ray", "test_fairness", "test_estimator", "test_rivals", "test_benchmark", "test_cli_bench")


def pytest_collection_modifyitems(items):
    """Longest files first: where a file is one worker's, none of them is left to run alone in the end."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))
