"""What every test file shares: one thread a matrix product, and hypothesis without a clock."""

import os

# Small matrices run best on one thread each; must be set before numpy loads its BLAS.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from hypothesis import settings  # noqa: E402

settings.register_profile("cosup", deadline=None, max_examples=40)
settings.load_profile("cosup")
