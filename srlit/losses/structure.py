"""Losses of structure: what SSIM finds different.

torchmetrics' `structural_similarity_index_measure` can be trained on too, but it pads the border
and is up to 4e-3 away from the field's definition; these count valid windows, as the metrics do.
"""

from collections.abc import Sequence

from torch import nn

from srlit.ops.similarity import SCALE_WEIGHTS, ms_ssim, ssim
from srlit.types import Images, Scalar


class SSIM(nn.Module):
    """1 - SSIM (Wang et al. 2004, eq. 13), in 0 to 2, 0 for equal images.

    Images have at least 11x11 pixels.
    """

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """1 - mean over the batch.

        Raises:
            ValueError: smaller images.
        """
        return 1 - ssim(sr, hr).mean()


class MultiScaleSSIM(nn.Module):
    """1 - MS-SSIM (Wang et al. 2003, eq. 7), in 0 to 1, 0 for equal images.

    The paper's five scales need 176x176 pixels; with k scales it is 11 * 2^(k - 1) a side.

    Args:
        weights: the exponent of each scale, the finest first, all above 0.

    Raises:
        ValueError: no weights, or one that is not above 0.
    """

    def __init__(self, *, weights: Sequence[float] = SCALE_WEIGHTS) -> None:
        super().__init__()
        if not weights or min(weights) <= 0:
            msg = f"loss term ms_ssim: weights={list(weights)}: expected numbers above 0"
            raise ValueError(msg)
        self.weights = tuple(weights)

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """1 - mean over the batch.

        Raises:
            ValueError: images too small for so many scales.
        """
        return 1 - ms_ssim(sr, hr, self.weights).mean()
