"""The HTML report on runs: one file with curves, images to compare, tables and differences.

`run_folders` finds and reads, so does `evaluations`; the others lay out, `page` assembles. The
templates only print what was laid out.
"""

from srlit.reports.page import report_page

__all__ = ["report_page"]
