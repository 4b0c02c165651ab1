"""The focal frequency loss: frequencies with a large error weigh more."""

import torch
from torch import nn

from srlit.types import Images, NonNegative, Scalar


def focal_frequency(sr: Images, hr: Images, alpha: float) -> Scalar:
    """Mean w |F(sr) - F(hr)|^2 (Jiang et al. 2021, section 3).

    F is the orthonormal Fourier transform, so a weight holds for patches of any size.
    w = |F(sr) - F(hr)|^alpha, divided by its maximum over each channel's spectrum; no gradient
    flows through it.
    """
    difference = torch.fft.fft2(sr - hr, norm="ortho")
    squared = torch.view_as_real(difference).square().sum(-1)
    weight = squared.detach() ** (alpha / 2)
    max_weight = weight.amax((2, 3), keepdim=True)
    tiny = torch.finfo(weight.dtype).tiny  # equal images: the maximum is 0
    return (weight / max_weight.clamp(min=tiny) * squared).mean()


class FocalFrequency(nn.Module):
    """Focal frequency loss (Jiang et al. 2021). At least 0, and 0 for equal images.

    Args:
        alpha: how strongly large errors are emphasised; 1 in the paper, 0 is the mean squared
            difference.
    """

    def __init__(self, *, alpha: NonNegative = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Mean over frequencies, channels and the batch."""
        return focal_frequency(sr, hr, self.alpha)
