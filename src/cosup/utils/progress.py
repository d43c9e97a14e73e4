"""Progress bars: on a terminal and in a notebook; silent elsewhere."""

from __future__ import annotations

import shutil
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["fit_bar", "progress_bar", "show_progress"]

_fits_are_shown: ContextVar[bool] = ContextVar("fits_are_shown", default=False)


def progress_bar(
    total: int,
    *,
    what: str,
    unit: str,
    initial: int = 0,
    over: Iterable[Any] | None = None,
    shown: bool | None = None,
    leave: bool = True,
) -> Any:
    """Make a bar of tqdm: a widget in Jupyter, a line on a terminal.

    Parameters
    ----------
    total : int
    what : str
        Text before the bar.
    unit : str
    initial : int
        How many were done earlier.
    over : iterable, optional
        The things themselves, that the bar is to hand out one by one.
    shown : bool, optional
        False: no bar; True: a bar even where nobody watches. Default: where somebody watches.
    leave : bool
        Whether the full bar stays.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a missing ipywidgets: a notebook then gets a line instead of a widget
        from tqdm.auto import tqdm

    hidden = not (_is_watched() if shown is None else shown)
    # On a terminal that does not tell its size, tqdm would draw nothing.
    size = shutil.get_terminal_size()
    room = {"ncols": size.columns, "nrows": size.lines} if sys.stderr.isatty() else {}
    return tqdm(
        over, total=total, initial=initial, desc=what, unit=unit, disable=hidden, leave=leave, smoothing=0.05,
        **room,
    )  # fmt: skip


def _is_watched() -> bool:
    """Tell whether standard error is a terminal, or a notebook shows it."""
    shell = sys.modules.get("IPython")
    running = None if shell is None else shell.get_ipython()
    return sys.stderr.isatty() or (running is not None and hasattr(running, "kernel"))


@contextmanager
def show_progress() -> Iterator[None]:
    """Show a bar of levels and rounds for every fit within, on a terminal or in a notebook.

    Examples
    --------
    >>> import cosup
    >>> with cosup.show_progress():
    ...     pass  # model.fit(X, labels)
    """
    token = _fits_are_shown.set(True)
    try:
        yield
    finally:
        _fits_are_shown.reset(token)


def fit_bar(total: int) -> Any:
    """Make the bar of a fit, hidden unless `show_progress` asks for it."""
    return progress_bar(
        total, what="level 0", unit="round", shown=None if _fits_are_shown.get() else False, leave=False
    )
