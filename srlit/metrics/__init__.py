"""Quality measures whose names carry their protocol, and the rule that selects by them."""

from srlit.metrics.fidelity import mae, psnr
from srlit.metrics.selection import SelectionRule
from srlit.metrics.structure import ssim
from srlit.metrics.suite import MetricSuite, to_8_bit

__all__ = ["MetricSuite", "SelectionRule", "mae", "psnr", "ssim", "to_8_bit"]
