"""Inference: restorers, image files, measuring, tables and comparison pictures."""

from srlit.inference.compare import comparison
from srlit.inference.files import find_images, output_path, read_image, write_image
from srlit.inference.ledger import Ledger, fingerprint
from srlit.inference.measure import Measured, measure
from srlit.inference.pictures import Pictures, draw_figure
from srlit.inference.replay import DrawBook
from srlit.inference.restorers import Interpolator, Network, Restorer, pick_device
from srlit.inference.summary import Summary
from srlit.inference.tables import Row, latex_table, markdown_table, print_table

__all__ = [
    "DrawBook",
    "Interpolator",
    "Ledger",
    "Measured",
    "Network",
    "Pictures",
    "Restorer",
    "Row",
    "Summary",
    "comparison",
    "draw_figure",
    "find_images",
    "fingerprint",
    "latex_table",
    "markdown_table",
    "measure",
    "output_path",
    "pick_device",
    "print_table",
    "read_image",
    "write_image",
]
