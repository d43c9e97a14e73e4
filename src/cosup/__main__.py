"""The command ``cosup`` from its first moment: an interrupt is one line and exit code 130, also during imports."""

from __future__ import annotations

# Python has imported these before it runs anything; `signal` takes milliseconds more, in which a person may interrupt.
import _signal  # type: ignore[import-not-found, unused-ignore]
import os
import sys

__all__ = ["run"]


def _stop(number: int, frame: object) -> None:
    # Not an exception: in the middle of an import it would come out as whatever that import makes of it.
    os.write(2, b"Error: stopped before anything began; the same command begins anew\n")
    os._exit(130)


def run() -> None:
    """Run the command line."""
    before = _signal.signal(_signal.SIGINT, _stop)
    from cosup.cli import main

    _signal.signal(_signal.SIGINT, before)
    try:
        sys.exit(main())
    finally:
        # All is said: whoever interrupts what Python tears down sees no traceback of it.
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)


if __name__ == "__main__":
    run()
