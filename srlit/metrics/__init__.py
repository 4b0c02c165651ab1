"""Quality measures whose names carry their protocol, and the rule that selects by them."""

from srlit.metrics.conditions import to_8_bit
from srlit.metrics.fidelity import mae, psnr
from srlit.metrics.naturalness import niqe
from srlit.metrics.selection import SelectionRule, measured_name
from srlit.metrics.sets import SetMeasures, kid
from srlit.metrics.suite import MetricSuite, Targets
from srlit.ops.similarity import ms_ssim, ssim

__all__ = [
    "MetricSuite",
    "SelectionRule",
    "SetMeasures",
    "Targets",
    "kid",
    "mae",
    "measured_name",
    "ms_ssim",
    "niqe",
    "psnr",
    "ssim",
    "to_8_bit",
]
