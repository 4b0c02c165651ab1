"""1 - multi-scale SSIM as a loss."""

from collections.abc import Sequence
from typing import Annotated

from annotated_types import MinLen
from torch import nn

from srlit.ops.similarity import SCALE_WEIGHTS, WINDOW, ms_ssim
from srlit.types import Images, Positive, Scalar

Weights = Annotated[Sequence[Positive], MinLen(1)]


class MultiScaleSSIM(nn.Module):
    """1 - MS-SSIM (Wang et al. 2003, eq. 7), in 0 to 1, 0 for equal images.

    The paper's five scales need 176x176 pixels; k scales need sides of 11 * 2^(k - 1).

    Args:
        weights: the exponent of each scale, the finest first.
    """

    def __init__(self, *, weights: Weights = SCALE_WEIGHTS) -> None:
        super().__init__()
        self.weights = tuple(weights)
        self.min_size = WINDOW * 2 ** (len(self.weights) - 1)

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """1 - mean over the batch.

        Raises:
            ValueError: images too small for so many scales.
        """
        return 1 - ms_ssim(sr, hr, self.weights).mean()
