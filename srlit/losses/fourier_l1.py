"""L1 between Fourier spectra."""

import torch
from torch import nn

from srlit.types import Images, Scalar


class FourierL1(nn.Module):
    """Mean absolute difference of the spectra, over real and imaginary parts.

    The transform is orthonormal (divided by sqrt(h w)), so a weight holds for patches of any size.

    Source: Cho et al. 2021 (MIMO-UNet), the frequency reconstruction loss, at one scale. At least
    0, and 0 for equal images.
    """

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Mean over parts, frequencies, channels and the batch."""
        return torch.view_as_real(torch.fft.fft2(sr - hr, norm="ortho")).abs().mean()
