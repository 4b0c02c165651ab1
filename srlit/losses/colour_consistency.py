"""A loss of colour and brightness that ignores texture."""

from torch import nn

from srlit.ops.filters import gaussian_blur
from srlit.types import Images, Positive, Scalar


class ColourConsistency(nn.Module):
    """Mean squared difference of blurred images.

    Source: Ignatov et al. 2017 (DPED), the colour loss, whose Gaussian of amplitude 0.053 =
    1 / (2 pi 3) has a variance of 3 pixels. At least 0, and 0 for equal images.

    Args:
        sigma: of the Gaussian, in HR pixels; sqrt(3) in the paper.
    """

    def __init__(self, *, sigma: Positive = 3**0.5) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Mean (G * sr - G * hr)^2."""
        return gaussian_blur(sr - hr, self.sigma).square().mean()
