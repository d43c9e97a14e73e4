from cosup.report.explorer.page import LARGEST as LARGEST
from cosup.report.explorer.page import build_explorer as build_explorer
from cosup.report.explorer.server import LOOPBACK as LOOPBACK
from cosup.report.explorer.server import make_app as make_app
from cosup.report.explorer.summary import Estimates as Estimates
