"""The cluster that tests of this room share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def connected():
    """A cluster of this process's own, with two cores, whatever the machine has."""
    ray = pytest.importorskip("ray")
    paths = [str(Path(__file__).parents[1] / "support"), os.environ.get("PYTHONPATH", "")]
    with pytest.MonkeyPatch.context() as patch:
        # To the end: Ray Data starts a thread of this process that reports its use, and asks the network to its end.
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))  # of all its workers
        ray.init(
            address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
            # Each worker takes seconds to import what it needs: none is started for nothing, and those at hand stay.
            _system_config={
                "kill_idle_workers_interval_ms": 0, "enable_worker_prestart": False,
                "prestart_worker_first_driver": False,
            },
        )  # fmt: skip
        yield "auto"
        ray.shutdown()
