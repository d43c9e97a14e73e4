from cosup.report.bench_report import build_report as build_report
from cosup.report.displays import LevelsDisplay as LevelsDisplay
from cosup.report.displays import TeachersDisplay as TeachersDisplay
from cosup.report.displays import plot_levels as plot_levels
from cosup.report.displays import plot_teachers as plot_teachers
from cosup.report.drawing import require_figures as require_figures
from cosup.report.markup import REPORT_NAME as REPORT_NAME
from cosup.report.text_table import render_table as render_table
