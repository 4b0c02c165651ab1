"""Quality measures whose names carry their protocol, and the rule that selects by them."""

from srlit.metrics.fid_kid import SetMeasures, kid
from srlit.metrics.fidelity import mae, psnr
from srlit.metrics.niqe import niqe
from srlit.metrics.precision import to_8_bit
from srlit.metrics.ranking import SelectionRule, measured_name
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
