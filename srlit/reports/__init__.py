"""The HTML report on runs: one file with curves, images to compare, tables and differences.

`folders` finds, `run_folders` and `evaluations` read, the others lay out, `page` assembles. The
templates only print what was laid out.
"""

from srlit.reports.page import report_page

__all__ = ["report_page"]
