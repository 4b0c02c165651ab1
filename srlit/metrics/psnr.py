"""Peak signal-to-noise ratio."""

import torch
from jaxtyping import Float
from torch import Tensor


def psnr(sr: Float[Tensor, "n c h w"], hr: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Peak signal-to-noise ratio in dB for a peak of 1; infinite for equal images."""
    return -10 * torch.log10((sr - hr).square().mean((1, 2, 3)))
