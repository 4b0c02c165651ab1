"""A loss of the low-resolution image that stage 1 of a two-stage generator restores."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from srlit.ops.resize import shrink
from srlit.types import Images, Scalar


class Stage1(nn.Module):
    """L1 between stage 1's output and the target downscaled to its size; sr is not used.

    The target is downscaled by MATLAB's antialiased bicubic, without rounding. In 0 to 1, and 0 for
    a perfect stage 1. Only two-stage generators have such an output (`model=two_stage`).

    Source: deep supervision (Lee et al. 2015), on an image.
    """

    needs = ("stage1_output",)

    def forward(self, sr: Images, hr: Images, stage1_output: Float[Tensor, "n 3 lh lw"]) -> Scalar:  # noqa: ARG002
        """Mean |stage1_output - shrink(hr)| over pixels, channels and the batch."""
        height, width = stage1_output.shape[-2:]
        return F.l1_loss(stage1_output, shrink(hr, (height, width)))
