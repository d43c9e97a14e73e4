"""The explorer: a page in which a fit on one's own data can be looked through, alone in a file or served.

The same script draws both; a file carries all samples inside (`build_explorer`), a server hands them out a page at a
time (`make_app`).
"""

from cosup.report.explorer.page import LARGEST, build_explorer
from cosup.report.explorer.server import LOOPBACK, make_app
from cosup.report.explorer.summary import Estimates

__all__ = ["LARGEST", "LOOPBACK", "Estimates", "build_explorer", "make_app"]
