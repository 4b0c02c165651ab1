"""The report on runs: one HTML file with curves, pictures to compare, tables and differences.

From folders to the page: `folders` finds, `runs` and `evaluations` read, the others lay out, `page`
puts together. What is in `template/` only writes down.
"""

from srlit.reports.page import report_page

__all__ = ["report_page"]
