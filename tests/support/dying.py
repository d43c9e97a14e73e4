"""Functions for the nodes of a cluster in tests/test_ray.py: they are called there by name."""

import os
import signal
from pathlib import Path

from cosup import CosupError


def once(folder):
    """Die at the first call, as a process does that the system kills; answer at the second."""
    mark = Path(folder) / "died"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def always(folder):
    with (Path(folder) / "deaths").open("a") as file:
        file.write("x")
    os.kill(os.getpid(), signal.SIGKILL)


def double(number):
    return 2 * number


def refuse(number):
    raise CosupError(f"{number} is not wanted")


def fragile(folder):
    """Make a step of a pipeline that dies once, at the sixth row."""
    return _dying(Path(folder) / "died", again=False)


def hopeless(folder):
    return _dying(Path(folder) / "died", again=True)


def _dying(mark, *, again):
    import pyarrow

    def step(block):
        for row in block.to_pylist():
            if row["place"] == 5 and (again or not mark.exists()):
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            yield pyarrow.Table.from_pylist([{"twice": 2 * row["place"]}])

    return step
