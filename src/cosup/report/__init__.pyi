from cosup.report.bench_report import build_report as build_report
from cosup.report.drawing import require_figures as require_figures
from cosup.report.markup import REPORT_NAME as REPORT_NAME
from cosup.report.text_table import render_table as render_table
