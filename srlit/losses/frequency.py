"""Losses between spectra.

The transform is orthonormal (divided by sqrt(h w)), so a weight holds for patches of any size. It
is linear: one transform of the difference is the difference of the spectra.
"""

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from srlit.types import Images, Scalar


def spectral_difference(sr: Images, hr: Images) -> Complex[Tensor, "n 3 h w"]:
    """F(sr) - F(hr) with the orthonormal two-dimensional Fourier transform F."""
    return torch.fft.fft2(sr - hr, norm="ortho")


def focal_frequency(sr: Images, hr: Images, alpha: float) -> Scalar:
    """Mean w |F(sr) - F(hr)|^2 (Jiang et al. 2021, section 3).

    w = |F(sr) - F(hr)|^alpha, divided by its maximum over each channel's spectrum; no gradient goes
    through it.
    """
    squared = torch.view_as_real(spectral_difference(sr, hr)).square().sum(-1)
    hardness: Float[Tensor, "n 3 h w"] = squared.detach() ** (alpha / 2)
    hardest = hardness.amax((2, 3), keepdim=True)
    tiny = torch.finfo(hardest.dtype).tiny  # equal images have no hardest frequency
    return (hardness / hardest.clamp(min=tiny) * squared).mean()


class FocalFrequency(nn.Module):
    """Focal frequency loss: frequencies that are far off weigh more (Jiang et al. 2021).

    At least 0, and 0 for equal images.

    Args:
        alpha: how much more, >= 0; 1 in the paper, 0 is the mean squared difference.

    Raises:
        ValueError: alpha is negative.
    """

    def __init__(self, *, alpha: float = 1.0) -> None:
        super().__init__()
        if not alpha >= 0:
            msg = f"loss term focal_frequency: alpha={alpha}: expected at least 0"
            raise ValueError(msg)
        self.alpha = alpha

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Mean over frequencies, channels and the batch."""
        return focal_frequency(sr, hr, self.alpha)


class FourierL1(nn.Module):
    """Mean absolute difference of the spectra, real and imaginary parts alike.

    Source: Cho et al. 2021 (MIMO-UNet), the frequency reconstruction loss, at one scale. At least
    0, and 0 for equal images.
    """

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Mean over parts, frequencies, channels and the batch."""
        return torch.view_as_real(spectral_difference(sr, hr)).abs().mean()
