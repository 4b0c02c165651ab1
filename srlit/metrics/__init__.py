"""Quality measures whose names carry their protocol, and the rule that selects by them."""

from srlit.metrics.fidelity import mae, psnr
from srlit.metrics.selection import SelectionRule, measured_name
from srlit.metrics.suite import MetricSuite, to_8_bit
from srlit.ops.similarity import ssim

__all__ = ["MetricSuite", "SelectionRule", "mae", "measured_name", "psnr", "ssim", "to_8_bit"]
