"""A loss of what a generator in stages restores on its way."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from srlit.ops.resize import shrink
from srlit.types import Images, Scalar


class Stage1(nn.Module):
    """L1 between what stage 1 restores and the target at its size; it does not look at sr.

    The target is made small by MATLAB's antialiased bicubic, without rounding. 0 to 1, and 0 for a
    perfect stage 1. Only generators in stages have one (`model=two_stage`).

    Source: deep supervision (Lee et al. 2015), on an image.
    """

    needs = ("stage1",)

    def forward(self, sr: Images, hr: Images, stage1: Float[Tensor, "n 3 lh lw"]) -> Scalar:  # noqa: ARG002
        """Mean |stage1 - shrink(hr)| over pixels, channels and the batch."""
        height, width = stage1.shape[-2:]
        return F.l1_loss(stage1, shrink(hr, (height, width)))
