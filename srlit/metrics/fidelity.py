"""Pixel fidelity, one value an image."""

import torch
from jaxtyping import Float
from torch import Tensor


def psnr(sr: Float[Tensor, "n c h w"], hr: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Peak signal-to-noise ratio in dB for a peak of 1; infinite for equal images."""
    return -10 * torch.log10((sr - hr).square().mean((1, 2, 3)))


def mae(sr: Float[Tensor, "n c h w"], hr: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Mean absolute error in units of [0, 1] images."""
    return (sr - hr).abs().mean((1, 2, 3))
