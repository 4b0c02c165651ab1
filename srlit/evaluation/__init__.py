"""Evaluation: measuring upscalers, their tables, statistics and comparison images."""

from srlit.evaluation.comparison_images import Pictures, draw_figure
from srlit.evaluation.image_strip import comparison
from srlit.evaluation.measure import Measured, measure
from srlit.evaluation.recorded_draws import RecordedDraws
from srlit.evaluation.results_cache import ResultsCache
from srlit.evaluation.summary import Summary
from srlit.evaluation.tables import Row, latex_table, markdown_table, print_table

__all__ = [
    "Measured",
    "Pictures",
    "RecordedDraws",
    "ResultsCache",
    "Row",
    "Summary",
    "comparison",
    "draw_figure",
    "latex_table",
    "markdown_table",
    "measure",
    "print_table",
]
