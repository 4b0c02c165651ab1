"""1 - SSIM as a loss.

torchmetrics' `structural_similarity_index_measure` is differentiable too, but it pads the border
and is up to 4e-3 away from the field's definition; here only valid windows count, as in the
metrics.
"""

from torch import nn

from srlit.ops.similarity import WINDOW, ssim
from srlit.types import Images, Scalar


class SSIM(nn.Module):
    """1 - SSIM (Wang et al. 2004, eq. 13), in 0 to 2, 0 for equal images.

    Images have at least 11x11 pixels.
    """

    min_size = WINDOW

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """1 - mean over the batch.

        Raises:
            ValueError: smaller images.
        """
        return 1 - ssim(sr, hr).mean()
